package import MerkleLog
package import Primitives

/// A prover's signature over the Merkle root of its receipts. The signature stands by itself, so
/// that a receipt can be shown with its path, and the batch's other receipts stay undisclosed.
package struct BatchRoot: Hashable, Sendable, CanonicalCodable {
  package let network: NetworkID
  package let prover: PublicKey
  package let root: Digest
  /// Receipts under the root.
  package let size: UInt32
  package let signature: Signature

  package init(network: NetworkID, root: Digest, size: UInt32, signedBy key: SigningKey) {
    self.network = network
    prover = key.publicKey
    self.root = root
    self.size = size
    signature = key.sign(Self.digest(network, key.publicKey, root, size))
  }

  package var isAuthentic: Bool {
    prover.verifies(signature, over: Self.digest(network, prover, root, size))
  }

  private static func digest(
    _ network: NetworkID, _ prover: PublicKey, _ root: Digest, _ size: UInt32
  ) -> Digest {
    var encoder = CanonicalEncoder()
    encoder.append(network)
    encoder.append(prover)
    encoder.append(root)
    encoder.append(size)
    return Digest.of(encoder.bytes, domain: .batch)
  }

  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(network)
    encoder.append(prover)
    encoder.append(root)
    encoder.append(size)
    encoder.append(signature)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    network = try decoder.record()
    prover = try decoder.record()
    root = try decoder.record()
    size = try decoder.integer()
    signature = try decoder.record()
  }
}

/// A prover's receipts under one signed Merkle root.
package struct Batch: Hashable, Sendable, CanonicalCodable {
  package static let receiptLimit = 1024

  package let signedRoot: BatchRoot
  package let receipts: [Receipt]

  package init(signedRoot: BatchRoot, receipts: [Receipt]) {
    (self.signedRoot, self.receipts) = (signedRoot, receipts)
  }

  /// The honest batch over `receipts`.
  package init(network: NetworkID, receipts: [Receipt], signedBy key: SigningKey) {
    self.receipts = receipts
    signedRoot = BatchRoot(
      network: network, root: Self.tree(receipts).root, size: UInt32(receipts.count),
      signedBy: key)
  }

  package static func tree(_ receipts: [Receipt]) -> MerkleTree {
    MerkleTree(leafHashes: receipts.map { MerkleTree.leafHash($0.canonicalBytes) })
  }

  /// The tree of the receipts where the signed root is that of exactly these, or else nil.
  package var tree: MerkleTree? {
    let tree = Self.tree(receipts)
    return Int(signedRoot.size) == tree.count && signedRoot.root == tree.root ? tree : nil
  }

  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(signedRoot)
    encoder.append(receipts)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    signedRoot = try decoder.record()
    receipts = try decoder.list(limit: Self.receiptLimit, elementSize: 190)
  }
}

/// A prover's signed words about a lease's outputs: one digest per boundary tensor. Slashable by
/// itself, so it is signed apart from the envelope that carries it.
package struct OutputCommitment: Hashable, Sendable, CanonicalCodable {
  package let network: NetworkID
  package let lease: LeaseID
  package let outputs: [Digest]
  /// `AuditNonce.commitment`; zero bytes will do where the request has no attested slice.
  package let nonceCommitment: Digest
  package let prover: PublicKey
  package let signature: Signature

  package init(
    network: NetworkID, lease: LeaseID, outputs: [Digest], nonceCommitment: Digest,
    signedBy key: SigningKey
  ) {
    self.network = network
    self.lease = lease
    self.outputs = outputs
    self.nonceCommitment = nonceCommitment
    prover = key.publicKey
    signature = key.sign(
      Self.digest(network, lease, outputs, nonceCommitment, key.publicKey))
  }

  package var isAuthentic: Bool {
    prover.verifies(
      signature, over: Self.digest(network, lease, outputs, nonceCommitment, prover))
  }

  private static func digest(
    _ network: NetworkID, _ lease: LeaseID, _ outputs: [Digest], _ nonceCommitment: Digest,
    _ prover: PublicKey
  ) -> Digest {
    var encoder = CanonicalEncoder()
    encoder.append(network)
    encoder.append(lease)
    encoder.append(outputs)
    encoder.append(nonceCommitment)
    encoder.append(prover)
    return Digest.of(encoder.bytes, domain: .commitment)
  }

  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(network)
    encoder.append(lease)
    encoder.append(outputs)
    encoder.append(nonceCommitment)
    encoder.append(prover)
    encoder.append(signature)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    network = try decoder.record()
    lease = try decoder.record()
    outputs = try decoder.list(limit: Manifest.boundaryLimit, elementSize: Bytes32.count)
    nonceCommitment = try decoder.record()
    prover = try decoder.record()
    signature = try decoder.record()
  }
}
