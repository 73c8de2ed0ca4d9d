import MerkleLog
import Primitives
import Statements
import Testing

/// One small, honest example of every record; the names and numbers are those of docs/codec.md.
struct Samples {
  let network: NetworkID
  let key: SigningKey
  let manifest: Manifest
  let statement: Statement

  init() throws {
    network = try #require(NetworkID("demo"))
    key = try SigningKey(seed: #require(Bytes32([UInt8](repeating: 1, count: 32))))
    let x = try Self.boundary("x", .int16, [1, 4], exponent: 8)
    let y = try Self.boundary("y", .int32, [2], exponent: -1)
    manifest = try Manifest(
      name: "tiny", semantics: "fixed16/1", inputs: [x],
      slices: [Self.slice("dense", sources: [.input(0)], inputs: [x], outputs: [y])],
      outputs: [.slice(0, output: 0)])
    statement = Statement(
      network: network, request: try Self.digest(0x33), lease: LeaseID(ordinal: 7),
      model: manifest.id, slice: 0, inputs: [try Self.digest(0x44)],
      outputs: [try Self.digest(0x55)], backend: .reexec, keyRecord: try Self.digest(0x66),
      prover: key.publicKey)
  }

  var receipt: Receipt { Receipt(statement: statement, proof: Digest.of([UInt8]())) }
  var batch: Batch { Batch(network: network, receipts: [receipt], signedBy: key) }

  var commitment: OutputCommitment {
    OutputCommitment(
      network: network, lease: LeaseID(ordinal: 7), outputs: statement.outputs,
      nonceCommitment: .zero, signedBy: key)
  }

  var keyRecord: KeyRecord {
    KeyRecord(
      model: manifest.id, slice: 0, backend: .reexec, backendVersion: "1.0",
      plugin: Digest.of([1]), verifierKey: Digest.of([2]))
  }

  /// The last of `count` that were signed together.
  func acknowledgement(_ rejection: Rejection? = nil, of count: Int = 1) -> Acknowledgement {
    acknowledgements(count, rejection)[count - 1]
  }

  func acknowledgements(_ count: Int, _ rejection: Rejection? = nil) -> [Acknowledgement] {
    let words = (0..<count).map { number in
      Acknowledgement.Word(
        network: network, command: Digest.of([3, UInt8(number % 256)]),
        sequence: UInt64(9 + number), tick: Tick(milliseconds: 1000), head: Digest.of([4]),
        rejection: rejection)
    }
    return Acknowledgement.signing(words, with: key)
  }

  static func digest(_ byte: UInt8) throws -> Digest {
    try Digest(#require(Bytes32([UInt8](repeating: byte, count: 32))))
  }

  static func boundary(
    _ name: String, _ type: ElementType, _ shape: [Int], exponent: Int8 = 0
  ) throws -> BoundarySpecification {
    try #require(
      BoundarySpecification(name: name, elementType: type, shape: shape, exponent: exponent))
  }

  static func slice(
    _ name: String, sources: [Manifest.Source], inputs: [BoundarySpecification],
    outputs: [BoundarySpecification], cost: UInt64 = 40
  ) throws -> Manifest.Slice {
    Manifest.Slice(
      name: name, onnx: try digest(0x11), program: try digest(0x22), sources: sources,
      inputs: inputs, outputs: outputs, cost: Cost(units: cost),
      influence: Influence(flips: 3, trials: 16))
  }
}
