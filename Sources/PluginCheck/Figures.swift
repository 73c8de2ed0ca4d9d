/// Measured values as people read them.
enum Figures {
  static func timed<Result>(
    _ body: () async throws -> Result
  ) async rethrows -> (Result, Duration) {
    let clock = ContinuousClock()
    let start = clock.now
    let result = try await body()
    return (result, clock.now - start)
  }

  static func milliseconds(_ duration: Duration) -> String {
    tenths(duration / .milliseconds(1)) + " ms"
  }

  static func bytes(_ count: some BinaryInteger) -> String {
    switch count {
    case ..<10_000: "\(count) B"
    case ..<10_000_000: "\(count / 1000) KB"
    default: "\(count / 1_000_000) MB"
    }
  }

  /// One digit after the point.
  static func tenths(_ value: Double) -> String {
    let tenths = Int((value * 10).rounded())
    return "\(tenths / 10).\(abs(tenths % 10))"
  }
}
