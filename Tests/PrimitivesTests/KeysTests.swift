import Primitives
import Testing

struct KeysTests {
  /// Seeds and public keys of RFC 8032, section 7.1, TEST 1 to 3. The project signs digests only,
  /// so the signatures are another implementation's (OpenSSL's) over the SHA-256 of "abc".
  static let vectors = [
    (
      "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
      "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
      "096f5569d807ee8ac7b1913da70cf0aab335c258f4b94c8f210dd141e9743927"
        + "c8d1a6b378872a72c9446c1f75e6dc7b2def98bd0c214be6706d48791f57680a"
    ),
    (
      "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
      "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
      "6995e1a009aea0a390833093b5e8b43f508f46e140ddf9bb98d56a49b98870e7"
        + "58c93435aebaea6c3db515f8b7631c1ddf4c3d091e5443d37e5ee5773940d408"
    ),
    (
      "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
      "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
      "469d095759f601a3108b75888fcc834d178c8b9660c49e379f000a3cf9119cf6"
        + "738fc1418936353f3ea4fefdd0f737cab73056b0b25ef9c7c7bde4f49eb12a05"
    ),
  ]

  @Test(arguments: vectors)
  func givesTheKeysOfRFC8032(_ seed: String, _ publicKey: String, _ signature: String) throws {
    let key = SigningKey(seed: try #require(Digest(hexadecimal: seed)).value)
    let digest = Digest.of(Array("abc".utf8))
    #expect(key.publicKey.description == publicKey)
    #expect(Hexadecimal.text(key.sign(digest).bytes) == signature)
    #expect(key.publicKey.verifies(key.sign(digest), over: digest))
    #expect(try PublicKey(hexadecimal: publicKey) == key.publicKey)
  }

  /// The eight points of small order, each in its canonical encoding.
  static let smallOrder = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  ]

  /// Other encodings of those points that a careless decoder takes: a sign where x is 0, y >= p.
  static let smallOrderOtherwise = [
    "0100000000000000000000000000000000000000000000000000000000000080",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
  ]

  /// Two that a check for canonical bytes and small order would let through: the base point plus a
  /// point of order 8, and bytes that encode no point of the curve.
  static let otherwiseUnusable = [
    "13661d745ad63221ca5da0456fa618713511dc60668aa464e55b09a20ff7fc1d",
    "0200000000000000000000000000000000000000000000000000000000000000",
  ]

  @Test(arguments: smallOrder + smallOrderOtherwise + otherwiseUnusable)
  func refusesAKeyForWhichSignaturesProveNothing(_ text: String) throws {
    #expect(throws: KeyError.invalidPublicKey(text)) { _ = try PublicKey(hexadecimal: text) }
    let bytes = try #require(Hexadecimal.bytes(text))
    #expect(throws: CanonicalError.self) { _ = try PublicKey(canonicalBytes: bytes) }
  }

  /// Every encoding with y >= p = 2^255 - 19, with either sign.
  @Test(arguments: UInt8(0xed)...0xff, [UInt8(0x7f), 0xff])
  func refusesANonCanonicalKey(_ lowest: UInt8, _ highest: UInt8) throws {
    let bytes = [lowest] + [UInt8](repeating: 0xff, count: 30) + [highest]
    #expect(throws: CanonicalError.self) { _ = try PublicKey(canonicalBytes: bytes) }
  }

  @Test(arguments: ["", "00", "zz", "5866"])
  func refusesTextThatIsNoKey(_ text: String) {
    let error = #expect(throws: KeyError.self) { _ = try PublicKey(hexadecimal: text) }
    #expect(error?.code == "invalid-key")
  }

  @Test func refusesEverySignatureButItsOwn() throws {
    let key = SigningKey(seed: .zero)
    let digest = Digest.of([1])
    let signature = key.sign(digest)
    #expect(!key.publicKey.verifies(signature, over: Digest.of([2])))
    #expect(!SigningKey.random().publicKey.verifies(signature, over: digest))
    for bit in 0..<512 {
      var bytes = signature.bytes
      bytes[bit / 8] ^= 1 << UInt8(bit % 8)
      let forged = try #require(Signature(bytes))
      #expect(!key.publicKey.verifies(forged, over: digest), "bit \(bit)")
    }
    #expect(Signature(signature.bytes.dropLast()) == nil)
  }

  /// S + L verifies under the bare equation; RFC 8032, section 5.1.7, refuses it.
  @Test func refusesASignatureWhoseScalarIsNotReduced() throws {
    let order = try #require(
      Hexadecimal.bytes("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010"))
    let key = SigningKey(seed: .zero)
    let digest = Digest.of([1])
    var bytes = key.sign(digest).bytes
    var carry = 0
    for index in 0..<32 {
      let sum = Int(bytes[32 + index]) + Int(order[index]) + carry
      bytes[32 + index] = UInt8(sum & 0xff)
      carry = sum >> 8
    }
    #expect(carry == 0)
    #expect(!key.publicKey.verifies(try #require(Signature(bytes)), over: digest))
  }

  /// Libraries log values by reflection, whatever these hold.
  @Test func privateKeyIsNeverPrinted() {
    struct Holder { let key: SigningKey }
    let holder = Holder(key: .random())
    let seed = holder.key.seed
    var dumped = ""
    dump(holder, to: &dumped)
    for text in ["\(holder)", String(reflecting: holder), "\(holder.key)", dumped] {
      #expect(text.contains(holder.key.publicKey.short))
      #expect(!text.contains("\(seed)") && !text.contains(Hexadecimal.text(seed.bytes)))
      #expect(!text.contains("\(seed.bytes[0]), \(seed.bytes[1]), \(seed.bytes[2])"))
      #expect(!text.contains("seed") && !text.contains("secret"))
    }
  }
}
