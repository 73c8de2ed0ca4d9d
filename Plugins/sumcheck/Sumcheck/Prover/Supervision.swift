/// How the caller of a proof follows it, and stops it.
package struct Supervision {
  /// Takes the phase's name and the part of it that is done; false to give up.
  private let report: (String, Double) -> Bool

  package init(_ report: @escaping (String, Double) -> Bool) { self.report = report }

  package static var none: Supervision { Supervision { _, _ in true } }

  /// Between steps of a few milliseconds.
  func checkpoint(_ phase: Phase, _ fraction: Double = 0) throws(Cancelled) {
    guard report(phase.rawValue, fraction) else { throw Cancelled() }
  }

  enum Phase: String {
    case witness, commitment, lookups, relations, opening
  }
}

/// The caller wants no proof any more.
package struct Cancelled: Error {}
