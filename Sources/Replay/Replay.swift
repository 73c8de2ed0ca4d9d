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
    /// Without its signatures, and the paths of its acknowledgements to what is signed, a journal
    /// is consistent with itself and shows nothing about who wrote it: for measuring, and for a
    /// journal whose signatures were checked before.
    package var checksSignatures: Bool

    package init(invariantsEvery: UInt64 = 1, checksSignatures: Bool = true) {
      self.invariantsEvery = max(1, invariantsEvery)
      self.checksSignatures = checksSignatures
    }
  }

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
  /// Reused for each entry: what it must have.
  private var encoder = CanonicalEncoder()
  private var postings = StoredPostings()

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
    let file = FileCheck(try JournalReader(directory: path))
    return try run(reader, options, onVerdict, progress) { replay throws(JournalError) in
      try replay.checkProjection(reader)
      // Last, because an entry that is hit says more: this finds damage that no query has met, such
      // as in an index.
      guard let fault = try file.fault() else { return }
      throw .diverged(
        Divergence(
          sequence: nil, subject: "SQLite's integrity check", expected: "ok", got: fault))
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
    frontier.append(leafHash: MerkleTree.leafHash(of: head))
    guard stored.hash == head.bytes else {
      throw Self.diverged(0, "genesis hash", "\(head)", Hexadecimal.text(stored.hash))
    }
  }

  private func report(_ divergence: Divergence?) -> ReplayReport {
    ReplayReport(
      network: genesis.network, entries: frontier.count, accepted: accepted, rejected: rejected,
      head: head, root: frontier.root, stateDigest: market.stateDigest,
      balances: market.balances, divergence: divergence)
  }

  // MARK: Entries

  private mutating func checkEntries(
    _ progress: (_ done: UInt64, _ total: UInt64) -> Void
  ) throws(JournalError) {
    let total = try source.statedCount()
    let pages = PageReader(
      source, network: genesis.network, after: head, checksSignatures: options.checksSignatures)
    var next: UInt64 = 1
    while case let page = try pages.next(), !page.entries.isEmpty {
      for index in page.entries.indices {
        let entry = page.entries[index]
        try Self.require(next, "sequence", next, entry.stored.sequence)
        market.watchesMoney = next.isMultiple(of: options.invariantsEvery)
        let contents = try entry.contents.get()
        try check(entry)
        let outcome = try decide(contents, entry)
        if let stored = page.postings { try checkPostings(outcome, stored, index, next) }
        try checkAcknowledgement(entry, outcome)
        follow(entry, outcome)
        if market.watchesMoney { try checkInvariants(next) }
        next += 1
      }
      progress(next - 1, total)
    }
  }

  private mutating func follow(_ entry: ReadEntry, _ outcome: Outcome) {
    tick = entry.stored.tick
    head = entry.stored.hash
    frontier.append(leafHash: entry.leafHash)
    switch outcome {
    case .accepted: accepted += 1
    case .rejected: rejected += 1
    }
  }

  /// Whether the entry may come after those before it.
  private mutating func check(_ entry: ReadEntry) throws(JournalError) {
    let (sequence, digest) = (entry.stored.sequence, entry.stored.commandDigest)
    guard entry.stored.tick >= tick else {
      throw Self.diverged(sequence, "tick", "at least \(tick)", "\(entry.stored.tick)")
    }
    guard seen.insert(digest).inserted else {
      throw Self.diverged(
        sequence, "command digest", "one not seen before", "\(digest) again")
    }
  }

  /// Executes the command on the auditor's own market and compares the outcome's bytes.
  private mutating func decide(
    _ contents: ReadEntry.Contents, _ entry: ReadEntry
  ) throws(JournalError) -> Outcome {
    let (sequence, command) = (entry.stored.sequence, contents.command)
    let verdict = recordedVerdict(command, sequence)
    let outcome = market.execute(
      command, by: contents.author, digest: entry.stored.commandDigest, at: entry.stored.tick,
      isAuthentic: contents.isAuthentic)
    encoder.removeAll()
    encoder.append(outcome)
    guard entry.stored.outcome.equals(encoder.bytes) else {
      let got = (try? Outcome(canonicalBytes: entry.stored.outcome)).map(Self.describe)
      throw Self.diverged(
        sequence, "outcome of \(command.name)", Self.describe(outcome),
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

  /// - Parameter stored: Of the entry's page, where it stands at `index`.
  private mutating func checkPostings(
    _ outcome: Outcome, _ stored: StoredPostings, _ index: Int, _ sequence: UInt64
  ) throws(JournalError) {
    postings.replace(with: outcome)
    guard !postings.agree(0, with: stored, index) else { return }
    let (wanted, got) = (postings.lines(of: 0), stored.lines(of: index))
    let line = zip(wanted, got).prefix { $0 == $1 }.count
    throw Self.diverged(
      sequence, "posting line \(line)", line < wanted.count ? wanted[line] : "none",
      line < got.count ? got[line] : "none")
  }

  private mutating func checkAcknowledgement(
    _ entry: ReadEntry, _ outcome: Outcome
  ) throws(JournalError) {
    let sequence = entry.stored.sequence
    guard let stored = entry.stored.acknowledgement else {
      throw Self.diverged(sequence, "acknowledgement", "one", "none")
    }
    let rejection: Rejection? =
      if case .rejected(let rejection) = outcome { rejection } else { nil }
    // A digest that was found to be the envelope's, and a hash that was found to be the entry's.
    let word = Acknowledgement.Word(
      network: genesis.network, command: entry.stored.commandDigest, sequence: sequence,
      tick: entry.stored.tick, head: entry.stored.hash, rejection: rejection)
    encoder.removeAll()
    Acknowledgement.encodeOpening(of: word, by: genesis.broker, into: &encoder)
    guard entry.hasAuthenticAcknowledgement,
      stored.prefix(encoder.count).equals(encoder.bytes)
    else { throw divergence(of: stored, from: word) }
  }

  private func divergence(
    of stored: ArraySlice<UInt8>, from word: Acknowledgement.Word
  ) -> JournalError {
    let acknowledgement: Acknowledgement
    do { acknowledgement = try Acknowledgement(canonicalBytes: stored) } catch {
      return Self.diverged(
        word.sequence, "acknowledgement", "canonical bytes", error.sentence)
    }
    guard acknowledgement.word == word else {
      return Self.diverged(
        word.sequence, "acknowledgement", "one of this entry",
        "one of entry \(acknowledgement.sequence), command \(acknowledgement.command)")
    }
    return Self.diverged(
      word.sequence, "acknowledgement's signature", "one by \(genesis.broker)", "another")
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
    let entries = last + (try reader.strayRows(of: .entries, after: last))
    try Self.require(last, "rows of entries", last, entries)
    let strayPostings = try reader.strayRows(of: .postings, after: last)
    try Self.require(last, "rows of postings of no entry", 0, strayPostings)
  }

  // MARK: Saying what differs

  private static func describe(_ outcome: Outcome) -> String {
    switch outcome {
    case .accepted(let events):
      "accepted with \(events.count) events (\(Digest.of(outcome.canonicalBytes).short))"
    case .rejected(let rejection): "rejected as \(rejection.code)"
    }
  }

  fileprivate static func diverged(
    _ sequence: UInt64, _ subject: String, _ expected: String, _ got: String
  ) -> JournalError {
    .diverged(Divergence(sequence: sequence, subject: subject, expected: expected, got: got))
  }

  fileprivate static func require(
    _ sequence: UInt64, _ subject: String, _ expected: Digest, _ got: Digest
  ) throws(JournalError) {
    guard expected != got else { return }
    throw diverged(sequence, subject, "\(expected)", "\(got)")
  }

  private static func require(
    _ sequence: UInt64, _ subject: String, _ expected: UInt64, _ got: UInt64
  ) throws(JournalError) {
    guard expected != got else { return }
    throw diverged(sequence, subject, "\(expected)", "\(got)")
  }
}

/// An entry with all that can be found about it apart from the market, on another core than the one
/// that decides.
private final class ReadEntry: Sendable {
  /// What an entry asks for whose chain and envelope hold.
  struct Contents {
    let author: PublicKey
    let command: Command
    /// `Command.isAuthentic`.
    let isAuthentic: Bool
  }

  let stored: StoredEntry
  let leafHash: Digest
  let contents: Result<Contents, JournalError>
  let hasAuthenticAcknowledgement: Bool

  /// - Parameter previous: The stored hash of the entry before.
  init(
    _ entry: StoredEntry, of network: NetworkID, after previous: Digest, checksSignatures: Bool
  ) {
    stored = entry
    leafHash = MerkleTree.leafHash(of: entry.hash)
    contents = Result { () throws(JournalError) in
      try Self.contents(of: entry, network, previous, checksSignatures)
    }
    hasAuthenticAcknowledgement =
      !checksSignatures
      || entry.acknowledgement.flatMap { try? Acknowledgement(canonicalBytes: $0) }?.isAuthentic
        == true
  }

  private static func contents(
    of entry: StoredEntry, _ network: NetworkID, _ previous: Digest, _ checksSignatures: Bool
  ) throws(JournalError) -> Contents {
    let sequence = entry.sequence
    let hash = JournalChain.hash(
      after: previous, sequence: sequence, tick: entry.tick, command: entry.command,
      outcome: entry.outcome)
    try Replay.require(sequence, "entry hash", hash, entry.hash)
    let envelope: Envelope
    do { envelope = try Envelope(canonicalBytes: entry.command) } catch {
      throw Replay.diverged(sequence, "envelope", "canonical bytes", error.sentence)
    }
    try Replay.require(sequence, "command digest", envelope.digest, entry.commandDigest)
    guard envelope.network == network else {
      throw Replay.diverged(sequence, "network", network.name, envelope.network.name)
    }
    guard !checksSignatures || envelope.isAuthentic else {
      throw Replay.diverged(
        sequence, "envelope's signature", "one by \(envelope.author)", "another")
    }
    guard entry.tick <= envelope.expiry else {
      throw Replay.diverged(
        sequence, "tick", "at most the envelope's expiry \(envelope.expiry)", "\(entry.tick)")
    }
    let command: Command
    do { command = try Command(canonicalBytes: envelope.body) } catch {
      throw Replay.diverged(sequence, "command", "canonical bytes", error.sentence)
    }
    // Not to check means to believe that what was accepted was rightly so.
    let isBelieved = !checksSignatures && entry.outcome.first == 1
    return Contents(
      author: envelope.author, command: command,
      isAuthentic: isBelieved || command.isAuthentic)
  }
}

/// SQLite's own check of the file, which takes a while and needs nothing of the replay: it runs
/// beside it, over a connection of its own.
private final class FileCheck: @unchecked Sendable {
  // `@unchecked Sendable`: `result` is touched on `queue` alone.
  private let queue = DispatchQueue(label: "bourse.replay.file")
  private var result: Result<String?, JournalError> = .success(nil)

  init(_ reader: JournalReader) {
    queue.async {
      self.result = Result { () throws(JournalError) in try reader.integrityFault() }
    }
  }

  /// Waits for it; nil where nothing was found.
  func fault() throws(JournalError) -> String? { try queue.sync { self.result }.get() }
}

private struct Page {
  var entries: [ReadEntry] = []
  /// As the database holds them; nil where the source is an export.
  var postings: StoredPostings?
}

/// Reads a journal page by page, in order, each page while the one before it is decided.
private final class PageReader: @unchecked Sendable {
  // `@unchecked Sendable`: everything that changes is touched on `queue` alone.
  private static let pageSize = 512

  private let source: any JournalSource
  private let network: NetworkID
  private let checksSignatures: Bool
  private let queue = DispatchQueue(label: "bourse.replay")
  private var first: UInt64 = 1
  /// The stored hash of the last entry read.
  private var previous: Digest
  private var page: Result<Page, JournalError> = .success(Page())

  /// - Parameter head: The genesis's hash.
  init(
    _ source: any JournalSource, network: NetworkID, after head: Digest, checksSignatures: Bool
  ) {
    self.source = source
    self.network = network
    self.checksSignatures = checksSignatures
    previous = head
    queue.async { self.read() }
  }

  /// Without entries behind the last one.
  func next() throws(JournalError) -> Page {
    let page = queue.sync { self.page }
    if case .success(let page) = page, !page.entries.isEmpty { queue.async { self.read() } }
    return try page.get()
  }

  private func read() {
    page = Result { () throws(JournalError) in
      let entries = try source.entries(from: first, limit: Self.pageSize)
      guard let newest = entries.last else { return Page() }
      let last = first + UInt64(entries.count) - 1
      let postings = try (source as? JournalReader)?.postings(from: first, through: last)
      defer { (first, previous) = (last + 1, newest.hash) }
      return Page(entries: prepare(entries), postings: postings)
    }
  }

  private func prepare(_ entries: [StoredEntry]) -> [ReadEntry] {
    let piece = 32
    return [ReadEntry](unsafeUninitializedCapacity: entries.count) { buffer, count in
      // Each iteration initialises places of its own, and all have ended when the call returns.
      nonisolated(unsafe) let places = buffer
      DispatchQueue.concurrentPerform(iterations: (entries.count + piece - 1) / piece) { part in
        for index in part * piece..<min((part + 1) * piece, entries.count) {
          places.initializeElement(
            at: index,
            to: ReadEntry(
              entries[index], of: network,
              after: index == 0 ? previous : entries[index - 1].hash,
              checksSignatures: checksSignatures))
        }
      }
      count = entries.count
    }
  }
}
