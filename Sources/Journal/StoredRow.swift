import GRDB
import GRDBSQLite
import Primitives

/// The row that a statement stands at, column by column as SQLite holds it: a damaged file may hold
/// a value of any type in any column, so nothing here converts, and nothing traps.
struct StoredRow {
  private let statement: SQLiteStatement

  /// Calls `body` with each row of a query, until it returns false.
  static func each(
    _ database: Database, sql: String, arguments: StatementArguments = StatementArguments(),
    _ body: (StoredRow) throws -> Bool
  ) throws {
    let statement = try database.cachedStatement(sql: sql)
    let cursor = try Row.fetchCursor(statement, arguments: arguments)
    let row = StoredRow(statement: statement.sqliteStatement)
    while try cursor.next() != nil, try body(row) {}
  }

  /// The query's first row as `body` reads it; nil where it has none.
  static func first<Value>(
    _ database: Database, sql: String, arguments: StatementArguments = StatementArguments(),
    _ body: (StoredRow) throws -> Value
  ) throws -> Value? {
    var value: Value?
    try each(database, sql: sql, arguments: arguments) { row in
      value = try body(row)
      return false
    }
    return value
  }

  func isNull(_ column: Int32) -> Bool {
    sqlite3_value_type(value(column)) == SQLITE_NULL
  }

  /// Its type and then what it is are asked of a value that was looked up once, which is as good
  /// while nobody else uses the connection.
  private func value(_ column: Int32) -> OpaquePointer? { sqlite3_column_value(statement, column) }

  /// - Parameter sequence: Of the entry whose row it is, for what a divergence says.
  func integer(_ column: Int32, _ sequence: UInt64?) throws(JournalError) -> Int64 {
    let value = value(column)
    guard sqlite3_value_type(value) == SQLITE_INTEGER else {
      throw .misshapen(sequence, "column \(column)", "an integer", "another type")
    }
    return sqlite3_value_int64(value)
  }

  func bytes(_ column: Int32, _ sequence: UInt64?) throws(JournalError) -> [UInt8] {
    Array(try unsafeBytes(column, sequence))
  }

  func digest(_ column: Int32, _ sequence: UInt64?) throws(JournalError) -> Digest {
    let bytes = try unsafeBytes(column, sequence)
    guard let value = Bytes32(bytes) else {
      throw .misshapen(sequence, "column \(column)", "32 bytes", "\(bytes.count) bytes")
    }
    return Digest(value)
  }

  /// They are SQLite's own, and end with the row.
  func unsafeBytes(
    _ column: Int32, _ sequence: UInt64?
  ) throws(JournalError) -> UnsafeRawBufferPointer {
    let value = value(column)
    guard sqlite3_value_type(value) == SQLITE_BLOB else {
      throw .misshapen(sequence, "column \(column)", "bytes", "another type")
    }
    // In this order: the count is that of the form in which the value was asked for last.
    let start = sqlite3_value_blob(value)
    return UnsafeRawBufferPointer(start: start, count: Int(sqlite3_value_bytes(value)))
  }
}
