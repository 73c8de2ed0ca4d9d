import Foundation
import Journal
import Market
import Primitives
import Replay
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
}
