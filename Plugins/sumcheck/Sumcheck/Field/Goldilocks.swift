/// An element of F_p with p = 2^64 - 2^32 + 1, always canonical: below p.
package struct Goldilocks: Hashable, Sendable {
  package static let modulus: UInt64 = 0xFFFF_FFFF_0000_0001
  /// 2^64 mod p.
  private static let epsilon: UInt64 = 0xFFFF_FFFF

  package let value: UInt64

  package static let zero = Goldilocks(canonical: 0)
  package static let one = Goldilocks(canonical: 1)

  @inline(__always)
  init(canonical value: UInt64) { self.value = value }

  /// Nil for p and above, so that an element has one encoding.
  package init?(_ value: UInt64) {
    guard value < Self.modulus else { return nil }
    self.value = value
  }

  /// An integer of any sign below p in magnitude: the ring homomorphism from Z.
  @inline(__always)
  package init(_ integer: Int64) {
    value = integer >= 0 ? UInt64(integer) : Self.modulus - integer.magnitude
  }

  @inline(__always)
  package static func + (left: Goldilocks, right: Goldilocks) -> Goldilocks {
    let (sum, overflow) = left.value.addingReportingOverflow(right.value)
    // left + right < 2p, so one subtraction of p is enough; 2^64 - p = epsilon.
    return Goldilocks(canonical: overflow || sum >= modulus ? sum &- modulus : sum)
  }

  @inline(__always)
  package static func - (left: Goldilocks, right: Goldilocks) -> Goldilocks {
    let (difference, borrow) = left.value.subtractingReportingOverflow(right.value)
    return Goldilocks(canonical: borrow ? difference &+ modulus : difference)
  }

  @inline(__always)
  package static prefix func - (element: Goldilocks) -> Goldilocks { zero - element }

  /// With x = low + 2^64·(a + 2^32·b): 2^64 = 2^32 - 1 and 2^96 = -1 modulo p, so
  /// x = low - b + (2^32 - 1)·a.
  @inline(__always)
  package static func * (left: Goldilocks, right: Goldilocks) -> Goldilocks {
    let (high, low) = left.value.multipliedFullWidth(by: right.value)
    var (result, borrow) = low.subtractingReportingOverflow(high >> 32)
    if borrow { result &-= epsilon }
    let (sum, carry) = result.addingReportingOverflow((high & epsilon) &* epsilon)
    result = carry ? sum &+ epsilon : sum
    return Goldilocks(canonical: result >= modulus ? result &- modulus : result)
  }

  package func power(_ exponent: UInt64) -> Goldilocks {
    var (result, base, exponent) = (Goldilocks.one, self, exponent)
    while exponent > 0 {
      if exponent & 1 == 1 { result = result * base }
      base = base * base
      exponent >>= 1
    }
    return result
  }

  /// 1/self by Fermat; 0 for 0.
  package var inverse: Goldilocks { power(Self.modulus - 2) }

  /// 7 generates the multiplicative group; this root of unity has order 2^`log`, at most 2^32.
  package static func rootOfUnity(log: Int) -> Goldilocks {
    Goldilocks(canonical: 7).power((modulus - 1) >> UInt64(log))
  }
}
