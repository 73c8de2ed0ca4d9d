import MerkleLog
import Primitives
import Testing

struct CheckpointTests {
  @Test func refusesEveryFlippedBit() throws {
    let checkpoint = Checkpoint(
      network: try #require(NetworkID("demo")), size: 7, root: Digest.of([1]),
      signedBy: SigningKey(seed: .zero))
    let bytes = checkpoint.canonicalBytes
    #expect(checkpoint.isAuthentic)
    #expect(try Checkpoint(canonicalBytes: bytes) == checkpoint)
    for bit in 0..<bytes.count * 8 {
      var flipped = bytes
      flipped[bit / 8] ^= 1 << UInt8(bit % 8)
      if let received = try? Checkpoint(canonicalBytes: flipped) {
        #expect(!received.isAuthentic, "bit \(bit)")
      }
    }
  }
}
