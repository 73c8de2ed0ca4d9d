import Foundation
import ModelGraph
import SwiftProtobuf
import Testing

/// SplitMix64, so that every run of a test sees the same bytes.
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

func sampleURL(_ name: String) -> URL {
  URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().appendingPathComponent("Models").appendingPathComponent(name)
}

func sampleBytes(_ name: String) throws -> [UInt8] {
  [UInt8](try Data(contentsOf: sampleURL(name)))
}

/// x[1, 2] -> Gemm -> Relu -> y, to be spoilt by tests.
func smallModel() -> Onnx_ModelProto {
  .with {
    $0.irVersion = 8
    $0.opsetImport = [.with { $0.version = 17 }]
    $0.graph.name = "small"
    $0.graph.input = [value("x", [1, 2])]
    $0.graph.output = [value("y", [1, 3])]
    $0.graph.initializer = [constant("w", [3, 2], [1, 2, 3, 4, 5, 6])]
    $0.graph.node = [
      node("gemm", "Gemm", ["x", "w"], "h", [("transB", 1)]),
      node("relu", "Relu", ["h"], "y"),
    ]
  }
}

/// A model of one input `x`, whose output is `y`.
func model(
  _ input: [Int64], _ constants: [Onnx_TensorProto], _ nodes: [Onnx_NodeProto],
  _ change: (inout Onnx_ModelProto) -> Void = { _ in }
) -> Onnx_ModelProto {
  var model = smallModel()
  model.graph.input = [value("x", input)]
  model.graph.initializer = constants
  model.graph.node = nodes
  change(&model)
  return model
}

func integers(_ name: String, _ values: [Int64]) -> Onnx_TensorProto {
  .with {
    $0.name = name
    $0.dataType = 7
    $0.dims = [Int64(values.count)]
    $0.int64Data = values
  }
}

func value(_ name: String, _ shape: [Int64]) -> Onnx_ValueInfoProto {
  .with {
    $0.name = name
    $0.type.tensorType.elemType = 1
    $0.type.tensorType.shape.dim = shape.map { axis in .with { $0.dimValue = axis } }
  }
}

func constant(_ name: String, _ shape: [Int64], _ values: [Float]) -> Onnx_TensorProto {
  .with {
    $0.name = name
    $0.dataType = 1
    $0.dims = shape
    $0.floatData = values
  }
}

func node(
  _ name: String, _ operation: String, _ inputs: [String], _ output: String,
  _ integers: [(String, Int64)] = []
) -> Onnx_NodeProto {
  .with {
    $0.name = name
    $0.opType = operation
    $0.input = inputs
    $0.output = [output]
    $0.attribute = integers.map { name, number in
      .with {
        $0.name = name
        $0.type = .int
        $0.i = number
      }
    }
  }
}

/// The code and node with which `model` is refused.
func refusal(_ model: Onnx_ModelProto) throws -> (code: String, node: String?) {
  let bytes: [UInt8] = try model.serializedBytes()
  do {
    _ = try Graph(bytes: bytes)
  } catch {
    return (error.code, error.node)
  }
  Issue.record("the model was accepted")
  return ("", nil)
}
