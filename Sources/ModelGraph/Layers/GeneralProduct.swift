/// Gemm and MatMul of any two operands, batched by broadcasting.
package struct GeneralProduct: Sendable {
  package let alpha: Float
  /// Scales the third operand, where there is one.
  package let beta: Float
  package let transposesLeft: Bool
  package let transposesRight: Bool

  static let names = ["Gemm", "MatMul"]

  static func read(_ reader: NodeReader) throws(ModelError) -> GeneralLayer {
    try reader.operatorName == "Gemm" ? gemm(reader) : matMul(reader)
  }

  private static func gemm(_ reader: NodeReader) throws(ModelError) -> GeneralLayer {
    try reader.allow(["alpha", "beta", "transA", "transB"], operands: 2...3)
    let (left, right) = (try reader.shape(0), try reader.shape(1))
    guard left.count == 2, right.count == 2 else {
      throw reader.fail(.shape("Gemm takes matrices; \(left) and \(right) came"))
    }
    let turnsLeft = reader.integer("transA", default: 0) != 0
    let turnsRight = reader.integer("transB", default: 0) != 0
    let (rows, inner) = turnsLeft ? (left[1], left[0]) : (left[0], left[1])
    let (depth, columns) = turnsRight ? (right[1], right[0]) : (right[0], right[1])
    let shape = [rows, columns]
    guard inner == depth else {
      throw reader.fail(.shape("\(left) × \(right): inner axes differ"))
    }
    if reader.hasSlot(2), Shape.broadcast(try reader.shape(2), shape) != shape {
      throw reader.fail(.shape("a bias of \(try reader.shape(2)) does not fit \(shape)"))
    }
    let gemm = GeneralProduct(
      alpha: reader.float("alpha", default: 1), beta: reader.float("beta", default: 1),
      transposesLeft: turnsLeft, transposesRight: turnsRight)
    return GeneralLayer(.product(gemm), shape: shape, multiplications: rows * columns * inner)
  }

  private static func matMul(_ reader: NodeReader) throws(ModelError) -> GeneralLayer {
    try reader.allow([], operands: 2...2)
    let (left, right) = (try reader.shape(0), try reader.shape(1))
    guard let inner = left.last, !right.isEmpty else {
      throw reader.fail(.shape("MatMul takes no scalars"))
    }
    let first = left.count == 1 ? [1] + left : left
    let second = right.count == 1 ? right + [1] : right
    guard second[second.count - 2] == inner,
      let batch = Shape.broadcast(first.dropLast(2), second.dropLast(2))
    else { throw reader.fail(.shape("\(left) × \(right) do not fit")) }
    let (rows, columns) = (first[first.count - 2], second[second.count - 1])
    let shape =
      batch + (left.count == 1 ? [] : [rows]) + (right.count == 1 ? [] : [columns])
    guard let count = Shape.elementCount(shape) else {
      throw reader.fail(.shape("a result of shape \(shape) is out of bounds"))
    }
    let product = GeneralProduct(alpha: 1, beta: 0, transposesLeft: false, transposesRight: false)
    return GeneralLayer(.product(product), shape: shape, multiplications: count * inner)
  }

  func evaluate(_ operands: [FloatTensor], into shape: [Int]) -> [Float] {
    var (left, right) = (operands[0].shape, operands[1].shape)
    if left.count == 1 { left.insert(1, at: 0) }
    if right.count == 1 { right.append(1) }
    if transposesLeft { left.swapAt(left.count - 2, left.count - 1) }
    if transposesRight { right.swapAt(right.count - 2, right.count - 1) }
    let batch = Shape.broadcast(left.dropLast(2), right.dropLast(2)) ?? []
    let (rows, inner, columns) = (
      left[left.count - 2], left[left.count - 1], right[right.count - 1]
    )
    let starts = [left, right].map { shape in
      let block = shape.suffix(2).reduce(1, *)
      let blocks = shape.dropLast(2).reduce(1, *)
      return Shape.expand((0..<blocks).map { $0 * block }, from: shape.dropLast(2), to: batch)
    }
    let (leftRow, leftColumn) = transposesLeft ? (1, rows) : (inner, 1)
    let (rightRow, rightColumn) = transposesRight ? (1, inner) : (columns, 1)
    var values = [Float](repeating: 0, count: starts[0].count * rows * columns)
    values.withUnsafeMutableBufferPointer { target in
      operands[0].values.withUnsafeBufferPointer { first in
        operands[1].values.withUnsafeBufferPointer { second in
          for (item, (leftStart, rightStart)) in zip(starts[0], starts[1]).enumerated() {
            let left = FloatProduct.Strided(start: leftStart, row: leftRow, column: leftColumn)
            let right = FloatProduct.Strided(start: rightStart, row: rightRow, column: rightColumn)
            let result = FloatProduct.Strided(
              start: item * rows * columns, row: columns, column: 1)
            // The side with contiguous sums is read in place, the other is packed.
            if transposesRight {
              FloatProduct(
                rows: columns, columns: rows, depth: inner, left: right.transposed,
                result: result.transposed
              ).add(second, to: target, times: first, at: left.transposed)
            } else {
              FloatProduct(
                rows: rows, columns: columns, depth: inner, left: left, result: result
              ).add(first, to: target, times: second, at: right)
            }
          }
        }
      }
    }
    if alpha != 1 { for index in values.indices { values[index] *= alpha } }
    if operands.count > 2 {
      let bias = Shape.expand(operands[2].values, from: operands[2].shape, to: shape)
      for index in values.indices { values[index] += beta * bias[index] }
    }
    return values
  }
}

extension Shape {
  static func broadcast(_ left: ArraySlice<Int>, _ right: ArraySlice<Int>) -> [Int]? {
    broadcast(Array(left), Array(right))
  }

  static func expand<Value>(_ values: [Value], from shape: ArraySlice<Int>, to target: [Int])
    -> [Value]
  {
    expand(values, from: Array(shape), to: target)
  }
}
