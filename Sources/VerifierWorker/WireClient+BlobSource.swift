package import Primitives
import Verdicts
package import Wire

/// What the broker discloses to the client's identity.
extension WireClient: BlobSource {
  /// A tensor, proof, program or key above this is not read.
  private static var blobLimit: Int { 1 << 29 }

  package func read(_ digest: Digest) async throws -> [UInt8] {
    try await download(digest, byteLimit: Self.blobLimit, deadline: .seconds(300))
  }
}
