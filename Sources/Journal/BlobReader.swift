import Foundation
package import Primitives

/// Reads blobs beside a journal, without changing anything: those of a broker's directory, or those
/// that an export carries. What is read is checked against its name.
package struct BlobReader: Sendable {
  /// Blobs above this are not read: 2^30 bytes, as much as the wire takes.
  private static let byteLimit: UInt64 = 1 << 30

  private enum Place {
    case directory(String)
    case export(String, [Digest: Range<UInt64>])
  }

  private let place: Place

  /// Nil where there are no blobs at `path`, which is a broker's directory or an export.
  ///
  /// - Throws: `export-damaged` where an export's list of blobs is not well-formed.
  package init?(path: String) throws(JournalError) {
    if JournalExport.isOne(at: path) {
      guard let blobs = try JournalExport.blobs(at: path) else { return nil }
      place = .export(path, blobs)
    } else {
      let directory = path + "/blobs"
      guard FileManager.default.fileExists(atPath: directory) else { return nil }
      place = .directory(directory)
    }
  }

  package func read(_ digest: Digest) throws(BlobError) -> [UInt8] {
    guard let (path, range) = location(of: digest) else { throw .unknown(digest) }
    guard range.upperBound - range.lowerBound <= Self.byteLimit else {
      throw .tooLarge(total: range.upperBound - range.lowerBound, limit: Self.byteLimit)
    }
    guard let file = FileHandle(forReadingAtPath: path) else {
      throw .storage("'\(path)' cannot be opened")
    }
    defer { try? file.close() }
    let count = Int(range.upperBound - range.lowerBound)
    do {
      try file.seek(toOffset: range.lowerBound)
    } catch {
      throw .storage("'\(path)' cannot be read (\(error))")
    }
    // At the end of a file nothing is read, which is all of an empty blob.
    let bytes = [UInt8]((try? file.read(upToCount: count)) ?? Data())
    guard bytes.count == count else { throw .storage("'\(path)' ends early") }
    let got = Digest.of(bytes)
    guard got == digest else { throw .corrupt(expected: digest, got: got) }
    return bytes
  }

  /// Nil where the blob is not held.
  private func location(of digest: Digest) -> (path: String, range: Range<UInt64>)? {
    switch place {
    case .export(let path, let blobs): return blobs[digest].map { (path, $0) }
    case .directory(let directory):
      let name = digest.description
      let path = "\(directory)/\(name.prefix(2))/\(name)"
      let attributes = try? FileManager.default.attributesOfItem(atPath: path)
      guard let size = attributes?[.size] as? NSNumber else { return nil }
      return (path, 0..<size.uint64Value)
    }
  }
}
