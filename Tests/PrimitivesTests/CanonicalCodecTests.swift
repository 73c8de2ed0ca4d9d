@testable import Primitives
import Testing

struct CanonicalCodecTests {
  private func encoded(_ write: (inout CanonicalEncoder) -> Void) -> [UInt8] {
    var encoder = CanonicalEncoder()
    write(&encoder)
    return encoder.finish()
  }

  @Test func encodesTheVectorsOfTheSpecification() throws {
    let network = try #require(NetworkID("demo"))
    let key = try SigningKey(seed: #require(Bytes32([UInt8](repeating: 1, count: 32))))
    let nonce = Nonce(high: 1, low: 2)
    let tick = Tick(milliseconds: 1000)
    let envelope = Envelope(
      network: network, nonce: nonce, expiry: tick, body: [1, 2], signedBy: key)
    let expected: [(String, [UInt8])] = [
      ("uint32", encoded { $0.append(UInt32(305_419_896)) }),
      ("int64-negative", encoded { $0.append(Int64(-2)) }),
      ("bool-true", encoded { $0.append(true) }),
      ("bytes", encoded { $0.append(counted: [0xff, 0x00]) }),
      ("text", encoded { $0.append("Zürich") }),
      ("integer-list", encoded { $0.append(list: [UInt32(1), 28, 28]) }),
      ("optional-none", encoded { $0.append(Tick?.none) }),
      ("optional-some", encoded { $0.append(Tick?.some(tick)) }),
      ("network", network.canonicalBytes),
      ("amount-maximum", Amount.maximum.canonicalBytes),
      ("price", Price(ticks: 2500).canonicalBytes),
      ("parts-per-million", PartsPerMillion(clamping: 100_000).canonicalBytes),
      ("nonce", nonce.canonicalBytes),
      ("public-key", key.publicKey.canonicalBytes),
      ("envelope", envelope.canonicalBytes),
      ("envelope-digest", envelope.digest.bytes),
    ]
    for (name, bytes) in expected {
      #expect(try CodecVectors.bytes(name) == bytes, "\(name)")
    }
  }

  @Test func decodesWhatItEncodes() throws {
    var decoder = CanonicalDecoder(
      encoded { encoder in
        encoder.append(Int16(-300))
        encoder.append(true)
        encoder.append(counted: [7, 8])
        encoder.append("Zürich")
        encoder.append(list: [Int64.min, .max])
        encoder.append([Price(ticks: 1), Price(ticks: 2)])
        encoder.append(Price?.none)
        encoder.append(Price?.some(Price(ticks: 3)))
        encoder.append(fixed: [9])
      })
    #expect(try decoder.integer(Int16.self) == -300)
    #expect(try decoder.bool())
    #expect(try decoder.counted(limit: 2) == [7, 8])
    #expect(try decoder.text(limit: 7) == "Zürich")
    #expect(try decoder.integers(Int64.self, limit: 2) == [.min, .max])
    #expect(try decoder.list(of: Price.self, limit: 2, elementSize: 8).map(\.ticks) == [1, 2])
    #expect(try decoder.optional(Price.self) == nil)
    #expect(try decoder.optional(Price.self) == Price(ticks: 3))
    #expect(try decoder.fixed(count: 1) == [9])
    try decoder.finish()
  }

  @Test func refusesAnEnvelopeTruncatedAtAnyLength() throws {
    let bytes = try CodecVectors.bytes("envelope")
    for count in 0..<bytes.count {
      let error = #expect(throws: CanonicalError.self, "\(count) bytes") {
        _ = try Envelope(canonicalBytes: bytes[..<count])
      }
      guard case .truncated = error?.reason else {
        Issue.record("\(count) bytes gave \(String(describing: error))")
        continue
      }
    }
  }

