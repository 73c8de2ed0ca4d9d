package import Primitives

/// The same values at another exponent: x·2^(exponent - operand exponent), rounded half up where
/// that is a division. A value that does not fit is a range fault, or, where the operation
/// saturates, the nearest int16.
package struct Rescaling: OperatorFamily {
  static let tag: UInt8 = 11

  package let exponent: Int8
  package let saturates: Bool

  package init(exponent: Int8, saturates: Bool = false) {
    (self.exponent, self.saturates) = (exponent, saturates)
  }

  var operandCount: Int { 1 }

  func result(of operands: [Tensor]) throws(ProgramError.Problem) -> Tensor {
    let difference = Int(operands[0].exponent) - Int(exponent)
    guard difference.magnitude <= Requantization.shiftLimit else { throw .shift(difference) }
    // 2^31 · 2^15 is below 2^62.
    return Tensor(shape: operands[0].shape, exponent: exponent)
  }

  func steps(of operands: [Tensor], giving result: Tensor) -> Int { result.elementCount }

  func kernel(operands: [Tensor], result: Tensor) -> any Kernel {
    let difference = Int64(operands[0].exponent) - Int64(exponent)
    return RescalingKernel(
      alignment: max(0, -difference), shift: max(0, difference), saturates: saturates,
      count: result.elementCount)
  }
}

private struct RescalingKernel: Kernel {
  let alignment: Int64
  let shift: Int64
  let saturates: Bool
  let count: Int

  var scratchCount: Int { 0 }

  func run(
    _ operands: [UnsafePointer<Int16>], into result: UnsafeMutablePointer<Int16>,
    scratch: UnsafeMutablePointer<Int16>
  ) -> Int? {
    let operand = operands[0]
    var fault: Int?
    for index in 0..<count {
      let value = Requantization.apply(Int64(operand[index]) &<< alignment, shift: shift)
      if saturates {
        result[index] = Int16(clamping: value)
      } else {
        if !Requantization.isInRange(value), fault == nil { fault = index }
        result[index] = Int16(truncatingIfNeeded: value)
      }
    }
    return fault
  }
}

extension Rescaling: CanonicalCodable {
  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(exponent)
    encoder.append(saturates)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    exponent = try decoder.integer()
    saturates = try decoder.bool()
  }
}
