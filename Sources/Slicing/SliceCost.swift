package import FixedPoint
import Primitives

/// Cost units of a program (`docs/slicing.md`): one per multiply-accumulate, comparison or copy,
/// and eight per requantised element, which is what a proof of it weighs beside a product. At least
/// 1.
package enum SliceCost {
  package static let requantizationUnits = 8

  package static func units(of program: Program) -> Int {
    var units = 0
    for (index, operation) in program.operations.enumerated() {
      let result = program.tensors[program.inputs.count + index]
      units += operation.operator.steps(of: program.operands(of: index), giving: result)
      if operation.operator.requantizes { units += requantizationUnits * result.elementCount }
    }
    return max(units, 1)
  }
}

extension Operator {
  /// Whether each element of the result is rounded from an accumulator.
  var requantizes: Bool {
    switch self {
    case .convolution, .matrixProduct, .averagePool, .add, .rescale: true
    case .relu, .maxPool, .reshape, .constant, .arrangement, .concatenation: false
    }
  }
}
