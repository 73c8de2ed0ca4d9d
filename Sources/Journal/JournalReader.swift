import Foundation
import GRDB
package import Market
import Migrations
import Primitives

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
      let genesis = try StoredRow.first(
        database, sql: "SELECT record, hash FROM genesis WHERE id = 0"
      ) { (try $0.bytes(0, 0), try $0.bytes(1, 0)) }
      guard let genesis else { throw JournalError.misshapen(0, "genesis row", "one row", "none") }
      return genesis
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
      var entries: [StoredEntry] = []
      var expected = sequence
      var bytes = 0
      try StoredRow.each(
        database,
        sql: """
          SELECT sequence, tick, command_digest, command, outcome, hash, acknowledgement
          FROM \(entriesTable)
          WHERE sequence >= ? ORDER BY sequence LIMIT ?
          """, arguments: [Int64(clamping: sequence), limit]
      ) { row in
        let entry = StoredEntry(
          sequence: UInt64(bitPattern: try row.integer(0, expected)),
          tick: Tick(milliseconds: UInt64(bitPattern: try row.integer(1, expected))),
          commandDigest: try row.digest(2, expected),
          command: try row.unsafeBytes(3, expected), outcome: try row.unsafeBytes(4, expected),
          hash: try row.digest(5, expected),
          acknowledgement: row.isNull(6) ? nil : try row.unsafeBytes(6, expected))
        entries.append(entry)
        bytes += entry.command.count + entry.outcome.count
        expected += 1
        return bytes < byteLimit
      }
      return entries
    }
  }

  /// The rows of `postings` for entries `first` to `last`, at their places from 0 on.
  package func postings(
    from first: UInt64, through last: UInt64
  ) throws(JournalError) -> StoredPostings {
    try read { database in
      var postings = StoredPostings()
      var current = first
      try StoredRow.each(
        database,
        sql: """
          SELECT sequence, line, account, delta FROM postings
          WHERE sequence BETWEEN ? AND ? ORDER BY sequence, line
          """, arguments: [Int64(clamping: first), Int64(clamping: last)]
      ) { row in
        let sequence = UInt64(bitPattern: try row.integer(0, first))
        guard current <= sequence, sequence <= last else {
          throw JournalError.misshapen(
            current, "sequence of a posting", "\(current) to \(last)", "\(sequence)")
        }
        while current < sequence {
          postings.endEntry()
          current += 1
        }
        postings.append(
          line: try row.integer(1, sequence), account: try row.unsafeBytes(2, sequence),
          delta: try row.integer(3, sequence))
        return true
      }
      for _ in current...last { postings.endEntry() }
      return postings
    }
  }

  /// The projection as stored, in account order. Divergences name entry `sequence`, the last one,
  /// after which the projection was written.
  package func balances(
    after sequence: UInt64
  ) throws(JournalError) -> [(account: Account, balance: Int64)] {
    try read { database in
      var balances: [(account: Account, balance: Int64)] = []
      try StoredRow.each(database, sql: "SELECT account, balance FROM balances") { row in
        let bytes = try row.bytes(0, sequence)
        guard let account = try? Account(canonicalBytes: bytes) else {
          throw JournalError.misshapen(
            sequence, "account of a balance", "an account", Hexadecimal.text(bytes))
        }
        balances.append((account, try row.integer(1, sequence)))
        return true
      }
      return balances.sorted { $0.account < $1.account }
    }
  }

  /// The sequence of the last entry; 0 where there is none.
  func lastSequence() throws(JournalError) -> UInt64 {
    UInt64(clamping: try number("SELECT max(sequence) FROM entries"))
  }

  /// How many entries there are.
  func count() throws(JournalError) -> UInt64 {
    UInt64(clamping: try number("SELECT count(*) FROM entries"))
  }

  /// How many rows of `table` have a sequence that is not of 1 to `last`: they are in no page of
  /// entries or postings.
  package func strayRows(of table: Table, after last: UInt64) throws(JournalError) -> UInt64 {
    let count = try number(
      "SELECT count(*) FROM \(table.rawValue) WHERE sequence < 1 OR sequence > ?",
      [Int64(clamping: last)])
    return UInt64(clamping: count)
  }

  package enum Table: String { case entries, postings }

  private func number(
    _ sql: String, _ arguments: StatementArguments = StatementArguments()
  ) throws(JournalError) -> Int64 {
    try read { try Int64.fetchOne($0, sql: sql, arguments: arguments) ?? 0 }
  }

  /// Hash and command digest of each of entries 1 to the last, as stored.
  func eachHash(_ body: (_ hash: Digest, _ command: Digest) throws -> Void) throws(JournalError) {
    try read { database in
      var expected: UInt64 = 1
      try StoredRow.each(
        database, sql: "SELECT sequence, hash, command_digest FROM entries ORDER BY sequence"
      ) { row in
        let sequence = try row.integer(0, expected)
        guard sequence == Int64(clamping: expected) else {
          throw JournalError.misshapen(expected, "sequence", "\(expected)", "\(sequence)")
        }
        try body(try row.digest(1, expected), try row.digest(2, expected))
        expected += 1
        return true
      }
    }
  }

  /// What was answered to the command of entry `sequence`.
  func acknowledgement(of sequence: UInt64) throws(JournalError) -> [UInt8] {
    try read { database in
      let stored = try StoredRow.first(
        database, sql: "SELECT acknowledgement FROM entries WHERE sequence = ?",
        arguments: [Int64(clamping: sequence)]
      ) { try $0.bytes(0, sequence) }
      guard let stored else { throw JournalError.misshapen(sequence, "entry", "one", "none") }
      return stored
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
}
