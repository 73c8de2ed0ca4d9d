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
    guard reader.operands.dropFirst().allSatisfy({ $0.constant != nil }) else {
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

  func evaluate(_ operands: [FloatTensor], into shape: [Int]) -> FloatTensor {
    let (left, right) = (operands[0], operands[1])
    let inner = left.shape[1]
    let bias =
      operands.count > 2
      ? Shape.expand(operands[2].values, from: operands[2].shape, to: [1, shape[1]])
      : [Float](repeating: 0, count: shape[1])
    var result = FloatTensor(shape: shape)
    for row in 0..<shape[0] {
      for column in 0..<shape[1] {
        var sum: Float = 0
        for index in 0..<inner {
          let weight =
            transposesRight ? column * inner + index : index * shape[1] + column
          sum += left.values[row * inner + index] * right.values[weight]
        }
        result.values[row * shape[1] + column] = alpha * sum + beta * bias[column]
      }
    }
    return result
  }
}

/// MatMul with a constant matrix on the right.
enum MatMul {
  static func resultShape(_ operands: [Graph.Value], at node: String) throws(ModelError) -> [Int] {
    let (left, right) = (operands[0].shape, operands[1].shape)
    guard operands[1].constant != nil, right.count == 2 else {
      throw ModelError(
        .unsupportedFeature("the right operand of MatMul is no constant matrix"), at: node)
    }
    guard !left.isEmpty, left.last == right[0] else {
      throw ModelError(.shape("\(left) × \(right): inner axes differ"), at: node)
    }
    return left.dropLast() + [right[1]]
  }

  static func evaluate(_ operands: [FloatTensor], into shape: [Int]) -> FloatTensor {
    let (inner, columns) = (operands[1].shape[0], operands[1].shape[1])
    var result = FloatTensor(shape: shape)
    for element in result.values.indices {
      let (row, column) = element.quotientAndRemainder(dividingBy: columns)
      var sum: Float = 0
      for index in 0..<inner {
        sum +=
          operands[0].values[row * inner + index] * operands[1].values[index * columns + column]
      }
      result.values[element] = sum
    }
    return result
  }
}
