import FixedPoint
import Foundation
import ModelGraph
import Quantization
import Statements
import SwiftProtobuf
import Testing

/// A model of one node, built for a test.
struct OneNode {
  var opset: Int64 = 17
  var node = Onnx_NodeProto()
  /// Shapes and ranges of the inputs that come with every request.
  var inputs: [(shape: [Int], range: ClosedRange<Float>)] = []
  /// By input: ONNX's number of its type where it is not float32.
  var inputTypes: [Int: Int32] = [:]
  var constants: [Onnx_TensorProto] = []

  init(_ name: String, _ attributes: [Onnx_AttributeProto] = []) {
    node.name = "node"
    node.opType = name
    node.attribute = attributes
    node.output = ["y"]
  }

  /// Another operand that is computed.
  func input(_ shape: [Int], _ range: ClosedRange<Float> = -4...4) -> Self {
    var copy = self
    copy.node.input.append("x\(inputs.count)")
    copy.inputs.append((shape, range))
    return copy
  }

  /// Another operand that is constant.
  func constant(_ shape: [Int], _ values: [Float]) -> Self {
    constant {
      $0.dims = shape.map { Int64($0) }
      $0.dataType = 1
      $0.floatData = values
    }
  }

  /// Another operand that is a constant of random numbers.
  func random(_ shape: [Int], _ range: ClosedRange<Float> = -1...1) -> Self {
    var random = Seeded(state: UInt64(constants.count + 17))
    return constant(
      shape, (0..<shape.reduce(1, *)).map { _ in Float.random(in: range, using: &random) })
  }

  /// Weights that are exact in 8 bits, so that only the arithmetic is measured.
  func weights(_ shape: [Int]) -> Self {
    var random = Seeded(state: UInt64(constants.count + 31))
    return constant(
      shape,
      (0..<shape.reduce(1, *)).map { _ in Float(Int.random(in: -32...32, using: &random)) / 32 })
  }

  func integers(_ values: [Int64]) -> Self {
    constant {
      $0.dims = [Int64(values.count)]
      $0.dataType = 7
      $0.int64Data = values
    }
  }

  func omitted() -> Self {
    var copy = self
    copy.node.input.append("")
    return copy
  }

  func opset(_ version: Int64) -> Self {
    var copy = self
    copy.opset = version
    return copy
  }

  private func constant(_ fill: (inout Onnx_TensorProto) -> Void) -> Self {
    var copy = self
    var tensor = Onnx_TensorProto()
    tensor.name = "c\(constants.count)"
    fill(&tensor)
    copy.node.input.append(tensor.name)
    copy.constants.append(tensor)
    return copy
  }

  func graph() throws -> Graph {
    var model = Onnx_ModelProto()
    model.irVersion = 8
    model.opsetImport = [.with { $0.version = opset }]
    model.graph.node = [node]
    model.graph.initializer = constants
    model.graph.input = inputs.enumerated().map { index, input in
      .with {
        $0.name = "x\(index)"
        $0.type.tensorType.elemType = inputTypes[index] ?? 1
        $0.type.tensorType.shape.dim = input.shape.map { axis in .with { $0.dimValue = Int64(axis) }
        }
      }
    }
    model.graph.output = [.with { $0.name = "y" }]
    return try Graph(bytes: model.serializedBytes()).simplified()
  }
}

func integer(_ name: String, _ value: Int) -> Onnx_AttributeProto {
  .with {
    $0.name = name
    $0.type = .int
    $0.i = Int64(value)
  }
}

func integers(_ name: String, _ values: [Int]) -> Onnx_AttributeProto {
  .with {
    $0.name = name
    $0.type = .ints
    $0.ints = values.map { Int64($0) }
  }
}

func float(_ name: String, _ value: Float) -> Onnx_AttributeProto {
  .with {
    $0.name = name
    $0.type = .float
    $0.f = value
  }
}

func text(_ name: String, _ value: String) -> Onnx_AttributeProto {
  .with {
    $0.name = name
    $0.type = .string
    $0.s = .init(value.utf8)
  }
}

/// SplitMix64, so that every run sees the same numbers.
struct Seeded: RandomNumberGenerator {
  var state: UInt64
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}

/// The largest difference between the program's and the float model's outputs on inputs that are
/// exact in fixed point, in units of the result's last place.
func largestError(of graph: Graph, _ ranges: [ClosedRange<Float>]) throws -> Double {
  var random = Seeded(state: 5)
  let samples = (0..<4).map { _ in
    zip(graph.inputs, ranges).map { input, range in
      let value = graph.values[input]
      return FloatTensor(
        shape: value.shape,
        values: (0..<value.elementCount).map { _ in Float.random(in: range, using: &random) })
    }
  }
  let quantizer = try Quantizer(graph, calibration: Calibration(graph, samples: samples))
  let program = try quantizer.program()
  let executor = Executor(program: program)
  var largest = 0.0
  for sample in samples {
    let inputs = try zip(sample, program.inputs).map {
      try BoundaryValues.bytes($0.values, as: $1)
    }
    let exact = try zip(inputs, program.inputs).map { bytes, boundary in
      FloatTensor(
        shape: boundary.shape, values: try BoundaryValues.floats(bytes, as: boundary))
    }
    let expected = try graph.evaluate(exact)
    for (place, bytes) in try executor.run(inputs).enumerated() {
      let boundary = program.outputs[place]
      let unit = Double(sign: .plus, exponent: -Int(boundary.exponent), significand: 1)
      for (got, want) in zip(
        try BoundaryValues.floats(bytes, as: boundary), expected[place].values)
      {
        largest = max(largest, abs(Double(got) - Double(want)) / unit)
      }
    }
  }
  return largest
}
