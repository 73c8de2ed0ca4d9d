package import Primitives

extension Program {
  /// Cost units of one requantised element, which is what a proof of it weighs beside a product.
  package static let requantizationUnits = 8

  /// Cost units of one run (`docs/slicing.md`): one per multiply-accumulate, comparison or copy,
  /// and eight per requantised element. At least 1.
  package var cost: Cost {
    var units = 0
    for (index, operation) in operations.enumerated() {
      let result = tensors[inputs.count + index]
      units += operation.operator.steps(of: operands(of: index), giving: result)
      if operation.operator.requantizes { units += Self.requantizationUnits * result.elementCount }
    }
    return Cost(units: UInt64(max(units, 1)))
  }
}

extension Operator {
  /// Whether each element of the result is rounded from an accumulator.
  var requantizes: Bool {
    switch self {
    case .convolution, .matrixProduct, .averagePool, .add, .rescale, .multiply, .divide, .function,
      .tensorProduct, .softmax, .normalize:
      true
    case .reduce(let reduction):
      if case .sum = reduction.operation { true } else { false }
    case .relu, .maxPool, .reshape, .constant, .arrangement, .concatenation, .extremum, .lookup:
      false
    }
  }
}
