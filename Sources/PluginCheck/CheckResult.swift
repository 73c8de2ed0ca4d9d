/// What one check of a plugin came to.
package struct CheckResult: Sendable, Hashable {
  package enum Outcome: String, Sendable {
    case passed
    case failed
    /// The backend does not claim what the check is about, or the slice leaves nothing to check.
    case notApplicable = "not applicable"
  }

  package let check: String
  /// The slice, or "-" for a check of the plugin as a whole.
  package let slice: String
  package let outcome: Outcome
  /// What was found: figures, or why it failed.
  package let measured: String
}

/// How a check ends that found nothing wrong; one that did throws `Failure`.
enum Finding {
  case passed(String)
  case notApplicable(String)
}

/// What a check found wrong.
struct Failure: Error {
  let what: String

  init(_ what: String) { self.what = what }
}

func require(_ holds: Bool, _ what: @autoclosure () -> String) throws(Failure) {
  guard holds else { throw Failure(what()) }
}
