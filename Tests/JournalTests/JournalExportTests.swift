import Foundation
import Journal
import Market
import Primitives
import Replay
import Statements
import Testing

@Suite struct JournalExportTests {
  /// A closed journal of 30 entries and its export.
  private func exported() throws -> (fixture: Fixture, file: String) {
    let fixture = try Fixture()
    let journal = try fixture.create()
    for step in 0..<3 { _ = try journal.append(fixture.group(10, at: UInt64(5 + step))) }
    try journal.close()
    let file = fixture.directory.path + "/journal.export"
    #expect(
      try JournalExport.write(JournalReader(directory: fixture.directory.path), to: file).entries
        == 30)
    return (fixture, file)
  }

  @Test func replaysToTheSameStateAsTheDatabase() throws {
    let (fixture, file) = try exported()
    let database = try Replay.run(path: fixture.directory.path)
    let report = try Replay.run(path: file)
    #expect(report.isSound && database.isSound)
    #expect(report.entries == 31)
    #expect(report.root == database.root)
    #expect(report.stateDigest == fixture.market.stateDigest)
  }

  @Test func exportsTheSameBytesAgain() throws {
    let (fixture, file) = try exported()
    let again = fixture.directory.path + "/again.export"
    _ = try JournalExport.write(JournalExport(path: file), to: again)
    #expect(
      FileManager.default.contents(atPath: file) == FileManager.default.contents(atPath: again))
  }

  @Test func leavesNothingWhereItCannotWrite() throws {
    let (fixture, file) = try exported()
    let path = fixture.directory.path + "/no/such/folder"
    #expect(throws: JournalError.exportUnwritable(path: path)) {
      try JournalExport.write(JournalExport(path: file), to: path)
    }
  }

  /// Whoever looks for a lease in an export that claims a strange sequence is told so.
  @Test func findsNoPastMatchBehindAFalseSequence() throws {
    let (fixture, file) = try exported()
    let reader = try JournalReader(directory: fixture.directory.path)
    let entry = try #require(try reader.entries(from: 3, limit: 1).first)
    var changed = try Data(contentsOf: URL(fileURLWithPath: file))
    let place = try #require(changed.range(of: Data(entry.canonicalBytes))).lowerBound
    for index in place..<place + 8 { changed[index] = 0xff }
    let content = changed.dropLast(Bytes32.count)
    changed = content + Data(Digest.of(content).bytes)
    try changed.write(to: URL(fileURLWithPath: file))
    do {
      _ = try PastMatch(of: LeaseID(ordinal: 1), journal: file)
      Issue.record("a false sequence was passed over")
    } catch JournalError.diverged(let divergence) {
      #expect(divergence.sequence == 3)
    }
  }

  /// Whichever byte is changed, no export is called sound, and none traps the reader.
  @Test func findsEveryChangedByte() throws {
    let (fixture, file) = try exported()
    // Its folder goes with it.
    defer { withExtendedLifetime(fixture) {} }
    let sound = try Data(contentsOf: URL(fileURLWithPath: file))
    let copy = TemporaryDirectory()
    let path = copy.path + "/changed.export"
    for index in stride(from: 0, to: sound.count, by: 101) {
      var changed = sound
      changed[index] ^= 1 << UInt8(index % 8)
      try changed.write(to: URL(fileURLWithPath: path))
      #expect((try? Replay.run(path: path))?.isSound != true, "byte \(index)")
    }
  }

  @Test func refusesAnExportThatIsCutOffOrGoesOn() throws {
    let (fixture, file) = try exported()
    // Its folder goes with it.
    defer { withExtendedLifetime(fixture) {} }
    let sound = try Data(contentsOf: URL(fileURLWithPath: file))
    let copy = TemporaryDirectory()
    let path = copy.path + "/cut.export"
    for count in stride(from: 0, to: sound.count, by: 499) {
      try sound.prefix(count).write(to: URL(fileURLWithPath: path))
      #expect(throws: JournalError.self) { try Replay.run(path: path) }
    }
    try (sound + [0]).write(to: URL(fileURLWithPath: path))
    #expect(throws: JournalError.self) { try Replay.run(path: path) }
  }

  @Test func refusesAnEntryThatClaimsToBeHuge() throws {
    let (fixture, file) = try exported()
    // Its folder goes with it.
    defer { withExtendedLifetime(fixture) {} }
    var bytes = try Data(contentsOf: URL(fileURLWithPath: file))
    let (record, hash) = try JournalExport(path: file).genesis()
    let place = 24 + 8 + 4 + record.count + 4 + hash.count
    bytes.replaceSubrange(place..<place + 4, with: [255, 255, 255, 255])
    try bytes.write(to: URL(fileURLWithPath: file))
    #expect(
      throws: JournalError.exportDamaged(path: file, "entry 1 claims 4294967295 bytes")
    ) { try Replay.run(path: file) }
  }

  // MARK: With blobs

  /// An export of a journal with two verdicts, of which one has its evidence kept.
  private func exportedWithBlobs() async throws -> (
    fixture: Fixture, file: String, evidence: [UInt8]
  ) {
    let fixture = try Fixture()
    let journal = try fixture.create()
    let evidence = (0..<1_000).map { UInt8(truncatingIfNeeded: $0) }
    let blobs = try BlobStore(directory: fixture.directory.path, clock: { .zero })
    let kept = try await blobs.put(evidence)
    for (tick, digest) in [kept, Digest.of([1]), kept].enumerated() {
      let record = VerdictRecord(
        lease: LeaseID(ordinal: 1), attempt: 1, verdict: .valid, evidence: digest)
      _ = try journal.append([
        fixture.pending(.recordVerdict(record), by: fixture.brokerKey, at: UInt64(5 + tick))
      ])
    }
    try journal.close()
    let file = fixture.directory.path + "/full.export"
    var expected = JournalExport.Contents()
    (expected.entries, expected.blobs, expected.missing) = (3, 1, 1)
    let contents = try JournalExport.write(
      JournalReader(directory: fixture.directory.path),
      evidence: try BlobReader(path: fixture.directory.path), to: file)
    #expect(contents == expected)
    return (fixture, file, evidence)
  }

  @Test func carriesEachBlobOnceAndReplaysBesideThem() async throws {
    let (fixture, file, evidence) = try await exportedWithBlobs()
    defer { withExtendedLifetime(fixture) {} }
    #expect(try Replay.run(path: file).isSound)
    for path in [file, fixture.directory.path] {
      let blobs = try #require(try BlobReader(path: path))
      #expect(try blobs.read(Digest.of(evidence)) == evidence)
      #expect(throws: BlobError.unknown(Digest.of([1]))) { try blobs.read(Digest.of([1])) }
    }
  }

  @Test func refusesBlobsOfADamagedExportAndNeverTraps() async throws {
    let (fixture, file, evidence) = try await exportedWithBlobs()
    defer { withExtendedLifetime(fixture) {} }
    let sound = try Data(contentsOf: URL(fileURLWithPath: file))
    let copy = TemporaryDirectory()
    let path = copy.path + "/changed.export"
    let list = sound.count - 32 - 8 - 48 - 8
    let places = Array(stride(from: 0, to: list, by: 97)) + Array(list..<sound.count)
    for index in places {
      var changed = sound
      changed[index] ^= 1 << UInt8(index % 8)
      try changed.write(to: URL(fileURLWithPath: path))
      #expect((try? Replay.run(path: path))?.isSound != true, "byte \(index)")
      // A blob is its own bytes, or none.
      let read = try? BlobReader(path: path)?.read(Digest.of(evidence))
      #expect(read == nil || read == evidence, "byte \(index)")
    }
    for count in stride(from: 0, to: sound.count, by: 211) {
      try sound.prefix(count).write(to: URL(fileURLWithPath: path))
      #expect(throws: JournalError.self) { try Replay.run(path: path) }
      #expect((try? BlobReader(path: path)?.read(Digest.of(evidence))) == nil)
    }
  }

  @Test func refusesAListThatClaimsMoreThanThereIs() async throws {
    let (fixture, file, _) = try await exportedWithBlobs()
    defer { withExtendedLifetime(fixture) {} }
    let sound = try Data(contentsOf: URL(fileURLWithPath: file))
    let list = sound.count - 32 - 8 - 48 - 8
    // The count, the blob's offset and length, and where the list is.
    for place in [list, list + 8 + 32, list + 8 + 40, list + 8 + 48] {
      for value in [UInt64.max, UInt64(Int64.max), 1 << 40] {
        var changed = sound
        changed.replaceSubrange(
          place..<place + 8, with: withUnsafeBytes(of: value.littleEndian) { Data($0) })
        try changed.write(to: URL(fileURLWithPath: file))
        #expect {
          try BlobReader(path: file)
        } throws: {
          ($0 as? JournalError)?.code == "export-damaged"
        }
      }
    }
  }
}
