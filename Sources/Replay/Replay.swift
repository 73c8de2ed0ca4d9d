import Dispatch
package import Journal
package import Market
import MerkleLog
package import Primitives
package import Statements

/// What a replay found.
package struct ReplayReport: Sendable {
  package let network: NetworkID
  /// Entries that hold, the genesis among them.
  package let entries: UInt64
  package let accepted: UInt64
  package let rejected: UInt64
  /// Hash of the last entry that holds.
  package let head: Digest
  /// Merkle root over the hashes of the entries that hold: what a checkpoint of this size signs.
  package let root: Digest
  package let stateDigest: Digest
  package let balances: [(account: Account, balance: Int64)]
  /// Nil where the journal is what an honest broker would have written.
  package let divergence: Divergence?

  package var isSound: Bool { divergence == nil }
}

/// A verdict as a journal records it, and what the replayed market wanted it on.
package struct RecordedVerdict: Sendable {
  /// Of its entry.
  package let sequence: UInt64
  package let record: VerdictRecord
  package let job: VerificationJob
  package let slice: Manifest.Slice

  package init(
    sequence: UInt64, record: VerdictRecord, job: VerificationJob, slice: Manifest.Slice
  ) {
    self.sequence = sequence
    self.record = record
    self.job = job
    self.slice = slice
  }
}

