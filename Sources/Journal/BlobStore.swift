import Foundation
package import Primitives

package enum BlobError: CodedError, Equatable {
  case unknown(Digest)
  case corrupt(expected: Digest, got: Digest)
  case wrongDigest(expected: Digest, got: Digest)
  case wrongRange(total: UInt64, offset: UInt64, count: Int)
  case tooLarge(total: UInt64, limit: UInt64)
  case tooManyUploads(limit: Int)
  case tooMuchUnnamed(bytes: UInt64, limit: UInt64)
  case storage(String)

  package var code: String {
    switch self {
    case .unknown: "blob-unknown"
    case .corrupt: "blob-corrupt"
    case .wrongDigest: "blob-wrong-digest"
    case .wrongRange: "blob-wrong-range"
    case .tooLarge: "blob-too-large"
    case .tooManyUploads: "blob-too-many-uploads"
    case .tooMuchUnnamed: "blob-too-much-unnamed"
    case .storage: "blob-storage"
    }
  }

  package var sentence: String {
    switch self {
    case .unknown(let digest): "No blob \(digest) is stored; upload it first."
    case .corrupt(let expected, let got):
      "The file of blob \(expected) holds bytes with digest \(got); restore it from a copy."
    case .wrongDigest(let expected, let got):
      "The bytes sent have digest \(got) and not \(expected); they were dropped, send them again."
    case .wrongRange(let total, let offset, let count):
      "\(count) bytes at \(offset) do not lie in the upload of \(total) bytes as it was begun; keep its total and stay within it."
    case .tooLarge(let total, let limit):
      "\(total) bytes are above the \(limit) that may be staged at once; finish other uploads or send less."
    case .tooManyUploads(let limit):
      "\(limit) uploads are open already; finish or abandon one first."
    case .tooMuchUnnamed(let bytes, let limit):
      "With this blob \(bytes) bytes of this key would be in no accepted command, and \(limit) may be; send the commands that name them first."
    case .storage(let what): "A blob could not be kept: \(what); check the disk."
    }
  }
}