  @Test func refusesTrailingBytes() throws {
    let bytes = try CodecVectors.bytes("price") + [0]
    #expect(throws: CanonicalError(reason: .trailingBytes(count: 1), offset: 8)) {
      _ = try Price(canonicalBytes: bytes)
    }
  }

  @Test func refusesCountsAboveTheirLimit() {
    let bytes = encoded { $0.append(counted: [1, 2, 3]) }
    let error = CanonicalError(reason: .countTooLarge(count: 3, limit: 2), offset: 4)
    #expect(throws: error) {
      var decoder = CanonicalDecoder(bytes)
      _ = try decoder.counted(limit: 2)
    }
    #expect(throws: error) {
      var decoder = CanonicalDecoder(bytes)
      _ = try decoder.text(limit: 2)
    }
    #expect(throws: error) {
      var decoder = CanonicalDecoder(bytes)
      _ = try decoder.list(of: Price.self, limit: 2, elementSize: 8)
    }
    #expect(throws: error) {
      var decoder = CanonicalDecoder(bytes)
      _ = try decoder.integers(UInt8.self, limit: 2)
    }
  }

  @Test func refusesCountsThatCannotFitBeforeAllocatingThem() {
    let bytes = encoded { $0.append(UInt32.max) }
    #expect(
      throws: CanonicalError(
        reason: .truncated(needed: Int(UInt32.max) * 8, remaining: 0), offset: 4)
    ) {
      var decoder = CanonicalDecoder(bytes)
      _ = try decoder.list(of: Price.self, limit: .max, elementSize: 8)
    }
    #expect(throws: CanonicalError.self) {
      var decoder = CanonicalDecoder(bytes)
      _ = try decoder.count(limit: .max, elementSize: .max)
    }
    #expect(throws: CanonicalError.self) {
      var decoder = CanonicalDecoder(bytes)
      _ = try decoder.fixed(count: -1)
    }
  }

  @Test(
    arguments: [
      [0xff], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80], [0x61, 0xc3],
    ] as [[UInt8]])
  func refusesTextThatIsNotUTF8(_ text: [UInt8]) {
    let bytes = encoded { $0.append(counted: text) }
    #expect(throws: CanonicalError(reason: .invalid("the text is not UTF-8"), offset: 0)) {
      var decoder = CanonicalDecoder(bytes)
      _ = try decoder.text(limit: 16)
    }
  }

  @Test func refusesABooleanOfTwo() {
    #expect(throws: CanonicalError(reason: .unknownTag(2, of: "Bool"), offset: 1)) {
      var decoder = CanonicalDecoder([2])
      _ = try decoder.bool()
    }
    #expect(throws: CanonicalError.self) {
      var decoder = CanonicalDecoder([2, 0, 0, 0, 0, 0, 0, 0, 0])
      _ = try decoder.optional(Price.self)
    }
  }

  @Test func refusesValuesOutsideTheirRange() {
    let tooMuch = encoded { $0.append(UInt64(1 << 62) + 1) }
    #expect(throws: CanonicalError.self) { _ = try Amount(canonicalBytes: tooMuch) }
    let tooCostly = encoded { $0.append(UInt64(1 << 40) + 1) }
    #expect(throws: CanonicalError.self) { _ = try Cost(canonicalBytes: tooCostly) }
    let moreThanWhole = encoded { $0.append(UInt32(1_000_001)) }
    #expect(throws: CanonicalError.self) { _ = try PartsPerMillion(canonicalBytes: moreThanWhole) }
    for name in ["", "Demo", "de mo", "dé", String(repeating: "a", count: 65)] {
      let bytes = encoded { $0.append(name) }
      #expect(throws: CanonicalError.self) { _ = try NetworkID(canonicalBytes: bytes) }
      #expect(throws: CanonicalError.self) { _ = try BackendID(canonicalBytes: bytes) }
    }
  }

  @Test func errorsSayWhereAndWhatToDo() {
    let error = CanonicalError(reason: .truncated(needed: 8, remaining: 3), offset: 12)
    #expect(
      error.description
        == "malformed-bytes: At byte 12, 8 more bytes were expected and 3 are left; "
        + "send the canonical encoding of docs/codec.md.")
  }

  @Test func forgetsWhatWasEncodedAndOutgrowsItsRoom() {
    var encoder = CanonicalEncoder(capacity: 3)
    encoder.append(UInt64.max)
    encoder.removeAll()
    var expected: [UInt8] = []
    for number in 0..<UInt8(200) {
      encoder.append(counted: [number, number])
      expected += [2, 0, 0, 0, number, number]
    }
    #expect(encoder.count == expected.count)
    #expect(Array(encoder.bytes) == expected)
    #expect(encoder.finish() == expected)
  }

  @Test func readsASliceFromItsBeginning() throws {
    let bytes: [UInt8] = [9, 9, 1, 0, 3, 0, 0, 0, 5, 6, 7, 9]
    var decoder = CanonicalDecoder(bytes[2..<11])
    #expect(try decoder.integer(UInt16.self) == 1)
    #expect(decoder.offset == 2)
    #expect(try decoder.countedSlice(limit: 3) == [5, 6, 7])
    try decoder.finish()
    #expect(throws: CanonicalError(reason: .truncated(needed: 1, remaining: 0), offset: 9)) {
      try decoder.bool()
    }
  }
}

struct HexadecimalTests {
  @Test func roundTripsEveryByte() {
    let bytes = Array(UInt8.min...UInt8.max)
    #expect(Hexadecimal.bytes(Hexadecimal.text(bytes)) == bytes)
    #expect(Hexadecimal.text([0x00, 0x0f, 0xa0]) == "000fa0")
  }

  @Test(arguments: ["0", "0g", "+1", " 1", "é"])
  func refusesOtherText(_ text: String) { #expect(Hexadecimal.bytes(text) == nil) }

  @Test func comparesBytes32AsBytes() throws {
    for index in 0..<32 {
      var bytes = [UInt8](repeating: 7, count: 32)
      let middle = try #require(Bytes32(bytes))
      #expect(middle.bytes == bytes)
      bytes[index] = 8
      let larger = try #require(Bytes32(bytes))
      #expect(middle < larger && !(larger < middle) && larger.bytes == bytes)
    }
    #expect(Bytes32([UInt8](repeating: 0, count: 31)) == nil)
    #expect(Bytes32([UInt8](repeating: 0, count: 33)) == nil)
  }
}
