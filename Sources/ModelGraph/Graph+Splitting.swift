import Primitives
import SwiftProtobuf

/// How one convolution is divided: its output channels into `channels` runs, and the image of each
/// into `rows` × `columns` tiles.
package struct ConvolutionSplit: Hashable, Sendable {
  package var channels = 1
  package var rows = 1
  package var columns = 1

  package init(channels: Int = 1, rows: Int = 1, columns: Int = 1) {
    (self.channels, self.rows, self.columns) = (channels, rows, columns)
  }
}

/// Why a node cannot be divided as asked.
package struct SplitError: CodedError, Equatable {
  package enum Problem: Sendable, Equatable {
    case notAConvolution(String)
    /// More runs than there are channels, or groups of channels.
    case channels(asked: Int, channels: Int, groups: Int)
    case tiles(rows: Int, columns: Int, image: [Int])
    /// A tile of which every window lies in the padding.
    case tileOfPadding(row: Int, column: Int)
  }

  package let node: String
  package let problem: Problem

  package init(_ problem: Problem, at node: String) { (self.problem, self.node) = (problem, node) }

  package var code: String { "indivisible" }
  package var sentence: String {
    let what =
      switch problem {
      case .notAConvolution(let name):
        "a \(name) cannot be divided; name a two-dimensional Conv"
      case .channels(let asked, let channels, let groups) where groups > 1:
        "its \(channels) channels stay together in \(groups) groups and cannot be divided into \(asked) runs; ask for 1 to \(groups)"
      case .channels(let asked, let channels, _):
        "its \(channels) channels cannot be divided into \(asked) runs; ask for 1 to \(channels)"
      case .tiles(let rows, let columns, let image):
        "its result of \(image[0]) × \(image[1]) cannot be divided into \(rows) × \(columns) tiles; ask for at most \(image[0])x\(image[1])"
      case .tileOfPadding(let row, let column):
        "tile \(row), \(column) would hold nothing but padding; ask for fewer tiles"
      }
    return "At '\(node)', \(what)."
  }
}

/// A graph in which convolutions were divided, and how it corresponds to the graph before.
package struct SplitGraph: Sendable {
  package let graph: Graph
  /// By value: the value before of whose integers it is made.
  package let origins: [Int]
  /// The values that the parts give, by the node that was divided.
  package let parts: [Int: [Int]]
  /// The node that joins the parts, by the node that was divided.
  package let joins: [Int: Int]
}

extension Graph {
  /// The same function with some convolutions divided: each part crops what it needs of the whole
  /// operand, halo included, and convolves it; activations that directly follow are computed within
  /// the part; then the parts are joined again. Every value keeps its name, and the parts add
  /// theirs.
  ///
  /// - Parameter splits: By node.
  package func splitting(_ splits: [Int: ConvolutionSplit]) throws -> SplitGraph {
    var splitter = try Splitter(self)
    var absorbed: Set<Int> = []
    for (index, node) in nodes.enumerated() where !absorbed.contains(index) {
      if let split = splits[index], split != ConvolutionSplit() {
        let followers = followers(of: node)
        absorbed.formUnion(followers)
        try splitter.append(index, split, followers: followers)
      } else {
        try splitter.append(node)
      }
    }
    return SplitGraph(
      graph: Graph(
        name: name, opset: opset, values: splitter.builder.values, nodes: splitter.builder.nodes,
        inputs: inputs.compactMap { splitter.renamed[$0] },
        outputs: outputs.compactMap { splitter.renamed[$0] }),
      origins: splitter.origins, parts: splitter.parts, joins: splitter.joins)
  }

  /// The activations that alone read the node's result, one after the other, element by element.
  private func followers(of node: Node) -> [Int] {
    var followers: [Int] = []
    var value = node.output
    while !outputs.contains(value) {
      let readers = nodes.indices.filter { nodes[$0].inputs.contains(value) }
      guard readers.count == 1, nodes[readers[0]].isActivation(of: value, in: self) else { break }
      followers.append(readers[0])
      value = nodes[readers[0]].output
    }
    return followers
  }
}

extension Graph.Node {
  /// Operators that compute each element from one element alone.
  package static let activations: Set = [
    "Abs", "Clip", "Elu", "Erf", "Exp", "Gelu", "HardSigmoid", "HardSwish", "LeakyRelu", "Log",
    "Neg", "Relu", "Sigmoid", "Softplus", "Sqrt", "Tanh",
  ]

  fileprivate func isActivation(of value: Int, in graph: Graph) -> Bool {
    Self.activations.contains(operatorName)
      && inputs.allSatisfy { $0 == value || graph.values[$0].elementCount == 1 }
  }
}

/// A run of one axis of a convolution's result, and what it needs of the operand's axis.
private struct WindowRun {
  /// Along the operand, without the padding.
  let operand: Range<Int>
  let padBefore: Int
  let padAfter: Int

