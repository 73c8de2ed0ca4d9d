import Primitives

/// Counts of magnitudes in buckets that are thirty-seconds of a power of two wide, from 2^-32 to
/// 2^32. Outside of that no exponent of `fixed16/1` tells values apart: 2^-32 rounds to zero at
/// the finest, and 2^31 is above int16 at the coarsest.
///
/// A bucket is the upper bits of a float's pattern and a count is an integer, so the outcome
/// depends neither on the order of the samples nor on the machine.
struct MagnitudeHistogram: Sendable {
  private static let fractionBits = 5
  private static let droppedBits = Float.significandBitCount - fractionBits
  /// The bucket of 2^-32 in a float's upper bits; exponents are stored with a bias of 127.
  private static let base = (127 - 32) << fractionBits
  private static let bucketCount = 64 << fractionBits

  private var counts: [UInt64] = []
  private var total: UInt64 = 0

  var isEmpty: Bool { total == 0 }

  /// Signs are dropped; what is not finite counts as the largest.
  mutating func add(_ values: [Float]) {
    if counts.isEmpty { counts = [UInt64](repeating: 0, count: Self.bucketCount) }
    for value in values {
      let pattern = Int(value.magnitude.bitPattern >> UInt32(Self.droppedBits))
      counts[(pattern - Self.base).clamped(to: 0...Self.bucketCount - 1)] += 1
    }
    total += UInt64(values.count)
  }

  /// The upper edge of the bucket in which the running count first reaches `share` of all.
  func quantile(_ share: PartsPerMillion) -> Float {
    let product = total.multipliedFullWidth(by: UInt64(share.parts))
    let (quotient, remainder) = UInt64(1_000_000).dividingFullWidth(product)
    let rank = max(quotient + (remainder > 0 ? 1 : 0), 1)
    var running: UInt64 = 0
    let bucket = counts.firstIndex { count in
      running += count
      return running >= rank
    }
    let pattern = (bucket ?? Self.bucketCount - 1) + 1 + Self.base
    return Float(bitPattern: UInt32(pattern) << UInt32(Self.droppedBits))
  }
}
