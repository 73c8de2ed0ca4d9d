/// Σ weight·integer for one list of weights and many of int16.
///
/// Integers are shifted to 0..<2^16 and weights cut into 32-bit halves, so that 2^16 products sum
/// in 64 bits; the shift is taken off at the end.
struct DotProduct {
  private static let chunk = 1 << 16
  private static let shift = Goldilocks(canonical: 1 << 15)

  private let weights: [Extension]
  private let shifted: Extension

  init(_ weights: ArraySlice<Extension>) {
    self.weights = Array(weights)
    shifted = weights.reduce(.zero, +) * Self.shift
  }

  /// As many values as weights.
  func of(_ values: ArraySlice<Int16>) -> Extension {
    var total = Extension.zero
    weights.withUnsafeBufferPointer { weights in
      values.withUnsafeBufferPointer { values in
        for start in stride(from: 0, to: weights.count, by: Self.chunk) {
          total += Self.sum(
            UnsafeBufferPointer(rebasing: weights[start..<min(start + Self.chunk, weights.count)]),
            UnsafeBufferPointer(rebasing: values[start..<min(start + Self.chunk, weights.count)]))
        }
      }
    }
    return total - shifted
  }

  private static func sum(
    _ weights: UnsafeBufferPointer<Extension>, _ values: UnsafeBufferPointer<Int16>
  ) -> Extension {
    var (low0, high0, low1, high1) = (UInt64(0), UInt64(0), UInt64(0), UInt64(0))
    for index in weights.indices {
      let value = UInt64(Int64(values[index]) &+ (1 << 15))
      let (c0, c1) = (weights[index].c0.value, weights[index].c1.value)
      low0 &+= (c0 & 0xFFFF_FFFF) &* value
      high0 &+= (c0 >> 32) &* value
      low1 &+= (c1 & 0xFFFF_FFFF) &* value
      high1 &+= (c1 >> 32) &* value
    }
    return Extension(join(low0, high0), join(low1, high1))
  }

  /// low + 2^32·high.
  private static func join(_ low: UInt64, _ high: UInt64) -> Goldilocks {
    func reduced(_ value: UInt64) -> Goldilocks {
      Goldilocks(canonical: value >= Goldilocks.modulus ? value - Goldilocks.modulus : value)
    }
    return reduced(low) + reduced(high) * Goldilocks(canonical: 1 << 32)
  }
}
