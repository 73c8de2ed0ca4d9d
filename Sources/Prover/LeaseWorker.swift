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
  let clock: BrokerClock
  let misbehaviour: Misbehaviour?
  let logger: Logger

  /// A proof is given up so long before its deadline, or a tenth of what is left until then: the
  /// exchange must still be told that there is none, since a lease that is late costs stake.
  private static let provingMargin = Duration.seconds(5)
  /// Failures to prove an output after which the exchange is told that it cannot be proven.
  private static let provingFailures = 3

  /// Opens the lease's slice before the lease begins. What cannot be opened is given back, where
  /// it still may be: kept, it would be late.
  func prepare(_ item: WorkItem) async throws {
    do {
      _ = try await slices.slice(of: item.terms)
    } catch let error where error is BackendError || error is Rejection {
      logger.warning("lease \(item.terms.id): giving it back, its slice does not open: \(error)")
      try await client.perform(.cancelLease(item.terms.id), signedBy: key)
    }
  }

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
      // Later they are worth nothing, and other leases wait.
      outputs = try await slice.executor.execute(
        inputs, within: clock.instant(of: item.deadline) - .now)
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
    } catch let error as BackendError {
      // At its deadline another attempt would be late.
      let isLast = failures + 1 >= Self.provingFailures || error.isDeadlineExceeded
      guard isLast else { throw error }
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
    var proof: [UInt8] = []
    var end = ContinuousClock.now
    if !isAttested {
      end = try await endOfProving(item)
      proof = try await slice.prover.prove(
        inputs: inputs, outputs: outputs, context: statement.digest, within: end - .now)
    }
    if misbehaviour == .badProof {
      logger.warning("misbehaving: flipping a bit of the proof of lease \(item.terms.id)")
      proof = flippingBit(of: proof)
    }
    if misbehaviour == nil, !isAttested {
      // A wrong proof costs the stake, so a prover looks at its own first.
      let own = try await slices.verifier(of: item.terms, slice).verify(
        inputs: inputs, outputs: outputs, proof: proof, context: statement.digest,
        within: end - .now)
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

  /// When its proof has to be made and found good.
  private func endOfProving(_ item: WorkItem) async throws -> ContinuousClock.Instant {
    var deadline = item.deadline
    if item.state == .begun {
      // Its commitment has set another since.
      let items = try await client.work()
      deadline = items.first { $0.terms.id == item.terms.id }?.deadline ?? deadline
    }
    let end = clock.instant(of: deadline)
    return end - min(Self.provingMargin, (end - .now) / 10)
  }

  /// Flips a bit in the middle; of nothing it makes one byte.
  private func flippingBit(of bytes: [UInt8]) -> [UInt8] {
    guard !bytes.isEmpty else { return [1] }
    var flipped = bytes
    flipped[bytes.count / 2] ^= 1
    return flipped
  }
}
