/// Multilinear extensions over the Boolean cube. The first variable is the most significant bit of
/// an index.
enum Multilinear {
  /// eq(point, i) for the first `count` of the 2^n indices i: Π over variables of the coordinate
  /// where the bit is 1, of one minus it where it is 0 (Thaler, Proofs, Arguments, and
  /// Zero-Knowledge, §3.5).
  static func equality(_ point: [Extension], count: Int) -> [Extension] {
    precondition(count <= 1 << point.count)
    var values = [Extension.one]
    for (depth, coordinate) in point.enumerated() {
      // No more than are needed for `count` indices after the remaining doublings.
      let remaining = point.count - depth - 1
      let needed = (count + (1 << remaining) - 1) >> remaining
      var next: [Extension] = []
      next.reserveCapacity(needed)
      for value in values {
        let one = value * coordinate
        next.append(value - one)
        if next.count < needed { next.append(one) }
      }
      values = next
    }
    return values
  }

  /// eq(point, index) of one index.
  static func equality(_ point: some Collection<Extension>, index: Int) -> Extension {
    var result = Extension.one
    for (depth, coordinate) in point.enumerated() {
      let bit = index >> (point.count - depth - 1) & 1
      result *= bit == 1 ? coordinate : .one - coordinate
    }
    return result
  }

  /// The extension of Σ 2^k·bit_k, an index itself, at a point.
  static func index(_ point: some Collection<Extension>) -> Extension {
    point.reduce(.zero) { $0 + $0 + $1 }
  }
}

extension Int {
  /// The least k with 2^k >= self, for self of at least 1.
  var ceilingLog: Int { self <= 1 ? 0 : Int.bitWidth - (self - 1).leadingZeroBitCount }

  /// The least multiple count of `unit` that covers self.
  func dividedUp(by unit: Int) -> Int { (self + unit - 1) / unit }
}
