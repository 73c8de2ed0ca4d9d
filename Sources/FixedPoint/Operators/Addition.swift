package import Primitives

/// x·2^a + y·2^b, requantised: the left shifts bring both operands to one exponent.
package struct Addition: OperatorFamily {
  static let tag: UInt8 = 6

  package let leftAlignment: UInt8
  package let rightAlignment: UInt8
  package let shift: UInt8
  package let exponent: Int8

  package init(leftAlignment: UInt8, rightAlignment: UInt8, shift: UInt8, exponent: Int8) {
    (self.leftAlignment, self.rightAlignment) = (leftAlignment, rightAlignment)
    (self.shift, self.exponent) = (shift, exponent)
  }

  var operandCount: Int { 2 }

  func result(of operands: [Tensor]) throws(ProgramError.Problem) -> Tensor {
    guard operands[0].shape == operands[1].shape else {
      throw .shape("\(operands[0].shape) and \(operands[1].shape) must be equal to be added")
    }
    for shift in [leftAlignment, rightAlignment, shift]
    where shift > Requantization.shiftLimit {
      throw .shift(Int(shift))
    }
    let aligned = Int(operands[0].exponent) + Int(leftAlignment)
    guard aligned == Int(operands[1].exponent) + Int(rightAlignment),
      aligned - Int(shift) == Int(exponent)
    else {
      throw .exponent(expected: Int8(clamping: aligned - Int(shift)), got: exponent)
    }
    // 2 · 2^31 · 2^15 + 2^30 is below 2^62 for every shift in range.
    return Tensor(shape: operands[0].shape, exponent: exponent)
  }

  func steps(of operands: [Tensor], giving result: Tensor) -> Int { result.elementCount }

  func kernel(operands: [Tensor], result: Tensor) -> any Kernel {
    AdditionKernel(operation: self, count: result.elementCount)
  }
}

extension Addition: CanonicalCodable {
  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(leftAlignment)
    encoder.append(rightAlignment)
    encoder.append(shift)
    encoder.append(exponent)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    leftAlignment = try decoder.integer()
    rightAlignment = try decoder.integer()
    shift = try decoder.integer()
    exponent = try decoder.integer()
  }
}
