import ModelGraph
import Primitives
import Quantization
import SwiftProtobuf

/// So that every run sees the same graphs.
typealias Seeded = SplitMix64

/// A model built node by node.
struct ModelBuilder {
  var model = Onnx_ModelProto()
  private(set) var values: [(name: String, shape: [Int])] = []

  init(opset: Int64 = 17, input: [Int]) {
    model.opsetImport = [.with { $0.version = opset }]
    model.graph.input = [Self.describe("x", input)]
    values = [("x", input)]
  }

  static func describe(_ name: String, _ shape: [Int]) -> Onnx_ValueInfoProto {
    .with {
      $0.name = name
      $0.type.tensorType.elemType = 1
      $0.type.tensorType.shape.dim = shape.map { axis in .with { $0.dimValue = Int64(axis) } }
    }
  }

  mutating func constant(_ name: String, _ shape: [Int], _ values: [Float]) {
    model.graph.initializer.append(
      .with {
        $0.name = name
        $0.dataType = 1
        $0.dims = shape.map { Int64($0) }
        $0.floatData = values
      })
  }

  @discardableResult
  mutating func node(
    _ operatorName: String, _ inputs: [String], _ attributes: [String: [Int]] = [:],
    named name: String? = nil, giving shape: [Int]
  ) -> String {
    let name = name ?? "v\(values.count)"
    var node = Onnx_NodeProto()
    (node.name, node.opType, node.input, node.output) = (
      name, operatorName, inputs, ["\(name)_out"]
    )
    for (key, numbers) in attributes.sorted(by: { $0.key < $1.key }) {
      node.attribute.append(
        .with {
          $0.name = key
          if ["axis", "group", "count_include_pad"].contains(key) {
            ($0.type, $0.i) = (.int, Int64(numbers[0]))
          } else {
            ($0.type, $0.ints) = (.ints, numbers.map { Int64($0) })
          }
        })
    }
    model.graph.node.append(node)
    values.append(("\(name)_out", shape))
    return "\(name)_out"
  }

  /// A convolution with random weights; nil where its window does not fit.
  mutating func convolution(
    of operand: (name: String, shape: [Int]), channels: Int, kernel: [Int], stride: [Int] = [1, 1],
    pads: [Int] = [0, 0, 0, 0], dilations: [Int] = [1, 1], groups: Int = 1,
    named name: String? = nil, _ random: inout Seeded
  ) -> String? {
    let image = (0..<2).map { axis in
      let span = dilations[axis] * (kernel[axis] - 1) + 1
      let room = operand.shape[2 + axis] + pads[axis] + pads[axis + 2] - span
      return room < 0 ? 0 : room / stride[axis] + 1
    }
    guard image.allSatisfy({ $0 > 0 }) else { return nil }
    let name = name ?? "v\(values.count)"
    let weights = [channels, operand.shape[1] / groups] + kernel
    let scale = 1.5 / Float(weights.dropFirst().reduce(1, *))
    constant("\(name).w", weights, Self.numbers(weights.reduce(1, *), -scale...scale, &random))
    constant("\(name).b", [channels], Self.numbers(channels, -0.1...0.1, &random))
    return node(
      "Conv", [operand.name, "\(name).w", "\(name).b"],
      ["strides": stride, "pads": pads, "dilations": dilations, "group": [groups]], named: name,
      giving: [1, channels] + image)
  }

  static func numbers(
    _ count: Int, _ range: ClosedRange<Float>, _ random: inout Seeded
  ) -> [Float] {
    (0..<count).map { _ in Float.random(in: range, using: &random) }
  }

  /// The graph whose answer is `outputs`, quantised on seeded samples.
  func quantized(
    outputs: [String], samples: Int = 4, seed: UInt64 = 1
  ) throws -> (quantizer: Quantizer, samples: [[FloatTensor]]) {
    var model = model
    model.graph.output = outputs.map { name in .with { $0.name = name } }
    let graph = try Graph(bytes: model.serializedBytes()).simplified()
    var random = Seeded(state: seed)
    let shape = values[0].shape
    let samples = (0..<samples).map { _ in
      [
        FloatTensor(
          shape: shape, values: Self.numbers(shape.reduce(1, *), -1...1, &random))
      ]
    }
    return (
      try Quantizer(graph, calibration: Calibration(graph, samples: samples)), samples
    )
  }

  /// Ten nodes: convolutions with strides, pads, dilations and groups, activations, residual sums,
  /// joined branches and pools, over images of odd sizes.
  static func random(_ random: inout Seeded) -> (builder: ModelBuilder, outputs: [String]) {
    let size = [Int.random(in: 5...9, using: &random), Int.random(in: 5...9, using: &random)]
    var builder = ModelBuilder(
      opset: [9, 17].randomElement(using: &random)!, input: [1, 2] + size)
    while builder.model.graph.node.count < 10 {
      // Mostly on from the latest value, sometimes from an earlier one: a branch.
      let latest = builder.values[builder.values.count - 1]
      let operand =
        Int.random(in: 0..<4, using: &random) > 0
        ? latest : builder.values.randomElement(using: &random)!
      let others = builder.values.filter { $0.name != operand.name }
      switch Int.random(in: 0..<8, using: &random) {
      case 0...2:
        func pick(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &random) }
        let groups = operand.shape[1] == 4 ? [1, 2, 4].randomElement(using: &random)! : 1
        _ = builder.convolution(
          of: operand, channels: 4, kernel: [pick(1...3), pick(1...3)],
          stride: [pick(1...2), pick(1...2)], pads: (0..<4).map { _ in pick(0...2) },
          dilations: [pick(1...2), pick(1...2)], groups: groups, &random)
      case 3:
        let name = ["Relu", "LeakyRelu", "Sigmoid", "Tanh"].randomElement(using: &random)!
        builder.node(name, [operand.name], giving: operand.shape)
      case 4:
        guard let other = others.last(where: { $0.shape == operand.shape }) else { continue }
        builder.node("Add", [operand.name, other.name], giving: operand.shape)
      case 5:
        guard let other = others.last(where: { $0.shape[2...] == operand.shape[2...] }),
          operand.shape[1] + other.shape[1] <= 8
        else { continue }
        builder.node(
          "Concat", [operand.name, other.name], ["axis": [1]],
          giving: [1, operand.shape[1] + other.shape[1]] + operand.shape[2...])
      case let choice:
        guard operand.shape[2] > 2, operand.shape[3] > 2 else { continue }
        var attributes = ["kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "strides": [2, 1]]
        if choice == 6 { attributes["count_include_pad"] = [1] }
        builder.node(
          choice == 6 ? "AveragePool" : "MaxPool", [operand.name], attributes,
          giving: [1, operand.shape[1], (operand.shape[2] - 1) / 2 + 1, operand.shape[3]])
      }
    }
    let last = builder.values[builder.values.count - 1].name
    let other = builder.values[6].name
    return (builder, Bool.random(using: &random) || other == last ? [last] : [last, other])
  }
}