/// Decides every command of a journal anew and compares what came of it, trusting nothing that the
/// broker wrote but the genesis.
package struct Replay {
  package struct Options: Sendable {
    /// The market's invariants, which cost time linear in its state, are asked for after every so
    /// many entries, those of money after each event of that entry too, and after the last.
    package var invariantsEvery: UInt64
    /// Without its signatures a journal is consistent with itself and shows nothing about who
    /// wrote it: for measuring, and for a journal whose signatures were checked before.
    package var checksSignatures: Bool

    package init(invariantsEvery: UInt64 = 1, checksSignatures: Bool = true) {
      self.invariantsEvery = max(1, invariantsEvery)
      self.checksSignatures = checksSignatures
    }
  }

  private static let page = 512

  private let source: any JournalSource
  private let options: Options
  private let onVerdict: (RecordedVerdict) -> Void
  private let genesis: Genesis
  private var market: Market
  private var frontier = MerkleFrontier()
  private var head: Digest
  private var tick = Tick.zero
  private var seen: Set<Digest> = []
  private var accepted: UInt64 = 0
  private var rejected: UInt64 = 0
  private var lines: UInt64 = 0

  /// Replays the journal at `path`: a directory that holds `journal.sqlite`, or an export.
  ///
  /// - Parameter onVerdict: Called with every verdict that the market takes, in order.
  /// - Throws: a `JournalError` only where there is nothing to replay: no journal, one in use, one
  ///   of a newer schema, rules this build lacks, or a genesis that is none. Everything else is the
  ///   report's divergence.
  package static func run(
    path: String, options: Options = Options(),
    onVerdict: @escaping (RecordedVerdict) -> Void = { _ in },
    progress: (_ done: UInt64, _ total: UInt64) -> Void = { _, _ in }
  ) throws(JournalError) -> ReplayReport {
    if JournalExport.isOne(at: path) {
      let export = try JournalExport(path: path)
      return try run(export, options, onVerdict, progress) { _ throws(JournalError) in }
    }
    let reader = try JournalReader(directory: path)
    return try run(reader, options, onVerdict, progress) { replay throws(JournalError) in
      try replay.checkProjection(reader)
      try replay.checkFile(reader)
    }
  }

  private static func run(
    _ source: some JournalSource, _ options: Options,
    _ onVerdict: @escaping (RecordedVerdict) -> Void,
    _ progress: (_ done: UInt64, _ total: UInt64) -> Void,
    finally check: (Replay) throws(JournalError) -> Void
  ) throws(JournalError) -> ReplayReport {
    var replay = try Replay(source, options, onVerdict)
    do throws(JournalError) {
      try replay.checkEntries(progress)
      try replay.checkInvariants(replay.frontier.count - 1)
      try check(replay)
      return replay.report(nil)
    } catch {
      guard case .diverged(let divergence) = error else { throw error }
      return replay.report(divergence)
    }
  }

  private init(
    _ source: some JournalSource, _ options: Options,
    _ onVerdict: @escaping (RecordedVerdict) -> Void
  ) throws(JournalError) {
    self.source = source
    self.options = options
    self.onVerdict = onVerdict
    let stored = try source.genesis()
    do {
      genesis = try Genesis(canonicalBytes: stored.record)
      market = try Market(genesis: genesis)
    } catch {
      throw .diverged(
        Divergence(
          sequence: 0, subject: "genesis", expected: "a genesis under known rules",
          got: "\(error)"))
    }
    head = JournalChain.hash(ofGenesis: stored.record)
    frontier.append(leafHash: MerkleTree.leafHash(head.bytes))
    try Self.require(0, "genesis hash", head.bytes, stored.hash)
  }

  private func report(_ divergence: Divergence?) -> ReplayReport {
    ReplayReport(
      network: genesis.network, entries: frontier.count, accepted: accepted, rejected: rejected,
      head: head, root: frontier.root, stateDigest: market.stateDigest,
      balances: market.balances, divergence: divergence)
  }

  private func checkFile(_ reader: JournalReader) throws(JournalError) {
    // Last, because an entry that is hit says more: this finds damage that no query has met, such
    // as in an index.
    guard let fault = try reader.integrityFault() else { return }
    throw .diverged(
      Divergence(
        sequence: nil, subject: "SQLite's integrity check", expected: "ok", got: fault))
  }

  // MARK: Entries

  private mutating func checkEntries(
    _ progress: (_ done: UInt64, _ total: UInt64) -> Void
  ) throws(JournalError) {
    let total = try source.entryCount()
    let database = source as? JournalReader
    var next: UInt64 = 1
    while case let page = try source.entries(from: next, limit: Self.page), !page.isEmpty {
      let last = next + UInt64(page.count) - 1
      let postings = try database?.postings(from: next, through: last)
      let signed = SignedEntry.read(page, checksSignatures: options.checksSignatures)
      for (entry, signed) in zip(page, signed) {
        try Self.require(next, "sequence", next, entry.sequence)
        market.watchesMoney = next.isMultiple(of: options.invariantsEvery)
        try check(entry, signed, postings.map { $0[next] ?? [] })
        if market.watchesMoney { try checkInvariants(next) }
        next += 1
      }
      progress(last, total)
    }
  }

  private mutating func check(
    _ entry: StoredEntry, _ signed: SignedEntry, _ postings: [StoredPosting]?
  ) throws(JournalError) {
    let sequence = entry.sequence
    let hash = JournalChain.hash(
      after: head, sequence: sequence, tick: entry.tick, command: entry.command,
      outcome: entry.outcome)
    try Self.require(sequence, "entry hash", hash.bytes, entry.hash)
    let envelope = try checkEnvelope(entry, signed)
    tick = entry.tick
    let outcome = try decide(envelope, signed, entry)
    if let postings { try checkPostings(outcome, postings, sequence) }
    try checkAcknowledgement(entry, signed, envelope, outcome, head: hash)
    head = hash
    frontier.append(leafHash: MerkleTree.leafHash(hash.bytes))
    switch outcome {
    case .accepted: accepted += 1
    case .rejected: rejected += 1
    }
  }

  private mutating func checkEnvelope(
    _ entry: StoredEntry, _ signed: SignedEntry
  ) throws(JournalError) -> Envelope {
    let sequence = entry.sequence
    let envelope: Envelope
    do { envelope = try signed.envelope.get() } catch {
      throw Self.diverged(sequence, "envelope", "canonical bytes", error.sentence)
    }
    try Self.require(sequence, "command digest", envelope.digest.bytes, entry.commandDigest)
    guard envelope.network == genesis.network else {
      throw Self.diverged(
        sequence, "network", genesis.network.name, envelope.network.name)
    }
    guard signed.hasAuthenticEnvelope else {
      throw Self.diverged(
        sequence, "envelope's signature", "one by \(envelope.author)", "another")
    }
    guard entry.tick >= tick else {
      throw Self.diverged(sequence, "tick", "at least \(tick)", "\(entry.tick)")
    }
    guard entry.tick <= envelope.expiry else {
      throw Self.diverged(
        sequence, "tick", "at most the envelope's expiry \(envelope.expiry)", "\(entry.tick)")
    }
    guard seen.insert(envelope.digest).inserted else {
      throw Self.diverged(
        sequence, "command digest", "one not seen before", "\(envelope.digest) again")
    }
    return envelope
  }

  /// Executes the command on the auditor's own market and compares the outcome's bytes.
  private mutating func decide(
    _ envelope: Envelope, _ signed: SignedEntry, _ entry: StoredEntry
  ) throws(JournalError) -> Outcome {
    let command: Command
    do { command = try signed.command.get() } catch {
      throw Self.diverged(entry.sequence, "command", "canonical bytes", error.sentence)
    }
    let verdict = recordedVerdict(command, entry.sequence)
    let outcome = market.execute(
      command, by: envelope.author, digest: envelope.digest, at: entry.tick,
      isAuthentic: signed.hasAuthenticCommand)
    guard outcome.canonicalBytes == entry.outcome else {
      let got = (try? Outcome(canonicalBytes: entry.outcome)).map(Self.describe)
      throw Self.diverged(
        entry.sequence, "outcome of \(command.name)", Self.describe(outcome),
        got ?? "bytes that are no outcome")
    }
    if let verdict, case .accepted = outcome { onVerdict(verdict) }
    return outcome
  }

  /// What the market wants the verdict on, before it takes it; nil where it wants none.
  private func recordedVerdict(_ command: Command, _ sequence: UInt64) -> RecordedVerdict? {
    guard case .recordVerdict(let record) = command,
      let job = market.verificationJob(of: record.lease),
      let slice = market.models[job.statement.model]?.slices[job.statement.slice]
    else { return nil }
    return RecordedVerdict(sequence: sequence, record: record, job: job, slice: slice)
  }

  private mutating func checkPostings(
    _ outcome: Outcome, _ stored: [StoredPosting], _ sequence: UInt64
  ) throws(JournalError) {
    let expected = outcome.postings.enumerated().map { line, posting in
      StoredPosting(
        line: UInt64(line), account: posting.account.canonicalBytes, delta: posting.delta)
    }
    lines += UInt64(expected.count)
    guard expected != stored else { return }
    let index = zip(expected, stored).prefix { $0 == $1 }.count
    throw Self.diverged(
      sequence, "posting line \(index)",
      index < expected.count ? Self.describe(expected[index]) : "none",
      index < stored.count ? Self.describe(stored[index]) : "none")
  }

  private func checkAcknowledgement(
    _ entry: StoredEntry, _ signed: SignedEntry, _ envelope: Envelope, _ outcome: Outcome,
    head: Digest
  ) throws(JournalError) {
    let sequence = entry.sequence
    guard let read = signed.acknowledgement else {
      throw Self.diverged(sequence, "acknowledgement", "one", "none")
    }
    let acknowledgement: Acknowledgement
    do { acknowledgement = try read.get() } catch {
      throw Self.diverged(sequence, "acknowledgement", "canonical bytes", error.sentence)
    }
    let rejection: Rejection? =
      if case .rejected(let rejection) = outcome { rejection } else { nil }
    guard acknowledgement.network == genesis.network,
      acknowledgement.command == envelope.digest, acknowledgement.sequence == sequence,
      acknowledgement.tick == entry.tick, acknowledgement.head == head,
      acknowledgement.rejection == rejection
    else {
      throw Self.diverged(
        sequence, "acknowledgement", "one of this entry",
        "one of entry \(acknowledgement.sequence), command \(acknowledgement.command)")
    }
    guard acknowledgement.broker == genesis.broker, signed.hasAuthenticAcknowledgement
    else {
      throw Self.diverged(
        sequence, "acknowledgement's signature", "one by \(genesis.broker)", "another")
    }
  }

  private func checkInvariants(_ sequence: UInt64) throws(JournalError) {
    guard let violation = market.invariantViolations().first else { return }
    throw Self.diverged(sequence, "invariants", "all to hold", violation)
  }

  // MARK: The end

  /// What a database holds beside its entries.
  private func checkProjection(_ reader: JournalReader) throws(JournalError) {
    let last = frontier.count - 1
    let stored = try reader.balances(after: last)
    if let divergence = Divergence(ofBalances: market.balances, stored, after: last) {
      throw .diverged(divergence)
    }
    // Rows that no entry accounts for, wherever they hide.
    let counts = try reader.counts()
    try Self.require(last, "rows of entries", last, counts.entries)
    try Self.require(last, "rows of acknowledgements", last, counts.acknowledgements)
    try Self.require(last, "rows of postings", lines, counts.postings)
  }

  // MARK: Saying what differs

  private static func describe(_ outcome: Outcome) -> String {
    switch outcome {
    case .accepted(let events):
      "accepted with \(events.count) events (\(Digest.of(outcome.canonicalBytes).short))"
    case .rejected(let rejection): "rejected as \(rejection.code)"
    }
  }

  private static func describe(_ posting: StoredPosting) -> String {
    "line \(posting.line) of \(posting.delta) to account \(Hexadecimal.text(posting.account))"
  }

  private static func diverged(
    _ sequence: UInt64, _ subject: String, _ expected: String, _ got: String
  ) -> JournalError {
    .diverged(Divergence(sequence: sequence, subject: subject, expected: expected, got: got))
  }

  private static func require(
    _ sequence: UInt64, _ subject: String, _ expected: [UInt8], _ got: [UInt8]
  ) throws(JournalError) {
    guard expected != got else { return }
    throw diverged(sequence, subject, Hexadecimal.text(expected), Hexadecimal.text(got))
  }

  private static func require(
    _ sequence: UInt64, _ subject: String, _ expected: UInt64, _ got: UInt64
  ) throws(JournalError) {
    guard expected != got else { return }
    throw diverged(sequence, subject, "\(expected)", "\(got)")
  }
}

