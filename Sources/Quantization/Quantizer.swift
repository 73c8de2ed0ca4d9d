package import FixedPoint
package import ModelGraph
package import Statements

/// Gives every value of a graph its power-of-two exponent, once, and lowers any run of nodes to an
/// integer program. As the exponents belong to the values, a model computes the same integers
/// however it is cut.
package struct Quantizer: Sendable {
  /// What precision is traded for range and for the cost of a proof.
  package struct Settings: Hashable, Sendable {
    package static let weightBitsRange = 2...16

    /// Bits of a weight, sign included. Small weights keep shifts, and with them proofs, small.
    package var weightBits = 8
    /// Ratio, at least 1, by which a value may exceed its calibrated magnitude before it is a
    /// range fault. Exponents are whole, so a value often gets more.
    package var headRoom = 2.0
    /// Nodes whose results end at their calibrated magnitude, without head-room, where a larger
    /// one would be a range fault. Before it is clipped a result may be 2^`saturationBits` times
    /// larger; it is computed coarser by as much.
    package var saturating: Set<String> = []

    package init() {}
  }

  /// Bits that a saturating result has above its own exponent before it is clipped onto that.
  static let saturationBits = 4

  package let graph: Graph
  package let settings: Settings
  /// By value index: the calibrated magnitude of inputs and results.
  let magnitudes: [Float]
  /// By value index; constants are quantised where they are read.
  package let exponents: [Int8]
  /// Values that are clipped to their range where others would end the run with a range fault.
  package let saturated: Set<Int>

  /// `graph` is simplified first (`Graph.simplified`).
  package init(
    _ graph: Graph, calibration: Calibration, settings: Settings = Settings()
  ) throws(QuantizationError) {
    guard calibration.sampleCount > 0 else { throw .noSamples }
    try self.init(
      graph, magnitudes: graph.values.indices.map(calibration.magnitude), settings: settings)
  }

  init(_ graph: Graph, magnitudes: [Float], settings: Settings) throws(QuantizationError) {
    (self.graph, self.magnitudes, self.settings) = (graph, magnitudes, settings)
    var saturated: Set<Int> = []
    for name in settings.saturating.sorted() {
      guard let node = graph.nodes.first(where: { $0.name == name }) else {
        throw .unknownNode(name)
      }
      guard node.layer.isComputed else {
        throw .unsupported(
          node: name,
          "\(node.operatorName) keeps its operand's integers; saturate the node before it")
      }
      saturated.insert(node.output)
    }
    self.saturated = saturated
    func exponent(_ value: Int, named name: String) throws(QuantizationError) -> Int8 {
      guard magnitudes[value].isFinite else { throw .notFinite(name) }
      let headRoom = saturated.contains(value) ? 1 : settings.headRoom
      let reach = Double(magnitudes[value]) * headRoom
      // The largest exponent at which the value, with head-room, fits in int16.
      return Int8(PowerOfTwo.exponent(fitting: reach, limit: 32767).clamped(to: -16...15))
    }
    var exponents = [Int8](repeating: 0, count: graph.values.count)
    // Indices, the only inputs that are no floats, keep the exponent 0.
    for input in graph.inputs where graph.values[input].type == .float {
      exponents[input] = try exponent(input, named: graph.values[input].name)
    }
    for node in graph.nodes {
      exponents[node.output] =
        node.layer.keepsExponent
        ? exponents[node.inputs[0]] : try exponent(node.output, named: node.name)
    }
    self.exponents = exponents
  }

  /// The same integers for a graph in which convolutions were divided: each value has the exponent
  /// of the one it is made of, and is clamped where that is.
  package func following(_ split: SplitGraph) -> Quantizer {
    Quantizer(self, split)
  }

  private init(_ whole: Quantizer, _ split: SplitGraph) {
    (graph, settings) = (split.graph, whole.settings)
    magnitudes = split.origins.map { whole.magnitudes[$0] }
    exponents = split.origins.map { whole.exponents[$0] }
    saturated = Set(split.origins.indices.filter { whole.saturated.contains(split.origins[$0]) })
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

  /// Whether the result holds numbers that are in no operand.
  var isComputed: Bool {
    if case .general(let layer) = self, layer.isMovement { return false }
    return !keepsExponent
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
  fileprivate var isMovement: Bool {
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
