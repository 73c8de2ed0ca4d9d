import FixedPoint
import Foundation
import ModelGraph

/// Operators of several operands, element by element.
extension Lowering {
  /// A constant factor may be so small that 15 fractional bits are few.
  private static let finestFactor = 30

  mutating func sum(_ node: Graph.Node) throws(QuantizationError) -> Operand {
    try added(operand(node, 0), operand(node, 1), to: exponent(of: node), node)
  }

  mutating func arithmetic(
    _ node: Graph.Node, _ form: Arithmetic
  ) throws(QuantizationError) -> Operand {
    let exponent = exponent(of: node)
    switch form.operation {
    case .power: return try power(node)
    case .prelu: return try prelu(node)
    case .divide: return try quotient(node)
    case .multiply:
      return try multiplied(
        operand(node, 0, finest: Self.finestFactor), operand(node, 1, finest: Self.finestFactor),
        to: exponent, node)
    case .subtract:
      return try added(operand(node, 0), operand(node, 1), subtracts: true, to: exponent, node)
    case .maximum, .minimum:
      return try extremum(
        node.operands.indices.map { place throws(QuantizationError) in try operand(node, place) },
        isMaximum: form.operation == .maximum, node)
    case .add, .mean:
      let count = node.operands.count
      var total = try operand(node, 0)
      for place in 1..<max(count, 1) {
        let next = try operand(node, place)
        // A partial sum may be larger than the whole.
        let isLast = place == count - 1 && form.operation == .add
        total = try added(
          total, next, to: isLast ? exponent : min(total.exponent, next.exponent) - 1, node)
      }
      guard form.operation == .mean else { return total }
      let share = try constant(FloatTensor(shape: [], values: [1 / Float(count)]), node.name)
      return try multiplied(total, share, to: exponent, node)
    }
  }

  /// x + y or x - y at `exponent`.
  mutating func added(
    _ left: Operand, _ right: Operand, subtracts: Bool = false, to exponent: Int,
    _ node: Graph.Node
  ) throws(QuantizationError) -> Operand {
    let common = max(left.exponent, right.exponent, exponent)
    let alignments = [common - left.exponent, common - right.exponent]
    guard (alignments + [common - exponent]).allSatisfy({ $0 <= Requantization.shiftLimit }) else {
      throw .unrepresentable(node: node.name, "its operands differ too much in range")
    }
    return try emit(
      .add(
        Addition(
          leftAlignment: UInt8(alignments[0]), rightAlignment: UInt8(alignments[1]),
          subtracts: subtracts, shift: UInt8(common - exponent), exponent: Int8(exponent))),
      node.name, reading: [left, right])
  }

  /// x·y at `exponent`, or at a coarser one where the product has no bits that fine.
  mutating func multiplied(
    _ left: Operand, _ right: Operand, to exponent: Int, _ node: Graph.Node
  ) throws(QuantizationError) -> Operand {
    let factors = try factors(left, right, for: exponent, node.name)
    return try emit(
      .multiply(Multiplication(exponent: Int8(factors.exponent))), node.name,
      reading: [factors.left, factors.right])
  }

  /// All operands come to the coarsest exponent among them: a finer one need not hold what is not
  /// chosen.
  private mutating func extremum(
    _ operands: [Operand], isMaximum: Bool, _ node: Graph.Node
  ) throws(QuantizationError) -> Operand {
    let common = operands.reduce(15) { min($0, $1.exponent) }
    var result = try rescaled(operands[0], to: common, node.name)
    for operand in operands.dropFirst() {
      let other = try rescaled(operand, to: common, node.name)
      result = try emit(
        .extremum(Extremum(isMaximum: isMaximum)), node.name, reading: [result, other])
    }
    return result
  }

  /// Clip by computed bounds: the lower bound first, as the definition has it.
  mutating func clip(
    _ node: Graph.Node, _ form: Clip
  ) throws(QuantizationError) -> Operand {
    var result = try operand(node, 0)
    for (place, isMaximum) in [(form.low, true), (form.high, false)] {
      guard let place else { continue }
      // A bound of one element in any shape is a scalar.
      let bound = try reshaped(operand(node, place), to: [], node.name)
      result = try extremum([result, bound], isMaximum: isMaximum, node)
    }
    return result
  }

  private mutating func quotient(_ node: Graph.Node) throws(QuantizationError) -> Operand {
    let exponent = exponent(of: node)
    let left = try operand(node, 0)
    if let divisor = knownConstant(node, 1) {
      guard divisor.values.allSatisfy({ $0 != 0 }) else {
        throw .unrepresentable(node: node.name, "it divides by a constant 0")
      }
      let reciprocal = FloatTensor(shape: divisor.shape, values: divisor.values.map { 1 / $0 })
      return try multiplied(
        left, constant(reciprocal, node.name, finest: Self.finestFactor), to: exponent, node)
    }
    let right = try operand(node, 1)
    // As near as the alignment comes.
    let alignment = min(exponent + right.exponent - left.exponent, Requantization.shiftLimit)
    guard alignment >= -Requantization.shiftLimit else {
      throw .unrepresentable(node: node.name, "its operands differ too much in range")
    }
    return try emit(
      .divide(Division(exponent: Int8(alignment + left.exponent - right.exponent))),
      node.name, reading: [left, right])
  }

