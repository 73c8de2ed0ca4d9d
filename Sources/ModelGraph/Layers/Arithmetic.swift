import Foundation

/// Two or more operands combined from left to right, element by element, with numpy's broadcasting.
package struct Arithmetic: Sendable {
  package enum Operation: String, Sendable {
    case add = "Sum"
    case divide = "Div"
    case maximum = "Max"
    case mean = "Mean"
    case minimum = "Min"
    case multiply = "Mul"
    case power = "Pow"
    /// x where it is not negative, else x times the second operand.
    case prelu = "PRelu"
    case subtract = "Sub"

    fileprivate var isVariadic: Bool { [.add, .maximum, .mean, .minimum].contains(self) }

    /// `Mean` divides the sum at the end.
    fileprivate func closure<Number: Scalar>() -> (Number, Number) -> Number {
      switch self {
      case .add, .mean: { $0 + $1 }
      case .divide: { $0 / $1 }
      case .maximum: { max($0, $1) }
      case .minimum: { min($0, $1) }
      case .multiply: { $0 * $1 }
      case .power: { Number(pow(Double($0), Double($1))) }
      case .prelu: { $0 < 0 ? $0 * $1 : $0 }
      case .subtract: { $0 - $1 }
      }
    }
  }

  package let operation: Operation

  static let names = ["Add", "Div", "Max", "Mean", "Min", "Mul", "PRelu", "Pow", "Sub", "Sum"]

  static func read(_ reader: NodeReader) throws(ModelError) -> GeneralLayer {
    let operation = Operation(rawValue: reader.operatorName) ?? .add
    try reader.allow(
      [], operands: operation.isVariadic && reader.operatorName != "Add" ? 1...1024 : 2...2)
    var shape: [Int] = try reader.shape(0)
    for operand in reader.operands {
      guard let common = Shape.broadcast(shape, operand.shape) else {
        throw reader.fail(.shape("\(shape) and \(operand.shape) cannot be broadcast"))
      }
      shape = common
    }
    if operation == .prelu, shape != reader.operands[0].shape {
      throw reader.fail(.shape("a slope of \(reader.operands[1].shape) is larger than the input"))
    }
    return GeneralLayer(.arithmetic(Arithmetic(operation: operation)), shape: shape)
  }

  func evaluate<Number: Scalar>(
    _ operands: [DenseTensor<Number>], into shape: [Int]
  ) -> [Number] {
    let function: (Number, Number) -> Number = operation.closure()
    var result = Shape.expand(operands[0].values, from: operands[0].shape, to: shape)
    for operand in operands.dropFirst() {
      let other = Shape.expand(operand.values, from: operand.shape, to: shape)
      for index in result.indices { result[index] = function(result[index], other[index]) }
    }
    if operation == .mean {
      for index in result.indices { result[index] /= Number(operands.count) }
    }
    return result
  }
}
