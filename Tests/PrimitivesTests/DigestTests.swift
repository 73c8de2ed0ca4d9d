import Primitives
import Testing

struct DigestTests {
  /// FIPS 180-4's examples, as NIST publishes them, and the digest of nothing.
  @Test(arguments: [
    ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
    ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    (
      "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
      "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
    ),
  ])
  func givesTheDigestsOfFIPS180(_ text: String, _ digest: String) {
    #expect(Digest.of(Array(text.utf8)).description == digest)
  }

  @Test func givesTheDigestOfAMillionLettersInPieces() {
    var hasher = SHA256()
    var left = 1_000_000
    var piece = 1
    while left > 0 {
      let count = min(piece, left)
      hasher.update([UInt8](repeating: UInt8(ascii: "a"), count: count))
      left -= count
      piece = piece * 3 % 1009
    }
    #expect(
      hasher.finalize().description
        == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0")
  }

  @Test func takesBytesFromEveryKindOfCollection() {
    let bytes = Array("abc".utf8)
    let expected = Digest.of(bytes)
    #expect(Digest.of("abc".utf8) == expected)
    #expect(Digest.of(bytes[...]) == expected)
    #expect(Digest.of(bytes.reversed().reversed()) == expected)
    #expect(Digest.of(Array(bytes.reversed()).lazy.reversed()) == expected)
    var hasher = SHA256()
    bytes.withUnsafeBytes { hasher.update($0) }
    #expect(hasher.finalize() == expected)
  }

  @Test func separatesDomains() {
    let bytes: [UInt8] = [1, 2, 3]
    #expect(Digest.of(bytes, domain: .envelope) != Digest.of(bytes, domain: .batch))
    #expect(Digest.of(bytes, domain: .envelope) != Digest.of(bytes))
    // The count before the name keeps "ab" ‖ "c" apart from "a" ‖ "bc".
    #expect(
      Digest.of(Array("c".utf8), domain: HashDomain("ab"))
        != Digest.of(Array("bc".utf8), domain: HashDomain("a")))
  }

  @Test func readsItsOwnText() {
    let digest = Digest.of([UInt8]())
    #expect(Digest(hexadecimal: digest.description) == digest)
    #expect(Digest(hexadecimal: digest.description.dropLast()) == nil)
    #expect(digest.short == "e3b0c442")
  }
}
