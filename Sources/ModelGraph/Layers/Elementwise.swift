/// Add, with numpy's broadcasting.
enum Elementwise {
  static func resultShape(_ operands: [Graph.Value], at node: String) throws(ModelError) -> [Int] {
    guard let shape = Shape.broadcast(operands[0].shape, operands[1].shape) else {
      throw ModelError(
        .shape("\(operands[0].shape) and \(operands[1].shape) cannot be added"), at: node)
    }
    return shape
  }

  static func add<Number: Scalar>(_ operands: [DenseTensor<Number>], into shape: [Int]) -> [Number]
  {
    let left = Shape.expand(operands[0].values, from: operands[0].shape, to: shape)
    let right = Shape.expand(operands[1].values, from: operands[1].shape, to: shape)
    return zip(left, right).map { $0 + $1 }
  }
}
