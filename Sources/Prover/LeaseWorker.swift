import Logging
import Market
import MerkleLog
import Primitives
import ProverHost
import Statements
import Wire

/// Works one lease from its begin to its batch: inputs, outputs, commitment, proof, receipt.
struct LeaseWorker: Sendable {
  let client: WireClient
  let slices: SliceCache
  let key: SigningKey
  let network: NetworkID
  let misbehaviour: Misbehaviour?
  let logger: Logger

  /// Returns when the lease needs nothing more of its lessee.
  func work(_ item: WorkItem) async throws {
    if misbehaviour == .silent {
      logger.warning("misbehaving: lease \(item.terms.id) stays unanswered")
      return
    }
    let slice = try await slices.slice(item.terms.model, item.terms.slice)
    var inputs: [[UInt8]] = []
    for (digest, specification) in zip(item.inputs, slice.manifest.inputs) {
      inputs.append(try await client.download(digest, byteLimit: specification.byteCount))
    }
    let outputs: [[UInt8]]
    do {
      outputs = try await execute(slice, inputs)
    } catch BackendError.refused(.rangeFault, _) {
      logger.notice("lease \(item.terms.id): the program faults on its inputs; reporting that")
      try await client.perform(.reportRangeFault(item.terms.id), signedBy: key)
      return
    }
    if misbehaviour == .late {
      logger.warning("misbehaving: lease \(item.terms.id) is answered after its deadline")
      while Tick.now <= item.deadline { try await Task.sleep(for: .milliseconds(20)) }
    }
    let digests = outputs.map { Digest.of($0) }
    if item.state == .begun {
      for output in outputs { _ = try await client.upload(output) }
      let commitment = OutputCommitment(
        network: network, lease: item.terms.id, outputs: digests, nonceCommitment: .zero,
        signedBy: key)
      try await client.perform(.commitOutput(commitment), signedBy: key)
      logger.info("lease \(item.terms.id): committed slice \(item.terms.slice)")
    }
    try await submitReceipt(item, slice, inputs: inputs, outputs: outputs, digests: digests)
  }

  private func execute(_ slice: SliceCache.Slice, _ inputs: [[UInt8]]) async throws -> [[UInt8]] {
    var outputs = try await slice.prover.execute(inputs)
    if misbehaviour == .wrongOutput, !outputs.isEmpty, !outputs[0].isEmpty {
      logger.warning("misbehaving: flipping a bit of slice '\(slice.manifest.name)'s output")
      outputs[0][0] ^= 1
    }
    return outputs
  }

  private func submitReceipt(
    _ item: WorkItem, _ slice: SliceCache.Slice, inputs: [[UInt8]], outputs: [[UInt8]],
    digests: [Digest]
  ) async throws {
    let statement = Statement(
      network: network, request: item.terms.request, lease: item.terms.id,
      model: item.terms.model, slice: item.terms.slice, inputs: item.inputs, outputs: digests,
      backend: item.terms.assurance.backend, keyRecord: item.terms.keyRecord,
      prover: key.publicKey)
    let proof = try await slice.prover.prove(
      inputs: inputs, outputs: outputs, context: statement.digest)
    if misbehaviour == nil {
      // A wrong proof costs the stake, so a prover looks at its own first.
      let own = await slice.verifier.verify(
        inputs: inputs, outputs: outputs, proof: proof, context: statement.digest)
      guard own.verdict == .valid else {
        logger.error("lease \(item.terms.id): own proof is \(own.verdict): \(own.reason)")
        try await client.perform(.declareUnprovable(item.terms.id), signedBy: key)
        return
      }
    }
    if !proof.isEmpty { _ = try await client.upload(proof) }
    let receipt = Receipt(statement: statement, proof: Digest.of(proof))
    var batch = Batch(network: network, receipts: [receipt], signedBy: key)
    if misbehaviour == .badRoot {
      logger.warning("misbehaving: signing a false batch root over lease \(item.terms.id)")
      let root = BatchRoot(
        network: network, root: MerkleTree.nodeHash(batch.signedRoot.root, .zero), size: 1,
        signedBy: key)
      batch = Batch(signedRoot: root, receipts: [receipt])
    }
    try await client.perform(.submitBatch(batch), signedBy: key)
    logger.info("lease \(item.terms.id): submitted its receipt")
  }
}

/// The slices a prover has worked on: fetched and compiled once, sessions kept open.
actor SliceCache {
  struct Slice: Sendable {
    let manifest: Manifest.Slice
    let prover: ProverSession
    let verifier: VerifierSession
  }

  /// A program or sub-model above this is not fetched.
  private static let blobLimit = 1 << 29

  private let client: WireClient
  private let backend: Backend
  private var manifests: [ModelID: Manifest] = [:]
  private var slices: [ModelID: [Int: Slice]] = [:]

  init(client: WireClient, backend: Backend) {
    self.client = client
    self.backend = backend
  }

  func slice(_ model: ModelID, _ index: Int) async throws -> Slice {
    if let known = slices[model]?[index] { return known }
    let manifest: Manifest
    if let known = manifests[model] {
      manifest = known
    } else {
      manifest = try await client.model(model)
      manifests[model] = manifest
    }
    guard manifest.slices.indices.contains(index) else {
      throw Rejection(
        code: "unknown-slice",
        sentence: "The broker leased slice \(index) and the model has \(manifest.slices.count).")
    }
    let entry = manifest.slices[index]
    let bundle = SliceBundle(
      onnx: try await client.download(entry.onnx, byteLimit: Self.blobLimit),
      program: try await client.download(entry.program, byteLimit: Self.blobLimit),
      boundaries: Boundaries(inputs: entry.inputs, outputs: entry.outputs))
    let keys = try await backend.compile(bundle)
    let slice = Slice(
      manifest: entry,
      prover: try await backend.openProver(key: keys.prover, boundaries: bundle.boundaries),
      verifier: try await backend.openVerifier(
        key: keys.verifier, boundaries: bundle.boundaries))
    slices[model, default: [:]][index] = slice
    return slice
  }
}
