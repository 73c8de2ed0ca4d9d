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
