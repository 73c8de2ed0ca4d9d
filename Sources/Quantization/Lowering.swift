import FixedPoint
import ModelGraph

/// Turns nodes into operations of a program, one at a time. Each family of layers is an extension
/// in a file of its own.
struct Lowering {
  /// A tensor of the program that an operation reads.
  struct Operand {
    let number: Int
    let tensor: Tensor

    var shape: [Int] { tensor.shape }
    var exponent: Int { Int(tensor.exponent) }
  }

  let quantizer: Quantizer
  private(set) var operations: [Program.Operation] = []
  /// By value of the graph: the tensor that holds it.
  private var operands: [Int: Operand] = [:]
  private let inputCount: Int

  init(quantizer: Quantizer, inputs: [Int]) {
    self.quantizer = quantizer
    inputCount = inputs.count
    for (number, value) in inputs.enumerated() {
      operands[value] = Operand(
        number: number,
        tensor: Tensor(
          shape: quantizer.graph.values[value].shape, exponent: quantizer.exponents[value]))
    }
  }

  /// Number of the tensor that holds a value of the graph.
  func tensor(of value: Int) -> Int? { operands[value]?.number }

  mutating func append(_ node: Graph.Node) throws(QuantizationError) {
    operands[node.output] = try rescaled(
      lowered(node), to: Int(quantizer.exponents[node.output]), node.name,
      saturates: saturates(node))
  }

  /// Appends what computes the node, at any exponent.
  private mutating func lowered(_ node: Graph.Node) throws(QuantizationError) -> Operand {
    switch node.layer {
    case .convolution(let layer): return try convolution(node, layer)
    case .gemm(let layer): return try gemm(node, layer)
    case .matMul: return try matMul(node)
    case .relu: return try emit(.relu(Relu()), node.name, reading: [operand(node, 0)])
    case .reshape, .identity: return try reshaped(operand(node, 0), to: shape(of: node), node.name)
    case .pool(let layer): return try pool(node, layer)
    case .add: return try sum(node)
    case .general(let layer): return try general(node, layer)
    case .batchNormalization:
      throw .unsupported(node: node.name, "a BatchNormalization was left by simplification")
    }
  }

  private mutating func general(
    _ node: Graph.Node, _ layer: GeneralLayer
  ) throws(QuantizationError) -> Operand {
    switch layer.form {
    case .function(let form): return try function(node, form)
    case .clip(let form): return try clip(node, form)
    case .arithmetic(let form): return try arithmetic(node, form)
    case .arrangement(let form): return try arrangement(node, form)
    case .concatenation(let form): return try concatenation(node, form)
    case .reduction(let form): return try reduction(node, form)
    case .softmax(let form): return try softmax(node, form)
    case .pool(let form): return try pool(node, form)
    case .convolution(let form): return try convolution(node, form)
    case .product(let form): return try product(node, form)
    case .normalization(let form): return try normalization(node, form)
    case .localResponse(let form): return try localResponse(node, form)
    case .lookup(let form): return try lookup(node, form)
    }
  }

  // MARK: What the families share

  func shape(of node: Graph.Node) -> [Int] { quantizer.graph.values[node.output].shape }

  /// The exponent at which the node's result is computed: the value's own, or a coarser one where
  /// the result is then clamped onto it.
  func exponent(of node: Graph.Node) -> Int {
    let exponent = Int(quantizer.exponents[node.output])
    return saturates(node) ? max(exponent - Quantizer.saturationBits, -16) : exponent
  }

  private func saturates(_ node: Graph.Node) -> Bool {
    quantizer.saturated.contains(node.output) && node.layer.isComputed
  }

  /// Appends an operation; throws where its parameters do not fit, naming the node.
  mutating func emit(
    _ operation: Operator, _ name: String, reading inputs: [Operand]
  ) throws(QuantizationError) -> Operand {
    let tensor: Tensor
    do {
      tensor = try operation.result(of: inputs.map(\.tensor))
    } catch {
      throw .program(ProgramError(node: name, problem: error))
    }
    operations.append(.init(name: name, inputs: inputs.map(\.number), operator: operation))
    return Operand(number: inputCount + operations.count - 1, tensor: tensor)
  }

