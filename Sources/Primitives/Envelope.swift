/// A signed command: exactly the bytes that were sent, and what they say.
///
/// Layout: network, author, nonce, expiry, counted body, then 64 bytes of signature. The digest is
/// taken over everything before the signature under the envelope domain; it is what is signed, the
/// command's identity, and its idempotency key. Two valid signatures over the same content are
/// therefore the same command.
public struct Envelope: Hashable, Sendable {
  /// A body above this is refused before it is read: tensors and proofs travel as blobs.
  public static let bodyLimit = 1 << 20

  public let network: NetworkID
  public let author: PublicKey
  public let nonce: Nonce
  /// The last tick at which a first delivery is accepted.
  public let expiry: Tick
  /// Canonical bytes of a command.
  public let body: ArraySlice<UInt8>
  public let signature: Signature
  public let digest: Digest

  public init(
    network: NetworkID, nonce: Nonce, expiry: Tick, body: [UInt8], signedBy key: SigningKey
  ) {
    self.network = network
    author = key.publicKey
    self.nonce = nonce
    self.expiry = expiry
    self.body = body[...]
    let content = Self.content(network, key.publicKey, nonce, expiry, self.body)
    digest = Digest.of(content, domain: .envelope)
    signature = key.sign(digest)
  }

  public var isAuthentic: Bool { author.verifies(signature, over: digest) }

  private static func content(
    _ network: NetworkID, _ author: PublicKey, _ nonce: Nonce, _ expiry: Tick,
    _ body: ArraySlice<UInt8>
  ) -> [UInt8] {
    var encoder = CanonicalEncoder(capacity: 160 + body.count)
    encoder.append(network)
    encoder.append(author)
    encoder.append(nonce)
    encoder.append(expiry)
    encoder.append(counted: body)
    return encoder.finish()
  }
}

extension Envelope: CanonicalCodable {
  public func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(fixed: Self.content(network, author, nonce, expiry, body))
    encoder.append(signature)
  }

  /// Checks form only; whoever accepts an envelope asks `isAuthentic` as well.
  public init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    let start = decoder.offset
    network = try decoder.record()
    author = try decoder.record()
    nonce = try decoder.record()
    expiry = try decoder.record()
    body = try decoder.countedSlice(limit: Self.bodyLimit)
    digest = decoder.digest(from: start, domain: .envelope)
    signature = try decoder.record()
  }
}
