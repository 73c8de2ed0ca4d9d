/// How a proof went that may have been told to stop. Measured on the thread that reads the host
/// process: how long tasks wait for a thread of Swift's pool does not count.
package struct TimedProof: Sendable {
  /// From the request to its answer.
  package let whole: Duration
  /// From telling the plugin to stop to its answer, or to its end where it gave none; nil where it
  /// was done before.
  package let sinceStop: Duration?
  /// Whether the proof was finished all the same.
  package let isFinished: Bool
}

/// For the conformance kit alone.
extension ProverSession {
  /// Proves, and tells the plugin to stop once it has been at it for `stop`. Throws `BackendError`
  /// where anything else than that ends the proof.
  package func timedProof(
    of inference: Inference, stoppedAfter stop: Duration? = nil
  ) async throws -> TimedProof {
    let (result, times) = await backend.measure(
      .prove(source.id, inference), in: source, stopAfter: stop?.nanoseconds ?? .max)
    let isFinished: Bool
    do {
      switch try result.get() {
      case .proved: isFinished = true
      case .refused(PluginStatus.cancelled.rawValue, _): isFinished = false
      case let other: throw backend.failure(other, .prove)
      }
    } catch BackendError.cancelled {
      isFinished = false
    }
    guard let times else { throw BackendError.hostUnavailable("it was not measured") }
    return TimedProof(whole: times.whole, sinceStop: times.sinceStop, isFinished: isFinished)
  }
}

extension Duration {
  /// Whole ones; 0 where it is negative, and the most there are where it is above them.
  var nanoseconds: UInt64 {
    let (seconds, attoseconds) = components
    let (whole, isAbove) = UInt64(clamping: seconds).multipliedReportingOverflow(by: 1_000_000_000)
    let (sum, isMore) = whole.addingReportingOverflow(
      UInt64(clamping: attoseconds / 1_000_000_000))
    return isAbove || isMore ? .max : sum
  }
}
