/// Elementary functions in integer arithmetic: arguments and results are value · 2^48 in 128 bits,
/// every division rounds down, and every series ends where a term is 0, so that each result is the
/// same integer on every machine. `docs/program.md` defines them.
enum ElementaryFunction {
  typealias Fixed = Int128

  static let fractionBits: Int128 = 48
  static let one: Fixed = 1 << 48
  /// round(c · 2^48)
  private static let naturalLogarithmOf2: Int64 = 195_103_586_505_167
  private static let twoOverRootOfPi: Fixed = 317_610_499_778_999
  static let rootOfHalf: Fixed = 199_032_864_766_430
  static let rootOfTwoOverPi: Fixed = 224_584_538_169_779

  /// floor(x·y / 2^48)
  static func product(_ x: Fixed, _ y: Fixed) -> Fixed { (x * y) >> fractionBits }

  /// The same where the result is below 2^63: the series are summed in 64 bits, which matters where
  /// 2^16 of them make a table.
  private static func product(_ x: Int64, _ y: Int64) -> Int64 {
    let (high, low) = x.multipliedFullWidth(by: y)
    return high &<< 16 | Int64(truncatingIfNeeded: low &>> 48)
  }

  /// floor(x / y) for a positive divisor.
  static func floor<Integer: FixedWidthInteger>(_ x: Integer, over y: Integer) -> Integer {
    let (quotient, remainder) = x.quotientAndRemainder(dividingBy: y)
    return remainder < 0 ? quotient - 1 : quotient
  }

  /// With x = n·ln 2 + r and 0 <= r < ln 2: 2^n · Σ r^k / k!. Arguments are held within -64...32,
  /// beyond which no result that fits in int16 could tell.
  static func exp(_ x: Fixed) -> Fixed {
    let argument = Int64(max(-64 * one, min(32 * one, x)))
    let exponent = floor(argument, over: naturalLogarithmOf2)
    let rest = argument - exponent * naturalLogarithmOf2
    var (term, sum, index): (Int64, Int64, Int64) = (1 << 48, 1 << 48, 1)
    while true {
      term = product(term, rest) / index
      if term == 0 { break }
      sum += term
      index += 1
    }
    return exponent >= 0 ? Fixed(sum) << Fixed(exponent) : Fixed(sum) >> Fixed(-exponent)
  }

  /// With x = m·2^k, 1 <= m < 2 and s = (m - 1) / (m + 1): k·ln 2 + 2·Σ s^(2i+1) / (2i+1).
  /// `x` is positive.
  static func log(_ x: Fixed) -> Fixed {
    let exponent = 127 - Fixed(x.leadingZeroBitCount) - fractionBits
    let mantissa = exponent >= 0 ? x >> exponent : x << -exponent
    let ratio = Int64(((mantissa - one) << fractionBits) / (mantissa + one))
    let square = product(ratio, ratio)
    var (power, sum, index): (Int64, Int64, Int64) = (ratio, 0, 1)
    while power > 0 {
      sum += power / index
      power = product(power, square)
      index += 2
    }
    return exponent * Fixed(naturalLogarithmOf2) + 2 * Fixed(sum)
  }

  /// 2/√π · exp(-u²) · Σ 2^n·u^(2n+1) / (2n+1)!! for |u| < 4, else ±1 (Abramowitz and Stegun,
  /// 7.1.6).
  static func erf(_ u: Fixed) -> Fixed {
    guard abs(u) < 4 * one else { return u < 0 ? -one : one }
    let magnitude = Int64(abs(u))
    let square = product(magnitude, magnitude)
    // Terms reach 2^20, so they have 40 fractional bits.
    var (term, index): (Int64, Int64) = (magnitude >> 8, 1)
    var sum = Fixed(term)
    while true {
      term = product(term, 2 * square / (2 * index + 1))
      if term == 0 { break }
      sum += Fixed(term)
      index += 1
    }
    let value = min(one, product(product(twoOverRootOfPi, exp(-Fixed(square))), sum << 8))
    return u < 0 ? -value : value
  }

  /// The root r with r² <= x·2^48 < (r + 1)². `x` is not negative and below 2^80.
  static func squareRoot(_ x: Fixed) -> Fixed {
    Fixed(integerSquareRoot(UInt128(x) << UInt128(fractionBits)))
  }

  /// The root r with r² <= x < (r + 1)².
  static func integerSquareRoot(_ x: UInt128) -> UInt128 {
    guard x > 0 else { return 0 }
    // Newton's iteration from above descends to the root and then no further.
    var root: UInt128 = 1 << ((129 - UInt128(x.leadingZeroBitCount)) / 2)
    while true {
      let next = (root + x / root) / 2
      if next >= root { return root }
      root = next
    }
  }

  /// 1 / (1 + exp(-x))
  static func sigmoid(_ x: Fixed) -> Fixed {
    let value = (one << fractionBits) / (one + exp(-abs(x)))
    return x < 0 ? one - value : value
  }

  /// With t = exp(-2·|x|): (1 - t) / (1 + t), with the sign of x.
  static func tanh(_ x: Fixed) -> Fixed {
    let power = exp(-2 * abs(x))
    let value = ((one - power) << fractionBits) / (one + power)
    return x < 0 ? -value : value
  }
}
