import Testing

@testable import Sumcheck

@Suite struct TranscriptTests {
  /// Official vectors of BLAKE3: the input is 0, 1, ... 250, 0, 1, ...
  @Test(arguments: [
    (
      0, "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262",
      "92b2b75604ed3c761f9d6f62392c8a9227ad0ea3f09573e783f1498a4ed60d26"
    ),
    (
      1, "2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213",
      "6d7878dfff2f485635d39013278ae14f1454b8c0a3a2d34bc1ab38228a80c95b"
    ),
    (
      1023, "10108970eeda3eb932baac1428c7a2163b0e924c9a9e25b35bba72b28f70bd11",
      "c951ecdf03288d0fcc96ee3413563d8a6d3589547f2c2fb36d9786470f1b9d6e"
    ),
    (
      1024, "42214739f095a406f3fc83deb889744ac00df831c10daa55189b5d121c855af7",
      "75c46f6f3d9eb4f55ecaaee480db732e6c2105546f1e675003687c31719c7ba4"
    ),
    (
      1025, "d00278ae47eb27b34faecf67b4fe263f82d5412916c1ffd97c8cb7fb814b8444",
      "357dc55de0c7e382c900fd6e320acc04146be01db6a8ce7210b7189bd664ea69"
    ),
    (
      3072, "b98cb0ff3623be03326b373de6b9095218513e64f1ee2edd2525c7ad1e5cffd2",
      "044a0e7b172a312dc02a4c9a818c036ffa2776368d7f528268d2e6b5df191770"
    ),
    (
      102_400, "bc3e3d41a1146b069abffad3c0d44860cf664390afce4d9661f7902e7943e085",
      "1c35d1a5811083fd7119f5d5d1ba027b4d01c0c6c49fb6ff2cf75393ea5db4a7"
    ),
  ])
  func hashesAsTheStandard(length: Int, plain: String, keyed: String) {
    let input = (0..<length).map { UInt8($0 % 251) }
    let words = Array("whats the Elvish word for friend".utf8).withUnsafeBytes {
      $0.loadUnaligned(as: SIMD8<UInt32>.self)
    }
    #expect(hexadecimal(Blake3.hash(input).hash) == plain)
    #expect(hexadecimal(Blake3.hash(input, key: words).hash) == keyed)
  }

  @Test func extendsItsOutputAsTheStandard() {
    let output = Blake3.hash([]).output(0)
    #expect(
      hexadecimal(Blake3.bytes(output.highHalf))
        == "e00f03e7b69af26b7faaf09fcd333050338ddfe085b8cc869ca98b206c08243a")
  }

  @Test func challengesFollowFromEverythingAbsorbed() {
    func draw(_ change: (inout Transcript) -> Void) -> [Extension] {
      var transcript = Transcript(purpose: "test")
      transcript.absorb([1, 2, 3])
      change(&transcript)
      return transcript.challenges(9)
    }
    let plain = draw { _ in }
    #expect(draw { _ in } == plain)
    #expect(Set(plain).count == 9)
    #expect(draw { $0.absorb([0]) } != plain)
    #expect(draw { $0.absorb(Extension.zero) } != plain)
    #expect(
      draw {
        _ = $0.challenge()
        $0.absorb([4])
      } != draw { $0.absorb([4]) })
    var other = Transcript(purpose: "another")
    other.absorb([1, 2, 3])
    #expect(other.challenges(9) != plain)
  }

  @Test func drawsDistinctPositions() {
    var transcript = Transcript(purpose: "test")
    let positions = transcript.positions(246, log: 9)
    #expect(positions.count == 246)
    #expect(zip(positions, positions.dropFirst()).allSatisfy { $0 < $1 })
    #expect(positions.allSatisfy { (0..<512).contains($0) })
  }

  private func hexadecimal(_ bytes: [UInt8]) -> String {
    bytes.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
  }
}
