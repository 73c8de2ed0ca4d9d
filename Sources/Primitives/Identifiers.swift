/// SHA-256 of a model's manifest under the manifest domain.
public typealias ModelID = Digest
/// The digest of the envelope that submitted the request.
public typealias RequestID = Digest
/// The digest of the envelope that placed the bid.
public typealias BidID = Digest

/// The ordinal of a lease in its journal, from 1.
public struct LeaseID: Hashable, Comparable, Sendable, CanonicalCodable, CustomStringConvertible {
  public let ordinal: UInt64

  public init(ordinal: UInt64) { self.ordinal = ordinal }
  public static func < (left: LeaseID, right: LeaseID) -> Bool { left.ordinal < right.ordinal }
  public var description: String { "\(ordinal)" }

  public func encode(into encoder: inout CanonicalEncoder) { encoder.append(ordinal) }

  public init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    ordinal = try decoder.integer()
  }
}

/// Which exchange a signature is meant for: a short name chosen by the operator, such as `demo`.
public struct NetworkID: Hashable, Sendable, CanonicalCodable, CustomStringConvertible {
  public let name: String

  public static let countLimit = 64

  /// Nil unless the name has 1 to 64 characters out of a-z, 0-9, `-` and `.`.
  public init?(_ name: String) {
    let allowed = name.utf8.allSatisfy { byte in
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
        UInt8(ascii: "-"), UInt8(ascii: "."):
        true
      default: false
      }
    }
    guard allowed, !name.isEmpty, name.utf8.count <= Self.countLimit else { return nil }
    self.name = name
  }

  public var description: String { name }

  public func encode(into encoder: inout CanonicalEncoder) { encoder.append(name) }

  public init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    let start = decoder.offset
    guard let network = NetworkID(try decoder.text(limit: Self.countLimit)) else {
      throw decoder.failure(
        .invalid("the network's name is empty or has other characters"), at: start)
    }
    self = network
  }
}

/// Identifies a backend on the wire and in the book: `reexec`, `sumcheck`, `ezkl`.
public struct BackendID: Hashable, Comparable, Sendable, CanonicalCodable,
  CustomStringConvertible
{
  public let name: String

  public static let countLimit = 64
  /// Runs the integer program again: exact, and never called proving.
  public static let reexec = BackendID(unchecked: "reexec")
  /// The native proof system.
  public static let sumcheck = BackendID(unchecked: "sumcheck")

  private init(unchecked name: String) { self.name = name }

  /// Nil unless the name would be a valid network name: same alphabet, same bounds.
  public init?(_ name: String) {
    guard NetworkID(name) != nil else { return nil }
    self.name = name
  }

  public static func < (left: BackendID, right: BackendID) -> Bool {
    Array(left.name.utf8).lexicographicallyPrecedes(Array(right.name.utf8))
  }
  public var description: String { name }

  public func encode(into encoder: inout CanonicalEncoder) { encoder.append(name) }

  public init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    let start = decoder.offset
    guard let backend = BackendID(try decoder.text(limit: Self.countLimit)) else {
      throw decoder.failure(
        .invalid("the backend's name is empty or has other characters"), at: start)
    }
    self = backend
  }
}

/// Sixteen random bytes that make one author's equal orders different.
public struct Nonce: Hashable, Sendable, CanonicalCodable {
  public static let count = 16
  private let high: UInt64
  private let low: UInt64

  public init(high: UInt64, low: UInt64) { (self.high, self.low) = (high, low) }

  public static func random() -> Nonce {
    var decoder = CanonicalDecoder(Sodium.randomBytes(count))
    guard let nonce = try? Nonce(from: &decoder) else { fatalError("16 bytes were drawn") }
    return nonce
  }

  public func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(high)
    encoder.append(low)
  }

  public init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    high = try decoder.integer()
    low = try decoder.integer()
  }
}