  /// x^p for one constant p.
  private mutating func power(_ node: Graph.Node) throws(QuantizationError) -> Operand {
    let exponents = try constant(node, 1)
    guard let exponent = exponents.values.first, exponents.values.allSatisfy({ $0 == exponent })
    else {
      throw .unsupported(
        node: node.name, "Pow has an exact integer meaning only for one constant exponent")
    }
    let base = try operand(node, 0)
    let result =
      switch exponent {
      case 1: base
      case 2: try multiplied(base, base, to: self.exponent(of: node), node)
      case 0.5: try table(.sqrt, [], of: base, node)
      default: try table(.power, [exponent], of: base, node)
      }
    // The exponent may bring axes of its own.
    let shape = shape(of: node)
    return result.shape == shape ? result : try expanded(result, to: shape, node.name)
  }

  private mutating func expanded(
    _ operand: Operand, to shape: [Int], _ name: String
  ) throws(QuantizationError) -> Operand {
    let added = shape.count - operand.shape.count
    let axes = shape.indices.map { axis in
      let source = axis < added ? nil : axis - added
      let isRepeated = source.map { operand.shape[$0] == 1 } ?? true
      return FixedPoint.Arrangement.Axis(
        source: source, indices: (0..<shape[axis]).map { isRepeated ? 0 : $0 })
    }
    return try emit(
      .arrangement(FixedPoint.Arrangement(axes: axes)), name, reading: [operand])
  }

  /// max(x, 0) + slope·min(x, 0).
  private mutating func prelu(_ node: Graph.Node) throws(QuantizationError) -> Operand {
    let operand = try operand(node, 0)
    if let slopes = knownConstant(node, 1), let slope = slopes.values.first,
      slopes.values.allSatisfy({ $0 == slope })
    {
      return try table(.leakyRelu, [slope], of: operand, node)
    }
    let exponent = exponent(of: node)
    let positive = try emit(.relu(Relu()), node.name, reading: [operand])
    let negative = try added(
      operand, positive, subtracts: true, to: operand.exponent, node)
    let scaled = try multiplied(
      negative, self.operand(node, 1, finest: Self.finestFactor), to: exponent, node)
    return try added(positive, scaled, to: exponent, node)
  }

  // MARK: Functions of one element

  mutating func function(
    _ node: Graph.Node, _ form: ModelGraph.UnaryFunction
  ) throws(QuantizationError) -> Operand {
    let operand = try operand(node, 0)
    switch form {
    case .abs: return try table(.abs, [], of: operand, node)
    case .celu(let alpha): return try table(.celu, [alpha], of: operand, node)
    case .clip(let low, let high):
      // Where the bounds are reversed the upper one holds.
      return try table(.clip, [min(low, high), high], of: operand, node)
    case .elu(let alpha): return try table(.elu, [alpha], of: operand, node)
    case .erf: return try table(.erf, [], of: operand, node)
    case .exp: return try table(.exp, [], of: operand, node)
    case .gelu: return try table(.gelu, [], of: operand, node)
    case .geluByTanh: return try table(.geluByTanh, [], of: operand, node)
    case .hardSigmoid(let alpha, let beta):
      return try table(.hardSigmoid, [alpha, beta], of: operand, node)
    case .hardSwish: return try table(.hardSwish, [], of: operand, node)
    case .leakyRelu(let alpha): return try table(.leakyRelu, [alpha], of: operand, node)
    case .log: return try table(.log, [], of: operand, node)
    case .negate: return try table(.negate, [], of: operand, node)
    case .reciprocal: return try table(.reciprocal, [], of: operand, node)
    case .selu(let alpha, let gamma): return try table(.selu, [alpha, gamma], of: operand, node)
    case .sigmoid: return try table(.sigmoid, [], of: operand, node)
    case .sign: return try table(.sign, [], of: operand, node)
    case .softplus: return try table(.softplus, [], of: operand, node)
    case .softsign: return try table(.softsign, [], of: operand, node)
    case .sqrt: return try table(.sqrt, [], of: operand, node)
    case .tanh: return try table(.tanh, [], of: operand, node)
    }
  }

  /// The function at the node's exponent, or at `exponent`.
  mutating func table(
    _ kind: FixedPoint.UnaryFunction.Kind, _ parameters: [Float], of operand: Operand,
    _ node: Graph.Node, exponent: Int? = nil
  ) throws(QuantizationError) -> Operand {
    let scale = PowerOfTwo.value(FixedPoint.UnaryFunction.parameterBits)
    let integers = parameters.map { parameter in
      // Bounds of Clip may be as large as they like; elsewhere the operator refuses what is.
      Int64(max(-0x1p62, min(0x1p62, (Double(parameter) * scale).rounded())))
    }
    let function = FixedPoint.UnaryFunction(
      kind, parameters: integers, exponent: Int8(exponent ?? self.exponent(of: node)))
    return try emit(.function(function), node.name, reading: [operand])
  }
}
