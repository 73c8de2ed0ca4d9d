import FixedPoint
import ModelGraph
import Quantization
import Slicing
import SwiftProtobuf
import Testing

/// SplitMix64, so that every run sees the same graphs.
private struct Seeded: RandomNumberGenerator {
  var state: UInt64
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}

@Suite struct RandomGraphTests {
  /// Convolutions, activations, residual sums, normalisation and pools in random order, so that
  /// cuts fall between branches.
  @Test(arguments: 1...25) func slicedOrWholeGivesIdenticalBytes(seed: Int) throws {
    var random = Seeded(state: UInt64(seed))
    let graph = try Graph(bytes: randomModel(&random).serializedBytes()).simplified()
    let samples = (0..<4).map { _ in
      [
        FloatTensor(
          shape: [1, 2, 6, 6],
          values: (0..<72).map { _ in Float.random(in: -1...1, using: &random) })
      ]
    }
    let quantizer = try Quantizer(graph, calibration: Calibration(graph, samples: samples))
    let whole = Executor(program: try quantizer.program())
    for count in 1...4 {
      let sliced = try SlicedModel(name: "random", quantizer: quantizer, count: count)
      for sample in samples {
        let input = try BoundaryValues.bytes(sample[0].values, as: whole.program.inputs[0])
        #expect(try sliced.run([input]) == whole.run([input]))
      }
    }
  }

  private func randomModel(_ random: inout Seeded) -> Onnx_ModelProto {
    var model = Onnx_ModelProto()
    model.opsetImport = [.with { $0.version = 17 }]
    var graph = Onnx_GraphProto()
    func shaped(_ name: String) -> Onnx_ValueInfoProto {
      .with {
        $0.name = name
        $0.type.tensorType.elemType = 1
        $0.type.tensorType.shape.dim = [1, 2, 6, 6].map { axis in .with { $0.dimValue = axis } }
      }
    }
    func constant(_ name: String, _ shape: [Int64], _ range: ClosedRange<Float>) {
      graph.initializer.append(
        .with {
          $0.name = name
          $0.dataType = 1
          $0.dims = shape
          $0.floatData = (0..<shape.reduce(1, *)).map { _ in Float.random(in: range, using: &random)
          }
        })
    }
    func integers(_ name: String, _ values: [Int64]) -> Onnx_AttributeProto {
      .with {
        $0.name = name
        $0.type = .ints
        $0.ints = values
      }
    }
    var names = ["x"]
    for index in 0..<10 {
      let name = "v\(index)"
      var node = Onnx_NodeProto()
      node.output = [name]
      let last = names[names.count - 1]
      switch index < 4 ? 0 : Int.random(in: 0...5, using: &random) {
      case 0, 1:
        constant("\(name).w", [2, 2, 3, 3], -0.4...0.4)
        constant("\(name).b", [2], -0.1...0.1)
        node.opType = "Conv"
        node.input = [last, "\(name).w", "\(name).b"]
        node.attribute = [integers("pads", [1, 1, 1, 1])]
      case 2:
        node.opType = "Relu"
        node.input = [last]
      case 3:
        node.opType = "Add"
        node.input = [last, names.randomElement(using: &random) ?? last]
      case 4:
        node.opType = Bool.random(using: &random) ? "MaxPool" : "AveragePool"
        node.input = [last]
        node.attribute = [
          integers("kernel_shape", [3, 3]), integers("pads", [1, 1, 1, 1]),
        ]
        if node.opType == "AveragePool" {
          node.attribute.append(
            .with {
              $0.name = "count_include_pad"
              $0.type = .int
              $0.i = 1
            })
        }
      default:
        constant("\(name).c", [2, 1, 1], -1...1)
        node.opType = "Add"
        node.input = [last, "\(name).c"]
      }
      names.append(name)
      graph.node.append(node)
    }
    graph.input = [shaped("x")]
    graph.output = [shaped("v9")]
    model.graph = graph
    return model
  }
}
