import Foundation
import Journal
import Primitives
import Synchronization
import Testing

@Suite struct BlobStoreTests {
  private let directory = TemporaryDirectory()
  private let owner = SigningKey(seed: Bytes32([UInt8](repeating: 4, count: 32))!).publicKey
  private let other = SigningKey(seed: Bytes32([UInt8](repeating: 5, count: 32))!).publicKey
  private let bytes = (0..<1000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
  private let limits = BlobStore.Limits(uploads: 2, bytes: 3000, chunk: 400)

  private let now = StandingTick()

  private func store() throws -> BlobStore { try store(limits) }

  private func store(_ limits: BlobStore.Limits) throws -> BlobStore {
    try BlobStore(directory: directory.path, limits: limits) { [now] in now.tick }
  }

  /// The names of all whole blobs.
  private func files() throws -> Set<String> {
    let blobs = directory.path + "/blobs"
    let folders = try FileManager.default.contentsOfDirectory(atPath: blobs)
    return Set(
      try folders.filter { $0.count == 2 }.flatMap {
        try FileManager.default.contentsOfDirectory(atPath: blobs + "/" + $0)
      })
  }

  private func marks() throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: directory.path + "/blobs/unnamed")
  }

  @Test func keepsBytesByTheirDigest() async throws {
    let store = try store()
    let digest = try await store.put(bytes)
    #expect(digest == Digest.of(bytes))
    #expect(try await store.put(bytes) == digest)
    let reopened = try self.store()
    #expect(await reopened.contains(digest))
    #expect(try await reopened.size(of: digest) == 1000)
    #expect(try await reopened.data(digest, offset: 0, limit: 9999) == Array(bytes[..<400]))
    #expect(try await reopened.data(digest, offset: 900, limit: 400) == Array(bytes[900...]))
    #expect(try await reopened.data(digest, offset: 1000, limit: 400).isEmpty)
    let empty = try await reopened.put([])
    #expect(try await reopened.data(empty, offset: 0, limit: 1).isEmpty)
  }

  @Test func resumesAnUploadWhereItStands() async throws {
    let store = try store()
    let digest = Digest.of(bytes)
    func send(_ range: Range<Int>) async throws -> UInt64 {
      try await store.stage(
        digest, total: 1000, offset: UInt64(range.lowerBound), chunk: Array(bytes[range]),
        by: owner)
    }
    #expect(try await send(0..<400) == 400)
    // Again, ahead, and from another owner: none moves this upload.
    #expect(try await send(0..<400) == 400)
    #expect(try await send(700..<1000) == 400)
    #expect(
      try await store.stage(
        digest, total: 1000, offset: 0, chunk: [bytes[0]], by: other) == 1)
    #expect(try await send(400..<800) == 800)
    #expect(await !store.contains(digest))
    #expect(try await send(800..<1000) == 1000)
    #expect(await store.contains(digest))
    #expect(try await send(0..<400) == 1000)
  }

  @Test func refusesBytesOfAnotherDigest() async throws {
    let store = try store()
    let digest = Digest.of([1])
    await #expect(throws: BlobError.wrongDigest(expected: digest, got: Digest.of([2]))) {
      try await store.stage(digest, total: 1, offset: 0, chunk: [2], by: owner)
    }
    #expect(await !store.contains(digest))
    // The refused bytes are gone, so the right ones can follow.
    #expect(try await store.stage(digest, total: 1, offset: 0, chunk: [1], by: owner) == 1)
  }

  @Test func boundsWhatAnOwnerSendsAndNoCommandNames() async throws {
    // Room for three of the smallest: each counts as a block of the disk.
    let store = try store(BlobStore.Limits(unnamedBytes: 3 * 4096 + 100))
    func send(_ byte: UInt8, _ owner: PublicKey) async throws -> UInt64 {
      try await store.stage(Digest.of([byte]), total: 1, offset: 0, chunk: [byte], by: owner)
    }
    for byte in 1...3 as ClosedRange<UInt8> { #expect(try await send(byte, owner) == 1) }
    let refusal = BlobError.tooMuchUnnamed(bytes: 4 * 4096, limit: 3 * 4096 + 100)
    await #expect(throws: refusal) { try await send(4, owner) }
    #expect(try await send(1, owner) == 1, "what it has sent is there")
    #expect(try await send(4, other) == 1, "another has room of its own")
    // Whoever named it, it serves a command now.
    await store.name([Digest.of([2]), Digest.of([9])])
    await store.name([Digest.of([2])])
    #expect(try await send(5, owner) == 1)
    await #expect(throws: refusal) { try await send(6, owner) }
  }

  @Test func chargesAnOwnerForWhatNoCommandNamesAfterARestartToo() async throws {
    let limits = BlobStore.Limits(unnamedBytes: 2 * 4096)
    func send(_ byte: UInt8, to store: BlobStore) async throws -> UInt64 {
      try await store.stage(Digest.of([byte]), total: 1, offset: 0, chunk: [byte], by: owner)
    }
    let first = try store(limits)
    for byte in 1...2 as ClosedRange<UInt8> { #expect(try await send(byte, to: first) == 1) }
    let second = try store(limits)
    await #expect(throws: BlobError.tooMuchUnnamed(bytes: 3 * 4096, limit: 2 * 4096)) {
      try await send(3, to: second)
    }
    // What it sent before the restart it need not send again.
    #expect(await second.isShown(Digest.of([1]), by: owner))
    #expect(await !second.isShown(Digest.of([1]), by: other))
    await second.name([Digest.of([1])])
    #expect(try await send(3, to: second) == 1)
    #expect(try marks().count == 2)
  }

  @Test func removesWhatNoCommandNamesOnceItIsOldAndNothingElse() async throws {
    let store = try store(BlobStore.Limits(unnamedAge: 1_000))
    func send(_ byte: UInt8, _ owner: PublicKey) async throws {
      _ = try await store.stage(Digest.of([byte]), total: 1, offset: 0, chunk: [byte], by: owner)
    }
    let digests = (0..<6).map { Digest.of([$0]) }
    for byte in 0..<5 as Range<UInt8> { try await send(byte, owner) }
    await store.name([digests[1]])
    // The broker's own by now, whoever sent it first.
    _ = try await store.put([2])
    let own = try await store.put([5])
    // Held already, so that it is not its sender's alone.
    try await send(5, owner)
    now.pass(999)
    #expect(await store.overdue.isEmpty)
    // Asked for again by its owner, and sent again by another: both are wanted anew.
    #expect(await store.isShown(digests[3], by: owner))
    #expect(await !store.isShown(digests[0], by: other))
    try await send(4, other)
    now.pass(1)
    #expect(Set(await store.overdue) == [digests[0], digests[4]])
    #expect(await store.removeOverdue(digests) == 1)
    #expect(try files() == Set([1, 2, 3, 4].map { digests[$0].description } + ["\(own)"]))
    #expect(await !store.isShown(digests[0], by: owner))
    #expect(await !store.isShown(digests[4], by: owner))
    #expect(await store.isShown(digests[4], by: other))
    // It can be sent again, and is not gone for good.
    try await send(0, owner)
    #expect(try await store.data(digests[0], offset: 0, limit: 1) == [0])
    now.pass(1_000)
    #expect(await store.removeOverdue(await store.overdue) == 3)
    #expect(try files() == [digests[1].description, digests[2].description, "\(own)"])
    #expect(try marks().isEmpty)
  }

  @Test func keepsWhatHasNoMarkAndForgetsMarksOfNothing() async throws {
    let limits = BlobStore.Limits(unnamedAge: 1_000)
    let store = try store(limits)
    let digest = try await store.put([7])
    let marks = directory.path + "/blobs/unnamed"
    let gone = "\(Digest.of([8]))-\(owner)-0"
    for name in [gone, "no mark", "\(digest)-\(owner)"] {
      #expect(FileManager.default.createFile(atPath: marks + "/" + name, contents: nil))
    }
    let reopened = try self.store(limits)
    now.pass(100_000)
    #expect(await reopened.overdue.isEmpty)
    #expect(try self.marks().sorted() == ["\(digest)-\(owner)", "no mark"].sorted())
    #expect(await reopened.contains(digest))
  }

  @Test func boundsWhatAnOwnerStages() async throws {
    let store = try store()
    func begin(_ seed: UInt8, _ total: UInt64, _ owner: PublicKey) async throws -> UInt64 {
      try await store.stage(Digest.of([seed]), total: total, offset: 0, chunk: [0], by: owner)
    }
    await #expect(throws: BlobError.tooLarge(total: 3001, limit: 3000)) {
      try await begin(1, 3001, owner)
    }
    #expect(try await begin(1, 2000, owner) == 1)
    await #expect(throws: BlobError.tooLarge(total: 1001, limit: 3000)) {
      try await begin(2, 1001, owner)
    }
    #expect(try await begin(2, 500, owner) == 1)
    await #expect(throws: BlobError.tooManyUploads(limit: 2)) { try await begin(3, 5, owner) }
    #expect(try await begin(3, 2000, other) == 1)
  }

  @Test func abandonedUploadGivesWayToAnother() async throws {
    let store = try store(BlobStore.Limits(uploads: 1, patience: .zero))
    for seed in UInt8(0)..<3 {
      let digest = Digest.of([seed, seed])
      #expect(try await store.stage(digest, total: 2, offset: 0, chunk: [seed], by: owner) == 1)
    }
    // The first was dropped, so it begins again.
    let first = Digest.of([0, 0])
    #expect(try await store.stage(first, total: 2, offset: 1, chunk: [0], by: owner) == 0)
    #expect(try await store.stage(first, total: 2, offset: 0, chunk: [0, 0], by: owner) == 2)
  }

  @Test func refusesPiecesOutsideTheUpload() async throws {
    let store = try store()
    let digest = Digest.of(bytes)
    func stage(_ total: UInt64, _ offset: UInt64, _ count: Int) async throws -> UInt64 {
      try await store.stage(
        digest, total: total, offset: offset, chunk: [UInt8](repeating: 0, count: count),
        by: owner)
    }
    await #expect(throws: BlobError.tooLarge(total: 401, limit: 400)) {
      try await stage(1000, 0, 401)
    }
    await #expect(throws: BlobError.wrongRange(total: 10, offset: .max, count: 1)) {
      try await stage(10, .max, 1)
    }
    await #expect(throws: BlobError.wrongRange(total: 10, offset: 8, count: 3)) {
      try await stage(10, 8, 3)
    }
    #expect(try await stage(1000, 0, 5) == 5)
    await #expect(throws: BlobError.wrongRange(total: 1000, offset: 5, count: 5)) {
      try await stage(999, 5, 5)
    }
  }

  @Test func removesWhatACrashLeft() async throws {
    let store = try store()
    let digest = Digest.of(bytes)
    _ = try await store.stage(
      digest, total: 1000, offset: 0, chunk: Array(bytes[..<400]), by: owner)
    let staging = directory.path + "/blobs/staging"
    #expect(try FileManager.default.contentsOfDirectory(atPath: staging).count == 1)
    let reopened = try self.store()
    #expect(try FileManager.default.contentsOfDirectory(atPath: staging).isEmpty)
    #expect(
      try await reopened.stage(
        digest, total: 1000, offset: 400, chunk: Array(bytes[400..<800]), by: owner) == 0)
  }

  @Test func refusesToReadACorruptFile() async throws {
    let digest = try await store().put(bytes)
    let name = digest.description
    let path = directory.path + "/blobs/" + name.prefix(2) + "/" + name
    var damaged = bytes
    damaged[500] ^= 1
    try Data(damaged).write(to: URL(fileURLWithPath: path))
    let reopened = try store()
    await #expect(throws: BlobError.corrupt(expected: digest, got: Digest.of(damaged))) {
      try await reopened.data(digest, offset: 0, limit: 10)
    }
    await #expect(throws: BlobError.unknown(.zero)) {
      try await reopened.data(.zero, offset: 0, limit: 10)
    }
  }
}

/// A clock that stands until it is moved.
private final class StandingTick: Sendable {
  private let milliseconds = Mutex<UInt64>(1_000_000)

  var tick: Tick { Tick(milliseconds: milliseconds.withLock { $0 }) }
  func pass(_ milliseconds: UInt64) { self.milliseconds.withLock { $0 += milliseconds } }
}
