import Dispatch

/// Work divided among a fixed number of threads. Every division gives the same results: parts are
/// ranges of exact sums or of separate memory.
struct Parallel: Sendable {
  let threads: Int

  /// Calls `body` on parts of 0..<count of at least `grain`.
  func forEachPart(of count: Int, grain: Int, _ body: (Range<Int>) -> Void) {
    let parts = min(threads, count / max(grain, 1))
    guard parts > 1 else {
      if count > 0 { body(0..<count) }
      return
    }
    withoutActuallyEscaping(body) { body in
      // `concurrentPerform` returns when all parts have, so nothing escapes.
      nonisolated(unsafe) let body = body
      DispatchQueue.concurrentPerform(iterations: parts) { part in
        body(part * count / parts..<(part + 1) * count / parts)
      }
    }
  }

  /// The sum of `body` over parts of 0..<count.
  func sum<Value>(
    of count: Int, grain: Int, _ add: (Value, Value) -> Value, _ body: (Range<Int>) -> Value
  ) -> Value {
    let parts = min(threads, count / max(grain, 1))
    guard parts > 1 else { return body(0..<count) }
    var results = [Value?](repeating: nil, count: parts)
    results.withUnsafeMutableBufferPointer { buffer in
      // Each part writes a place of its own.
      nonisolated(unsafe) let places = buffer
      forEachPart(of: parts, grain: 1) { part in
        for index in part {
          places[index] = body(index * count / parts..<(index + 1) * count / parts)
        }
      }
    }
    return results.compactMap { $0 }.reduce(nil) { sum, next in sum.map { add($0, next) } ?? next }
      ?? body(0..<0)
  }
}
