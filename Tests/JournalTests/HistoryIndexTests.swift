import GRDB
import Journal
import Primitives
import Testing

@Suite struct HistoryIndexTests {
  private static func mentions(_ sequence: UInt64, _ subjects: Digest...) -> HistoryIndex.Mentions {
    HistoryIndex.Mentions(
      sequence: sequence, tick: Tick(milliseconds: sequence), subjects: Set(subjects), leases: [])
  }

  @Test func findsASubjectInOrderHoweverLongTheHistory() throws {
    let fixture = try Fixture()
    _ = try fixture.create()
    let index = try HistoryIndex(directory: fixture.directory.path)
    let (one, other) = (Digest.of([1]), Digest.of([2]))
    #expect(try index.sequences(mentioning: one, after: 0, limit: 9) == [])
    let sequences: [UInt64] = [1, 2, 16_383, 16_384, 16_385, 40_000, 70_000]
    // Out of order, and a part of them twice, as after a crash.
    for part in [sequences.suffix(3), sequences.prefix(5), sequences.suffix(4)] {
      try index.add(
        part.map { Self.mentions($0, one) } + [Self.mentions(50_000, other)],
        through: 70_000, hash: one)
    }
    #expect(try index.sequences(mentioning: one, after: 0, limit: 99) == sequences)
    #expect(try index.sequences(mentioning: one, after: 16_383, limit: 2) == [16_384, 16_385])
    #expect(try index.sequences(mentioning: one, after: 16_385, limit: 9) == [40_000, 70_000])
    #expect(try index.sequences(mentioning: one, after: 70_000, limit: 9) == [])
    #expect(try index.sequences(mentioning: other, after: 3, limit: 9) == [50_000])
    #expect(try index.sequences(mentioning: .zero, after: 0, limit: 9) == [])
  }

  @Test func listsAKeysRequestsLatestFirst() throws {
    let fixture = try Fixture()
    _ = try fixture.create()
    let index = try HistoryIndex(directory: fixture.directory.path)
    let (one, other) = (SigningKey.random().publicKey, SigningKey.random().publicKey)
    func opening(_ sequence: UInt64, _ owner: PublicKey) -> HistoryIndex.Mentions {
      HistoryIndex.Mentions(
        sequence: sequence, tick: Tick(milliseconds: sequence), subjects: [], leases: [],
        opened: (Digest.of([UInt8(sequence)]), owner))
    }
    let all = [opening(3, one), opening(5, other), opening(7, one), opening(20, one)]
    // A part of them twice, as after a crash.
    try index.add(Array(all.prefix(3)), through: 7, hash: .zero)
    try index.add(Array(all.suffix(3)), through: 20, hash: .zero)
    #expect(try index.requests(of: one, before: .max, limit: 9).map(\.sequence) == [20, 7, 3])
    #expect(try index.requests(of: one, before: 20, limit: 1).map(\.sequence) == [7])
    #expect(
      try index.requests(of: other, before: .max, limit: 9) == [
        HistoryIndex.Opening(
          request: Digest.of([5]), sequence: 5, tick: Tick(milliseconds: 5))
      ])
    try index.reset()
    #expect(try index.requests(of: one, before: .max, limit: 9).isEmpty)
  }

  @Test func beginsAnewWhereABuildBeforeWroteIt() throws {
    let fixture = try Fixture()
    _ = try fixture.create()
    let index = try HistoryIndex(directory: fixture.directory.path)
    try index.add([Self.mentions(1, .zero)], through: 1, hash: .zero)
    #expect(try index.extent()?.sequence == 1)
    let file = fixture.directory.path + "/" + HistoryIndex.fileName
    try edit(file) { try $0.execute(sql: "PRAGMA user_version = 1") }
    #expect(try HistoryIndex(directory: fixture.directory.path).extent() == nil)
  }
}
