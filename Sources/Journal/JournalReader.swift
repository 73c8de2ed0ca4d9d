import Foundation
import GRDB
package import Market
import Migrations
package import Primitives

/// Reads what a journal's tables hold, without believing any of it.
///
/// A damaged file may hold a value of any type in any column, so every column is read as a tagged
/// value and checked; nothing here traps.
package struct JournalReader: Sendable {
  static let fileName = "journal.sqlite"

  private let queue: DatabaseQueue
  private let path: String
  /// What gives an entry's columns and its acknowledgement: a table, or two in the first schema.
  private var entriesTable = "entries"

  init(queue: DatabaseQueue, path: String) {
    self.queue = queue
    self.path = path
  }

  /// Opens the journal in `directory` for reading alone. It must be a stopped broker's or a copy:
  /// a running broker holds its file exclusively. SQLite may create its `-shm` file beside it.
  package init(directory: String) throws(JournalError) {
    path = directory + "/" + Self.fileName
    guard FileManager.default.fileExists(atPath: path) else { throw .missing(path: path) }
    var configuration = Configuration()
    configuration.readonly = true
    configuration.busyMode = .timeout(1)
    do {
      queue = try DatabaseQueue(path: path, configuration: configuration)
    } catch {
      throw Self.journalError(error, path)
    }
    let version = try schemaVersion()
    guard version > 0 else { throw .missing(path: path) }
    guard version <= Migration.schemaVersion else {
      throw .newerSchema(found: version, known: Migration.schemaVersion)
    }
    if version == 1 { entriesTable = "entries LEFT JOIN acknowledgements USING (command_digest)" }
  }

  /// Canonical bytes of the genesis, and the hash stored with them.
  package func genesis() throws(JournalError) -> (record: [UInt8], hash: [UInt8]) {
    try read { database in
      let row = try Row.fetchOne(database, sql: "SELECT record, hash FROM genesis WHERE id = 0")
      guard let row else { throw Self.misshapen(0, "genesis row", "one row", "none") }
      return (try Self.bytes(row, 0, 0), try Self.bytes(row, 1, 0))
    }
  }

  /// Up to `limit` entries from `sequence` on, in order.
  package func entries(from sequence: UInt64, limit: Int) throws(JournalError) -> [StoredEntry] {
    try entries(from: sequence, limit: limit, byteLimit: .max)
  }

  /// The same, where no further row is read once those before it have `byteLimit` bytes of commands
  /// and outcomes.
  func entries(
    from sequence: UInt64, limit: Int, byteLimit: Int
  ) throws(JournalError) -> [StoredEntry] {
    try read { database in
      let rows = try Row.fetchCursor(
        database,
        sql: """
          SELECT sequence, tick, command_digest, command, outcome, hash, acknowledgement
          FROM \(entriesTable)
          WHERE sequence >= ? ORDER BY sequence LIMIT ?
          """, arguments: [Int64(clamping: sequence), limit])
      var entries: [StoredEntry] = []
      var expected = sequence
      var bytes = 0
      while bytes < byteLimit, let row = try rows.next() {
        let stored = try Self.integer(row, 0, expected)
        let isAcknowledged = !row.hasNull(atIndex: 6)
        entries.append(
          StoredEntry(
            sequence: UInt64(bitPattern: stored),
            tick: Tick(milliseconds: UInt64(bitPattern: try Self.integer(row, 1, expected))),
            commandDigest: try Self.bytes(row, 2, expected),
            command: try Self.bytes(row, 3, expected),
            outcome: try Self.bytes(row, 4, expected),
            hash: try Self.bytes(row, 5, expected),
            acknowledgement: isAcknowledged ? try Self.bytes(row, 6, expected) : nil))
        bytes += entries[entries.count - 1].command.count + entries[entries.count - 1].outcome.count
        expected += 1
      }
      return entries
    }
  }

  /// The rows of `postings` for entries `first` to `last`, entry by entry.
  package func postings(
    from first: UInt64, through last: UInt64
  ) throws(JournalError) -> [StoredPostings] {
    try read { database in
      let rows = try Row.fetchCursor(
        database,
        sql: """
          SELECT sequence, line, account, delta FROM postings
          WHERE sequence BETWEEN ? AND ? ORDER BY sequence, line
          """, arguments: [Int64(clamping: first), Int64(clamping: last)])
      var postings = Array(repeating: StoredPostings(), count: Int(last - first) + 1)
      while let row = try rows.next() {
        let sequence = UInt64(bitPattern: try Self.integer(row, 0, first))
        guard (first...last).contains(sequence) else {
          throw Self.misshapen(first, "sequence of a posting", "\(first) to \(last)", "\(sequence)")
        }
        let (line, delta) = (
          try Self.integer(row, 1, sequence), try Self.integer(row, 3, sequence)
        )
        try Self.withBytes(row, 2, sequence) { account in
          postings[Int(sequence - first)].append(line: line, account: account, delta: delta)
        }
      }
      return postings
    }
  }

  /// The projection as stored, in account order. Divergences name entry `sequence`, the last one,
  /// after which the projection was written.
  package func balances(
    after sequence: UInt64
  ) throws(JournalError) -> [(account: Account, balance: Int64)] {
    try read { database in
      let rows = try Row.fetchCursor(database, sql: "SELECT account, balance FROM balances")
      var balances: [(account: Account, balance: Int64)] = []
      while let row = try rows.next() {
        let bytes = try Self.bytes(row, 0, sequence)
        guard let account = try? Account(canonicalBytes: bytes) else {
          throw Self.misshapen(
            sequence, "account of a balance", "an account", Hexadecimal.text(bytes))
        }
        balances.append((account, try Self.integer(row, 1, sequence)))
      }
      return balances.sorted { $0.account < $1.account }
    }
  }

  package struct Counts: Sendable, Equatable {
    package let entries: UInt64
    package let postings: UInt64
  }

  /// How many rows there are, wherever they are: a row out of sequence is in no page of entries.
  package func counts() throws(JournalError) -> Counts {
    try read { database in
      func count(_ table: String) throws -> UInt64 {
        UInt64(clamping: try Int.fetchOne(database, sql: "SELECT count(*) FROM \(table)") ?? 0)
      }
      return Counts(entries: try count("entries"), postings: try count("postings"))
    }
  }

  /// Hashes of entries 1 to the last, as stored.
  package func hashes() throws(JournalError) -> [Digest] {
    try read { database in
      let rows = try Row.fetchCursor(
        database, sql: "SELECT sequence, hash FROM entries ORDER BY sequence")
      var hashes: [Digest] = []
      while let row = try rows.next() {
        let expected = UInt64(hashes.count) + 1
        let sequence = try Self.integer(row, 0, expected)
        guard sequence == Int64(clamping: expected) else {
          throw Self.misshapen(expected, "sequence", "\(expected)", "\(sequence)")
        }
        guard let value = Bytes32(try Self.bytes(row, 1, expected)) else {
          throw Self.misshapen(expected, "entry hash", "32 bytes", "another count")
        }
        hashes.append(Digest(value))
      }
      return hashes
    }
  }

  /// What was answered to those of the commands that are journaled.
  func acknowledgements(of commands: [Digest]) throws(JournalError) -> [Digest: [UInt8]] {
    try read { database in
      let statement = try database.cachedStatement(
        sql: "SELECT acknowledgement FROM entries WHERE command_digest = ?")
      var acknowledgements: [Digest: [UInt8]] = [:]
      for command in commands {
        if let row = try Row.fetchOne(statement, arguments: [Data(command.bytes)]) {
          acknowledgements[command] = try Self.bytes(row, 0, nil)
        }
      }
      return acknowledgements
    }
  }

  /// SQLite's own check of every page, index and constraint; nil where it finds nothing.
  package func integrityFault() throws(JournalError) -> String? {
    try read { database in
      let row = try Row.fetchOne(database, sql: "PRAGMA integrity_check(1)")
      guard let row, let text = String.fromDatabaseValue(row[0] as DatabaseValue) else {
        return "no answer"
      }
      return text == "ok" ? nil : text
    }
  }

  func schemaVersion() throws(JournalError) -> Int {
    try read { try Int.fetchOne($0, sql: "PRAGMA user_version") ?? 0 }
  }

  private func read<Value>(
    _ body: (Database) throws -> Value
  ) throws(JournalError) -> Value {
    do {
      // `read` would put a transaction, which is four more statements, around what is one
      // statement. Nobody else writes to the file meanwhile.
      return try queue.unsafeRead(body)
    } catch {
      throw Self.journalError(error, path)
    }
  }

  static func journalError(_ error: any Error, _ path: String) -> JournalError {
    switch error {
    case let error as JournalError: error
    case let error as DatabaseError: JournalError(error, path: path)
    default: .storage("\(error)")
    }
  }

  private static func misshapen(
    _ sequence: UInt64?, _ subject: String, _ expected: String, _ got: String
  ) -> JournalError {
    .diverged(Divergence(sequence: sequence, subject: subject, expected: expected, got: got))
  }

  static func integer(
    _ row: Row, _ column: Int, _ sequence: UInt64?
  ) throws(JournalError) -> Int64 {
    guard case .int64(let value) = (row[column] as DatabaseValue).storage else {
      throw misshapen(sequence, "column \(column)", "an integer", "another type")
    }
    return value
  }

  private static func bytes(
    _ row: Row, _ column: Int, _ sequence: UInt64?
  ) throws(JournalError) -> [UInt8] {
    try withBytes(row, column, sequence) { Array($0) }
  }

  private static func withBytes<Value>(
    _ row: Row, _ column: Int, _ sequence: UInt64?, _ body: (UnsafeRawBufferPointer) -> Value
  ) throws(JournalError) -> Value {
    guard case .blob(let data) = (row[column] as DatabaseValue).storage else {
      throw misshapen(sequence, "column \(column)", "bytes", "another type")
    }
    return data.withUnsafeBytes(body)
  }
}
