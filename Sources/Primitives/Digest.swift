import CSodium

/// A SHA-256 digest (FIPS 180-4): the name of a blob, a manifest, an envelope, a receipt.
package struct Digest: Hashable, Comparable, Sendable, CanonicalCodable, CustomStringConvertible {
  package let value: Bytes32

  package static let zero = Digest(.zero)

  package init(_ value: Bytes32) { self.value = value }

  package init?(hexadecimal text: some StringProtocol) {
    guard let bytes = Hexadecimal.bytes(text), let value = Bytes32(bytes) else { return nil }
    self.value = value
  }

  package var bytes: [UInt8] { value.bytes }
  package var description: String { Hexadecimal.text(bytes) }
  /// The first eight hexadecimal digits, for tables that people read.
  package var short: String { String(description.prefix(8)) }

  package static func < (left: Digest, right: Digest) -> Bool { left.value < right.value }

  @inlinable package static func == (left: Digest, right: Digest) -> Bool {
    left.value == right.value
  }
  @inlinable package func hash(into hasher: inout Hasher) { value.hash(into: &hasher) }
  @inlinable package func _rawHashValue(seed: Int) -> Int { value._rawHashValue(seed: seed) }

  package func encode(into encoder: inout CanonicalEncoder) { encoder.append(fixed: bytes) }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    value = try decoder.bytes32()
  }

  /// The plain digest of bytes that carry no structure of ours: a blob, a plugin's file.
  package static func of(_ bytes: some Collection<UInt8>) -> Digest {
    var hasher = SHA256()
    hasher.update(bytes)
    return hasher.finalize()
  }

  /// The digest of `bytes` under a domain: SHA-256(count of domain as one byte ‖ domain ‖ bytes).
  /// No two domains can produce the same preimage, so a signature made for one purpose is
  /// meaningless for any other.
  package static func of(_ bytes: some Collection<UInt8>, domain: HashDomain) -> Digest {
    var hasher = SHA256()
    hasher.update(domain.prefix)
    hasher.update(bytes)
    return hasher.finalize()
  }

  package static func of(_ record: some CanonicalCodable, domain: HashDomain) -> Digest {
    of(record.canonicalBytes, domain: domain)
  }
}

/// The purposes for which the project hashes or signs. `docs/protocol.md` lists them.
package struct HashDomain: Hashable, Sendable {
  package let name: String

  package init(_ name: String) {
    precondition(!name.isEmpty && name.utf8.count < 256)
    self.name = name
  }

  package var prefix: [UInt8] { [UInt8(name.utf8.count)] + Array(name.utf8) }

  package static let envelope = HashDomain("bourse/envelope/1")
  package static let acknowledgement = HashDomain("bourse/acknowledgement/1")
  package static let manifest = HashDomain("bourse/manifest/2")
  package static let program = HashDomain("bourse/program/1")
  package static let statement = HashDomain("bourse/statement/1")
  package static let batch = HashDomain("bourse/batch/1")
  package static let commitment = HashDomain("bourse/output-commitment/1")
  package static let journalEntry = HashDomain("bourse/journal-entry/1")
  package static let checkpoint = HashDomain("bourse/checkpoint/1")
  package static let snapshot = HashDomain("bourse/snapshot/1")
  package static let hello = HashDomain("bourse/hello/1")
  package static let evidence = HashDomain("bourse/evidence/1")
  package static let keyRecord = HashDomain("bourse/key-record/1")
  package static let auditNonce = HashDomain("bourse/audit-nonce/1")
  package static let nonceCommitment = HashDomain("bourse/nonce-commitment/1")
  package static let auditSeed = HashDomain("bourse/audit-seed/1")
  package static let auditDraw = HashDomain("bourse/audit-draw/1")
  package static let verdict = HashDomain("bourse/verdict/1")
}

/// Streaming SHA-256 over libsodium.
package struct SHA256 {
  private var state = crypto_hash_sha256_state()

  package init() {
    Sodium.start()
    crypto_hash_sha256_init(&state)
  }

  package mutating func update(_ bytes: some Collection<UInt8>) {
    let done: Void? = bytes.withContiguousStorageIfAvailable { buffer in
      crypto_hash_sha256_update(&state, buffer.baseAddress, UInt64(buffer.count))
      return ()
    }
    if done == nil {
      let copy = Array(bytes)
      crypto_hash_sha256_update(&state, copy, UInt64(copy.count))
    }
  }

  package mutating func update(_ bytes: UnsafeRawBufferPointer) {
    crypto_hash_sha256_update(
      &state, bytes.bindMemory(to: UInt8.self).baseAddress, UInt64(bytes.count))
  }

  package consuming func finalize() -> Digest {
    var bytes = [UInt8](repeating: 0, count: Bytes32.count)
    crypto_hash_sha256_final(&state, &bytes)
    guard let value = Bytes32(bytes) else { fatalError("SHA-256 gives 32 bytes") }
    return Digest(value)
  }
}

/// libsodium must be initialised once before anything else of it is called.
package enum Sodium {
  private static let started: Bool = sodium_init() >= 0

  package static func start() {
    precondition(started, "libsodium could not be initialised")
  }

  package static func randomBytes(_ count: Int) -> [UInt8] {
    start()
    var bytes = [UInt8](repeating: 0, count: count)
    randombytes_buf(&bytes, count)
    return bytes
  }
}
