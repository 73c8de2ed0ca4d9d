package import Primitives

/// The outcome of a verification. Only `invalid`, which anyone can reproduce, ever slashes.
package enum Verdict: UInt8, Sendable, Hashable, CanonicalCodable, CustomStringConvertible {
  case valid = 1
  case invalid = 2
  case inconclusive = 3

  package var description: String {
    switch self {
    case .valid: "valid"
    case .invalid: "invalid"
    case .inconclusive: "inconclusive"
    }
  }

  package func encode(into encoder: inout CanonicalEncoder) { encoder.append(rawValue) }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    let start = decoder.offset
    let tag = try decoder.integer(UInt8.self)
    guard let verdict = Verdict(rawValue: tag) else {
      throw decoder.failure(.unknownTag(tag, of: "Verdict"), at: start)
    }
    self = verdict
  }
}
