import Foundation
import Market
import Primitives
import Statements

/// What a replay reads: a broker's database, or an export of it.
package protocol JournalSource {
  /// Canonical bytes of the genesis, and the hash stored with them.
  func genesis() throws(JournalError) -> (record: [UInt8], hash: [UInt8])

  /// How many entries there are, the genesis not counted.
  func entryCount() throws(JournalError) -> UInt64

  /// The same as it is said to be, at once.
  func statedCount() throws(JournalError) -> UInt64

  /// Up to `limit` entries from `sequence` on, in order.
  func entries(from sequence: UInt64, limit: Int) throws(JournalError) -> [StoredEntry]
}

extension JournalReader: JournalSource {
  package func entryCount() throws(JournalError) -> UInt64 { try count() }
  package func statedCount() throws(JournalError) -> UInt64 { try lastSequence() }
}

/// A journal as one file that needs no database: the genesis, every entry with its acknowledgement,
/// where it is wanted the blobs by which its verdicts are verified again, and a digest of all of it
/// at the end (`docs/journal.md`). Postings and balances are left out, because they follow from the
/// entries.
package final class JournalExport: JournalSource {
  private static let magic = Array("bourse/journal-export/1\n".utf8)
  /// Of an export that carries blobs.
  private static let magicWithBlobs = Array("bourse/journal-export/2\n".utf8)
  private static let genesisLimit = 1 << 20
  private static let page = 512
  /// Blobs that an export may carry.
  private static let blobLimit: UInt64 = 1 << 22
  /// A row of the list of blobs: digest, offset, length.
  private static let rowSize = 48
  /// What follows the list: its own offset, and the closing digest.
  private static let tailSize = UInt64(8 + Bytes32.count)

  private let path: String
  private let file: FileHandle
  private let record: [UInt8]
  private let recordHash: [UInt8]
  private let stated: UInt64
  /// The entry that comes next in the file, and where.
  private var next: UInt64 = 1
  private var offset: UInt64
  private var hasher = SHA256()
  private var isComplete = false
  private let hasBlobs: Bool

  // MARK: Writing

  /// What an export has in it.
  package struct Contents: Equatable, Sendable {
    /// Without the genesis.
    package var entries: UInt64 = 0
    package var blobs: UInt64 = 0
    /// Blobs that verdicts rest on and that were not there, or not as their names say.
    package var missing: UInt64 = 0
    package init() {}
  }

  /// Writes the export of `source` to `path`; the file appears whole or not at all.
  ///
  /// - Parameter blobs: Where to take from what verdicts rest on; nil leaves it out.
  package static func write(
    _ source: some JournalSource, evidence blobs: BlobReader? = nil, to path: String,
    progress: (_ done: UInt64, _ total: UInt64, _ what: String) -> Void = { _, _, _ in }
  ) throws(JournalError) -> Contents {
    let draft = path + ".\(UUID().uuidString).part"
    do {
      guard FileManager.default.createFile(atPath: draft, contents: nil),
        let file = FileHandle(forWritingAtPath: draft)
      else {
        throw JournalError.exportUnwritable(path: path)
      }
      let contents = try write(source, blobs, to: file, progress: progress)
      try file.synchronize()
      try file.close()
      guard rename(draft, path) == 0 else { throw JournalError.exportUnwritable(path: path) }
      return contents
    } catch {
      unlink(draft)
      throw error as? JournalError ?? .exportUnwritable(path: path)
    }
  }

  private static func write(
    _ source: some JournalSource, _ blobs: BlobReader?, to file: FileHandle,
    progress: (_ done: UInt64, _ total: UInt64, _ what: String) -> Void
  ) throws -> Contents {
    let total = try source.entryCount()
    var hasher = SHA256()
    var offset: UInt64 = 0
    func put(_ bytes: some Collection<UInt8>) throws {
      hasher.update(bytes)
      try file.write(contentsOf: Data(bytes))
      offset += UInt64(bytes.count)
    }
    let (record, hash) = try source.genesis()
    var head = CanonicalEncoder()
    head.append(total)
    head.append(counted: record)
    head.append(counted: hash)
    try put((blobs == nil ? magic : magicWithBlobs) + head.bytes)
    var contents = Contents()
    var evidence = blobs.map(EvidenceList.init)
    while contents.entries < total {
      let entries = try source.entries(from: contents.entries + 1, limit: page)
      guard !entries.isEmpty else { break }
      var body = CanonicalEncoder()
      for entry in entries where contents.entries < total {
        body.append(counted: entry.canonicalBytes)
        evidence?.note(entry)
        contents.entries += 1
      }
      try put(body.bytes)
      progress(contents.entries, total, "entries")
    }
    guard contents.entries == total else {
      throw JournalError.diverged(
        Divergence(
          sequence: contents.entries + 1, subject: "entries", expected: total,
          got: contents.entries))
    }
    if let blobs, let evidence {
      var list = CanonicalEncoder()
      for digest in evidence.digests where contents.blobs < blobLimit {
        guard let bytes = try? blobs.read(digest) else {
          contents.missing += 1
          continue
        }
        list.append(digest)
        list.append(offset)
        list.append(UInt64(bytes.count))
        try put(bytes)
        contents.blobs += 1
        progress(contents.blobs, UInt64(evidence.digests.count), "blobs")
      }
      var end = CanonicalEncoder()
      end.append(contents.blobs)
      end.append(fixed: list.bytes)
      end.append(offset)
      try put(end.bytes)
    }
    try file.write(contentsOf: Data(hasher.finalize().bytes))
    return contents
  }

  // MARK: Reading

  /// Whether `path` is a file rather than a broker's directory.
  package static func isOne(at path: String) -> Bool {
    var isDirectory: ObjCBool = false
    return FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory)
      && !isDirectory.boolValue
  }

  /// Opens an export. Its closing digest is checked once the last entry has been read.
  package init(path: String) throws(JournalError) {
    guard let file = FileHandle(forReadingAtPath: path) else { throw .missing(path: path) }
    self.path = path
    self.file = file
    func read(_ count: Int) throws(JournalError) -> [UInt8] {
      guard let data = try? file.read(upToCount: count), data.count == count else {
        throw .exportDamaged(path: path, "it ends within its head")
      }
      hasher.update(data)
      return [UInt8](data)
    }
    func counted(limit: Int) throws(JournalError) -> [UInt8] {
      let count = Self.integer(try read(4))
      guard count <= limit else {
        throw .exportDamaged(path: path, "its head has a part of \(count) bytes")
      }
      return count == 0 ? [] : try read(count)
    }
    var hasher = SHA256()
    let magic = try read(Self.magic.count)
    guard magic == Self.magic || magic == Self.magicWithBlobs else {
      throw .exportDamaged(path: path, "it does not begin as an export of a journal")
    }
    hasBlobs = magic == Self.magicWithBlobs
    let stated = try read(8).withUnsafeBytes {
      UInt64(littleEndian: $0.loadUnaligned(as: UInt64.self))
    }
    record = try counted(limit: Self.genesisLimit)
    recordHash = try counted(limit: Bytes32.count)
    self.hasher = hasher
    self.stated = stated
    offset = UInt64(Self.magic.count + 8 + 4 + record.count + 4 + recordHash.count)
  }

  deinit { try? file.close() }

  package func genesis() throws(JournalError) -> (record: [UInt8], hash: [UInt8]) {
    (record, recordHash)
  }

  package func entryCount() throws(JournalError) -> UInt64 { stated }
  package func statedCount() throws(JournalError) -> UInt64 { stated }

  /// Entries are read once, in order.
  package func entries(
    from sequence: UInt64, limit: Int
  ) throws(JournalError) -> [StoredEntry] {
    precondition(sequence == next)
    var entries: [StoredEntry] = []
    while entries.count < limit, next <= stated {
      let bytes = try read(try count(), at: next)
      do { entries.append(try StoredEntry(canonicalBytes: bytes)) } catch {
        throw .diverged(
          Divergence(
            sequence: next, subject: "entry", expected: "canonical bytes", got: error.sentence))
      }
      next += 1
    }
    if next > stated, !isComplete { try checkEnd() }
    return entries
  }

  private func count() throws(JournalError) -> Int {
    let count = Self.integer(try read(4, at: next))
    guard count <= StoredEntry.byteLimit else {
      throw .exportDamaged(path: path, "entry \(next) claims \(count) bytes")
    }
    return count
  }

  private func read(_ count: Int, at sequence: UInt64) throws(JournalError) -> [UInt8] {
    guard let data = try? file.read(upToCount: count), data.count == count else {
      throw .exportDamaged(path: path, "it ends within entry \(sequence) of \(stated)")
    }
    hasher.update(data)
    return [UInt8](data)
  }

  private func checkEnd() throws(JournalError) {
    isComplete = true
    if hasBlobs { try passBlobs() }
    let digest = hasher.finalize().bytes
    guard let data = try? file.read(upToCount: Bytes32.count + 1), [UInt8](data) == digest else {
      throw .exportDamaged(path: path, "its closing digest is not that of its bytes")
    }
  }

  /// All that stands between the last entry and the closing digest.
  private func passBlobs() throws(JournalError) {
    guard let here = try? file.offset(), let end = try? file.seekToEnd(),
      (try? file.seek(toOffset: here)) != nil, end >= here + Self.tailSize
    else { throw .exportDamaged(path: path, "it ends before its list of blobs") }
    var left = end - UInt64(Bytes32.count) - here
    while left > 0 {
      let count = Int(min(left, 1 << 20))
      guard let data = try? file.read(upToCount: count), data.count == count else {
        throw .exportDamaged(path: path, "it ends within its blobs")
      }
      hasher.update(data)
      left -= UInt64(count)
    }
  }

  /// Where the blobs of an export are; nil where it carries none. The list is checked to lie within
  /// the file; whoever reads a blob checks its bytes.
  static func blobs(at path: String) throws(JournalError) -> [Digest: Range<UInt64>]? {
    guard let file = FileHandle(forReadingAtPath: path) else { throw .missing(path: path) }
    defer { try? file.close() }
    func damaged(_ what: String) -> JournalError { .exportDamaged(path: path, what) }
    func read(_ offset: UInt64, _ count: Int) throws(JournalError) -> [UInt8] {
      guard (try? file.seek(toOffset: offset)) != nil, let data = try? file.read(upToCount: count),
        data.count == count
      else { throw damaged("its list of blobs cannot be read") }
      return [UInt8](data)
    }
    guard try read(0, magic.count) == magicWithBlobs else { return nil }
    guard let size = try? file.seekToEnd(), size >= UInt64(magic.count) + 8 + tailSize else {
      throw damaged("it ends before its list of blobs")
    }
    let end = size - tailSize
    do {
      let start = try UInt64(canonical: try read(end, 8))
      guard start <= end - 8 else { throw damaged("its list of blobs lies outside of it") }
      let count = try UInt64(canonical: try read(start, 8))
      guard count <= blobLimit, end - start - 8 == count * UInt64(rowSize) else {
        throw damaged("its list claims \(count) blobs")
      }
      var decoder = CanonicalDecoder(try read(start + 8, Int(count) * rowSize))
      var blobs: [Digest: Range<UInt64>] = [:]
      blobs.reserveCapacity(Int(count))
      for _ in 0..<count {
        let digest = try decoder.record(Digest.self)
        let (offset, length) = (try decoder.integer(UInt64.self), try decoder.integer(UInt64.self))
        guard offset <= start, length <= start - offset else {
          throw damaged("blob \(digest.short) lies outside of it")
        }
        blobs[digest] = offset..<offset + length
      }
      return blobs
    } catch let error as JournalError {
      throw error
    } catch {
      throw damaged("its list of blobs is malformed")
    }
  }

  private static func integer(_ bytes: [UInt8]) -> Int {
    bytes.withUnsafeBytes { Int(UInt32(littleEndian: $0.loadUnaligned(as: UInt32.self))) }
  }
}