/// Bytes by their SHA-256, one file each below `blobs/aa/`, where `aa` begins the digest.
///
/// A blob exists under its name only whole, checked and synchronised: uploads are staged beside the
/// blobs, and renamed when their digest fits. What is staged lives as long as pieces come, and
/// no longer than the store: what a crashed broker left is removed when the store opens, and its
/// owners begin again at offset 0.
///
/// A whole blob that came from an owner and that no accepted command names has a mark below
/// `blobs/unnamed`, an empty file whose name says the blob, its owner and when it came. Only what
/// is marked is ever removed, so that the loss of a mark costs some of the disk and no blob.
package actor BlobStore {
  /// What one owner may have staged at a time.
  package struct Limits: Sendable {
    package var uploads: Int
    /// Declared totals of all open uploads, in bytes.
    package var bytes: UInt64
    /// Of whole blobs that no accepted command has named, in bytes.
    package var unnamedBytes: UInt64
    /// Such a blob may be removed when its owner has not asked for it for so long, in milliseconds.
    package var unnamedAge: UInt64
    /// Of one piece, in bytes; both ways.
    package var chunk: Int
    /// An upload that had no piece for so long gives way to others.
    package var patience: Duration

    package init(
      uploads: Int = 16, bytes: UInt64 = 1 << 28, unnamedBytes: UInt64 = 1 << 33,
      unnamedAge: UInt64 = 86_400_000, chunk: Int = 1 << 18, patience: Duration = .seconds(120)
    ) {
      (self.uploads, self.bytes) = (uploads, bytes)
      (self.unnamedBytes, self.unnamedAge) = (unnamedBytes, unnamedAge)
      (self.chunk, self.patience) = (chunk, patience)
    }
  }

  /// What a small blob counts as: the least that it takes of a disk.
  private static let leastCharge: UInt64 = 4096

  private struct UploadID: Hashable {
    let owner: PublicKey
    let digest: Digest
  }

  /// A whole blob that no command has named.
  private struct Unnamed {
    /// What its owner is charged for it.
    let charge: UInt64
    let mark: String
    /// When its owner sent it, or asked for it last.
    var lastWanted: Tick
  }

  private struct Upload {
    let total: UInt64
    let path: String
    var offset: UInt64 = 0
    var hasher = SHA256()
    var lastPiece = ContinuousClock.now
  }

  private let root: String
  private let limits: Limits
  private var uploads: [UploadID: Upload] = [:]
  /// Files that were read whole and had their digest since the store opened.
  private var verified: Set<Digest> = []
  /// Who has sent which blob whole since the store opened, or before and no command has named it.
  private var shown: [Digest: Set<PublicKey>] = [:]
  /// What each owner has sent whole and no command has named, and what it is charged for that.
  private var unnamed: [PublicKey: (blobs: [Digest: Unnamed], total: UInt64)] = [:]
  private let clock: @Sendable () -> Tick
  private var stagedCount: UInt64 = 0

  private var stagingDirectory: String { root + "/staging" }
  private var marksDirectory: String { root + "/unnamed" }

  /// - Parameters:
  ///   - directory: The broker's; blobs go below its `blobs`.
  ///   - clock: Tells how old an unnamed blob is.
  package init(
    directory: String, limits: Limits = Limits(),
    clock: @escaping @Sendable () -> Tick
  ) throws(BlobError) {
    root = directory + "/blobs"
    self.limits = limits
    self.clock = clock
    let staging = root + "/staging"
    let marks = root + "/unnamed"
    let found: [String]
    do {
      if FileManager.default.fileExists(atPath: staging) {
        try FileManager.default.removeItem(atPath: staging)
      }
      try FileManager.default.createDirectory(
        atPath: staging, withIntermediateDirectories: true)
      try FileManager.default.createDirectory(
        atPath: marks, withIntermediateDirectories: true)
      found = try FileManager.default.contentsOfDirectory(atPath: marks)
    } catch {
      throw .storage("'\(staging)' cannot be made empty, or '\(marks)' not be read (\(error))")
    }
    try DurableFile.synchronise(directory)
    try DurableFile.synchronise(root)
    for mark in found {
      guard let (digest, owner, sent) = Self.read(mark: mark) else { continue }
      guard let size = Self.size(ofFile: Self.path(of: digest, in: root)) else {
        unlink(marks + "/" + mark)
        continue
      }
      let charge = max(size, Self.leastCharge)
      unnamed[owner, default: ([:], 0)].blobs[digest] = Unnamed(
        charge: charge, mark: mark, lastWanted: sent)
      unnamed[owner, default: ([:], 0)].total += charge
      shown[digest, default: []].insert(owner)
    }
  }

  package func contains(_ digest: Digest) -> Bool {
    FileManager.default.fileExists(atPath: path(of: digest))
  }

  /// True where the owner has sent the whole blob since the store opened, or before and no command
  /// has named it: a digest alone is no secret, so knowing it does not show that its bytes are
  /// known. That the owner asks keeps an unnamed blob for as long as a new one.
  package func isShown(_ digest: Digest, by owner: PublicKey) -> Bool {
    guard shown[digest]?.contains(owner) ?? false else { return false }
    unnamed[owner]?.blobs[digest]?.lastWanted = clock()
    return true
  }

  package func size(of digest: Digest) throws(BlobError) -> UInt64 {
    guard let size = Self.size(ofFile: path(of: digest)) else { throw .unknown(digest) }
    return size
  }

  /// Nil where there is no such file.
  private static func size(ofFile path: String) -> UInt64? {
    let attributes = try? FileManager.default.attributesOfItem(atPath: path)
    return (attributes?[.size] as? NSNumber)?.uint64Value
  }

  // MARK: Writing

  /// Keeps bytes that are at hand whole, and returns their name. Durable on return.
  package func put(_ bytes: [UInt8]) throws(BlobError) -> Digest {
    let digest = Digest.of(bytes)
    guard !contains(digest) else {
      // Somebody may have sent the same: it is not for the sender alone any more.
      if !owners(ofUnnamed: digest).isEmpty {
        name([digest])
        try DurableFile.synchronise(marksDirectory)
      }
      return digest
    }
    let staged = nextStagingPath()
    try DurableFile.append(bytes, to: staged, at: 0)
    try publish(staged, as: digest)
    return digest
  }

  /// Takes one piece of an upload.
  ///
  /// A piece that does not begin where the upload stands is not written; the offset returned says
  /// where to go on, so that a sender resumes after a lost connection by sending any piece.
  ///
  /// - Returns: The next offset; equal to `total` once the blob is whole, checked and durable.
  package func stage(
    _ digest: Digest, total: UInt64, offset: UInt64, chunk: [UInt8], by owner: PublicKey
  ) throws(BlobError) -> UInt64 {
    guard chunk.count <= limits.chunk else {
      throw .tooLarge(total: UInt64(chunk.count), limit: UInt64(limits.chunk))
    }
    guard offset <= total, UInt64(chunk.count) <= total - offset else {
      throw .wrongRange(total: total, offset: offset, count: chunk.count)
    }
    if isShown(digest, by: owner) { return total }
    let id = UploadID(owner: owner, digest: digest)
    var upload =
      if let open = uploads[id] { open } else { try begin(id, total: total) }
    guard upload.total == total else {
      throw .wrongRange(total: upload.total, offset: offset, count: chunk.count)
    }
    if offset == upload.offset {
      try DurableFile.append(chunk, to: upload.path, at: offset)
      upload.hasher.update(chunk)
      upload.offset += UInt64(chunk.count)
    }
    upload.lastPiece = .now
    uploads[id] = upload
    guard upload.offset == total else { return upload.offset }
    uploads[id] = nil
    let got = upload.hasher.finalize()
    guard got == digest else {
      unlink(upload.path)
      throw .wrongDigest(expected: digest, got: got)
    }
    // What a command has named already, or the broker itself keeps, is never anybody's alone.
    let isUnnamed = !contains(digest) || !owners(ofUnnamed: digest).isEmpty
    if isUnnamed { try mark(digest, charge: max(total, Self.leastCharge), by: owner) }
    do {
      try publish(upload.path, as: digest)
    } catch {
      unmark(digest, by: owner)
      throw error
    }
    shown[digest, default: []].insert(owner)
    return total
  }

  /// An accepted command names these blobs: nobody is charged for them any more, and they stay.
  package func name(_ digests: [Digest]) {
    for digest in digests {
      for owner in owners(ofUnnamed: digest) { unmark(digest, by: owner) }
    }
  }

  // MARK: What no command names

  /// Blobs that are old enough to be removed, if no command names them indeed: a crash may have
  /// come between the command and the end of the mark.
  package var overdue: [Digest] {
    let now = clock()
    var digests: Set<Digest> = []
    for (blobs, _) in unnamed.values {
      for (digest, blob) in blobs where isOverdue(blob, at: now) { digests.insert(digest) }
    }
    return Array(digests)
  }

  /// Removes those of the blobs that are overdue and that no owner wants any more.
  ///
  /// - Returns: How many bytes the disk has back.
  @discardableResult
  package func removeOverdue(_ digests: [Digest]) -> UInt64 {
    let now = clock()
    var freed: UInt64 = 0
    for digest in digests {
      for owner in owners(ofUnnamed: digest) {
        guard let blob = unnamed[owner]?.blobs[digest], isOverdue(blob, at: now) else { continue }
        // The blob before its mark: a crash in between leaves a mark of nothing.
        if owners(ofUnnamed: digest) == [owner] {
          freed += Self.size(ofFile: path(of: digest)) ?? 0
          unlink(path(of: digest))
          verified.remove(digest)
          shown[digest] = nil
        }
        unmark(digest, by: owner)
        shown[digest]?.remove(owner)
      }
    }
    return freed
  }

  private func isOverdue(_ blob: Unnamed, at now: Tick) -> Bool {
    blob.lastWanted.advanced(by: limits.unnamedAge) <= now
  }

  private func owners(ofUnnamed digest: Digest) -> [PublicKey] {
    (shown[digest] ?? []).filter { unnamed[$0]?.blobs[digest] != nil }
  }

  private func mark(_ digest: Digest, charge: UInt64, by owner: PublicKey) throws(BlobError) {
    let now = clock()
    let mark = "\(digest)-\(owner)-\(now.milliseconds)"
    try DurableFile.append([], to: marksDirectory + "/" + mark, at: 0)
    unnamed[owner, default: ([:], 0)].blobs[digest] = Unnamed(
      charge: charge, mark: mark, lastWanted: now)
    unnamed[owner, default: ([:], 0)].total += charge
  }

  private func unmark(_ digest: Digest, by owner: PublicKey) {
    guard let blob = unnamed[owner]?.blobs.removeValue(forKey: digest) else { return }
    unnamed[owner]?.total -= blob.charge
    if unnamed[owner]?.total == 0 { unnamed[owner] = nil }
    unlink(marksDirectory + "/" + blob.mark)
  }

  /// Nil for a file that is no mark.
  private static func read(mark: String) -> (Digest, PublicKey, Tick)? {
    let parts = mark.split(separator: "-")
    guard parts.count == 3, let digest = Digest(hexadecimal: parts[0]),
      let owner = try? PublicKey(hexadecimal: parts[1]), let sent = UInt64(parts[2])
    else { return nil }
    return (digest, owner, Tick(milliseconds: sent))
  }

  private func begin(_ id: UploadID, total: UInt64) throws(BlobError) -> Upload {
    dropAbandoned()
    var staged: UInt64 = 0
    var count = 0
    for (other, upload) in uploads where other.owner == id.owner {
      staged += upload.total
      count += 1
    }
    guard count < limits.uploads else { throw .tooManyUploads(limit: limits.uploads) }
    guard total <= limits.bytes - min(staged, limits.bytes) else {
      throw .tooLarge(total: total, limit: limits.bytes)
    }
    let charged = (unnamed[id.owner]?.total ?? 0) + staged + max(total, Self.leastCharge)
    guard charged <= limits.unnamedBytes else {
      throw .tooMuchUnnamed(bytes: charged, limit: limits.unnamedBytes)
    }
    return Upload(total: total, path: nextStagingPath())
  }

  /// A client that died in mid-upload must not use up its owner's share, nor the disk.
  private func dropAbandoned() {
    let now = ContinuousClock.now
    for (id, upload) in uploads where now - upload.lastPiece >= limits.patience {
      unlink(upload.path)
      uploads[id] = nil
    }
  }

  private func nextStagingPath() -> String {
    stagedCount += 1
    return stagingDirectory + "/\(stagedCount)"
  }

  /// File, then name, then directory: in this order a crash leaves a whole blob or none.
  private func publish(_ staged: String, as digest: Digest) throws(BlobError) {
    let directory = Self.folder(of: digest, in: root)
    if mkdir(directory, 0o755) == 0 {
      try DurableFile.synchronise(root)
    } else if errno != EEXIST {
      throw .storage("'\(directory)' cannot be made (errno \(errno))")
    }
    try DurableFile.synchronise(staged)
    guard rename(staged, path(of: digest)) == 0 else {
      throw .storage("'\(staged)' cannot be renamed (errno \(errno))")
    }
    try DurableFile.synchronise(directory)
  }

  // MARK: Reading

  /// Up to `limit` bytes from `offset`, fewer than the chunk limit; empty at the end. The first
  /// read since the store opened checks the whole file against its name.
  package func data(
    _ digest: Digest, offset: UInt64, limit: Int
  ) throws(BlobError) -> [UInt8] {
    let size = try size(of: digest)
    guard offset <= size, limit >= 0 else {
      throw .wrongRange(total: size, offset: offset, count: limit)
    }
    if !verified.contains(digest) { try verify(digest, size: size) }
    let count = min(UInt64(min(limit, limits.chunk)), size - offset)
    return try DurableFile.read(path(of: digest), at: offset, count: Int(count))
  }

  private func verify(_ digest: Digest, size: UInt64) throws(BlobError) {
    var hasher = SHA256()
    var offset: UInt64 = 0
    while offset < size {
      let count = Int(min(UInt64(limits.chunk), size - offset))
      hasher.update(try DurableFile.read(path(of: digest), at: offset, count: count))
      offset += UInt64(count)
    }
    let got = hasher.finalize()
    guard got == digest else { throw .corrupt(expected: digest, got: got) }
    verified.insert(digest)
  }

  private func path(of digest: Digest) -> String { Self.path(of: digest, in: root) }

  private static func path(of digest: Digest, in root: String) -> String {
    folder(of: digest, in: root) + "/" + digest.description
  }

  private static func folder(of digest: Digest, in root: String) -> String {
    root + "/" + digest.description.prefix(2)
  }
}

