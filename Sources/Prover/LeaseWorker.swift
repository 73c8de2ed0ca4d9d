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

  /// Failures to prove an output after which the exchange is told that it cannot be proven.
  private static let provingFailures = 3

  /// Returns when the lease needs nothing more of its lessee.
  ///
  /// - Parameter failures: How often this has failed for the lease before.
  func work(_ item: WorkItem, after failures: Int) async throws {
    if misbehaviour == .silent {
      logger.warning("misbehaving: lease \(item.terms.id) stays unanswered")
      return
    }
    let slice = try await slices.slice(of: item.terms)
    var inputs: [[UInt8]] = []
    for (digest, specification) in zip(item.inputs, slice.manifest.inputs) {
      inputs.append(try await client.download(digest, byteLimit: specification.byteCount))
    }
    let outputs: [[UInt8]]
    do {
      outputs = try await slice.executor.execute(inputs)
    } catch BackendError.refused(.rangeFault, _) where item.state == .begun {
      logger.notice("lease \(item.terms.id): the program faults on its inputs; reporting that")
      try await client.perform(.reportRangeFault(item.terms.id), signedBy: key)
      return
    }
    if misbehaviour == .late {
      logger.warning("misbehaving: lease \(item.terms.id) is answered after its deadline")
      while Tick.now <= item.deadline { try await Task.sleep(for: .milliseconds(20)) }
    }
    let claimed = claim(outputs, of: slice)
    let digests = claimed.map { Digest.of($0) }
    if item.state == .begun {
      for output in claimed { _ = try await client.upload(output) }
      let commitment = OutputCommitment(
        network: network, lease: item.terms.id, outputs: digests,
        nonceCommitment: nonce(of: item).commitment(by: key.publicKey), signedBy: key)
      try await client.perform(.commitOutput(commitment), signedBy: key)
      logger.info("lease \(item.terms.id): committed slice \(item.terms.slice)")
    } else if digests != item.outputs {
      // An earlier run, perhaps of another plugin, has committed to something else. A receipt over
      // either would be false; where that run was right, this costs nothing.
      logger.error("lease \(item.terms.id): its committed output is not what this prover computes")
      try await client.perform(.declareUnprovable(item.terms.id), signedBy: key)
      return
    }
    do {
      try await submitReceipt(item, slice, inputs: inputs, outputs: outputs, digests: digests)
    } catch let error as BackendError where failures + 1 >= Self.provingFailures {
      logger.error("lease \(item.terms.id): no proof after \(failures + 1) attempts: \(error)")
      try await client.perform(.declareUnprovable(item.terms.id), signedBy: key)
    }
  }

  /// Reveals what the commitment of the lease's outputs has promised.
  func reveal(_ item: WorkItem) async throws {
    if misbehaviour == .withholdNonce {
      logger.warning("misbehaving: keeping the nonce of lease \(item.terms.id)")
      return
    }
    try await client.perform(
      .revealNonce(.lessee(item.terms.id), nonce(of: item)), signedBy: key)
    logger.info("lease \(item.terms.id): revealed its nonce")
  }

  private func nonce(of item: WorkItem) -> AuditNonce {
    let subject = Digest.of(item.terms.request.bytes + item.terms.id.canonicalBytes)
    return AuditNonce(for: subject, from: key)
  }

  /// What the prover says that the outputs are.
  private func claim(_ outputs: [[UInt8]], of slice: SliceCache.Slice) -> [[UInt8]] {
    guard misbehaviour == .wrongOutput else { return outputs }
    logger.warning("misbehaving: flipping a bit of slice '\(slice.manifest.name)'s output")
    var claimed = outputs
    claimed[0] = flippingBit(of: outputs[0])
    return claimed
  }

  /// - Parameters:
  ///   - outputs: What the slice gives, which alone can be proven.
  ///   - digests: Of what was committed.
  private func submitReceipt(
    _ item: WorkItem, _ slice: SliceCache.Slice, inputs: [[UInt8]], outputs: [[UInt8]],
    digests: [Digest]
  ) async throws {
    let statement = Statement(
      network: network, request: item.terms.request, lease: item.terms.id,
      model: item.terms.model, slice: item.terms.slice, inputs: item.inputs, outputs: digests,
      backend: item.terms.assurance.backend, keyRecord: item.terms.keyRecord,
      prover: key.publicKey)
    // What is attested has the prover's word and stake behind it, and no proof.
    let isAttested = item.terms.assurance.assurance == .attested
    var proof =
      isAttested
      ? []
      : try await slice.prover.prove(inputs: inputs, outputs: outputs, context: statement.digest)
    if misbehaviour == .badProof {
      logger.warning("misbehaving: flipping a bit of the proof of lease \(item.terms.id)")
      proof = flippingBit(of: proof)
    }
    if misbehaviour == nil, !isAttested {
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

  /// Flips a bit in the middle; of nothing it makes one byte.
  private func flippingBit(of bytes: [UInt8]) -> [UInt8] {
    guard !bytes.isEmpty else { return [1] }
    var flipped = bytes
    flipped[bytes.count / 2] ^= 1
    return flipped
  }
}

/// The slices a prover has worked on: fetched and compiled once, sessions kept open.
actor SliceCache {
  struct Slice: Sendable {
    let manifest: Manifest.Slice
    let executor: ProverSession
    /// In another process than the executor where the backend proves: the calls of one process wait
    /// for each other, and an output is due much sooner than a proof is made.
    let prover: ProverSession
    /// Under the key that leases pin, which decides.
    let verifier: VerifierSession
  }

  /// A program, sub-model or key above this is not fetched.
  private static let blobLimit = 1 << 29

  private let client: WireClient
  private let backends: [BackendID: Backend]
  private let logger: Logger
  /// Processes that prove; their executors are in `backends`.
  private var proving: [BackendID: Task<Backend, any Error>] = [:]
  private var manifests: [ModelID: Manifest] = [:]
  /// By the key record that a lease pins: it names model, slice and backend. A task, so that leases
  /// of one slice that begin together wait for one compilation.
  private var slices: [Digest: Task<Slice, any Error>] = [:]

  init(client: WireClient, backends: [Backend], logger: Logger) {
    self.client = client
    self.backends = Dictionary(backends.map { ($0.descriptor.id, $0) }) { first, _ in first }
    self.logger = logger
  }

  func slice(of terms: LeaseTerms) async throws -> Slice {
    let opening = slices[terms.keyRecord] ?? Task { try await open(terms) }
    slices[terms.keyRecord] = opening
    do {
      return try await opening.value
    } catch {
      // The next lease tries again.
      if slices[terms.keyRecord] == opening { slices[terms.keyRecord] = nil }
      throw error
    }
  }

  private func open(_ terms: LeaseTerms) async throws -> Slice {
    let id = terms.assurance.backend
    guard let backend = backends[id] else {
      throw Rejection(
        code: "backend-not-run",
        sentence: "The lease is for '\(id)', which this prover does not run; cancel that bid.")
    }
    let manifest = try await manifest(of: terms.model)
    guard manifest.slices.indices.contains(terms.slice) else {
      throw Rejection(
        code: "unknown-slice",
        sentence:
          "The broker leased slice \(terms.slice) and the model has \(manifest.slices.count).")
    }
    let entry = manifest.slices[terms.slice]
    let bundle = SliceBundle(
      onnx: try await client.download(entry.onnx, byteLimit: Self.blobLimit),
      program: try await client.download(entry.program, byteLimit: Self.blobLimit),
      boundaries: Boundaries(inputs: entry.inputs, outputs: entry.outputs))
    let keys = try await backend.compile(bundle)
    let proving = try await proving(backend)
    return Slice(
      manifest: entry,
      executor: try await backend.openProver(key: keys.prover, boundaries: bundle.boundaries),
      prover: try await proving.openProver(key: keys.prover, boundaries: bundle.boundaries),
      verifier: try await proving.openVerifier(
        key: try await pinnedKey(of: terms, compiled: keys.verifier),
        boundaries: bundle.boundaries))
  }

  /// The process that proves with the backend; its own where there is nothing to prove.
  private func proving(_ backend: Backend) async throws -> Backend {
    let id = backend.descriptor.id
    guard id != .reexec else { return backend }
    let opening = proving[id] ?? Task { try await backend.another() }
    proving[id] = opening
    do {
      return try await opening.value
    } catch {
      if proving[id] == opening { proving[id] = nil }
      throw error
    }
  }

  /// Ends the processes that it has started.
  func close() async {
    for opening in proving.values { await (try? opening.value)?.close() }
    proving = [:]
  }

  private func manifest(of model: ModelID) async throws -> Manifest {
    if let known = manifests[model] { return known }
    let manifest = try await client.model(model)
    manifests[model] = manifest
    return manifest
  }

  /// The verifier key that the lease is judged by: fetched where this plugin compiles another.
  private func pinnedKey(of terms: LeaseTerms, compiled: [UInt8]) async throws -> [UInt8] {
    let records = try await client.keyRecords(of: terms.model)
    guard let record = records.first(where: { $0.digest == terms.keyRecord }) else {
      throw Rejection(
        code: "key-unknown",
        sentence: "The broker does not show the key that lease \(terms.id) pins; ask its operator.")
    }
    if record.verifierKey == Digest.of(compiled) { return compiled }
    logger.warning(
      "the broker's \(record.backend) \(record.backendVersion) has another key for slice \(terms.slice) of \(terms.model.short): proofs of this plugin may be worth nothing"
    )
    return try await client.download(record.verifierKey, byteLimit: Self.blobLimit)
  }
}
