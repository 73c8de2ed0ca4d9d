/// An error that reaches a user: a stable code for programs, a sentence for people.
///
/// The code is kebab-case, never changes once released, and is listed in `docs/errors.md`.
/// The sentence says what was expected, what came, and what to do.
public protocol CodedError: Error, CustomStringConvertible, Sendable {
  var code: String { get }
  var sentence: String { get }
}

extension CodedError {
  public var description: String { "\(code): \(sentence)" }
}
