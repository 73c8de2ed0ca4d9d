import Foundation
import GRDB
import Journal
import Market
import MerkleLog
import Primitives
import Replay
import Testing

@Suite struct ReplayTests {
  private func journaled(_ groups: Int = 3) throws -> (fixture: Fixture, head: Digest, root: Digest)
  {
    let fixture = try Fixture()
    let journal = try fixture.create()
    for step in 0..<groups { _ = try journal.append(fixture.group(10, at: UInt64(5 + step))) }
    defer { try? journal.close() }
    return (fixture, journal.head, journal.checkpoint().root)
  }

  @Test func findsASoundJournalSound() throws {
    let (fixture, head, root) = try journaled()
    let report = try Replay.run(path: fixture.directory.path)
    #expect(report.divergence == nil)
    #expect(report.entries == 31)
    #expect(report.accepted + report.rejected == 30)
    #expect(report.rejected == 6)
    #expect(report.head == head)
    #expect(report.root == root)
    #expect(report.stateDigest == fixture.market.stateDigest)
  }

  @Test func replaysACopyOfARunningBrokersFiles() throws {
    let fixture = try Fixture()
    let journal = try fixture.create()
    _ = try journal.append(fixture.group(10, at: 1))
    let copy = try fixture.directory.snapshot()
    let report = try Replay.run(path: copy.path)
    #expect(report.isSound)
    #expect(report.head == journal.head)
    #expect(throws: JournalError.inUse(path: fixture.file)) {
      try Replay.run(path: fixture.directory.path)
    }
  }

  @Test func replaysAnEmptyJournal() throws {
    let fixture = try Fixture()
    try fixture.create().close()
    let report = try Replay.run(path: fixture.directory.path)
    #expect(report.isSound)
    #expect(report.entries == 1)
  }

  @Test func refusesADirectoryWithoutAJournal() throws {
    #expect(throws: JournalError.self) { try Replay.run(path: TemporaryDirectory().path) }
  }

  /// One bit of one column of one row, in every table, is found at its entry.
  @Test(arguments: [
    ("entries", "command_digest"), ("entries", "command"), ("entries", "outcome"),
    ("entries", "hash"), ("entries", "tick"), ("entries", "acknowledgement"),
    ("postings", "account"), ("postings", "delta"), ("genesis", "record"), ("genesis", "hash"),
    ("balances", "account"), ("balances", "balance"),
  ])
  func namesTheEntryOfAFlippedBit(table: String, column: String) throws {
    let (fixture, _, _) = try journaled()
    var generator = SeededGenerator(state: UInt64(table.count * 100 + column.count))
    for _ in 0..<6 {
      let copy = try fixture.directory.snapshot()
      var sequence: UInt64 = 0
      try edit(copy.path + "/journal.sqlite") { database in
        sequence = try flip(table, column, in: database, &generator)
      }
      do {
        let report = try Replay.run(path: copy.path)
        #expect(report.divergence?.sequence == sequence, "\(String(describing: report.divergence))")
      } catch JournalError.diverged(let divergence) {
        // A damaged genesis leaves nothing to replay.
        #expect(table == "genesis")
        #expect(divergence.sequence == 0)
      }
    }
  }

  /// Returns the entry at which the flip must be found.
  private func flip(
    _ table: String, _ column: String, in database: Database,
    _ generator: inout SeededGenerator
  ) throws -> UInt64 {
    try database.execute(sql: "PRAGMA foreign_keys = OFF")
    let triggers = try String.fetchAll(
      database, sql: "SELECT name FROM sqlite_master WHERE type = 'trigger'")
    for trigger in triggers { try database.execute(sql: "DROP TRIGGER \(trigger)") }
    let keys =
      switch table {
      case "postings": "sequence, line"
      case "balances": "account"
      default: "rowid"
      }
    let rows = try Row.fetchAll(database, sql: "SELECT \(keys), \(column) AS subject FROM \(table)")
    let row = try #require(rows.randomElement(using: &generator))
    let value: DatabaseValue
    switch (row["subject"] as DatabaseValue).storage {
    case .blob(var data):
      let index = Int.random(in: 0..<data.count, using: &generator)
      data[index] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
      value = data.databaseValue
    case .int64(let integer):
      value = (integer ^ 1 << Int64.random(in: 0..<62, using: &generator)).databaseValue
    default:
      Issue.record("\(column) is neither bytes nor an integer")
      return 0
    }
    let condition = keys.split(separator: ", ").map { "\($0) = ?" }.joined(separator: " AND ")
    let keyValues = keys.split(separator: ", ").indices.map { row[$0] as DatabaseValue }
    try database.execute(
      sql: "UPDATE \(table) SET \(column) = ? WHERE \(condition)",
      arguments: StatementArguments([value] + keyValues))
    return switch table {
    case "genesis": 0
    case "balances": 30
    default: UInt64(row[0] as Int)
    }
  }

  /// Bytes of the file itself, anywhere: replay answers with a report or a typed error, and calls
  /// a journal sound only with the true head and state.
  @Test func neverTrapsOnADamagedFile() throws {
    let (fixture, head, _) = try journaled(2)
    let sound = try Data(contentsOf: URL(fileURLWithPath: fixture.file))
    var generator = SeededGenerator(state: 42)
    var found = 0
    for _ in 0..<150 {
      let copy = TemporaryDirectory()
      var damaged = sound
      for _ in 0..<Int.random(in: 1...8, using: &generator) {
        let index = Int.random(in: 0..<damaged.count, using: &generator)
        damaged[index] = UInt8.random(in: 0...255, using: &generator)
      }
      try damaged.write(to: URL(fileURLWithPath: copy.path + "/journal.sqlite"))
      do throws(JournalError) {
        let report = try Replay.run(path: copy.path)
        if report.isSound {
          #expect(report.head == head)
          #expect(report.stateDigest == fixture.market.stateDigest)
        } else {
          found += 1
        }
      } catch {
        found += 1
      }
    }
    #expect(found > 50)
  }

  @Test func neverTrapsOnATruncatedFile() throws {
    let (fixture, _, _) = try journaled(1)
    let sound = try Data(contentsOf: URL(fileURLWithPath: fixture.file))
    for count in stride(from: 0, to: sound.count, by: 1511) {
      let copy = TemporaryDirectory()
      try sound.prefix(count).write(to: URL(fileURLWithPath: copy.path + "/journal.sqlite"))
      do throws(JournalError) {
        let report = try Replay.run(path: copy.path)
        #expect(!report.isSound)
      } catch {
        #expect(!error.sentence.isEmpty)
      }
    }
  }

  // MARK: A lying broker, whose chain and signatures are in order

  private func divergence(
    _ lie: (Fixture) -> [PendingEntry]
  ) throws -> Divergence? {
    let fixture = try Fixture()
    let journal = try fixture.create()
    _ = try journal.append(fixture.group(3, at: 5))
    _ = try journal.append(lie(fixture))
    try journal.close()
    return try Replay.run(path: fixture.directory.path).divergence
  }

  @Test func findsMoneyMadeByTheBroker() throws {
    let found = try divergence { fixture in
      let owner = fixture.holderKey.publicKey
      let asked = Amount(microcredits: 10)
      let made = Amount(microcredits: 11)
      return [
        PendingEntry(
          envelope: fixture.envelope(
            .deposit(owner: owner, amount: asked), by: fixture.operatorKey),
          tick: Tick(milliseconds: 5),
          outcome: .accepted([
            Event(
              .deposited(owner: owner, amount: made),
              Posting.move(made, from: .external, to: .available(owner)))
          ]))
      ]
    }
    #expect(found?.sequence == 4)
    #expect(found?.subject == "outcome of deposit")
  }

  @Test func findsARejectionThatWasAccepted() throws {
    let found = try divergence { fixture in
      let command = Command.withdraw(amount: Amount(microcredits: 1 << 40))
      return [
        PendingEntry(
          envelope: fixture.envelope(command, by: fixture.holderKey),
          tick: Tick(milliseconds: 5), outcome: .accepted([]))
      ]
    }
    #expect(found?.sequence == 4)
    #expect(found?.got.hasPrefix("accepted") == true)
  }

  @Test func findsAForgedSignature() throws {
    let found = try divergence { fixture in
      let command = Command.withdraw(amount: Amount(microcredits: 1))
      let honest = fixture.envelope(command, by: fixture.holderKey)
      var bytes = honest.canonicalBytes
      bytes[bytes.count - 40] ^= 1
      let forged = try! Envelope(canonicalBytes: bytes)
      return [fixture.pending(forged, command, at: 5)]
    }
    #expect(found?.sequence == 4)
    #expect(found?.subject == "envelope's signature")
  }

  @Test func findsACommandThatHadExpired() throws {
    let found = try divergence { fixture in
      let command = Command.withdraw(amount: Amount(microcredits: 1))
      let expired = fixture.envelope(
        command, by: fixture.holderKey, expiry: Tick(milliseconds: 4))
      return [fixture.pending(expired, command, at: 5)]
    }
    #expect(found?.sequence == 4)
    #expect(found?.subject == "tick")
  }

  @Test func findsACommandOfAnotherNetwork() throws {
    let found = try divergence { fixture in
      let command = Command.withdraw(amount: Amount(microcredits: 1))
      let foreign = Envelope(
        network: NetworkID("other")!, nonce: Nonce(high: 9, low: 9), expiry: .never,
        body: command.canonicalBytes, signedBy: fixture.holderKey)
      return [fixture.pending(foreign, command, at: 5)]
    }
    #expect(found?.sequence == 4)
    #expect(found?.subject == "network")
  }

  @Test func findsAnEntryThatWasCutOff() throws {
    let (fixture, _, _) = try journaled()
    try edit(fixture.file) { database in
      try database.execute(sql: "PRAGMA foreign_keys = OFF")
      try database.execute(sql: "DROP TRIGGER entries_are_kept")
      try database.execute(sql: "DELETE FROM entries WHERE sequence = 30")
    }
    #expect(try Replay.run(path: fixture.directory.path).divergence?.sequence == 29)
  }

  @Test func findsAMissingEntryInTheMiddle() throws {
    let (fixture, _, _) = try journaled()
    try edit(fixture.file) { database in
      try database.execute(sql: "PRAGMA foreign_keys = OFF")
      try database.execute(sql: "DROP TRIGGER entries_are_kept")
      try database.execute(sql: "DELETE FROM entries WHERE sequence = 12")
    }
    #expect(try Replay.run(path: fixture.directory.path).divergence?.sequence == 12)
  }
}
