import Foundation
import Primitives

/// What a replay reads: a broker's database, or an export of it.
package protocol JournalSource {
  /// Canonical bytes of the genesis, and the hash stored with them.
  func genesis() throws(JournalError) -> (record: [UInt8], hash: [UInt8])

  /// How many entries there are said to be, the genesis not counted.
  func entryCount() throws(JournalError) -> UInt64

  /// Up to `limit` entries from `sequence` on, in order.
  func entries(from sequence: UInt64, limit: Int) throws(JournalError) -> [StoredEntry]
}

extension JournalReader: JournalSource {
  package func entryCount() throws(JournalError) -> UInt64 { try counts().entries }
}

/// A journal as one file that needs no database: the genesis, every entry with its acknowledgement,
/// and a digest of all of it at the end (`docs/journal.md`). Postings and balances are left out,
/// because they follow from the entries.
package final class JournalExport: JournalSource {
  private static let magic = Array("bourse/journal-export/1\n".utf8)
  private static let genesisLimit = 1 << 20
  private static let page = 512

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

  // MARK: Writing

  /// Writes the export of `source` to `path`; the file appears whole or not at all.
  ///
  /// - Returns: The number of entries, the genesis not counted.
  package static func write(
    _ source: some JournalSource, to path: String,
    progress: (_ done: UInt64, _ total: UInt64) -> Void = { _, _ in }
  ) throws(JournalError) -> UInt64 {
    let draft = path + ".\(UUID().uuidString).part"
    do {
      guard FileManager.default.createFile(atPath: draft, contents: nil),
        let file = FileHandle(forWritingAtPath: draft)
      else {
        throw JournalError.exportUnwritable(path: path)
      }
      let count = try write(source, to: file, progress: progress)
      try file.synchronize()
      try file.close()
      guard rename(draft, path) == 0 else { throw JournalError.exportUnwritable(path: path) }
      return count
    } catch {
      unlink(draft)
      throw error as? JournalError ?? .exportUnwritable(path: path)
    }
  }

  private static func write(
    _ source: some JournalSource, to file: FileHandle,
    progress: (_ done: UInt64, _ total: UInt64) -> Void
  ) throws -> UInt64 {
    let total = try source.entryCount()
    var hasher = SHA256()
    func put(_ bytes: [UInt8]) throws {
      hasher.update(bytes)
      try file.write(contentsOf: Data(bytes))
    }
    let (record, hash) = try source.genesis()
    var head = CanonicalEncoder()
    head.append(total)
    head.append(counted: record)
    head.append(counted: hash)
    try put(magic + head.bytes)
    var next: UInt64 = 1
    while next <= total {
      let entries = try source.entries(from: next, limit: page)
      guard !entries.isEmpty else { break }
      var body = CanonicalEncoder()
      for entry in entries where next <= total {
        body.append(counted: entry.canonicalBytes)
        next += 1
      }
      try put(body.bytes)
      progress(next - 1, total)
    }
    guard next == total + 1 else {
      throw JournalError.diverged(
        Divergence(sequence: next, subject: "entries", expected: total, got: next - 1))
    }
    try file.write(contentsOf: Data(hasher.finalize().bytes))
    return total
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
    guard try read(Self.magic.count) == Self.magic else {
      throw .exportDamaged(path: path, "it does not begin as an export of a journal")
    }
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
    let digest = hasher.finalize().bytes
    guard let data = try? file.read(upToCount: Bytes32.count + 1), [UInt8](data) == digest else {
      throw .exportDamaged(path: path, "its closing digest is not that of its bytes")
    }
  }

  private static func integer(_ bytes: [UInt8]) -> Int {
    bytes.withUnsafeBytes { Int(UInt32(littleEndian: $0.loadUnaligned(as: UInt32.self))) }
  }
}
