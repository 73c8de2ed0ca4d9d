package import Primitives

/// Every row of the operand's last axis times constant weights, plus bias, requantised: Gemm, and
/// MatMul with a constant on the right. Row n of `rows` holds the weights of output column n.
package struct MatrixProduct: OperatorFamily {
  static let tag: UInt8 = 2

  package let rows: LinearRows
  package let exponent: Int8

  package init(rows: LinearRows, exponent: Int8) { (self.rows, self.exponent) = (rows, exponent) }

  var operandCount: Int { 1 }

  func result(of operands: [Tensor]) throws(ProgramError.Problem) -> Tensor {
    guard let columns = operands[0].shape.last else {
      throw .shape("a scalar came and a tensor with at least one axis was expected")
    }
    try rows.validate(columns: columns)
    return Tensor(shape: operands[0].shape.dropLast() + [rows.rowCount], exponent: exponent)
  }

  func steps(of operands: [Tensor], giving result: Tensor) -> Int {
    let (steps, overflow) = result.elementCount.multipliedReportingOverflow(
      by: rows.weights.count / rows.rowCount)
    return overflow ? .max / 4 : min(steps, .max / 4)
  }

  func kernel(operands: [Tensor], result: Tensor) -> any Kernel {
    MatrixProductKernel(
      rows: rows, chunk: rows.chunk, columns: rows.weights.count / rows.rowCount,
      count: result.elementCount / rows.rowCount)
  }
}

private struct MatrixProductKernel: Kernel {
  let rows: LinearRows
  let chunk: Int
  let columns: Int
  /// Rows of the operand.
  let count: Int

  var scratchCount: Int { 0 }

  func run(
    _ operands: [UnsafePointer<Int16>], into result: UnsafeMutablePointer<Int16>,
    scratch: UnsafeMutablePointer<Int16>
  ) -> Int? {
    var fault: Int?
    rows.weights.withUnsafeBufferPointer { weightBuffer in
      guard let weights = weightBuffer.baseAddress else { return }
      for index in 0..<count {
        for row in 0..<rows.rowCount {
          let sum = DotProduct.of(
            operands[0] + index * columns, weights + row * columns, count: columns, chunk: chunk)
          let value = Requantization.apply(sum &+ rows.biases[row], shift: Int64(rows.shifts[row]))
          let element = index * rows.rowCount + row
          if !Requantization.isInRange(value), fault == nil { fault = element }
          result[element] = Int16(truncatingIfNeeded: value)
        }
      }
    }
    return fault
  }
}

extension MatrixProduct: CanonicalCodable {
  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(rows)
    encoder.append(exponent)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    rows = try decoder.record()
    exponent = try decoder.integer()
  }
}
