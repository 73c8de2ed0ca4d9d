/// Exact inner products of int16 vectors in 64 bits.
enum DotProduct {
  /// Below this many products per 32-bit partial sum, summing in 64 bits throughout is faster.
  private static let chunkWorthwhile = 16

  /// Σ x[i]·w[i]. `chunk` products never exceed 32 bits in any partial sum (`LinearRows.chunk`).
  @inline(__always)
  static func of(
    _ x: UnsafePointer<Int16>, _ w: UnsafePointer<Int16>, count: Int, chunk: Int
  ) -> Int64 {
    guard chunk >= chunkWorthwhile else { return wide(x, w, count: count) }
    var sum: Int64 = 0
    var start = 0
    while start < count {
      let end = min(start &+ chunk, count)
      sum &+= Int64(narrow(x + start, w + start, count: end &- start))
      start = end
    }
    return sum
  }

  @inline(__always)
  private static func narrow(
    _ x: UnsafePointer<Int16>, _ w: UnsafePointer<Int16>, count: Int
  ) -> Int32 {
    var sum: Int32 = 0
    for index in 0..<count { sum &+= Int32(x[index]) &* Int32(w[index]) }
    return sum
  }

  @inline(__always)
  private static func wide(
    _ x: UnsafePointer<Int16>, _ w: UnsafePointer<Int16>, count: Int
  ) -> Int64 {
    var sum: Int64 = 0
    for index in 0..<count { sum &+= Int64(Int32(x[index]) &* Int32(w[index])) }
    return sum
  }
}
