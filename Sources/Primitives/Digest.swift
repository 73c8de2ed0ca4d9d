import COpenSSL
import CSodium

/// A SHA-256 digest (FIPS 180-4): the name of a blob, a manifest, an envelope, a receipt.
public struct Digest: Hashable, Comparable, Sendable, CanonicalCodable, CustomStringConvertible {
  public let value: Bytes32

  public static let zero = Digest(.zero)

  @inlinable public init(_ value: Bytes32) { self.value = value }

  public init?(hexadecimal text: some StringProtocol) {
    guard let bytes = Hexadecimal.bytes(text), let value = Bytes32(bytes) else { return nil }
    self.value = value
  }

  public var bytes: [UInt8] { value.bytes }
  public var description: String { Hexadecimal.text(bytes) }
  /// The first eight hexadecimal digits, for tables that people read.
  public var short: String { String(description.prefix(8)) }

  public static func < (left: Digest, right: Digest) -> Bool { left.value < right.value }

  @inlinable public static func == (left: Digest, right: Digest) -> Bool {
    left.value == right.value
  }
  @inlinable public func hash(into hasher: inout Hasher) { value.hash(into: &hasher) }
  @inlinable public func _rawHashValue(seed: Int) -> Int { value._rawHashValue(seed: seed) }

  @inlinable public func encode(into encoder: inout CanonicalEncoder) { encoder.append(value) }

  @inlinable public init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    self.init(try decoder.bytes32())
  }

  /// The plain digest of bytes that carry no structure of ours: a blob, a plugin's file.
  @inlinable public static func of(_ bytes: some Collection<UInt8>) -> Digest {
    var hasher = SHA256()
    hasher.update(bytes)
    return hasher.finalize()
  }

  /// The digest of `bytes` under a domain: SHA-256(count of domain as one byte ‖ domain ‖ bytes).
  /// No two domains can produce the same preimage, so a signature made for one purpose is
  /// meaningless for any other.
  @inlinable public static func of(_ bytes: some Collection<UInt8>, domain: HashDomain) -> Digest {
    var hasher = SHA256(domain: domain)
    hasher.update(bytes)
    return hasher.finalize()
  }

  @inlinable public static func of(_ record: some CanonicalCodable, domain: HashDomain) -> Digest {
    of(record.canonicalBytes, domain: domain)
  }
}

/// The purposes for which the project hashes or signs. `docs/protocol.md` lists them.
public struct HashDomain: Hashable, Sendable {
  public let name: String
  /// What comes before the bytes: the count of the name as one byte, and the name.
  public let prefix: [UInt8]

  public init(_ name: String) {
    precondition(!name.isEmpty && name.utf8.count < 256)
    self.name = name
    prefix = [UInt8(name.utf8.count)] + Array(name.utf8)
  }

  public static let envelope = HashDomain("bourse/envelope/1")
  public static let acknowledgement = HashDomain("bourse/acknowledgement/2")
  public static let acknowledgementGroup = HashDomain("bourse/acknowledgement-group/1")
  public static let manifest = HashDomain("bourse/manifest/2")
  public static let program = HashDomain("bourse/program/1")
  public static let statement = HashDomain("bourse/statement/1")
  public static let batch = HashDomain("bourse/batch/1")
  public static let commitment = HashDomain("bourse/output-commitment/1")
  public static let journalEntry = HashDomain("bourse/journal-entry/1")
  public static let checkpoint = HashDomain("bourse/checkpoint/1")
  public static let snapshot = HashDomain("bourse/snapshot/1")
  public static let hello = HashDomain("bourse/hello/1")
  public static let evidence = HashDomain("bourse/evidence/1")
  public static let keyRecord = HashDomain("bourse/key-record/1")
  public static let auditNonce = HashDomain("bourse/audit-nonce/1")
  public static let nonceCommitment = HashDomain("bourse/nonce-commitment/1")
  public static let auditSeed = HashDomain("bourse/audit-seed/1")
  public static let auditDraw = HashDomain("bourse/audit-draw/1")
  public static let verdict = HashDomain("bourse/verdict/1")
}

/// Streaming SHA-256 over libcrypto.
public struct SHA256 {
  private var state = SHA256_CTX()

  public init() { SHA256_Init(&state) }

  /// Of what `Digest.of(_:domain:)` is the digest, for bytes that do not lie together.
  public init(domain: HashDomain) {
    self.init()
    update(domain.prefix)
  }

  @inlinable public mutating func update(_ bytes: some Collection<UInt8>) {
    if bytes.withContiguousStorageIfAvailable({ update(UnsafeRawBufferPointer($0)) }) == nil {
      Array(bytes).withUnsafeBytes { update($0) }
    }
  }

  public mutating func update(_ bytes: UnsafeRawBufferPointer) {
    SHA256_Update(&state, bytes.baseAddress, bytes.count)
  }

  /// As the codec writes it.
  @inlinable public mutating func update(_ value: some FixedWidthInteger) {
    withUnsafeBytes(of: value.littleEndian) { update($0) }
  }

  public mutating func update(_ digest: Digest) {
    withUnsafeBytes(of: digest.value.inOrder) { update($0) }
  }

  public consuming func finalize() -> Digest {
    var bytes: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
    withUnsafeMutableBytes(of: &bytes) { buffer in
      _ = SHA256_Final(buffer.bindMemory(to: UInt8.self).baseAddress, &state)
    }
    return Digest(Bytes32(inOrder: bytes))
  }
}

/// libsodium must be initialised once before anything else of it is called.
public enum Sodium {
  private static let started: Bool = sodium_init() >= 0

  public static func start() {
    precondition(started, "libsodium could not be initialised")
  }

  public static func randomBytes(_ count: Int) -> [UInt8] {
    start()
    var bytes = [UInt8](repeating: 0, count: count)
    randombytes_buf(&bytes, count)
    return bytes
  }
}
