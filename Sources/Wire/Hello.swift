package import Primitives

/// Binds a party's identity to one CURVE connection. It names both ends' CURVE keys, so that a
/// hello seen by one broker, or on one connection, is worth nothing on another.
package struct Hello: Hashable, Sendable, CanonicalCodable {
  /// A hello may expire at most this far ahead: ten minutes in milliseconds.
  package static let lifetimeLimit: UInt64 = 600_000

  package let network: NetworkID
  package let brokerCurveKey: Bytes32
  package let clientCurveKey: Bytes32
  package let expiry: Tick
  package let identity: PublicKey
  package let signature: Signature

  package init(
    network: NetworkID, brokerCurveKey: Bytes32, clientCurveKey: Bytes32, expiry: Tick,
    signedBy key: SigningKey
  ) {
    self.network = network
    self.brokerCurveKey = brokerCurveKey
    self.clientCurveKey = clientCurveKey
    self.expiry = expiry
    identity = key.publicKey
    signature = key.sign(
      Self.digest(network, brokerCurveKey, clientCurveKey, expiry, key.publicKey))
  }

  package var isAuthentic: Bool {
    identity.verifies(
      signature, over: Self.digest(network, brokerCurveKey, clientCurveKey, expiry, identity))
  }

  /// Nil where the hello holds for this connection at `now`; else why not.
  package func refusal(
    network: NetworkID, brokerCurveKey: Bytes32, clientCurveKey: Bytes32, now: Tick
  ) -> WireRefusal? {
    if self.network != network {
      return WireRefusal(
        code: "wrong-network",
        sentence: "The hello is for network '\(self.network)'; this broker serves '\(network)'.")
    }
    if self.brokerCurveKey != brokerCurveKey || self.clientCurveKey != clientCurveKey {
      return WireRefusal(
        code: "hello-of-another-connection",
        sentence: "The hello names other CURVE keys than this connection has; sign a new one.")
    }
    if expiry <= now || expiry > now.advanced(by: Self.lifetimeLimit) {
      return WireRefusal(
        code: "hello-expired",
        sentence:
          "The hello expires at \(expiry); it must lie within \(Self.lifetimeLimit) ms after \(now)."
      )
    }
    if !isAuthentic {
      return WireRefusal(
        code: "hello-forged", sentence: "The hello's signature is not its identity's.")
    }
    return nil
  }

  private static func digest(
    _ network: NetworkID, _ brokerCurveKey: Bytes32, _ clientCurveKey: Bytes32, _ expiry: Tick,
    _ identity: PublicKey
  ) -> Digest {
    var encoder = CanonicalEncoder()
    encoder.append(network)
    encoder.append(brokerCurveKey)
    encoder.append(clientCurveKey)
    encoder.append(expiry)
    encoder.append(identity)
    return Digest.of(encoder.bytes, domain: .hello)
  }

  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(network)
    encoder.append(brokerCurveKey)
    encoder.append(clientCurveKey)
    encoder.append(expiry)
    encoder.append(identity)
    encoder.append(signature)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    network = try decoder.record()
    brokerCurveKey = try decoder.bytes32()
    clientCurveKey = try decoder.bytes32()
    expiry = try decoder.record()
    identity = try decoder.record()
    signature = try decoder.record()
  }
}
