package import FixedPoint
package import ModelGraph
package import Statements

/// Gives every value of a graph its power-of-two exponent, once, and lowers any run of nodes to an
/// integer program. As the exponents belong to the values, a model computes the same integers
/// however it is cut.
package struct Quantizer: Sendable {
  /// Bits of a weight, sign included. Small weights keep shifts, and with them proofs, small.
  package static let weightBits = 8

  /// Bits that a result has above its own exponent before it is clamped onto that.
  static let saturationBits = 4

  package let graph: Graph
  /// Values that are clamped to their range where others would end the run with a range fault.
  package let saturated: Set<Int>
  /// By value index; constants are quantised where they are read.
  package let exponents: [Int8]

  /// `graph` is simplified first (`Graph.simplified`). The results of the nodes named by
  /// `saturating` are clamped; operators that only move elements have nothing to clamp.
  package init(
    _ graph: Graph, calibration: Calibration, saturating: Set<String> = []
  ) throws(QuantizationError) {
    guard calibration.sampleCount > 0 else { throw .noSamples }
    self.graph = graph
    saturated = Set(graph.nodes.lazy.filter { saturating.contains($0.name) }.map(\.output))
    var exponents = [Int8](repeating: 0, count: graph.values.count)
    for input in graph.inputs {
      exponents[input] = try Self.exponent(
        calibration.maxMagnitudes[input], named: graph.values[input].name)
    }
    for node in graph.nodes {
      exponents[node.output] =
        node.layer.keepsExponent
        ? exponents[node.inputs[0]]
        : try Self.exponent(calibration.maxMagnitudes[node.output], named: node.name)
    }
    self.exponents = exponents
  }

  /// The largest exponent at which `magnitude`, with head-room, fits in int16.
  private static func exponent(
    _ magnitude: Float, named name: String
  ) throws(QuantizationError) -> Int8 {
    guard magnitude.isFinite else { throw .notFinite(name) }
    return Int8(
      PowerOfTwo.exponent(fitting: Double(magnitude * Calibration.headRoom), limit: 32767)
        .clamped(to: -16...15))
  }

  private init(_ graph: Graph, exponents: [Int8], saturated: Set<Int>) {
    (self.graph, self.exponents, self.saturated) = (graph, exponents, saturated)
  }

  /// The same integers for a graph in which convolutions were divided: each value has the exponent
  /// of the one it is made of, and is clamped where that is.
  package func following(_ split: SplitGraph) -> Quantizer {
    Quantizer(
      split.graph, exponents: split.origins.map { exponents[$0] },
      saturated: Set(split.origins.indices.filter { saturated.contains(split.origins[$0]) }))
  }

  package func boundary(_ value: Int) throws(QuantizationError) -> BoundarySpecification {
    let tensor = graph.values[value]
    guard
      let boundary = BoundarySpecification(
        name: tensor.name, elementType: .int16, shape: tensor.shape, exponent: exponents[value])
    else {
      throw .unrepresentable(node: tensor.name, "its shape \(tensor.shape) is out of bounds")
    }
    return boundary
  }

  /// The whole model as one program.
  package func program() throws(QuantizationError) -> Program {
    try program(nodes: Array(graph.nodes.indices), inputs: graph.inputs, outputs: graph.outputs)
  }

  /// Some nodes, ascending, which read only `inputs`, constants and each other.
  package func program(
    nodes: [Int], inputs: [Int], outputs: [Int]
  ) throws(QuantizationError) -> Program {
    var lowering = Lowering(quantizer: self, inputs: inputs)
    for node in nodes { try lowering.append(graph.nodes[node]) }
    var specifications: [BoundarySpecification] = []
    for input in inputs { specifications.append(try boundary(input)) }
    var results: [BoundarySpecification] = []
    for output in outputs { results.append(try boundary(output)) }
    do {
      return try Program(
        inputs: specifications, operations: lowering.operations,
        outputTensors: outputs.compactMap { lowering.tensor(of: $0) }, outputs: results)
    } catch {
      throw .program(error)
    }
  }
}

extension Layer {
  /// Whether the result is made of the operand's own integers.
  var keepsExponent: Bool {
    switch self {
    case .relu, .reshape, .identity: true
    case .pool(let layer): layer.reduction == .maximum
    case .general(let layer): layer.keepsExponent
    case .convolution, .gemm, .matMul, .add, .batchNormalization: false
    }
  }
}

extension GeneralLayer {
  fileprivate var keepsExponent: Bool {
    switch form {
    case .arrangement(let arrangement): !arrangement.fills
    case .pool(let pool): pool.isMaximum
    case .reduction(let reduction): [.maximum, .minimum].contains(reduction.operation)
    default: false
    }
  }

  /// Whether elements only change their places.
  var isMovement: Bool {
    switch form {
    case .arrangement, .concatenation: true
    default: false
    }
  }
}

enum PowerOfTwo {
  /// The largest e with magnitude · 2^e <= limit; 31 for a magnitude of 0.
  static func exponent(fitting magnitude: Double, limit: Double) -> Int {
    guard magnitude > 0 else { return 31 }
    var exponent = Int((limit / magnitude).exponent)
    while value(exponent) * magnitude > limit { exponent -= 1 }
    return exponent
  }

  static func value(_ exponent: Int) -> Double {
    Double(sign: .plus, exponent: exponent, significand: 1)
  }
}

extension Int {
  func clamped(to range: ClosedRange<Int>) -> Int {
    Swift.min(Swift.max(self, range.lowerBound), range.upperBound)
  }
}
