import Foundation
import GRDB
package import Primitives

/// Which entries of the journal concern which request or bid, which made which lease, and which
/// opened the requests of whom.
///
/// A cache beside the journal (`docs/adr/0019-feed-and-history.md`): written after the commit, by
/// another thread than the sequencer's, without waiting for the disk. What a crash takes from it is
/// read from the journal again, and one that is damaged, or of another journal, is begun anew.
package final class HistoryIndex: Sendable {
  package static let fileName = "history.sqlite"
  private static let schemaVersion = 3
  /// Entries that are in the order of their subjects together. Subjects are random: in one order
  /// for all entries each would be written to a page of its own, in a stretch a few hundred pages
  /// take whatever comes. A question asks each stretch.
  private static let stretch: UInt64 = 16_384

  private let queue: DatabaseQueue
  private let path: String

  /// What one entry adds.
  package struct Mentions: Sendable {
    package let sequence: UInt64
    package let tick: Tick
    /// Requests and bids; zero for what concerns all.
    package let subjects: Set<Digest>
    /// Leases that it made.
    package let leases: [LeaseID]
    /// The request that it opened, if any, and whose that is.
    package let opened: (request: RequestID, requester: PublicKey)?

    package init(
      sequence: UInt64, tick: Tick, subjects: Set<Digest>, leases: [LeaseID],
      opened: (request: RequestID, requester: PublicKey)? = nil
    ) {
      self.sequence = sequence
      self.tick = tick
      self.subjects = subjects
      self.leases = leases
      self.opened = opened
    }
  }

  /// The entry that opened a request.
  package struct Opening: Hashable, Sendable {
    package let request: RequestID
    package let sequence: UInt64
    package let tick: Tick

    package init(request: RequestID, sequence: UInt64, tick: Tick) {
      (self.request, self.sequence, self.tick) = (request, sequence, tick)
    }
  }

  /// The entry that made a lease.
  package struct Trade: Hashable, Sendable {
    package let lease: LeaseID
    package let sequence: UInt64
    package let tick: Tick
  }

  /// Opens the index in the journal's directory, or begins one.
  package init(directory: String) throws(JournalError) {
    path = directory + "/" + Self.fileName
    do {
      queue = try Self.open(path)
    } catch {
      for suffix in ["", "-wal", "-shm"] {
        try? FileManager.default.removeItem(atPath: path + suffix)
      }
      do { queue = try Self.open(path) } catch { throw JournalReader.journalError(error, path) }
    }
  }

  private static func open(_ path: String) throws -> DatabaseQueue {
    var configuration = Configuration()
    configuration.busyMode = .timeout(1)
    configuration.prepareDatabase { database in
      // Atomic without an fsync for each transaction: a power cut may take the latest, no more.
      // https://www.sqlite.org/pragma.html#pragma_synchronous
      try database.execute(sql: "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;")
    }
    let queue = try DatabaseQueue(path: path, configuration: configuration)
    try queue.inTransaction(.exclusive) { database in
      let version = try Int.fetchOne(database, sql: "PRAGMA user_version") ?? 0
      if version == schemaVersion { return .commit }
      guard version == 0 else {
        throw JournalError.newerSchema(found: version, known: schemaVersion)
      }
      try database.execute(
        sql: """
          CREATE TABLE extent (
            id INTEGER PRIMARY KEY CHECK (id = 0),
            sequence INTEGER NOT NULL,
            hash BLOB NOT NULL
          ) STRICT;
          CREATE TABLE mentions (
            stretch INTEGER NOT NULL,
            subject BLOB NOT NULL,
            sequence INTEGER NOT NULL,
            PRIMARY KEY (stretch, subject, sequence)
          ) STRICT, WITHOUT ROWID;
          CREATE TABLE trades (
            lease INTEGER PRIMARY KEY,
            sequence INTEGER NOT NULL,
            tick INTEGER NOT NULL
          ) STRICT;
          CREATE TABLE requests (
            requester BLOB NOT NULL,
            sequence INTEGER NOT NULL,
            request BLOB NOT NULL,
            tick INTEGER NOT NULL,
            PRIMARY KEY (requester, sequence)
          ) STRICT, WITHOUT ROWID;
          PRAGMA user_version = \(schemaVersion);
          """)
      return .commit
    }
    return queue
  }

  /// The last entry that it has, and that entry's hash; nil before the first.
  package func extent() throws(JournalError) -> (sequence: UInt64, hash: [UInt8])? {
    try access { database in
      let row = try Row.fetchOne(database, sql: "SELECT sequence, hash FROM extent WHERE id = 0")
      guard let row, case .int64(let sequence) = (row[0] as DatabaseValue).storage,
        case .blob(let hash) = (row[1] as DatabaseValue).storage
      else { return nil }
      return (UInt64(clamping: sequence), [UInt8](hash))
    }
  }

  /// Forgets everything: it was of another journal.
  package func reset() throws(JournalError) {
    try access { database in
      try database.execute(
        sql: """
          DELETE FROM extent; DELETE FROM mentions; DELETE FROM trades; DELETE FROM requests;
          """)
    }
  }

  /// Adds what the entries up to `last`, whose hash is `hash`, mention.
  package func add(
    _ mentions: [Mentions], through last: UInt64, hash: Digest
  ) throws(JournalError) {
    try access { database in
      let insertMention = try database.cachedStatement(
        sql: "INSERT OR IGNORE INTO mentions (stretch, subject, sequence) VALUES (?, ?, ?)")
      let insertTrade = try database.cachedStatement(
        sql: "INSERT OR IGNORE INTO trades (lease, sequence, tick) VALUES (?, ?, ?)")
      let insertRequest = try database.cachedStatement(
        sql: """
          INSERT OR IGNORE INTO requests (requester, sequence, request, tick) VALUES (?, ?, ?, ?)
          """)
      // In the order of the table, so that a page is found once for all that goes into it.
      let pairs = mentions.flatMap { entry in
        entry.subjects.map { (subject: $0, sequence: entry.sequence) }
      }.sorted { ($0.subject, $0.sequence) < ($1.subject, $1.sequence) }
      for (subject, sequence) in pairs {
        try insertMention.execute(arguments: [
          Int64(clamping: sequence / Self.stretch), Data(subject.bytes), Int64(clamping: sequence),
        ])
      }
      for entry in mentions {
        let sequence = Int64(clamping: entry.sequence)
        for lease in entry.leases {
          try insertTrade.execute(arguments: [
            Int64(clamping: lease.ordinal), sequence, Int64(bitPattern: entry.tick.milliseconds),
          ])
        }
        if let (request, requester) = entry.opened {
          try insertRequest.execute(arguments: [
            Data(requester.bytes), sequence, Data(request.bytes),
            Int64(bitPattern: entry.tick.milliseconds),
          ])
        }
      }
      try database.execute(
        sql: """
          INSERT INTO extent (id, sequence, hash) VALUES (0, ?, ?)
          ON CONFLICT (id) DO UPDATE SET sequence = excluded.sequence, hash = excluded.hash
          """, arguments: [Int64(clamping: last), Data(hash.bytes)])
    }
  }

  /// Up to `limit` entries that mention the subject, after entry `after`, in order.
  package func sequences(
    mentioning subject: Digest, after: UInt64, limit: Int
  ) throws(JournalError) -> [UInt64] {
    let last = try extent()?.sequence ?? 0
    return try access { database in
      let select = try database.cachedStatement(
        sql: """
          SELECT sequence FROM mentions WHERE stretch = ? AND subject = ? AND sequence > ?
          ORDER BY sequence LIMIT ?
          """)
      var sequences: [UInt64] = []
      var stretch = after / Self.stretch
      while stretch <= last / Self.stretch, sequences.count < limit {
        sequences += try Int64.fetchAll(
          select,
          arguments: [
            Int64(clamping: stretch), Data(subject.bytes), Int64(clamping: after),
            limit - sequences.count,
          ]
        ).map { UInt64(clamping: $0) }
        stretch += 1
      }
      return sequences
    }
  }

  /// The latest leases made, of those below `before`, latest first.
  package func trades(before: LeaseID, limit: Int) throws(JournalError) -> [Trade] {
    try access { database in
      var trades: [Trade] = []
      try StoredRow.each(
        database,
        sql: """
          SELECT lease, sequence, tick FROM trades WHERE lease < ? ORDER BY lease DESC LIMIT ?
          """, arguments: [Int64(clamping: before.ordinal), limit]
      ) { row in
        trades.append(
          Trade(
            lease: LeaseID(ordinal: UInt64(bitPattern: try row.integer(0, nil))),
            sequence: UInt64(bitPattern: try row.integer(1, nil)),
            tick: Tick(milliseconds: UInt64(bitPattern: try row.integer(2, nil)))))
        return true
      }
      return trades
    }
  }

  /// The latest requests of a key, of those that entries below `before` opened, latest first.
  package func requests(
    of requester: PublicKey, before: UInt64, limit: Int
  ) throws(JournalError) -> [Opening] {
    try access { database in
      var openings: [Opening] = []
      try StoredRow.each(
        database,
        sql: """
          SELECT request, sequence, tick FROM requests WHERE requester = ? AND sequence < ?
          ORDER BY sequence DESC LIMIT ?
          """, arguments: [Data(requester.bytes), Int64(clamping: before), limit]
      ) { row in
        openings.append(
          Opening(
            request: try row.digest(0, nil),
            sequence: UInt64(bitPattern: try row.integer(1, nil)),
            tick: Tick(milliseconds: UInt64(bitPattern: try row.integer(2, nil)))))
        return true
      }
      return openings
    }
  }

  private func access<Value>(
    _ body: (Database) throws -> Value
  ) throws(JournalError) -> Value {
    do {
      var value: Value?
      try queue.inTransaction { database in
        value = try body(database)
        return .commit
      }
      guard let value else { throw JournalError.storage("the transaction gave no value") }
      return value
    } catch {
      throw JournalReader.journalError(error, path)
    }
  }
}