  /// Nil where every window of the run lies in the padding.
  init?(_ result: Range<Int>, axis: Int, window: ImageWindow, size: Int) {
    let first = result.lowerBound * window.strides[axis] - window.pads[axis]
    let reach = window.dilations[axis] * (window.kernel[axis] - 1) + 1
    let end = (result.upperBound - 1) * window.strides[axis] - window.pads[axis] + reach
    guard max(first, 0) < min(end, size) else { return nil }
    operand = max(first, 0)..<min(end, size)
    (padBefore, padAfter) = (operand.lowerBound - first, end - operand.upperBound)
  }
}

private func runs(_ count: Int, of size: Int) -> [Range<Int>] {
  (0..<count).map { size * $0 / count..<size * ($0 + 1) / count }
}

/// Builds the divided graph node by node.
private struct Splitter {
  private let old: Graph
  private(set) var builder: GraphBuilder
  /// Where each old value now lives.
  private(set) var renamed: [Int: Int] = [:]
  private(set) var origins: [Int] = []
  private(set) var parts: [Int: [Int]] = [:]
  private(set) var joins: [Int: Int] = [:]

  init(_ graph: Graph) throws(ModelError) {
    old = graph
    builder = GraphBuilder(opset: graph.opset)
    for (index, value) in graph.values.enumerated() where value.origin != .node {
      renamed[index] = try define(value, as: index)
    }
  }

  mutating func append(_ node: Graph.Node) throws(ModelError) {
    try builder.append(node, of: old, renamed: renamed)
    origins.append(node.output)
    renamed[node.output] = origins.count - 1
  }

  /// Appends the parts of a convolution with the activations `followers` in each, and what joins
  /// them to the value that the last of these gave.
  mutating func append(_ index: Int, _ split: ConvolutionSplit, followers: [Int]) throws {
    let node = old.nodes[index]
    guard case .convolution(let layer) = node.layer else {
      throw SplitError(.notAConvolution(node.operatorName), at: node.name)
    }
    let (operand, result) = (old.values[node.inputs[0]].shape, old.values[node.output].shape)
    // Whole groups stay together, so that each part is a convolution too.
    let divisible = layer.groups == 1 ? result[1] : layer.groups
    guard (1...divisible).contains(split.channels) else {
      throw SplitError(
        .channels(asked: split.channels, channels: result[1], groups: layer.groups), at: node.name)
    }
    guard (1...result[2]).contains(split.rows), (1...result[3]).contains(split.columns) else {
      throw SplitError(
        .tiles(rows: split.rows, columns: split.columns, image: Array(result[2...])),
        at: node.name)
    }
    var names: [String] = []
    for (place, channels) in runs(split.channels, of: divisible).enumerated() {
      let filters = try filters(of: node, layer, run: channels, place, of: split.channels)
      for (y, rows) in runs(split.rows, of: result[2]).enumerated() {
        for (x, columns) in runs(split.columns, of: result[3]).enumerated() {
          guard
            let rows = WindowRun(rows, axis: 0, window: layer.window, size: operand[2]),
            let columns = WindowRun(columns, axis: 1, window: layer.window, size: operand[3])
          else { throw SplitError(.tileOfPadding(row: y, column: x), at: node.name) }
          let suffix =
            (split.channels > 1 ? ".channels-\(place)" : "")
            + (split.rows * split.columns > 1 ? ".tile-\(y)-\(x)" : "")
          var name = try crop(node, filters.operandChannels, rows, columns, suffix)
          name = try convolve(node, layer, name, filters, rows, columns, suffix)
          for follower in followers { name = try activate(old.nodes[follower], name, suffix) }
          parts[index, default: []].append(origins.count - 1)
          names.append(name)
        }
      }
    }
    let joined = followers.last.map { old.nodes[$0].output } ?? node.output
    try join(names, node, split, into: joined)
    renamed[joined] = origins.count - 1
    joins[index] = builder.nodes.count - 1
  }

  // MARK: Steps

  /// The weights and biases of one run of output channels, and the channels it reads.
  private struct Filters {
    let weights: String
    let biases: String?
    let operandChannels: Range<Int>
    let groups: Int
  }

  /// - Parameter run: Of output channels, or of groups where there are several.
  private mutating func filters(
    of node: Graph.Node, _ layer: ConvolutionLayer, run: Range<Int>, _ place: Int, of count: Int
  ) throws(ModelError) -> Filters {
    let operandChannels = old.values[node.inputs[0]].shape[1]
    guard count > 1 else {
      return Filters(
        weights: old.values[node.inputs[1]].name,
        biases: node.inputs.count > 2 ? old.values[node.inputs[2]].name : nil,
        operandChannels: 0..<operandChannels, groups: layer.groups)
    }
    let width = layer.groups == 1 ? 1 : old.values[node.output].shape[1] / layer.groups
    let rows = run.lowerBound * width..<run.upperBound * width
    let perGroup = operandChannels / layer.groups
    let stem = "\(old.values[node.output].name).channels-\(place)"
    return Filters(
      weights: try rowsOf(node.inputs[1], rows, named: "\(stem).weight", node),
      biases: node.inputs.count > 2
        ? try rowsOf(node.inputs[2], rows, named: "\(stem).bias", node) : nil,
      operandChannels: layer.groups == 1
        ? 0..<operandChannels : run.lowerBound * perGroup..<run.upperBound * perGroup,
      groups: layer.groups == 1 ? 1 : run.count)
  }

