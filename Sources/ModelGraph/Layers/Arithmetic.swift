import Foundation

/// Operators of several operands, element by element, with numpy's broadcasting.
enum Arithmetic {
  static let names = ["Div", "Max", "Mean", "Min", "Mul", "PRelu", "Pow", "Sub", "Sum"]

  static func read(_ reader: NodeReader) throws(ModelError) -> GeneralLayer {
    let isVariadic = ["Max", "Mean", "Min", "Sum"].contains(reader.operatorName)
    try reader.allow([], operands: isVariadic ? 1...1024 : 2...2)
    try reader.requireFloats()
    var common: [Int] = try reader.shape(0)
    for operand in reader.operands {
      guard let shape = Shape.broadcast(common, operand.shape) else {
        throw reader.fail(.shape("\(common) and \(operand.shape) cannot be broadcast"))
      }
      common = shape
    }
    let shape = common
    if reader.operatorName == "PRelu", shape != reader.operands[0].shape {
      throw reader.fail(.shape("a slope of \(reader.operands[1].shape) is larger than the input"))
    }
    let function: @Sendable (Float, Float) -> Float =
      switch reader.operatorName {
      case "Div": { $0 / $1 }
      case "Max": { max($0, $1) }
      case "Min": { min($0, $1) }
      case "Mul": { $0 * $1 }
      case "PRelu": { $0 < 0 ? $0 * $1 : $0 }
      case "Pow": { pow($0, $1) }
      case "Sub": { $0 - $1 }
      default: { $0 + $1 }
      }
    let scale = reader.operatorName == "Mean" ? Float(reader.operands.count) : 1
    return GeneralLayer(shape: shape) { operands in
      var result = Shape.expand(operands[0].values, from: operands[0].shape, to: shape)
      for operand in operands.dropFirst() {
        let other = Shape.expand(operand.values, from: operand.shape, to: shape)
        for index in result.indices { result[index] = function(result[index], other[index]) }
      }
      if scale != 1 { for index in result.indices { result[index] /= scale } }
      return result
    }
  }
}
