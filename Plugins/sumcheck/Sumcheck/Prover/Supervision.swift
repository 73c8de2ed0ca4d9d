/// How the caller of a proof follows it, and stops it.
package final class Supervision {
  private let report: (_ phase: String, _ fraction: Double) -> Void
  /// Whether the caller has given up. Asked on any of the proof's threads.
  let isCancelled: @Sendable () -> Bool
  private var latest: (phase: Phase, fraction: Double)?

  /// `report` takes a phase's name and the part of it that is done, which never falls.
  package init(
    report: @escaping (_ phase: String, _ fraction: Double) -> Void,
    isCancelled: @escaping @Sendable () -> Bool
  ) {
    (self.report, self.isCancelled) = (report, isCancelled)
  }

  package static var none: Supervision {
    Supervision(report: { _, _ in }, isCancelled: { false })
  }

  /// Between steps of a few milliseconds; longer ones are work of `Parallel`, which asks by itself.
  func checkpoint(_ phase: Phase, _ fraction: Double = 0) throws(Cancelled) {
    advance(phase, fraction)
    if isCancelled() { throw Cancelled() }
  }

  /// Reports every percent once.
  func advance(_ phase: Phase, _ fraction: Double) {
    if let latest, latest.phase == phase, fraction < latest.fraction + 0.01 { return }
    latest = (phase, fraction)
    report(phase.rawValue, fraction)
  }

  enum Phase: String {
    case witness, commitment, lookups, relations, opening
  }
}

/// The caller wants no proof any more.
package struct Cancelled: Error {}
