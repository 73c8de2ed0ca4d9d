/// Gemm: alpha · A · B + beta · C with a constant B and C.
package struct GemmLayer: Sendable {
  package let alpha: Float
  package let beta: Float
  package let transposesLeft: Bool
  package let transposesRight: Bool

  init(_ reader: NodeReader) throws(ModelError) {
    try reader.allow(["alpha", "beta", "transA", "transB"], operands: 2...3)
    alpha = reader.float("alpha", default: 1)
    beta = reader.float("beta", default: 1)
    transposesLeft = reader.integer("transA", default: 0) != 0
    transposesRight = reader.integer("transB", default: 0) != 0
    guard reader.operands.dropFirst().allSatisfy(\.isConstant) else {
      throw reader.fail(.unsupportedFeature("the weights of Gemm are not constant"))
    }
    guard !transposesLeft else {
      throw reader.fail(.unsupportedFeature("Gemm transposes its left operand"))
    }
    guard reader.operands[0].shape.count == 2, reader.operands[1].shape.count == 2 else {
      throw reader.fail(
        .shape("Gemm takes matrices; \(reader.operands.map(\.shape)) came"))
    }
  }

  func resultShape(_ operands: [Graph.Value], at node: String) throws(ModelError) -> [Int] {
    let (left, right) = (operands[0].shape, operands[1].shape)
    let inner = right[transposesRight ? 1 : 0]
    guard left[1] == inner else {
      throw ModelError(.shape("\(left) × \(right): inner axes differ"), at: node)
    }
    let result = [left[0], right[transposesRight ? 0 : 1]]
    // A bias that differs between rows of the batch would not be a bias of the layer.
    if operands.count > 2, Shape.broadcast(operands[2].shape, [1, result[1]]) != [1, result[1]] {
      throw ModelError(
        .shape("a bias of \(operands[2].shape) came and [\(result[1])] was expected"), at: node)
    }
    return result
  }

  func evaluate(_ operands: [FloatTensor], into shape: [Int]) -> [Float] {
    GeneralProduct(
      alpha: alpha, beta: beta, transposesLeft: transposesLeft, transposesRight: transposesRight
    ).evaluate(operands, into: shape)
  }
}

/// MatMul with a constant matrix on the right.
enum MatMul {
  static let layer = GeneralProduct(
    alpha: 1, beta: 0, transposesLeft: false, transposesRight: false)

  static func resultShape(_ operands: [Graph.Value], at node: String) throws(ModelError) -> [Int] {
    let (left, right) = (operands[0].shape, operands[1].shape)
    guard operands[1].isConstant, right.count == 2 else {
      throw ModelError(
        .unsupportedFeature("the right operand of MatMul is no constant matrix"), at: node)
    }
    guard !left.isEmpty, left.last == right[0] else {
      throw ModelError(.shape("\(left) × \(right): inner axes differ"), at: node)
    }
    return left.dropLast() + [right[1]]
  }
}
