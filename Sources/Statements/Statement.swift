package import Primitives

/// What a proof is about. Its digest is the 32-byte context that a proof binds.
package struct Statement: Hashable, Sendable, CanonicalCodable {
  package let network: NetworkID
  package let request: RequestID
  package let lease: LeaseID
  package let model: ModelID
  /// Index of the slice in the manifest.
  package let slice: Int
  /// One digest per input boundary tensor, in the slice's order.
  package let inputs: [Digest]
  /// One digest per output boundary tensor, in the slice's order.
  package let outputs: [Digest]
  package let backend: BackendID
  /// The key record that the lease pins.
  package let keyRecord: Digest
  package let prover: PublicKey

  package init(
    network: NetworkID, request: RequestID, lease: LeaseID, model: ModelID, slice: Int,
    inputs: [Digest], outputs: [Digest], backend: BackendID, keyRecord: Digest, prover: PublicKey
  ) {
    self.network = network
    self.request = request
    self.lease = lease
    self.model = model
    self.slice = slice
    self.inputs = inputs
    self.outputs = outputs
    self.backend = backend
    self.keyRecord = keyRecord
    self.prover = prover
  }

  package var digest: Digest { Digest.of(self, domain: .statement) }

  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(network)
    encoder.append(request)
    encoder.append(lease)
    encoder.append(model)
    encoder.append(UInt32(slice))
    encoder.append(inputs)
    encoder.append(outputs)
    encoder.append(backend)
    encoder.append(keyRecord)
    encoder.append(prover)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    network = try decoder.record()
    request = try decoder.record()
    lease = try decoder.record()
    model = try decoder.record()
    slice = Int(try decoder.integer(UInt32.self))
    inputs = try decoder.list(limit: Manifest.boundaryLimit, elementSize: Bytes32.count)
    outputs = try decoder.list(limit: Manifest.boundaryLimit, elementSize: Bytes32.count)
    backend = try decoder.record()
    keyRecord = try decoder.record()
    prover = try decoder.record()
  }
}

/// Which verifier key, made by which plugin, a lease is checked under.
package struct KeyRecord: Hashable, Sendable, CanonicalCodable {
  package let model: ModelID
  package let slice: Int
  package let backend: BackendID
  package let backendVersion: String
  /// SHA-256 of the plugin's file that compiled the key.
  package let plugin: Digest
  /// Blob of the verifier key.
  package let verifierKey: Digest
  /// Of the record itself; kept, because each lease names it.
  package private(set) var digest = Digest.zero

  package init(
    model: ModelID, slice: Int, backend: BackendID, backendVersion: String, plugin: Digest,
    verifierKey: Digest
  ) {
    self.model = model
    self.slice = slice
    self.backend = backend
    self.backendVersion = backendVersion
    self.plugin = plugin
    self.verifierKey = verifierKey
    digest = Digest.of(self, domain: .keyRecord)
  }

  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(model)
    encoder.append(UInt32(slice))
    encoder.append(backend)
    encoder.append(backendVersion)
    encoder.append(plugin)
    encoder.append(verifierKey)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    model = try decoder.record()
    slice = Int(try decoder.integer(UInt32.self))
    backend = try decoder.record()
    backendVersion = try decoder.text(limit: 64)
    plugin = try decoder.record()
    verifierKey = try decoder.record()
    digest = Digest.of(self, domain: .keyRecord)
  }
}

/// Statement and proof digest: one leaf of a batch.
package struct Receipt: Hashable, Sendable, CanonicalCodable {
  package let statement: Statement
  /// Blob of the proof. The digest of no bytes where the backend's proofs are empty.
  package let proof: Digest

  package init(statement: Statement, proof: Digest) {
    (self.statement, self.proof) = (statement, proof)
  }

  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(statement)
    encoder.append(proof)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    statement = try decoder.record()
    proof = try decoder.record()
  }
}
