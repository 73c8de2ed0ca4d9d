/// The one rounding rule of `fixed16/1`: round half up, towards positive infinity.
package enum Requantization {
  package static let shiftLimit = 31
  /// Every accumulator, with bias, rounding term and alignment shifts, stays below this.
  package static let accumulatorLimit: Int64 = 1 << 62

  /// floor((accumulator + 2^(shift-1)) / 2^shift); the accumulator itself where the shift is 0.
  @inline(__always)
  package static func apply(_ accumulator: Int64, shift: Int64) -> Int64 {
    shift == 0 ? accumulator : (accumulator &+ (1 &<< (shift &- 1))) &>> shift
  }

  @inline(__always)
  static func isInRange(_ value: Int64) -> Bool { Int64(Int16(truncatingIfNeeded: value)) == value }

  /// Largest magnitude of an int16 operand.
  static let operandLimit: UInt64 = 1 << 15

  /// Whether products of magnitude sum `weights` (Σ|w|, not yet times 2^15), a bias and the
  /// rounding term of `shift` stay below the limit.
  static func fits(weights: UInt64, bias: Int64, shift: Int) -> Bool {
    let (products, overflow) = weights.multipliedReportingOverflow(by: operandLimit)
    let limit = accumulatorLimit.magnitude
    guard !overflow, products < limit, bias.magnitude < limit else { return false }
    let rounding: UInt64 = shift == 0 ? 0 : 1 << UInt64(shift - 1)
    return products + bias.magnitude + rounding < limit
  }
}