/// Plain file calls that report every failure.
private enum DurableFile {
  static func append(_ bytes: [UInt8], to path: String, at offset: UInt64) throws(BlobError) {
    let descriptor = try open(path, O_WRONLY | O_CREAT)
    defer { close(descriptor) }
    var done = 0
    while done < bytes.count {
      let written = bytes.withUnsafeBytes { buffer in
        pwrite(
          descriptor, buffer.baseAddress.map { $0 + done }, buffer.count - done,
          off_t(offset) + off_t(done))
      }
      if written < 0 && errno == EINTR { continue }
      guard written > 0 else {
        throw .storage("'\(path)' cannot be written (errno \(errno))")
      }
      done += written
    }
  }

  static func read(_ path: String, at offset: UInt64, count: Int) throws(BlobError) -> [UInt8] {
    let descriptor = try open(path, O_RDONLY)
    defer { close(descriptor) }
    var bytes = [UInt8](repeating: 0, count: count)
    var done = 0
    while done < count {
      let got = bytes.withUnsafeMutableBytes { buffer in
        pread(
          descriptor, buffer.baseAddress.map { $0 + done }, count - done,
          off_t(offset) + off_t(done))
      }
      if got < 0 && errno == EINTR { continue }
      guard got > 0 else { throw .storage("'\(path)' ends early (errno \(errno))") }
      done += got
    }
    return bytes
  }

  /// Of a file or a directory.
  static func synchronise(_ path: String) throws(BlobError) {
    let descriptor = try open(path, O_RDONLY)
    defer { close(descriptor) }
    guard fsync(descriptor) == 0 else {
      throw .storage("'\(path)' cannot be synchronised (errno \(errno))")
    }
  }

  private static func open(_ path: String, _ flags: Int32) throws(BlobError) -> Int32 {
    let descriptor = Foundation.open(path, flags | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else {
      throw .storage("'\(path)' cannot be opened (errno \(errno))")
    }
    return descriptor
  }
}
