import MerkleLog
import Primitives
import Statements
import Testing

struct RecordTests {
  private let samples: Samples

  init() throws { samples = try Samples() }

  @Test func encodesTheVectorsOfTheSpecification() throws {
    let manifest = samples.manifest
    let receipt = samples.receipt
    let expected: [(String, [UInt8])] = [
      ("boundary", manifest.inputs[0].canonicalBytes),
      ("source", Manifest.Source.slice(1, output: 0).canonicalBytes),
      ("manifest", manifest.canonicalBytes),
      ("model-id", manifest.id.bytes),
      ("statement", samples.statement.canonicalBytes),
      ("statement-digest", samples.statement.digest.bytes),
      ("receipt-leaf", MerkleTree.leafHash(receipt.canonicalBytes).bytes),
      ("batch-root", samples.batch.signedRoot.canonicalBytes),
    ]
    for (name, bytes) in expected {
      #expect(try CodecVectors.bytes(name) == bytes, "\(name)")
    }
  }

  /// Every record decodes to itself, is refused when truncated anywhere or extended, and no
  /// mutation of its bytes traps: it is refused, or is another record with exactly those bytes.
  private func holds<Record: CanonicalCodable & Equatable>(_ record: Record) throws {
    let bytes = record.canonicalBytes
    #expect(try Record(canonicalBytes: bytes) == record)
    for count in 0..<bytes.count {
      #expect(throws: CanonicalError.self, "\(Record.self), \(count) bytes") {
        _ = try Record(canonicalBytes: bytes[..<count])
      }
    }
    #expect(throws: CanonicalError.self) { _ = try Record(canonicalBytes: bytes + [0]) }

    var random = SplitMix(state: 0x5eed)
    for _ in 0..<4_000 {
      var mutated = bytes
      for _ in 0...Int.random(in: 0..<4, using: &random) {
        let index = Int.random(in: 0..<mutated.count, using: &random)
        switch UInt8.random(in: 0..<4, using: &random) {
        case 0: mutated[index] = .random(in: .min ... .max, using: &random)
        case 1: mutated[index] = Bool.random(using: &random) ? 0xff : 0
        case 2: mutated.insert(.random(in: .min ... .max, using: &random), at: index)
        default: if mutated.count > 1 { mutated.remove(at: index) }
        }
      }
      if let other = try? Record(canonicalBytes: mutated) {
        #expect(other.canonicalBytes == mutated, "\(Record.self)")
      }
    }
  }

  @Test func manifestsHold() throws { try holds(samples.manifest) }
  @Test func statementsHold() throws { try holds(samples.statement) }
  @Test func keyRecordsHold() throws { try holds(samples.keyRecord) }
  @Test func receiptsHold() throws { try holds(samples.receipt) }
  @Test func batchesHold() throws { try holds(samples.batch) }
  @Test func commitmentsHold() throws { try holds(samples.commitment) }

  @Test func acknowledgementsHold() throws {
    try holds(samples.acknowledgement())
    try holds(samples.acknowledgement(Rejection(code: "no-funds", sentence: "Deposit first.")))
  }

  /// A rejection may quote a stranger's words, and must stay decodable whatever they are.
  @Test(arguments: ["a", "é", "€", "👩‍👩‍👧"])
  func cutsALongRejectionBetweenScalars(_ character: String) throws {
    let long = Rejection(code: "c", sentence: "x" + String(repeating: character, count: 2000))
    let received = try Rejection(canonicalBytes: long.canonicalBytes)
    #expect(received == long)
    #expect(long.sentence.utf8.count > 1020 && long.sentence.utf8.count <= 1024)
    #expect(!long.sentence.unicodeScalars.contains("\u{FFFD}"))
  }

  @Test(arguments: [Verdict.valid, .invalid, .inconclusive])
  func verdictsHold(_ verdict: Verdict) throws { try holds(verdict) }

  @Test(arguments: [ElementType.int8, .int16, .int32, .int64])
  func boundariesHold(_ type: ElementType) throws {
    try holds(try Samples.boundary("x", type, [3, 5], exponent: .min))
    try holds(try Samples.boundary("", type, []))
  }

  @Test func refusesUnknownTags() {
    for tag: UInt8 in [0, 5, 255] {
      #expect(throws: CanonicalError.self) { _ = try ElementType(canonicalBytes: [tag]) }
      #expect(throws: CanonicalError.self) { _ = try Verdict(canonicalBytes: [tag]) }
      #expect(throws: CanonicalError.self) {
        _ = try Manifest.Source(canonicalBytes: [tag, 0, 0, 0, 0])
      }
    }
  }

  @Test func aStatementHasItsOwnDigestForEachField() throws {
    let bytes = samples.statement.canonicalBytes
    var digests: Set<Digest> = [samples.statement.digest]
    var decoded = 1
    for index in bytes.indices {
      var changed = bytes
      changed[index] ^= 1
      if let other = try? Statement(canonicalBytes: changed) {
        decoded += 1
        digests.insert(other.digest)
      }
    }
    #expect(decoded > 150)
    #expect(digests.count == decoded)
  }
}

/// SplitMix64 (Steele, Lea, Flood 2014): the tests' only randomness, the same on every run.
struct SplitMix: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var mixed = state
    mixed = (mixed ^ mixed >> 30) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ mixed >> 27) &* 0x94d0_49bb_1331_11eb
    return mixed ^ mixed >> 31
  }
}
