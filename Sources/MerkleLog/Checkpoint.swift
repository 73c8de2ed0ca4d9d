package import Primitives

/// The broker's signature over its journal's Merkle root at a size. Two checkpoints of one network
/// that no consistency proof links convict the broker of keeping two histories.
package struct Checkpoint: Hashable, Sendable, CanonicalCodable {
  package let network: NetworkID
  /// Entries in the journal.
  package let size: UInt64
  package let root: Digest
  package let broker: PublicKey
  package let signature: Signature

  package init(network: NetworkID, size: UInt64, root: Digest, signedBy key: SigningKey) {
    self.network = network
    self.size = size
    self.root = root
    broker = key.publicKey
    signature = key.sign(Self.digest(network, size, root))
  }

  package var isAuthentic: Bool {
    broker.verifies(signature, over: Self.digest(network, size, root))
  }

  private static func digest(_ network: NetworkID, _ size: UInt64, _ root: Digest) -> Digest {
    var encoder = CanonicalEncoder()
    encoder.append(network)
    encoder.append(size)
    encoder.append(root)
    return Digest.of(encoder.bytes, domain: .checkpoint)
  }

  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(network)
    encoder.append(size)
    encoder.append(root)
    encoder.append(broker)
    encoder.append(signature)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    network = try decoder.record()
    size = try decoder.integer()
    root = try decoder.record()
    broker = try decoder.record()
    signature = try decoder.record()
  }
}
