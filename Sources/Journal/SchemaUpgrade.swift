import GRDB
import GRDBSQLite
import Migrations

/// How far a journal of an earlier schema has been brought up to this build's. All of it is one
/// transaction: what ends it early, even the end of the process, leaves the journal as it was.
package struct SchemaUpgrade: Sendable {
  /// The schema that the journal has.
  package let from: Int
  /// The one that it is being brought to now; the last is this build's.
  package let step: Int
  package var to: Int { Migration.schemaVersion }
  package let elapsed: Duration

  /// Instructions of SQLite's between two reports: some milliseconds of work.
  private static let interval: Int32 = 1_000_000

  /// Brings the schema up, within the caller's transaction.
  ///
  /// - Parameter report: Called as each step begins, and again and again while it lasts.
  static func run(
    on database: Database, from version: Int, report: @escaping (SchemaUpgrade) -> Void
  ) throws {
    let start = ContinuousClock.now
    for (index, migration) in Migration.all.enumerated().dropFirst(version) {
      let reporter = Reporter {
        report(SchemaUpgrade(from: version, step: index + 1, elapsed: .now - start))
      }
      reporter.report()
      // https://www.sqlite.org/c3ref/progress_handler.html: asked on this thread, from within the
      // statement, which goes on where the answer is 0.
      sqlite3_progress_handler(
        database.sqliteConnection, interval,
        { context in
          if let context {
            Unmanaged<Reporter>.fromOpaque(context).takeUnretainedValue().report()
          }
          return 0
        }, Unmanaged.passUnretained(reporter).toOpaque())
      defer { sqlite3_progress_handler(database.sqliteConnection, 0, nil, nil) }
      try withExtendedLifetime(reporter) { try database.execute(sql: migration.sql) }
    }
    try database.execute(sql: "PRAGMA user_version = \(Migration.schemaVersion)")
  }

  private final class Reporter {
    let report: () -> Void
    init(_ report: @escaping () -> Void) { self.report = report }
  }
}
