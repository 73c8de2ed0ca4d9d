import FixedPoint
import Foundation
import Market
import ModelGraph
import Primitives
import Quantization
import Requester
import Slicing
import Statements
import Testing
import Wire

/// The repository's small MLP in three slices, and its whole program to compare with.
struct SampleModel {
  static let models = URL(filePath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent().appending(path: "Models")
  static let mlp = Result { try SampleModel("digits_mlp", slices: 3) }

  let model: SlicedModel
  let whole: Program
  private let vectors: SampleVectors
  var manifest: Manifest { model.manifest }

  private init(_ name: String, slices: Int) throws {
    let file = Self.models.appending(path: "\(name).onnx")
    let graph = try Graph(bytes: [UInt8](try Data(contentsOf: file))).simplified()
    vectors = try SampleVectors(path: Self.models.appending(path: "\(name).vectors.json").path)
    let quantizer = try Quantizer(
      graph, calibration: try Calibration(graph, samples: vectors.samples(0..<8)))
    model = try SlicedModel(name: name, quantizer: quantizer, rules: SlicingRules(count: slices))
    whole = try quantizer.program()
  }

  /// A digit that did not calibrate.
  func input(_ index: Int = 20) throws -> [UInt8] {
    try BoundaryValues.bytes(vectors.inputs[index], as: manifest.inputs[0])
  }

  func answer(to input: [UInt8]) throws -> [[UInt8]] { try Executor(program: whole).run([input]) }

  /// An input on which the whole program faults, and the slice that does.
  func faultingInput() throws -> (input: [UInt8], slice: Int) {
    var generator = Seeded(state: 7)
    for attempt in 0..<64 {
      let input = (0..<manifest.inputs[0].elementCount).flatMap { _ -> [UInt8] in
        attempt == 0 || Bool.random(using: &generator) ? [0xff, 0x7f] : [0x00, 0x80]
      }
      var tensors = [input]
      for slice in manifest.slices.indices {
        do {
          tensors = try Executor(program: model.program(of: slice)).run(tensors)
        } catch {
          return (input, slice)
        }
      }
    }
    throw NoFault()
  }

  struct NoFault: Error {}

  /// ceil(price × cost / 1000), and the hundredth of it that the exchange keeps.
  func fee(_ slice: Int, price: Int64) -> (whole: Int64, kept: Int64) {
    let fee = (price * Int64(manifest.slices[slice].cost.units) + 999) / 1000
    return (fee, fee / 100)
  }
}

extension SampleModel {
  /// A Relu, which the template in C takes, and a softmax, which it does not.
  static func rectifierAndSoftmax() throws -> SlicedModel {
    func boundary(_ name: String, _ exponent: Int8) throws -> BoundarySpecification {
      try #require(
        BoundarySpecification(name: name, elementType: .int16, shape: [8], exponent: exponent))
    }
    let ends = [try boundary("x", 8), try boundary("y", 8), try boundary("z", 14)]
    var blobs: [Digest: [UInt8]] = [:]
    var slices: [Manifest.Slice] = []
    let work: [(String, Operator)] = [
      ("rectify", .relu(Relu())), ("share", .softmax(Softmax(exponent: 14))),
    ]
    for (index, (name, operation)) in work.enumerated() {
      let program = try Program(
        inputs: [ends[index]],
        operations: [Program.Operation(name: name, inputs: [0], operator: operation)],
        outputTensors: [1], outputs: [ends[index + 1]])
      let onnx = Array("onnx of \(name)".utf8)
      for blob in [program.canonicalBytes, onnx] { blobs[Digest.of(blob)] = blob }
      slices.append(
        Manifest.Slice(
          name: name, onnx: Digest.of(onnx), program: Digest.of(program.canonicalBytes),
          sources: [index == 0 ? .input(0) : .slice(0, output: 0)], inputs: [ends[index]],
          outputs: [ends[index + 1]], cost: program.cost))
    }
    return try SlicedModel(
      manifest: try Manifest(
        name: "rectifier-and-softmax", semantics: Program.semantics, inputs: [ends[0]],
        slices: slices,
        outputs: [.slice(1, output: 0)]), blobs: blobs)
  }
}

/// A requester's view of one request from its submission to its end.
struct Asked {
  let requester: SigningKey
  let session: RequestSession
  let performed: WireClient.Performed

  var id: RequestID { performed.envelope.digest }
}

extension Exchange {
  func ask(
    _ sample: SampleModel, _ input: [UInt8], spread: UInt32 = 0, proving: ProvingPolicy = .none,
    auditRate: UInt32? = nil, auditors: [PublicKey] = []
  ) async throws -> Asked {
    let requester = try await party()
    let session = RequestSession(client: client(requester), key: requester)
    var order = RequestSession.Order()
    order.spread = spread
    order.proving = proving
    order.auditRate = auditRate.map { PartsPerMillion(clamping: $0) }
    order.auditors = auditors
    let performed = try await session.submit(
      model: sample.manifest.id, manifest: sample.manifest, inputs: [input], order: order)
    return Asked(requester: requester, session: session, performed: performed)
  }

  /// The leases that ended by their lessee's fault.
  func faults() async throws -> [Lease] {
    try await read { market in
      market.leases.filter { $0.state == .slashed || $0.state == .lapsed }
    }
  }
}

/// Fails the test, instead of hanging it, where `body` takes longer.
func within<Value: Sendable>(
  _ limit: Duration, _ body: @escaping @Sendable () async throws -> Value
) async throws -> Value {
  try await withThrowingTaskGroup(of: Value.self) { group in
    group.addTask { try await body() }
    group.addTask {
      try await Task.sleep(for: limit)
      throw TookTooLong(limit: limit)
    }
    defer { group.cancelAll() }
    return try await group.next()!
  }
}

struct TookTooLong: Error { let limit: Duration }

extension Asked {
  func end() async throws -> RequestReport {
    let (session, id) = (session, id)
    return try await within(.seconds(60)) { try await session.follow(id) { _ in } }
  }
}
