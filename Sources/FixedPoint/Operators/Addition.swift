package import Primitives

/// x·2^a + y·2^b, or x·2^a - y·2^b, requantised, with numpy's broadcasting: the left shifts bring
/// both operands to one exponent.
package struct Addition: OperatorFamily {
  static let tag: UInt8 = 6

  package let leftAlignment: UInt8
  package let rightAlignment: UInt8
  package let subtracts: Bool
  package let shift: UInt8
  package let exponent: Int8

  /// What the right alignment carries on top where the right operand is subtracted.
  private static let subtraction: UInt8 = 0x80

  package init(
    leftAlignment: UInt8, rightAlignment: UInt8, subtracts: Bool = false, shift: UInt8,
    exponent: Int8
  ) {
    (self.leftAlignment, self.rightAlignment) = (leftAlignment, rightAlignment)
    self.subtracts = subtracts
    (self.shift, self.exponent) = (shift, exponent)
  }

  var operandCount: Int { 2 }

  func result(of operands: [Tensor]) throws(ProgramError.Problem) -> Tensor {
    let shape = try Broadcast.shape(operands[0].shape, operands[1].shape)
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
    return Tensor(shape: shape, exponent: exponent)
  }

  func steps(of operands: [Tensor], giving result: Tensor) -> Int { result.elementCount }

  func kernel(operands: [Tensor], result: Tensor) -> any Kernel {
    if !subtracts, operands[0].shape == operands[1].shape {
      return AdditionKernel(operation: self, count: result.elementCount)
    }
    return BroadcastKernel(Sum(operation: self), operands: operands, result: result)
  }

  private struct Sum: ElementFunction {
    let left: Int64
    let right: Int64
    let sign: Int64
    let shift: Int64

    init(operation: Addition) {
      (left, right) = (Int64(operation.leftAlignment), Int64(operation.rightAlignment))
      (sign, shift) = (operation.subtracts ? -1 : 1, Int64(operation.shift))
    }

    @inline(__always)
    func callAsFunction(_ x: Int16, _ y: Int16) -> Int64 {
      Requantization.apply(Int64(x) &<< left &+ (sign &* Int64(y)) &<< right, shift: shift)
    }
  }
}

extension Addition: CanonicalCodable {
  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(leftAlignment)
    encoder.append(subtracts ? rightAlignment | Self.subtraction : rightAlignment)
    encoder.append(shift)
    encoder.append(exponent)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    leftAlignment = try decoder.integer()
    let right = try decoder.integer(UInt8.self)
    (rightAlignment, subtracts) = (right & ~Self.subtraction, right >= Self.subtraction)
    shift = try decoder.integer()
    exponent = try decoder.integer()
  }
}
