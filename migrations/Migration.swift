/// One numbered SQL file of this folder, embedded so that a binary carries its schema.
package struct Migration: Sendable {
  /// Such as `0001-journal.sql`; its number is the schema version it leads to.
  package let file: String
  package let sql: String

  /// The newest schema version of this build, kept in SQLite's `user_version`.
  package static var schemaVersion: Int { all.count }
}
