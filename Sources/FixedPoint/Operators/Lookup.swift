package import Primitives

/// Rows of a constant table by computed indices: an embedding. The operand holds whole numbers, at
/// exponent 0; a negative one counts from the table's end, and one that names no row is a range
/// fault.
package struct Lookup: OperatorFamily {
  static let tag: UInt8 = 20

  /// Elements of one row.
  package let width: Int
  package let exponent: Int8
  /// Row after row.
  package let values: [Int16]

  package init(width: Int, exponent: Int8, values: [Int16]) {
    (self.width, self.exponent, self.values) = (width, exponent, values)
  }

  var operandCount: Int { 1 }

  func result(of operands: [Tensor]) throws(ProgramError.Problem) -> Tensor {
    guard width > 0, width <= Program.elementLimit, !values.isEmpty,
      values.count.isMultiple(of: width)
    else { throw .parameters("\(values.count) values are no rows of \(width)") }
    guard operands[0].exponent == 0 else {
      throw .exponent(expected: 0, got: operands[0].exponent)
    }
    return Tensor(shape: operands[0].shape + [width], exponent: exponent)
  }

  func steps(of operands: [Tensor], giving result: Tensor) -> Int { result.elementCount }

  func kernel(operands: [Tensor], result: Tensor) -> any Kernel {
    LookupKernel(operation: self, count: operands[0].elementCount)
  }
}

private struct LookupKernel: Kernel {
  let operation: Lookup
  let count: Int

  var scratchCount: Int { 0 }

  func run(
    _ operands: [UnsafePointer<Int16>], into result: UnsafeMutablePointer<Int16>,
    scratch: UnsafeMutablePointer<Int16>
  ) -> Int? {
    let width = operation.width
    let rows = operation.values.count / width
    return operation.values.withUnsafeBufferPointer { values in
      guard let table = values.baseAddress else { return 0 }
      for index in 0..<count {
        let stated = Int(operands[0][index])
        let row = stated < 0 ? stated + rows : stated
        guard row >= 0, row < rows else { return index * width }
        (result + index * width).update(from: table + row * width, count: width)
      }
      return nil
    }
  }
}

extension Lookup: CanonicalCodable {
  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(UInt32(width))
    encoder.append(exponent)
    encodeNarrowest(values, into: &encoder)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    width = Int(try decoder.integer(UInt32.self))
    exponent = try decoder.integer()
    values = try decodeNarrowest(from: &decoder)
  }
}
