import Foundation
import GRDB
import Journal
import Market
import MerkleLog
import Migrations
import Primitives
import Replay
import Statements
import Testing

@Suite struct JournalTests {
  @Test func keepsItsSettings() throws {
    let journal = try Fixture().create()
    #expect(try journal.setting("journal_mode") == "wal")
    #expect(try journal.setting("synchronous") == "2")
    #expect(try journal.setting("locking_mode") == "exclusive")
    #expect(try journal.setting("foreign_keys") == "1")
  }

  @Test func recoversWhatWasAppended() throws {
    let fixture = try Fixture()
    let journal = try fixture.create()
    _ = try journal.append(fixture.group(20, at: 10))
    _ = try journal.append(fixture.group(7, at: 11))
    let head = journal.head
    try journal.close()

    let reopened = try fixture.open()
    let market = try reopened.recover()
    #expect(reopened.head == head)
    #expect(reopened.count == 28)
    #expect(reopened.lastTick == Tick(milliseconds: 11))
    #expect(market.now == fixture.market.now)
    #expect(market.stateDigest == fixture.market.stateDigest)
  }

  @Test func acknowledgesWithTheEntrysHeadAndOutcome() throws {
    let fixture = try Fixture()
    let journal = try fixture.create()
    let group = fixture.group(5, at: 3)
    let acknowledgements = try journal.append(group).map(\.acknowledgement)
      .map(Acknowledgement.init(canonicalBytes:))
    for (index, acknowledgement) in acknowledgements.enumerated() {
      #expect(acknowledgement.isAuthentic)
      #expect(acknowledgement.broker == fixture.brokerKey.publicKey)
      #expect(acknowledgement.command == group[index].envelope.digest)
      #expect(acknowledgement.sequence == UInt64(index) + 1)
      let hash = try journal.entries(from: UInt64(index) + 1, limit: 1)[0].hash
      #expect(acknowledgement.head == hash)
    }
    #expect(acknowledgements[3].rejection?.code == "not-operator")
    #expect(acknowledgements[0].rejection == nil)
  }

  @Test func returnsTheStoredBytesToARepeatedCommand() throws {
    let fixture = try Fixture()
    let journal = try fixture.create()
    let group = fixture.group(4, at: 3)
    let acknowledgements = try journal.append(group).map(\.acknowledgement)
    try journal.close()
    let reopened = try fixture.open()
    for (entry, bytes) in zip(group, acknowledgements) {
      #expect(try reopened.storedAcknowledgement(for: entry.envelope.digest) == bytes)
    }
    #expect(try reopened.storedAcknowledgement(for: .zero) == nil)
    let digest = group[2].envelope.digest
    #expect(throws: JournalError.duplicateCommand(digest)) { try reopened.append([group[2]]) }
    // A refusal leaves the journal in service.
    _ = try reopened.append(fixture.group(1, at: 4))
  }

