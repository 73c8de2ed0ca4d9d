import CSumcheckKernels
import Testing

extension KernelTests {
  /// The official test vectors: the input is 0, 1, ... 250, 0, 1, ...
  struct Blake3Tests {
    private static let key = Array("whats the Elvish word for friend".utf8)
    private static let vectors: [(length: Int, plain: String, keyed: String)] = [
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
        2048, "e776b6028c7cd22a4d0ba182a8bf62205d2ef576467e838ed6f2529b85fba24a",
        "879cf1fa2ea0e79126cb1063617a05b6ad9d0b696d0d757cf053439f60a99dd1"
      ),
      (
        3072, "b98cb0ff3623be03326b373de6b9095218513e64f1ee2edd2525c7ad1e5cffd2",
        "044a0e7b172a312dc02a4c9a818c036ffa2776368d7f528268d2e6b5df191770"
      ),
      (
        102_400, "bc3e3d41a1146b069abffad3c0d44860cf664390afce4d9661f7902e7943e085",
        "1c35d1a5811083fd7119f5d5d1ba027b4d01c0c6c49fb6ff2cf75393ea5db4a7"
      ),
    ]

    private static func input(_ count: Int) -> [UInt8] { (0..<count).map { UInt8($0 % 251) } }

    private static func hash(_ bytes: [UInt8], key: [UInt8]?) -> [UInt8] {
      var out = [UInt8](repeating: 0, count: 32)
      sumcheck_blake3(&out, bytes, bytes.count, key)
      return out
    }

    private static func hexadecimal(_ bytes: [UInt8]) -> String {
      bytes.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
    }

    @Test func agreesWithTheOfficialVectors() {
      onEachPath { path in
        for vector in Self.vectors {
          let bytes = Self.input(vector.length)
          #expect(Self.hexadecimal(Self.hash(bytes, key: nil)) == vector.plain, "\(path)")
          #expect(Self.hexadecimal(Self.hash(bytes, key: Self.key)) == vector.keyed, "\(path)")
        }
      }
    }

    @Test(arguments: [0, 5, 64, 512, 1000, 1024, 1032, 2048, 2500])
    func hashesManyInputsAsEachAlone(length: Int) {
      let (count, stride) = (19, length + 8)
      let bytes = Self.input(count * stride)
      onEachPath { path in
        for key in [nil, Self.key] {
          var out = [UInt8](repeating: 0, count: 32 * count)
          sumcheck_blake3_many(&out, bytes, stride, length, key, 1, 4)
          sumcheck_blake3_many(&out, bytes, stride, length, key, 4, count)
          for i in 1..<count {
            let alone = Self.hash(Array(bytes[i * stride..<i * stride + length]), key: key)
            #expect(Array(out[32 * i..<32 * i + 32]) == alone, "\(path) \(i)")
          }
          #expect(out[..<32] == ArraySlice(repeating: 0, count: 32))
        }
      }
    }
  }
}