  /// The tensor of float operand `place`; a constant becomes one, at an exponent of at most
  /// `finest`.
  mutating func operand(
    _ node: Graph.Node, _ place: Int, finest: Int = 15
  ) throws(QuantizationError) -> Operand {
    let index = node.operands[place]
    let value = quantizer.graph.values[index]
    if let operand = operands[index] { return operand }
    guard let constant = value.constant else {
      throw .unsupported(node: node.name, "it reads '\(value.name)' before it is computed")
    }
    return try self.constant(constant, node.name, finest: finest)
  }

  /// A constant tensor at the finest exponent within -16...`finest` at which it fits.
  mutating func constant(
    _ tensor: FloatTensor, _ name: String, finest: Int = 15
  ) throws(QuantizationError) -> Operand {
    let exponent = PowerOfTwo.exponent(fitting: Double(tensor.maxMagnitude), limit: 32767)
      .clamped(to: -16...finest)
    let integers = try integers(tensor.values, exponent: exponent, name)
    return try emit(
      .constant(Constant(shape: tensor.shape, exponent: Int8(exponent), values: integers)), name,
      reading: [])
  }

  /// round(value · 2^exponent), half away from zero.
  func integers(
    _ values: [Float], exponent: Int, _ name: String
  ) throws(QuantizationError) -> [Int16] {
    let scale = PowerOfTwo.value(exponent)
    var integers: [Int16] = []
    integers.reserveCapacity(values.count)
    for value in values {
      guard let integer = Int16(exactly: (Double(value) * scale).rounded()) else {
        throw .unrepresentable(node: name, "its constant \(value) is too large")
      }
      integers.append(integer)
    }
    return integers
  }

  mutating func rescaled(
    _ operand: Operand, to exponent: Int, _ name: String, saturates: Bool = false
  ) throws(QuantizationError) -> Operand {
    guard operand.exponent != exponent else { return operand }
    return try emit(
      .rescale(Rescaling(exponent: Int8(exponent), saturates: saturates)), name, reading: [operand])
  }

  /// Two operands of a product at `exponent`, the finer one made coarser where their exponents
  /// together are more than one shift above it.
  mutating func factors(
    _ left: Operand, _ right: Operand, for exponent: Int, _ name: String
  ) throws(QuantizationError) -> (left: Operand, right: Operand, exponent: Int) {
    let shift = left.exponent + right.exponent - exponent
    let excess = max(0, shift - Requantization.shiftLimit)
    let (left, right) =
      left.exponent > right.exponent
      ? (try rescaled(left, to: left.exponent - excess, name), right)
      : (left, try rescaled(right, to: right.exponent - excess, name))
    return (left, right, min(exponent, left.exponent + right.exponent))
  }

  mutating func reshaped(
    _ operand: Operand, to shape: [Int], _ name: String
  ) throws(QuantizationError) -> Operand {
    guard operand.shape != shape else { return operand }
    return try emit(.reshape(Reshape(shape: shape)), name, reading: [operand])
  }

  /// The operand with its axes in another order.
  mutating func transposed(
    _ operand: Operand, _ order: [Int], _ name: String
  ) throws(QuantizationError) -> Operand {
    guard order != Array(order.indices) else { return operand }
    let axes = order.map {
      FixedPoint.Arrangement.Axis(whole: $0, count: operand.shape[$0])
    }
    return try emit(
      .arrangement(FixedPoint.Arrangement(axes: axes)), name, reading: [operand])
  }

  /// The float operand's value, nil where the model computes it.
  func knownConstant(_ node: Graph.Node, _ place: Int) -> FloatTensor? {
    quantizer.graph.values[node.operands[place]].constant
  }

  /// The float operand's value; throws, saying which, where the model computes it.
  func constant(
    _ node: Graph.Node, _ place: Int
  ) throws(QuantizationError) -> FloatTensor {
    guard let constant = knownConstant(node, place) else {
      throw .unsupported(
        node: node.name,
        "\(node.operatorName) has an exact integer meaning only where operand \(place) is constant")
    }
    return constant
  }

  /// The largest exponent within -16...15 at which `magnitude` fits in int16.
  static func exponent(fitting magnitude: Double) -> Int {
    PowerOfTwo.exponent(fitting: magnitude, limit: 32767).clamped(to: -16...15)
  }
}
