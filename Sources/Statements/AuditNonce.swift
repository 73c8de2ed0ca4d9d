package import Primitives

/// A party's secret part of the seed by which a request's audits are drawn: committed before it
/// could be chosen to anyone's liking, and revealed once every output is committed.
package struct AuditNonce: Hashable, Sendable, CanonicalCodable {
  package let value: Bytes32

  package init(_ value: Bytes32) { self.value = value }

  /// The nonce that the holder of `key` uses for a subject: the same whenever it is asked for, so
  /// that nothing needs to be kept, and known to nobody else before it is revealed.
  ///
  /// - Parameter subject: Never used for two nonces.
  package init(for subject: Digest, from key: SigningKey) {
    value = Digest.of(key.seed.bytes + subject.bytes, domain: .auditNonce).value
  }

  /// What the author commits to. It holds for this author alone: a commitment that another party
  /// copies cannot be opened by that party.
  package func commitment(by author: PublicKey) -> Digest {
    Digest.of(author.bytes + value.bytes, domain: .nonceCommitment)
  }

  package func encode(into encoder: inout CanonicalEncoder) { encoder.append(value) }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    value = try decoder.bytes32()
  }
}

/// The seed from which each attested slice's audit is drawn. No party chose it, and none could:
/// every nonce in it was committed before any was known.
package struct AuditSeed: Hashable, Sendable {
  package let digest: Digest

  package init(digest: Digest) { self.digest = digest }

  /// - Parameter lessees: In the order of their slices.
  package init(
    request: RequestID, requester: AuditNonce, broker: AuditNonce, lessees: [AuditNonce]
  ) {
    var encoder = CanonicalEncoder()
    encoder.append(request)
    encoder.append(requester)
    encoder.append(broker)
    encoder.append(lessees)
    digest = Digest.of(encoder.bytes, domain: .auditSeed)
  }

  /// Whether the slice is drawn: the first eight bytes of its own hash, as a fraction of 2^64, lie
  /// below the rate.
  package func draws(slice: Int, at rate: PartsPerMillion) -> Bool {
    var encoder = CanonicalEncoder()
    encoder.append(digest)
    encoder.append(UInt32(slice))
    let fraction = Digest.of(encoder.bytes, domain: .auditDraw).value.word0
    return fraction.multipliedFullWidth(by: 1_000_000).high < UInt64(rate.parts)
  }
}
