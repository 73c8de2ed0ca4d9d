package import Primitives

/// How a key's proofs are made (`docs/sumcheck.md`).
package enum Mode: Hashable, Sendable {
  /// Quotients and remainders of weighted sums are sent, and all else is computed again.
  case clear
  /// The witness is committed to, and looked up in tables.
  case commit(Parameters)

  package var name: String {
    switch self {
    case .clear: "clear"
    case .commit: "commit"
    }
  }

  /// Nanoseconds of one core that a byte of proof weighs when a mode or parameters are chosen.
  static let costPerByte = 20.0
}

extension Mode: CanonicalCodable {
  package func encode(into encoder: inout CanonicalEncoder) {
    switch self {
    case .clear: encoder.append(UInt8(1))
    case .commit(let parameters):
      encoder.append(UInt8(2))
      encoder.append(parameters)
    }
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    let start = decoder.offset
    switch try decoder.integer(UInt8.self) {
    case 1: self = .clear
    case 2: self = .commit(try decoder.record())
    case let tag: throw decoder.failure(.unknownTag(tag, of: "Mode"), at: start)
    }
  }
}
