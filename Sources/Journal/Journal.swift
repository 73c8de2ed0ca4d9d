import Foundation
import GRDB
package import Market
package import MerkleLog
import Migrations
package import Primitives
import Statements

/// The append-only, hash-chained log of commands and of what each caused (`docs/journal.md`).
///
/// One SQLite file, one connection, held exclusively. A group of entries is one transaction, and an
/// acknowledgement leaves `append` only after its COMMIT has reached the disk. Not `Sendable`: the
/// sequencer that owns the `Market` owns its journal.
package final class Journal {
  package let genesis: Genesis
  /// Hash of the last entry, which chains all before it.
  package private(set) var head: Digest
  package private(set) var lastTick: Tick
  /// Entries that the latest snapshot stands for, read or handed out; 0 where there is none.
  package private(set) var snapshotted: UInt64 = 0

  private let queue: DatabaseQueue
  private let reader: JournalReader
  private let directory: String
  private let path: String
  /// The broker's.
  package let key: SigningKey
  /// Over the hashes of all entries, the genesis's first.
  private var tree: MerkleTree
  /// Of all entries, the genesis's excepted.
  private var commands: CommandIndex
  private var hasFailed = false

  /// Entries, the genesis among them; the next entry's sequence.
  package var count: UInt64 { UInt64(tree.count) }

  package static func exists(in directory: String) -> Bool {
    FileManager.default.fileExists(atPath: directory + "/" + JournalReader.fileName)
  }

  /// Creates the directory and a journal that holds `genesis` alone.
  ///
  /// - Parameter key: The broker's, as named in the genesis.
  package static func create(
    in directory: String, genesis: Genesis, key: SigningKey
  ) throws(JournalError) -> Journal {
    do {
      try FileManager.default.createDirectory(
        atPath: directory, withIntermediateDirectories: true)
    } catch {
      throw .storage("the directory '\(directory)' cannot be made: \(error)")
    }
    return try Journal(directory: directory, key: key, creating: genesis)
  }

  /// Opens an existing journal. Call `recover` before appending: only that checks the chain.
  ///
  /// - Parameter onUpgrade: Told of the progress where the journal has an earlier schema.
  package convenience init(
    directory: String, key: SigningKey,
    onUpgrade: @escaping (SchemaUpgrade) -> Void = { _ in }
  ) throws(JournalError) {
    guard Self.exists(in: directory) else { throw .missing(path: directory) }
    try self.init(directory: directory, key: key, creating: nil, onUpgrade: onUpgrade)
  }

  private init(
    directory: String, key: SigningKey, creating newGenesis: Genesis?,
    onUpgrade: @escaping (SchemaUpgrade) -> Void = { _ in }
  ) throws(JournalError) {
    let path = directory + "/" + JournalReader.fileName
    if let newGenesis, newGenesis.broker != key.publicKey {
      throw .wrongKey(expected: newGenesis.broker, got: key.publicKey)
    }
    let queue = try Self.connect(path)
    let reader = JournalReader(queue: queue, path: path)
    try Self.migrate(queue, reader, path, creating: newGenesis, onUpgrade)

    let stored = try reader.genesis()
    guard let genesis = try? Genesis(canonicalBytes: stored.record) else {
      throw .diverged(
        Divergence(sequence: 0, subject: "genesis", expected: "a genesis", got: "other bytes"))
    }
    guard genesis.broker == key.publicKey else {
      throw .wrongKey(expected: genesis.broker, got: key.publicKey)
    }
    var head = JournalChain.hash(ofGenesis: stored.record)
    var tree = MerkleTree(leafHashes: [MerkleTree.leafHash(of: head)])
    var commands = CommandIndex()
    try reader.eachHash { hash, command in
      let sequence = UInt64(tree.count)
      guard commands.insert(command, at: sequence) else {
        throw JournalError.misshapen(
          sequence, "command digest", "one not seen before", "\(command) again")
      }
      tree.append(leafHash: MerkleTree.leafHash(of: hash))
      head = hash
    }

    self.genesis = genesis
    self.key = key
    self.queue = queue
    self.reader = reader
    self.directory = directory
    self.path = path
    self.tree = tree
    self.commands = commands
    self.head = head
    lastTick = try reader.entries(from: UInt64(tree.count) - 1, limit: 1).last?.tick ?? .zero
  }

  // MARK: Opening

  private static func connect(_ path: String) throws(JournalError) -> DatabaseQueue {
    var configuration = Configuration()
    configuration.foreignKeysEnabled = true
    // Long enough for a broker that is just closing its file, short enough for a person to wait.
    configuration.busyMode = .timeout(1)
    configuration.prepareDatabase { database in
      // Exclusive before WAL: the index of the log then lives in memory and no second process
      // can even read. https://www.sqlite.org/wal.html#use_of_wal_without_shared_memory
      try database.execute(
        sql: """
          PRAGMA locking_mode = EXCLUSIVE;
          PRAGMA journal_mode = WAL;
          PRAGMA synchronous = FULL;
          """)
      // Nobody is answered while the log is written back: a little each time, 1 MiB, so that no
      // command waits long for it.
      try database.execute(sql: "PRAGMA wal_autocheckpoint = 256")
    }
    do {
      let queue = try DatabaseQueue(path: path, configuration: configuration)
      // The lock is taken by the first access and kept.
      try queue.inTransaction(.exclusive) { _ in .commit }
      try queue.inDatabase(readBack)
      return queue
    } catch {
      throw JournalReader.journalError(error, path)
    }
  }

  /// SQLite answers an unusable PRAGMA by keeping what it had, so each is asked for again.
  private static func readBack(_ database: Database) throws {
    let expected = [
      ("journal_mode", "wal"), ("synchronous", "2"), ("locking_mode", "exclusive"),
      ("foreign_keys", "1"),
    ]
    for (name, value) in expected {
      let row = try Row.fetchOne(database, sql: "PRAGMA \(name)")
      let got = row.map { ($0[0] as DatabaseValue).description.trimmingQuotes } ?? "nothing"
      guard got == value else {
        throw JournalError.settingRefused(name: name, expected: value, got: got)
      }
    }
  }

  /// The settings in force, for whoever wants to see them.
  package func setting(_ name: String) throws(JournalError) -> String {
    do {
      return try queue.inDatabase { database in
        let row = try Row.fetchOne(database, sql: "PRAGMA \(name)")
        return row.map { ($0[0] as DatabaseValue).description.trimmingQuotes } ?? "nothing"
      }
    } catch {
      throw JournalReader.journalError(error, path)
    }
  }

  /// Schema and genesis are one transaction: a crash leaves a journal with both or an empty file.
  private static func migrate(
    _ queue: DatabaseQueue, _ reader: JournalReader, _ path: String, creating genesis: Genesis?,
    _ onUpgrade: @escaping (SchemaUpgrade) -> Void
  ) throws(JournalError) {
    let version = try reader.schemaVersion()
    guard version <= Migration.schemaVersion else {
      throw .newerSchema(found: version, known: Migration.schemaVersion)
    }
    if genesis != nil, version > 0 { throw .alreadyExists(path: path) }
    if genesis == nil, version <= 0 { throw .missing(path: path) }
    if version == Migration.schemaVersion { return }
    do {
      try queue.inTransaction(.immediate) { database in
        try SchemaUpgrade.run(on: database, from: version, report: onUpgrade)
        if let genesis {
          let record = genesis.canonicalBytes
          try database.execute(
            sql: "INSERT INTO genesis (id, record, hash) VALUES (0, ?, ?)",
            arguments: [Data(record), Data(JournalChain.hash(ofGenesis: record).bytes)])
        }
        return .commit
      }
    } catch {
      throw JournalReader.journalError(error, path)
    }
  }

  // MARK: Appending

  /// Writes a whole group or nothing, and returns what was written, with the signed
  /// acknowledgement of each entry, once all of it is durable.
  package func append(_ group: [PendingEntry]) throws(JournalError) -> [WrittenEntry] {
    guard !hasFailed else { throw .failedEarlier }
    guard !group.isEmpty else { return [] }
    let rows = try prepare(group)
    do {
      try queue.inTransaction(.immediate) { database in
        try Self.write(rows, to: database)
        return .commit
      }
    } catch {
      // After a failed COMMIT nobody knows what the disk holds: only a fresh recovery can tell.
      hasFailed = true
      throw JournalReader.journalError(error, path)
    }
    for row in rows {
      tree.append(leafHash: MerkleTree.leafHash(of: row.hash))
      _ = commands.insert(row.commandDigest, at: row.sequence)
    }
    head = rows[rows.count - 1].hash
    lastTick = rows[rows.count - 1].tick
    return rows.map(\.written)
  }

  private struct EntryRow {
    let sequence: UInt64
    let tick: Tick
    let commandDigest: Digest
    let hash: Digest
    let postings: [Posting]
    let command: [UInt8]
    let outcome: [UInt8]
    /// Once the group is complete.
    var acknowledgement: [UInt8] = []

    var written: WrittenEntry {
      WrittenEntry(command: command, outcome: outcome, acknowledgement: acknowledgement)
    }
  }

  /// Everything that can be refused is refused here, before a transaction begins.
  private func prepare(_ group: [PendingEntry]) throws(JournalError) -> [EntryRow] {
    var rows: [EntryRow] = []
    var words: [Acknowledgement.Word] = []
    var digests: Set<Digest> = []
    var (head, tick) = (head, lastTick)
    for entry in group {
      let sequence = count + UInt64(rows.count)
      let digest = entry.envelope.digest
      guard commands[digest] == nil, digests.insert(digest).inserted else {
        throw .duplicateCommand(digest)
      }
      guard entry.tick >= tick else { throw .tickBackwards(last: tick, got: entry.tick) }
      tick = entry.tick
      let postings = entry.outcome.postings
      guard Self.isBalanced(postings) else { throw .unbalanced(sequence: sequence) }
      let command = entry.envelope.canonicalBytes
      let outcome = entry.outcome.canonicalBytes
      head = JournalChain.hash(
        after: head, sequence: sequence, tick: tick, command: command[...], outcome: outcome[...])
      let rejection: Rejection? =
        if case .rejected(let rejection) = entry.outcome { rejection } else { nil }
      words.append(
        Acknowledgement.Word(
          network: genesis.network, command: digest, sequence: sequence, tick: tick, head: head,
          rejection: rejection))
      rows.append(
        EntryRow(
          sequence: sequence, tick: tick, commandDigest: digest, hash: head, postings: postings,
          command: command, outcome: outcome))
    }
    for (index, signed) in Acknowledgement.signing(words, with: key).enumerated() {
      rows[index].acknowledgement = signed.canonicalBytes
    }
    return rows
  }

  private static func isBalanced(_ postings: [Posting]) -> Bool {
    var sum: Int64 = 0
    for posting in postings {
      let (next, overflow) = sum.addingReportingOverflow(posting.delta)
      if overflow { return false }
      sum = next
    }
    return sum == 0
  }

  private static func write(_ rows: [EntryRow], to database: Database) throws {
    let insertEntry = try database.cachedStatement(
      sql: """
        INSERT INTO entries
          (sequence, tick, command_digest, command, outcome, hash, acknowledgement)
        VALUES (?, ?, ?, ?, ?, ?, ?)
        """)
    let insertPosting = try database.cachedStatement(
      sql: "INSERT INTO postings (sequence, line, account, delta) VALUES (?, ?, ?, ?)")
    // A sum that leaves 64 bits becomes a REAL, which the STRICT table refuses.
    let addToBalance = try database.cachedStatement(
      sql: """
        INSERT INTO balances (account, balance) VALUES (?, ?)
        ON CONFLICT (account) DO UPDATE SET balance = balance + excluded.balance
        """)
    // What the group adds to each account, in the order in which it first does.
    var sums: [(account: Data, delta: Int64)] = []
    var places: [Account: Int] = [:]
    for row in rows {
      let sequence = Int64(clamping: row.sequence)
      try insertEntry.execute(arguments: [
        sequence, Int64(bitPattern: row.tick.milliseconds), Data(row.commandDigest.bytes),
        Data(row.command), Data(row.outcome), Data(row.hash.bytes), Data(row.acknowledgement),
      ])
      for (line, posting) in row.postings.enumerated() {
        let place = places[posting.account] ?? sums.count
        if place == sums.count {
          places[posting.account] = place
          sums.append((Data(posting.account.canonicalBytes), 0))
        }
        // No sum of deltas leaves 64 bits where no balance has left 63.
        sums[place].delta &+= posting.delta
        try insertPosting.execute(arguments: [sequence, line, sums[place].account, posting.delta])
      }
    }
    for (account, delta) in sums { try addToBalance.execute(arguments: [account, delta]) }
  }

  // MARK: Asking

  /// What was answered to the command `digest`, byte for byte; nil for one not journaled.
  package func storedAcknowledgement(for digest: Digest) throws(JournalError) -> [UInt8]? {
    guard let sequence = commands[digest] else { return nil }
    return try reader.acknowledgement(of: sequence)
  }

  /// Up to `limit` entries from `sequence` (at least 1) on, as stored; no more once they have
  /// `byteLimit` bytes.
  package func entries(
    from sequence: UInt64, limit: Int, byteLimit: Int = .max
  ) throws(JournalError) -> [StoredEntry] {
    try reader.entries(from: sequence, limit: limit, byteLimit: byteLimit)
  }

  /// The broker's signature over the Merkle root of all entry hashes, the genesis's first.
  package func checkpoint() -> Checkpoint {
    Checkpoint(network: genesis.network, size: count, root: tree.root, signedBy: key)
  }

  /// The hash of entry `sequence` and its audit path in the tree of all entries. Its leaf hash is
  /// `MerkleTree.leafHash` of the entry's hash.
  package func inclusion(
    of sequence: UInt64
  ) throws(JournalError) -> (entryHash: Digest, proof: InclusionProof) {
    guard sequence < count else { throw .unknownSequence(sequence, size: count) }
    let hash: Digest? =
      sequence == 0
      ? JournalChain.hash(ofGenesis: genesis.canonicalBytes)
      : try reader.entries(from: sequence, limit: 1).first?.hash
    guard let hash, MerkleTree.leafHash(of: hash) == tree.leafHashes[Int(sequence)] else {
      throw .diverged(
        Divergence(
          sequence: sequence, subject: "entry hash", expected: "the one in the tree",
          got: hash.map { "\($0)" } ?? "none"))
    }
    return (hash, tree.inclusionProof(of: Int(sequence)))
  }

  /// Proof that the first `size` entries, the genesis among them, are still what they were.
  package func consistencyProof(from size: UInt64) throws(JournalError) -> ConsistencyProof {
    guard size > 0, size <= count else { throw .unknownSequence(size, size: count) }
    return tree.consistencyProof(from: Int(size))
  }

  /// Closes the file and lets others open it; a journal that is merely dropped does so too.
  package func close() throws(JournalError) {
    do { try queue.close() } catch { throw JournalReader.journalError(error, path) }
  }

  // MARK: Recovering

  /// The state after all entries: begins at the snapshot where one fits, applies every later event
  /// anew, on a chain checked entry by entry, and compares the balances with the projection.
  ///
  /// - Throws: `diverged` with the first entry that is not as written.
  package func recover() throws(JournalError) -> Market {
    if let snapshot = Snapshot.read(in: directory, genesis: genesis, key: key),
      let market = try? recover(snapshot.market, after: snapshot.count, head: snapshot.head)
    {
      snapshotted = snapshot.count
      return market
    }
    let market: Market
    do { market = try Market(genesis: genesis) } catch { throw Self.diverged(0, "rules", error) }
    let head = JournalChain.hash(ofGenesis: genesis.canonicalBytes)
    let storedGenesis = try reader.genesis()
    try Self.require(0, "genesis hash", head.bytes, storedGenesis.hash)
    return try recover(market, after: 1, head: head)
  }

  /// - Parameter head: The hash of the last of the `count` entries that `market` comes after.
  private func recover(
    _ market: consuming Market, after count: UInt64, head: Digest
  ) throws(JournalError) -> Market {
    guard count > 0, count <= self.count,
      tree.leafHashes[Int(count) - 1] == MerkleTree.leafHash(of: head)
    else {
      throw .unknownSequence(count, size: self.count)
    }
    var previous = head
    var next = count
    while case let page = try reader.entries(from: next, limit: 1024), !page.isEmpty {
      for entry in page {
        try Self.require(next, "sequence", next, entry.sequence)
        previous = try Self.checkHash(of: entry, after: previous)
        try Self.apply(entry, to: &market)
        next += 1
      }
    }
    try Self.require(next - 1, "entries", self.count, next)
    try Self.compareBalances(market.balances, try reader.balances(after: next - 1), after: next - 1)
    return market
  }

  /// The state `market`, which must be the one after the last entry, for its owner to write.
  package func snapshot(of market: Market) -> Snapshot {
    snapshotted = count
    return Snapshot(of: market, after: count, head: head, in: directory, key: key)
  }

  private static func checkHash(
    of entry: StoredEntry, after previous: Digest
  ) throws(JournalError) -> Digest {
    let hash = JournalChain.hash(
      after: previous, sequence: entry.sequence, tick: entry.tick, command: entry.command,
      outcome: entry.outcome)
    try require(entry.sequence, "entry hash", hash.bytes, entry.hash.bytes)
    return hash
  }

  private static func apply(_ entry: StoredEntry, to market: inout Market) throws(JournalError) {
    let outcome: Outcome
    do { outcome = try Outcome(canonicalBytes: entry.outcome) } catch {
      throw diverged(entry.sequence, "outcome", error)
    }
    market.now = max(market.now, entry.tick)
    guard case .accepted(let events) = outcome else { return }
    for event in events {
      do { try market.evolve(event) } catch { throw diverged(entry.sequence, "event", error) }
    }
  }

  private static func compareBalances(
    _ expected: [(account: Account, balance: Int64)], _ got: [(account: Account, balance: Int64)],
    after sequence: UInt64
  ) throws(JournalError) {
    if let divergence = Divergence(ofBalances: expected, got, after: sequence) {
      throw .diverged(divergence)
    }
  }

  private static func require(
    _ sequence: UInt64, _ subject: String, _ expected: [UInt8], _ got: [UInt8]
  ) throws(JournalError) {
    guard expected != got else { return }
    throw .diverged(
      Divergence(
        sequence: sequence, subject: subject, expected: Hexadecimal.text(expected),
        got: Hexadecimal.text(got)))
  }

  private static func require(
    _ sequence: UInt64, _ subject: String, _ expected: UInt64, _ got: UInt64
  ) throws(JournalError) {
    guard expected != got else { return }
    throw .diverged(
      Divergence(sequence: sequence, subject: subject, expected: expected, got: got))
  }

  private static func diverged(
    _ sequence: UInt64, _ subject: String, _ error: any CodedError
  ) -> JournalError {
    .diverged(
      Divergence(
        sequence: sequence, subject: subject, expected: "one that fits", got: error.sentence))
  }
}

extension Divergence {
  /// The first account whose stored balance is not the computed one; nil where all agree.
  package init?(
    ofBalances expected: [(account: Account, balance: Int64)],
    _ got: [(account: Account, balance: Int64)], after sequence: UInt64
  ) {
    for (index, pair) in expected.enumerated() {
      let stored = index < got.count ? got[index] : nil
      if let stored, stored == pair { continue }
      let name = "\(pair.account.purpose) of \(pair.account.owner?.short ?? "the exchange")"
      self.init(
        sequence: sequence, subject: "balance: \(name)", expected: pair.balance,
        got: stored.map { "\($0.balance)" } ?? "none")
      return
    }
    guard got.count > expected.count else { return nil }
    self.init(
      sequence: sequence, subject: "balances", expected: expected.count, got: got.count)
  }
}

extension String {
  /// GRDB describes text as SQL does, between double quotes.
  fileprivate var trimmingQuotes: String {
    trimmingCharacters(in: CharacterSet(charactersIn: "\"'"))
  }
}
