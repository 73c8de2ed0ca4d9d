package import Primitives

/// x / y element by element, with numpy's broadcasting: floor((2·X + Y) / 2Y), rounding half up,
/// where X / Y is the quotient at the result's exponent and Y is positive (both change their sign
/// where it is not). A divisor of 0 is a range fault.
package struct Division: OperatorFamily {
  static let tag: UInt8 = 13

  package let exponent: Int8

  package init(exponent: Int8) { self.exponent = exponent }

  var operandCount: Int { 2 }

  /// How far the dividend is shifted to the left, the divisor where it is negative.
  private func alignment(_ operands: [Tensor]) -> Int {
    Int(exponent) + Int(operands[1].exponent) - Int(operands[0].exponent)
  }

  func result(of operands: [Tensor]) throws(ProgramError.Problem) -> Tensor {
    let alignment = alignment(operands)
    // 2 · 2^31 · 2^15 is below 2^62.
    guard alignment.magnitude <= Requantization.shiftLimit else { throw .shift(alignment) }
    return Tensor(
      shape: try Broadcast.shape(operands[0].shape, operands[1].shape), exponent: exponent)
  }

  func steps(of operands: [Tensor], giving result: Tensor) -> Int { result.elementCount }

  func kernel(operands: [Tensor], result: Tensor) -> any Kernel {
    let alignment = Int64(alignment(operands))
    return BroadcastKernel(
      Quotient(left: max(0, alignment), right: max(0, -alignment)), operands: operands,
      result: result)
  }

  private struct Quotient: ElementFunction {
    let left: Int64
    let right: Int64

    @inline(__always)
    func callAsFunction(_ x: Int16, _ y: Int16) -> Int64 {
      guard y != 0 else { return .max }
      let (dividend, divisor) = (Int64(x) &<< left, Int64(y) &<< right)
      return Requantization.quotient(
        y < 0 ? -dividend : dividend, by: y < 0 ? -divisor : divisor)
    }
  }
}

extension Requantization {
  /// floor((2·dividend + divisor) / (2·divisor)) for a positive divisor: half up.
  @inline(__always)
  static func quotient<Integer: FixedWidthInteger>(
    _ dividend: Integer, by divisor: Integer
  ) -> Integer {
    let (numerator, denominator) = (2 &* dividend &+ divisor, 2 &* divisor)
    let quotient = numerator / denominator
    return numerator < 0 && quotient &* denominator != numerator ? quotient &- 1 : quotient
  }
}

extension Division: CanonicalCodable {
  package func encode(into encoder: inout CanonicalEncoder) { encoder.append(exponent) }
  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    exponent = try decoder.integer()
  }
}
