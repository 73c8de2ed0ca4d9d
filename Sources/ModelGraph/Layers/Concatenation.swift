/// Operands side by side along one axis.
package struct Concatenation: Sendable {
  package let axis: Int

  static let names = ["Concat"]

  static func read(_ reader: NodeReader) throws(ModelError) -> GeneralLayer {
    try reader.allow(["axis"], operands: 1...65536)
    var shape = try reader.shape(0)
    let axis = try reader.axis(reader.integer("axis", default: 1), rank: shape.count)
    for operand in reader.operands.dropFirst() {
      var other = operand.shape
      guard other.count == shape.count else {
        throw reader.fail(.shape("\(shape) and \(other) cannot be joined"))
      }
      let size = other[axis]
      other[axis] = shape[axis]
      guard other == shape else {
        throw reader.fail(.shape("\(shape) and \(operand.shape) cannot be joined"))
      }
      shape[axis] += size
    }
    return GeneralLayer(.concatenation(Concatenation(axis: axis)), shape: shape)
  }

  func evaluate<Number: Scalar>(_ operands: [DenseTensor<Number>]) -> [Number] {
    let rows = operands[0].shape[..<axis].reduce(1, *)
    var result: [Number] = []
    for row in 0..<rows {
      for operand in operands {
        let width = operand.values.count / rows
        result += operand.values[row * width..<(row + 1) * width]
      }
    }
    return result
  }
}
