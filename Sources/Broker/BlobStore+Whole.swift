package import Journal
package import Primitives
import Verdicts

extension BlobStore: BlobSource {
  /// Nil where the blob is not held.
  func byteCount(of digest: Digest) throws(BlobError) -> Int? {
    contains(digest) ? Int(try size(of: digest)) : nil
  }

  /// The whole blob, whose size was bounded when it was staged.
  package func read(_ digest: Digest) throws(BlobError) -> [UInt8] {
    let total = Int(try size(of: digest))
    var bytes: [UInt8] = []
    bytes.reserveCapacity(total)
    while bytes.count < total {
      bytes += try data(digest, offset: UInt64(bytes.count), limit: total - bytes.count)
    }
    return bytes
  }
}

extension BlobStore {
  /// Removes what is old and no accepted command names, some at a time, so that nobody waits for
  /// all of it.
  ///
  /// - Returns: How many bytes the disk has back.
  package nonisolated func removeUnnamed(_ sequencer: Sequencer) async -> UInt64 {
    var freed: UInt64 = 0
    let overdue = await overdue
    for start in stride(from: 0, to: overdue.count, by: 256) where !Task.isCancelled {
      let some = Array(overdue[start..<min(start + 256, overdue.count)])
      await name(await sequencer.named(among: some))
      freed += await removeOverdue(some)
    }
    return freed
  }
}
