import FixedPoint
import Foundation
import ModelGraph
import Primitives
import Quantization
import Slicing
import Statements
import SwiftProtobuf
import Testing

let models = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
  .deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("Models")

struct Sample {
  let graph: Graph
  let vectors: SampleVectors
  let quantizer: Quantizer

  /// Calibrated on the first `calibrated` vectors.
  init(_ name: String, calibrated: Int) throws {
    let bytes = [UInt8](
      try Data(contentsOf: models.appendingPathComponent("\(name).onnx")))
    graph = try Graph(bytes: bytes)
    vectors = try SampleVectors(path: models.appendingPathComponent("\(name).vectors.json").path)
    let simplified = try graph.simplified()
    quantizer = try Quantizer(
      simplified,
      calibration: Calibration(simplified, samples: vectors.samples(0..<calibrated)))
  }
}

@Suite struct SlicingTests {
  @Test(arguments: [
    ("digits_lenet5", 1), ("digits_lenet5", 4), ("digits_lenet5", 6), ("digits_mlp", 3),
  ])
  func slicedOrWholeGivesIdenticalBytes(name: String, count: Int) async throws {
    let sample = try Sample(name, calibrated: 4)
    let whole = Executor(program: try sample.quantizer.program())
    let sliced = try SlicedModel(
      name: name, quantizer: sample.quantizer, rules: SlicingRules(count: count))
    #expect(sliced.manifest.slices.count == count)
    let executor = try SlicedExecutor(sliced)
    for index in 0..<20 {
      let input = try BoundaryValues.bytes(
        sample.vectors.inputs[index], as: whole.program.inputs[0])
      #expect(try await executor.run([input]) == whole.run([input]))
    }
  }

  @Test func everySliceIsAModelOfItsOwn() throws {
    let sample = try Sample("digits_lenet5", calibrated: 4)
    let sliced = try SlicedModel(
      name: "lenet5", quantizer: sample.quantizer, rules: SlicingRules(count: 4))
    var tensor = sample.vectors.tensor(0)
    for slice in sliced.manifest.slices {
      let graph = try Graph(bytes: #require(sliced.blobs[slice.onnx]))
      tensor = try graph.evaluate([tensor])[0]
    }
    #expect(try [tensor] == sample.graph.evaluate([sample.vectors.tensor(0)]))
    let costs = sliced.manifest.slices.map(\.cost.units)
    #expect(costs.allSatisfy { $0 > 0 })
    let shares = sliced.manifest.criticalities.map { Int($0.costShare.parts) }
    #expect((999_990...1_000_000).contains(shares.reduce(0, +)))
  }

  @Test func refusesMoreSlicesThanPieces() throws {
    let sample = try Sample("digits_mlp", calibrated: 2)
    #expect(throws: SlicingError.tooFewPieces(asked: 4, possible: 3)) {
      try SlicedModel(name: "mlp", quantizer: sample.quantizer, rules: SlicingRules(count: 4))
    }
  }

  @Test func refusesADirectoryWithAChangedBlob() throws {
    let sample = try Sample("digits_mlp", calibrated: 2)
    let sliced = try SlicedModel(
      name: "mlp", quantizer: sample.quantizer, rules: SlicingRules(count: 2))
    let directory = FileManager.default.temporaryDirectory
      .appendingPathComponent(UUID().uuidString)
    defer { try? FileManager.default.removeItem(at: directory) }
    try sliced.write(to: directory.path)
    let read = try SlicedModel(directory: directory.path)
    #expect(read.manifest == sliced.manifest && read.blobs == sliced.blobs)
    #expect(throws: SlicingError.unwritable("'\(directory.path)' already exists")) {
      try sliced.write(to: directory.path)
    }

    let digest = sliced.manifest.slices[1].program
    let blob = directory.appendingPathComponent("blobs/\(digest)")
    var bytes = try Data(contentsOf: blob)
    bytes[bytes.count / 2] ^= 1
    try bytes.write(to: blob)
    #expect(throws: SlicingError.corruptBlob(digest)) {
      try SlicedModel(directory: directory.path)
    }
    try FileManager.default.removeItem(at: blob)
    #expect(throws: SlicingError.self) { try SlicedModel(directory: directory.path) }
  }

  @Test func refusesToQuantiseAnInputThatDoesNotFit() throws {
    let boundary = try #require(
      BoundarySpecification(name: "x", elementType: .int16, shape: [2], exponent: 8))
    #expect(try BoundaryValues.bytes([1, -0.5], as: boundary) == [0, 1, 0x80, 0xFF])
    #expect(try BoundaryValues.floats([0, 1, 0x80, 0xFF], as: boundary) == [1, -0.5])
    for value in [128, -129, .infinity, .nan] as [Float] {
      #expect(throws: QuantizationError.self) {
        try BoundaryValues.bytes([0, value], as: boundary)
      }
    }
  }
}