  @Test func writesNothingOfAGroupWithACommandThatIsJournaledAlready() throws {
    let fixture = try Fixture()
    let journal = try fixture.create()
    let earlier = fixture.group(2, at: 3)
    _ = try journal.append(earlier)
    let head = journal.head
    let group = fixture.group(3, at: 4)
    let repeated = PendingEntry(
      envelope: earlier[1].envelope, tick: group[1].tick, outcome: group[1].outcome)
    #expect(throws: JournalError.duplicateCommand(repeated.envelope.digest)) {
      try journal.append([group[0], repeated, group[2]])
    }
    #expect(journal.head == head)
    #expect(journal.count == 3)
    #expect(try journal.storedAcknowledgement(for: group[0].envelope.digest) == nil)
    _ = try journal.append(group)
    #expect(journal.count == 6)
  }

  @Test func writesNothingOfAGroupThatFailsInTheMiddle() throws {
    let fixture = try Fixture()
    let journal = try fixture.create()
    _ = try journal.append(fixture.group(4, at: 1))
    try journal.close()
    try edit(fixture.file) { database in
      try database.execute(
        sql: """
          CREATE TRIGGER fault BEFORE INSERT ON postings WHEN NEW.sequence = 7
          BEGIN SELECT RAISE(ABORT, 'injected'); END
          """)
    }
    let state = fixture.market.stateDigest
    let failing = try fixture.open()
    let head = failing.head
    #expect(throws: JournalError.storage("injected")) {
      try failing.append(fixture.group(5, at: 2))
    }
    #expect(failing.head == head)
    #expect(failing.count == 5)
    // What is durable is unknown to this process from now on.
    #expect(throws: JournalError.failedEarlier) { try failing.append(fixture.group(1, at: 2)) }
    try failing.close()

    let reopened = try fixture.open()
    #expect(reopened.count == 5)
    #expect(try reopened.recover().stateDigest == state)
  }

  /// The files are copied as they lie after each group, without closing anything, as a machine
  /// that stops there would leave them: the write-ahead log is unmerged.
  @Test func recoversExactlyTheAcknowledgedPrefixAfterAnyStop() throws {
    let fixture = try Fixture()
    let journal = try fixture.create()
    for step in 1...12 {
      let acknowledgements = try journal.append(fixture.group(step, at: UInt64(step)))
        .map(\.acknowledgement)
      let copy = try fixture.directory.snapshot()
      let survivor = try Journal(directory: copy.path, key: fixture.brokerKey)
      let last = try Acknowledgement(canonicalBytes: acknowledgements[step - 1])
      #expect(survivor.head == last.head)
      #expect(survivor.count == last.sequence + 1)
      #expect(try survivor.recover().stateDigest == fixture.market.stateDigest)
    }
  }

  /// A log torn at any byte gives some whole prefix of groups: never part of one.
  @Test func recoversWholeGroupsFromATornLog() throws {
    let fixture = try Fixture()
    let journal = try fixture.create()
    var states = [journal.head: fixture.market.stateDigest]
    var sizes: Set<UInt64> = [1]
    for step in 1...6 {
      _ = try journal.append(fixture.group(5, at: UInt64(step)))
      states[journal.head] = fixture.market.stateDigest
      sizes.insert(journal.count)
    }
    let log = try Data(contentsOf: URL(fileURLWithPath: fixture.file + "-wal"))
    var generator = SeededGenerator(state: 7)
    for _ in 0..<20 {
      let copy = try fixture.directory.snapshot()
      let torn = log.prefix(Int.random(in: 0...log.count, using: &generator))
      try torn.write(to: URL(fileURLWithPath: copy.path + "/journal.sqlite-wal"))
      // Torn before the transaction that made the schema, there never was a journal.
      let opened = Result { try Journal(directory: copy.path, key: fixture.brokerKey) }
      guard case .success(let survivor) = opened else {
        guard case .failure(let error as JournalError) = opened else { throw CancellationError() }
        #expect(error.code == "journal-missing")
        continue
      }
      #expect(sizes.contains(survivor.count))
      #expect(try survivor.recover().stateDigest == states[survivor.head])
    }
  }

  @Test func aStartFromASnapshotIsLikeOneWithout() throws {
    let fixture = try Fixture()
    let journal = try fixture.create()
    _ = try journal.append(fixture.group(30, at: 1))
    try journal.snapshot(of: fixture.market).write()
    let covered = journal.count
    _ = try journal.append(fixture.group(20, at: 2))
    try journal.close()

    let reopened = try fixture.open()
    #expect(try reopened.recover().stateDigest == fixture.market.stateDigest)
    #expect(reopened.snapshotted == covered)
    // What follows is decided alike.
    _ = try reopened.append(fixture.group(20, at: 3))
    try reopened.snapshot(of: fixture.market).write()
    try reopened.close()
    let last = try fixture.open()
    #expect(try last.recover().stateDigest == fixture.market.stateDigest)
    #expect(last.snapshotted == last.count)
  }

  @Test func passesOverEverySnapshotThatIsNotItsOwn() throws {
    let fixture = try Fixture()
    let journal = try fixture.create()
    _ = try journal.append(fixture.group(10, at: 1))
    let snapshot = journal.snapshot(of: fixture.market)
    try snapshot.write()
    _ = try journal.append(fixture.group(5, at: 2))
    try journal.close()
    let path = fixture.directory.path + "/snapshot"
    let sound = try Data(contentsOf: URL(fileURLWithPath: path))

    let other = try Fixture()
    let otherJournal = try other.create()
    _ = try otherJournal.append(other.group(9, at: 2))
    try otherJournal.snapshot(of: other.market).write()
    var spoilt = [
      Data(), Data(sound.dropLast()), sound + [0],
      try Data(contentsOf: URL(fileURLWithPath: other.directory.path + "/snapshot")),
    ]
    for index in stride(from: 0, to: sound.count, by: 7) {
      var flipped = sound
      flipped[index] ^= 1
      spoilt.append(flipped)
    }
    for bytes in spoilt {
      try bytes.write(to: URL(fileURLWithPath: path))
      let reopened = try fixture.open()
      #expect(try reopened.recover().stateDigest == fixture.market.stateDigest)
      #expect(reopened.snapshotted == 0)
      try reopened.close()
    }
    // The journal's owner signed a state that is not the one after those entries.
    let liar = try fixture.open()
    _ = try liar.recover()
    try liar.snapshot(of: try Market(genesis: fixture.genesis)).write()
    try liar.close()
    let reopened = try fixture.open()
    #expect(try reopened.recover().stateDigest == fixture.market.stateDigest)
    #expect(reopened.snapshotted == 0)
  }

  @Test func refusesASecondOpener() throws {
    let fixture = try Fixture()
    let journal = try fixture.create()
    #expect(throws: JournalError.inUse(path: fixture.file)) { try fixture.open() }
    #expect(throws: JournalError.inUse(path: fixture.file)) {
      try JournalReader(directory: fixture.directory.path)
    }
    _ = try journal.append(fixture.group(1, at: 1))
    try journal.close()
    #expect(try fixture.open().count == 2)
  }

  @Test func refusesToOverwriteAJournal() throws {
    let fixture = try Fixture()
    try fixture.create().close()
    #expect(throws: JournalError.alreadyExists(path: fixture.file)) { try fixture.create() }
  }

  @Test func refusesADirectoryWithoutAJournal() throws {
    let fixture = try Fixture()
    #expect(throws: JournalError.missing(path: fixture.directory.path)) { try fixture.open() }
  }

  @Test func refusesASchemaFromTheFuture() throws {
    let fixture = try Fixture()
    try fixture.create().close()
    try edit(fixture.file) { try $0.execute(sql: "PRAGMA user_version = 99") }
    let expected = JournalError.newerSchema(found: 99, known: Migration.schemaVersion)
    #expect(throws: expected) { try fixture.open() }
    #expect(throws: expected) { try JournalReader(directory: fixture.directory.path) }
  }

  @Test func refusesAnotherBrokersKey() throws {
    let fixture = try Fixture()
    try fixture.create().close()
    let other = fixture.holderKey
    #expect(
      throws: JournalError.wrongKey(
        expected: fixture.brokerKey.publicKey, got: other.publicKey)
    ) { try Journal(directory: fixture.directory.path, key: other) }
  }

  @Test func refusesTimeThatGoesBack() throws {
    let fixture = try Fixture()
    let journal = try fixture.create()
    _ = try journal.append(fixture.group(1, at: 9))
    #expect(
      throws: JournalError.tickBackwards(
        last: Tick(milliseconds: 9), got: Tick(milliseconds: 8))
    ) { try journal.append(fixture.group(1, at: 8)) }
  }

  @Test func refusesUnbalancedPostings() throws {
    let fixture = try Fixture()
    let journal = try fixture.create()
    let amount = Amount(microcredits: 5)
    let owner = fixture.holderKey.publicKey
    let event = Event(
      .deposited(owner: owner, amount: amount), [Posting(account: .available(owner), delta: 5)])
    let entry = PendingEntry(
      envelope: fixture.envelope(.deposit(owner: owner, amount: amount), by: fixture.operatorKey),
      tick: .zero, outcome: .accepted([event]))
    #expect(throws: JournalError.unbalanced(sequence: 1)) { try journal.append([entry]) }
  }

  @Test func refusesToChangeOrDropAnEntry() throws {
    let fixture = try Fixture()
    let journal = try fixture.create()
    _ = try journal.append(fixture.group(3, at: 1))
    try journal.close()
    for table in ["genesis", "entries", "postings"] {
      #expect(throws: DatabaseError.self) {
        try edit(fixture.file) { try $0.execute(sql: "DELETE FROM \(table)") }
      }
    }
    #expect(throws: DatabaseError.self) {
      try edit(fixture.file) { try $0.execute(sql: "UPDATE entries SET tick = 5") }
    }
  }

  /// Acknowledgements stood in a table of their own once.
  private func bringDownToTheFirstSchema(_ file: String) throws {
    try edit(file) { database in
      try database.execute(
        sql: """
          CREATE UNIQUE INDEX digests ON entries (command_digest);
          CREATE TABLE acknowledgements (
            command_digest BLOB PRIMARY KEY REFERENCES entries (command_digest),
            acknowledgement BLOB NOT NULL
          ) STRICT, WITHOUT ROWID;
          INSERT INTO acknowledgements SELECT command_digest, acknowledgement FROM entries;
          ALTER TABLE entries DROP COLUMN acknowledgement;
          PRAGMA user_version = 1;
          """)
    }
  }

  @Test func readsAndBringsUpAJournalOfTheFirstSchema() throws {
    let fixture = try Fixture()
    let journal = try fixture.create()
    let group = fixture.group(9, at: 1)
    let written = try journal.append(group)
    let head = journal.head
    try journal.close()
    try bringDownToTheFirstSchema(fixture.file)
    let report = try Replay.run(path: fixture.directory.path)
    #expect(report.isSound)
    #expect(report.head == head)

    var steps: [Int] = []
    let reopened = try Journal(directory: fixture.directory.path, key: fixture.brokerKey) {
      #expect($0.from == 1 && $0.to == Migration.schemaVersion && $0.elapsed >= .zero)
      steps.append($0.step)
    }
    #expect(steps == Array(2...Migration.schemaVersion), "each step is told")
    #expect(try reopened.recover().stateDigest == fixture.market.stateDigest)
    for (entry, written) in zip(group, written) {
      let stored = try reopened.storedAcknowledgement(for: entry.envelope.digest)
      #expect(stored == written.acknowledgement)
    }
    try reopened.close()
    #expect(try Replay.run(path: fixture.directory.path).isSound)
    #expect(throws: DatabaseError.self) {
      try edit(fixture.file) { try $0.execute(sql: "UPDATE entries SET tick = 5") }
    }
  }

  /// By Ctrl-C, or by a machine that lost its power.
  @Test func anUpgradeThatIsCutOffLeavesTheJournalAsItWas() throws {
    let fixture = try Fixture()
    let journal = try fixture.create()
    // More than SQLite keeps in memory, so that a part of the new schema is on the disk already.
    for tick in 1...4 as ClosedRange<UInt64> {
      _ = try journal.append(fixture.group(1_000, at: tick))
    }
    let head = journal.head
    try journal.close()
    try bringDownToTheFirstSchema(fixture.file)
    var cut: TemporaryDirectory?
    try Journal(directory: fixture.directory.path, key: fixture.brokerKey) { upgrade in
      if upgrade.step == Migration.schemaVersion { cut = try? fixture.directory.snapshot() }
    }.close()
    let directory = try #require(cut).path
    let log = try FileManager.default.attributesOfItem(atPath: directory + "/journal.sqlite-wal")
    #expect(try #require(log[.size] as? Int) > 0)
    let report = try Replay.run(path: directory)
    #expect(report.isSound && report.head == head)
    let reopened = try Journal(directory: directory, key: fixture.brokerKey)
    #expect(reopened.head == head)
    #expect(try reopened.recover().stateDigest == fixture.market.stateDigest)
  }

  /// SQLite would read either as what stood there before.
  @Test(arguments: ["tick = CAST(tick AS REAL) + 0.5", "command = CAST(command AS TEXT)"])
  func refusesAValueOfAnotherType(change: String) throws {
    let fixture = try Fixture()
    let journal = try fixture.create()
    _ = try journal.append(fixture.group(9, at: 1))
    try journal.close()
    try edit(fixture.file) { database in
      try database.execute(sql: "DROP TRIGGER entries_are_final; PRAGMA writable_schema = ON")
      try database.execute(
        sql: "UPDATE sqlite_master SET sql = replace(sql, 'STRICT', '') WHERE name = 'entries'")
    }
    try edit(fixture.file) { database in
      try database.execute(sql: "UPDATE entries SET \(change) WHERE sequence = 6")
    }
    let reopened = try fixture.open()
    do {
      _ = try reopened.recover()
      Issue.record("a value of another type was recovered")
    } catch JournalError.diverged(let divergence) {
      #expect(divergence.sequence == 6)
      #expect(divergence.got == "another type")
    }
  }

  @Test func refusesAJournalInWhichACommandActedTwice() throws {
    let fixture = try Fixture()
    let journal = try fixture.create()
    let group = fixture.group(9, at: 1)
    _ = try journal.append(group)
    try journal.close()
    try edit(fixture.file) { database in
      try database.execute(sql: "DROP TRIGGER entries_are_final")
      try database.execute(
        sql: """
          UPDATE entries
          SET command_digest = (SELECT command_digest FROM entries WHERE sequence = 3)
          WHERE sequence = 6
          """)
    }
    do {
      _ = try fixture.open()
      Issue.record("a journal with two entries of one command was opened")
    } catch JournalError.diverged(let divergence) {
      #expect(divergence.sequence == 6)
      #expect(divergence.subject == "command digest")
      #expect(divergence.got == "\(group[2].envelope.digest) again")
    }
  }

  @Test func namesTheEntryAtWhichRecoveryStops() throws {
    let fixture = try Fixture()
    let journal = try fixture.create()
    _ = try journal.append(fixture.group(9, at: 1))
    try journal.close()
    try edit(fixture.file) { database in
      try database.execute(sql: "DROP TRIGGER entries_are_final")
      try database.execute(sql: "UPDATE entries SET tick = 2 WHERE sequence = 6")
    }
    let reopened = try fixture.open()
    do {
      _ = try reopened.recover()
      Issue.record("a changed entry was recovered")
    } catch JournalError.diverged(let divergence) {
      #expect(divergence.sequence == 6)
      #expect(divergence.subject == "entry hash")
    }
  }

  @Test func provesEveryEntryUnderItsCheckpoint() throws {
    let fixture = try Fixture()
    let journal = try fixture.create()
    _ = try journal.append(fixture.group(11, at: 1))
    let checkpoint = journal.checkpoint()
    #expect(checkpoint.isAuthentic)
    #expect(checkpoint.size == 12)
    for entry in try journal.entries(from: 1, limit: 100) {
      let (hash, proof) = try journal.inclusion(of: entry.sequence)
      #expect(hash == entry.hash)
      #expect(proof.verifies(leafHash: MerkleTree.leafHash(of: entry.hash), root: checkpoint.root))
    }
    let (genesisHash, proof) = try journal.inclusion(of: 0)
    #expect(
      proof.verifies(leafHash: MerkleTree.leafHash(genesisHash.bytes), root: checkpoint.root))
    #expect(throws: JournalError.unknownSequence(12, size: 12)) { try journal.inclusion(of: 12) }
    try journal.close()
    #expect(try fixture.open().checkpoint().root == checkpoint.root)
  }

  @Test func provesThatItContinuesAnEarlierCheckpoint() throws {
    let fixture = try Fixture()
    let journal = try fixture.create()
    var checkpoints = [journal.checkpoint()]
    for step in 1...5 {
      _ = try journal.append(fixture.group(step, at: UInt64(step)))
      checkpoints.append(journal.checkpoint())
    }
    let last = journal.checkpoint()
    for earlier in checkpoints {
      let proof = try journal.consistencyProof(from: earlier.size)
      #expect(proof.verifies(oldRoot: earlier.root, newRoot: last.root))
    }
    for size in [0, last.size + 1] {
      #expect(throws: JournalError.unknownSequence(size, size: last.size)) {
        try journal.consistencyProof(from: size)
      }
    }
  }

  @Test func embedsTheMigrationsAsTheyLie() throws {
    let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent().deletingLastPathComponent().appending(path: "migrations")
    let files = try FileManager.default.contentsOfDirectory(atPath: folder.path)
      .filter { $0.hasSuffix(".sql") }.sorted()
    #expect(files == Migration.all.map(\.file))
    for (index, migration) in Migration.all.enumerated() {
      let text = try String(contentsOf: folder.appending(path: migration.file), encoding: .utf8)
      #expect(text == migration.sql + "\n", "run scripts/embed-migrations")
      #expect(Int(migration.file.prefix(4)) == index + 1)
    }
  }

  @Test func slicesAreEqualWhereTheirBytesAre() {
    let bytes: [UInt8] = [1, 2, 3, 1, 2, 3]
    #expect(bytes[0..<3].equals(bytes[3..<6]))
    #expect(bytes[0..<0].equals([]))
    #expect(!bytes[0..<3].equals(bytes[2..<5]))
    #expect(!bytes[0..<3].equals(bytes[3..<5]))
    #expect(!bytes[0..<1].equals([]))
  }
}

/// Changes a closed journal behind its back.
func edit(_ file: String, _ body: (Database) throws -> Void) throws {
  let queue = try DatabaseQueue(path: file)
  try queue.inDatabase(body)
  try queue.close()
}