/// An entry's signed records, read and verified apart from the market: what both cores can share,
/// because it depends on no other entry.
private struct SignedEntry: Sendable {
  let envelope: Result<Envelope, CanonicalError>
  let command: Result<Command, CanonicalError>
  /// Nil where the entry has none.
  let acknowledgement: Result<Acknowledgement, CanonicalError>?
  let hasAuthenticEnvelope: Bool
  /// `Command.isAuthentic`.
  let hasAuthenticCommand: Bool
  let hasAuthenticAcknowledgement: Bool

  init(_ entry: StoredEntry, checksSignatures: Bool) {
    envelope = Result { () throws(CanonicalError) in try Envelope(canonicalBytes: entry.command) }
    acknowledgement = entry.acknowledgement.map { bytes in
      Result { () throws(CanonicalError) in try Acknowledgement(canonicalBytes: bytes) }
    }
    command = envelope.flatMap { envelope in
      Result { () throws(CanonicalError) in try Command(canonicalBytes: envelope.body) }
    }
    hasAuthenticEnvelope = !checksSignatures || (try? envelope.get())?.isAuthentic == true
    // Not to check means to believe that what was accepted was rightly so.
    let isBelieved = !checksSignatures && entry.outcome.first == 1
    hasAuthenticCommand = isBelieved || (try? command.get())?.isAuthentic == true
    hasAuthenticAcknowledgement =
      !checksSignatures || (try? acknowledgement?.get())?.isAuthentic == true
  }

  static func read(_ entries: [StoredEntry], checksSignatures: Bool) -> [SignedEntry] {
    let piece = 32
    return [SignedEntry](unsafeUninitializedCapacity: entries.count) { buffer, count in
      // Each iteration initialises places of its own, and all have ended when the call returns.
      nonisolated(unsafe) let places = buffer
      DispatchQueue.concurrentPerform(iterations: (entries.count + piece - 1) / piece) { part in
        for index in part * piece..<min((part + 1) * piece, entries.count) {
          places.initializeElement(
            at: index, to: SignedEntry(entries[index], checksSignatures: checksSignatures))
        }
      }
      count = entries.count
    }
  }
}