  private mutating func rowsOf(
    _ value: Int, _ rows: Range<Int>, named name: String, _ node: Graph.Node
  ) throws(ModelError) -> String {
    guard let constant = old.values[value].constant else {
      throw ModelError(.unsupportedFeature("the weights of Conv are not constant"), at: node.name)
    }
    let width = constant.values.count / constant.shape[0]
    let values = Array(constant.values[rows.lowerBound * width..<rows.upperBound * width])
    let part = Graph.Value(
      name: name, shape: [rows.count] + constant.shape.dropFirst(), type: .float,
      origin: .floats(values))
    _ = try define(part, as: value)
    return name
  }

  /// What the part reads of the operand; the operand itself where that is all of it.
  private mutating func crop(
    _ node: Graph.Node, _ channels: Range<Int>, _ rows: WindowRun, _ columns: WindowRun,
    _ suffix: String
  ) throws(ModelError) -> String {
    let operand = old.values[node.inputs[0]]
    let ranges = [channels, rows.operand, columns.operand]
    let axes = (1...3).filter { ranges[$0 - 1] != 0..<operand.shape[$0] }
    guard !axes.isEmpty else { return operand.name }
    let stem = "\(old.values[node.output].name)\(suffix).crop"
    var proto = Onnx_NodeProto()
    (proto.name, proto.opType) = ("\(node.name)\(suffix).crop", "Slice")
    (proto.input, proto.output) = ([operand.name], [stem])
    for (role, numbers) in [
      ("starts", axes.map { ranges[$0 - 1].lowerBound }),
      ("ends", axes.map { ranges[$0 - 1].upperBound }), ("axes", axes),
    ] {
      let numbers = numbers.map { Int64($0) }
      // Before version 10 a Slice states these as attributes.
      if old.opset < 10 {
        proto.attribute.append(.integers(role, numbers))
      } else {
        let name = "\(stem).\(role)"
        let bounds = Graph.Value(
          name: name, shape: [numbers.count], type: .int64, origin: .integers(numbers))
        _ = try define(bounds, as: node.inputs[0])
        proto.input.append(name)
      }
    }
    return try append(proto, as: node.inputs[0])
  }

  private mutating func convolve(
    _ node: Graph.Node, _ layer: ConvolutionLayer, _ operand: String, _ filters: Filters,
    _ rows: WindowRun, _ columns: WindowRun, _ suffix: String
  ) throws(ModelError) -> String {
    var proto = node.proto
    proto.name = node.name + suffix
    proto.attribute.removeAll { ["auto_pad", "group", "pads"].contains($0.name) }
    let pads = [rows.padBefore, columns.padBefore, rows.padAfter, columns.padAfter]
    proto.attribute.append(.integers("pads", pads.map { Int64($0) }))
    proto.attribute.append(
      .with {
        ($0.name, $0.type, $0.i) = ("group", .int, Int64(filters.groups))
      })
    proto.input = [operand, filters.weights] + (filters.biases.map { [$0] } ?? [])
    proto.output = [old.values[node.output].name + suffix]
    return try append(proto, as: node.output)
  }

  private mutating func activate(
    _ node: Graph.Node, _ operand: String, _ suffix: String
  ) throws(ModelError) -> String {
    var proto = node.proto
    proto.name = node.name + suffix
    // Its other operands are constants that stay as they are.
    proto.input = [operand] + old.operandNames(of: node).dropFirst()
    proto.output = [old.values[node.output].name + suffix]
    return try append(proto, as: node.output)
  }

  /// Columns become rows, rows become images, and images one after the other the result.
  private mutating func join(
    _ names: [String], _ node: Graph.Node, _ split: ConvolutionSplit, into value: Int
  ) throws(ModelError) {
    var names = names
    for (count, axis) in [(split.columns, 3), (split.rows, 2), (split.channels, 1)]
    where count > 1 {
      names = try stride(from: 0, to: names.count, by: count).map { start throws(ModelError) in
        let isLast = count == names.count
        let suffix = isLast ? "" : ".joined-\(axis)-\(start / count)"
        var proto = Onnx_NodeProto()
        (proto.name, proto.opType) = ("\(node.name).join\(suffix)", "Concat")
        proto.input = Array(names[start..<start + count])
        proto.output = [old.values[value].name + suffix]
        proto.attribute = [
          .with {
            ($0.name, $0.type, $0.i) = ("axis", .int, Int64(axis))
          }
        ]
        return try append(proto, as: value)
      }
    }
  }

  private mutating func append(
    _ proto: Onnx_NodeProto, as origin: Int
  ) throws(ModelError) -> String {
    try builder.append(proto)
    origins.append(origin)
    return proto.output[0]
  }

  private mutating func define(_ value: Graph.Value, as old: Int) throws(ModelError) -> Int {
    origins.append(old)
    return try builder.define(value)
  }
}

extension Onnx_AttributeProto {
  fileprivate static func integers(_ name: String, _ values: [Int64]) -> Self {
    .with {
      ($0.name, $0.type, $0.ints) = (name, .ints, values)
    }
  }
}
