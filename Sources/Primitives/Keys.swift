import CSodium
import Synchronization

/// An Ed25519 public key (RFC 8032): the identity of a party.
///
/// Only canonical encodings of points in the prime-order subgroup exist as values of this type, so
/// a small-order key, for which signatures over anything can be made by anyone, never gets further
/// than the decoder.
public struct PublicKey: Hashable, Comparable, Sendable, CanonicalCodable,
  CustomStringConvertible
{
  /// Keys that were found valid, which takes a multiplication by the group's order, some 50
  /// microseconds. A journal names the same few keys in every entry.
  private static let valid = Mutex<Set<Bytes32>>([])
  private static let validLimit = 1 << 16

  public let value: Bytes32

  public init(_ value: Bytes32) throws(KeyError) {
    if !Self.valid.withLock({ $0.contains(value) }) {
      Sodium.start()
      guard crypto_core_ed25519_is_valid_point(value.bytes) == 1 else {
        throw KeyError.invalidPublicKey(Hexadecimal.text(value.bytes))
      }
      Self.valid.withLock { valid in
        if valid.count >= Self.validLimit { valid.removeAll(keepingCapacity: true) }
        valid.insert(value)
      }
    }
    self.value = value
  }

  public init(hexadecimal text: some StringProtocol) throws(KeyError) {
    guard let bytes = Hexadecimal.bytes(text), let value = Bytes32(bytes) else {
      throw KeyError.invalidPublicKey(String(text))
    }
    try self.init(value)
  }

  fileprivate init(ofOwnSeed value: Bytes32) { self.value = value }

  public var bytes: [UInt8] { value.bytes }
  public var description: String { Hexadecimal.text(bytes) }
  /// The first eight hexadecimal digits, for tables that people read.
  public var short: String { String(description.prefix(8)) }

  public static func < (left: PublicKey, right: PublicKey) -> Bool { left.value < right.value }

  @inlinable public static func == (left: PublicKey, right: PublicKey) -> Bool {
    left.value == right.value
  }
  @inlinable public func hash(into hasher: inout Hasher) { value.hash(into: &hasher) }
  @inlinable public func _rawHashValue(seed: Int) -> Int { value._rawHashValue(seed: seed) }

  public func verifies(_ signature: Signature, over digest: Digest) -> Bool {
    Sodium.start()
    return crypto_sign_verify_detached(
      signature.bytes, digest.bytes, UInt64(Bytes32.count), bytes) == 0
  }

  public func encode(into encoder: inout CanonicalEncoder) { encoder.append(value) }

  public init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    let start = decoder.offset
    let value = try decoder.bytes32()
    do {
      try self.init(value)
    } catch {
      throw decoder.failure(.invalid("the public key is small-order or not canonical"), at: start)
    }
  }
}

/// A detached Ed25519 signature over a digest.
public struct Signature: Hashable, Sendable, CanonicalCodable {
  public static let count = 64
  private let upper: Bytes32
  private let lower: Bytes32

  public init?(_ bytes: some Collection<UInt8>) {
    guard bytes.count == Self.count, let upper = Bytes32(bytes.prefix(32)),
      let lower = Bytes32(bytes.suffix(32))
    else { return nil }
    (self.upper, self.lower) = (upper, lower)
  }

  public var bytes: [UInt8] { upper.bytes + lower.bytes }

  public func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(upper)
    encoder.append(lower)
  }

  public init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    upper = try decoder.bytes32()
    lower = try decoder.bytes32()
  }
}

/// A private Ed25519 key, held as its 32-byte seed.
public struct SigningKey: Sendable {
  public let seed: Bytes32
  public let publicKey: PublicKey
  private let secret: [UInt8]

  public init(seed: Bytes32) {
    Sodium.start()
    var publicBytes = [UInt8](repeating: 0, count: Int(crypto_sign_PUBLICKEYBYTES))
    var secret = [UInt8](repeating: 0, count: Int(crypto_sign_SECRETKEYBYTES))
    crypto_sign_seed_keypair(&publicBytes, &secret, seed.bytes)
    guard let value = Bytes32(publicBytes) else { fatalError("Ed25519 keys have 32 bytes") }
    self.seed = seed
    self.secret = secret
    publicKey = PublicKey(ofOwnSeed: value)
  }

  public static func random() -> SigningKey {
    guard let seed = Bytes32(Sodium.randomBytes(Bytes32.count)) else { fatalError("32 bytes") }
    return SigningKey(seed: seed)
  }

  public func sign(_ digest: Digest) -> Signature {
    var bytes = [UInt8](repeating: 0, count: Signature.count)
    crypto_sign_detached(&bytes, nil, digest.bytes, UInt64(Bytes32.count), secret)
    guard let signature = Signature(bytes) else { fatalError("Ed25519 signatures have 64 bytes") }
    return signature
  }
}

/// Whatever prints something that holds a key, a log of a library's among it, prints no secret.
extension SigningKey: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
  public var description: String { "private key of \(publicKey)" }
  public var debugDescription: String { description }
  public var customMirror: Mirror { Mirror(self, children: []) }
}

public enum KeyError: CodedError, Equatable {
  case invalidPublicKey(String)

  public var code: String { "invalid-key" }
  public var sentence: String {
    switch self {
    case .invalidPublicKey(let text):
      "'\(text.prefix(64))' is no usable Ed25519 public key (32 bytes, canonical, not small-order); make one with `bourse keys new`."
    }
  }
}
