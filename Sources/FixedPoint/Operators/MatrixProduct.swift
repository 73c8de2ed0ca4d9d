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
    let count = result.elementCount / rows.rowCount
    return MatrixProductKernel(rows: rows, count: count)
      ?? PlainMatrixProductKernel(rows: rows, count: count)
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