extension UInt64 {
  fileprivate init(canonical bytes: [UInt8]) throws(CanonicalError) {
    var decoder = CanonicalDecoder(bytes)
    self = try decoder.integer()
  }
}

/// The blobs that a journal's verdicts rest on, each once, in the order in which they are named:
/// all that finding a verdict again takes.
private struct EvidenceList {
  private(set) var digests: [Digest] = []
  private let blobs: BlobReader
  private var listed: Set<Digest> = [Digest.of([])]
  private var manifests: [ModelID: Manifest] = [:]
  private var keys: [Digest: KeyRecord] = [:]

  init(_ blobs: BlobReader) { self.blobs = blobs }

  /// Entries are noted in order, whether they hold or not: that is for a replay to say.
  mutating func note(_ entry: StoredEntry) {
    guard let envelope = try? Envelope(canonicalBytes: entry.command),
      let command = try? Command(canonicalBytes: envelope.body)
    else { return }
    switch command {
    case .publishModel(let manifest): manifests[manifest.id] = manifest
    case .publishKey(let record): keys[record.digest] = record
    case .recordVerdict(let record): note(record)
    default: break
    }
  }

  private mutating func note(_ record: VerdictRecord) {
    list([record.evidence])
    guard let bytes = try? blobs.read(record.evidence),
      let evidence = try? Evidence(canonicalBytes: bytes)
    else { return }
    let statement = evidence.statement
    list(statement.inputs + statement.outputs + [evidence.proof])
    if let key = keys[statement.keyRecord] { list([key.verifierKey]) }
    if let slices = manifests[statement.model]?.slices, slices.indices.contains(statement.slice) {
      let slice = slices[statement.slice]
      list([slice.program])
      // What only runs the program again has no use for the sub-model.
      if statement.backend != .reexec { list([slice.onnx]) }
    }
  }

  private mutating func list(_ named: [Digest]) {
    for digest in named where listed.insert(digest).inserted { digests.append(digest) }
  }
}
