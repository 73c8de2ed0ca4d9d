import FixedPoint
package import Market
import MerkleLog
package import Primitives
package import ProverHost
package import Statements

/// Checks a bundle offline: nobody is asked, and nothing in it is believed that another part of it
/// or a signature does not bear out.
package struct BundleAudit: Sendable {
  /// How a slice was checked here.
  package enum Check: Sendable, Hashable {
    /// The program was run again.
    case reexecuted
    /// The backend's verifier accepted the proof, under the key that it compiles from the program.
    case proven(proofBytes: Int, verifying: Duration)
  }

  package struct Finding: Sendable, Hashable {
    package let slice: String
    package let backend: BackendID
    package let prover: PublicKey
    package let check: Check
  }

  package struct Report: Sendable {
    package let request: RequestID
    package let model: ModelID
    package let requester: PublicKey
    package let broker: PublicKey
    package let findings: [Finding]
    package let coverage: Coverage
    /// Digests of the answer's tensors.
    package let answer: [Digest]
  }

  private let bundle: Bundle
  private let blobs: [Digest: [UInt8]]

  package init(_ bundle: Bundle) {
    self.bundle = bundle
    blobs = Dictionary(bundle.blobs.map { (Digest.of($0), $0) }) { first, _ in first }
  }

  /// The backends other than `reexec` that the bundle's slices were checked by.
  package var provingBackends: Set<BackendID> {
    Set(bundle.slices.map(\.keyRecord.backend)).subtracting([.reexec])
  }

  /// Throws at the first thing that does not hold.
  ///
  /// - Parameters:
  ///   - broker: The key of the broker whose word is expected; nil accepts the bundle's own.
  ///   - backends: Verify the proofs, one for each of `provingBackends`; nil runs every slice again
  ///     instead.
  package func run(
    expecting broker: PublicKey? = nil, verifyingWith backends: [Backend]?
  ) async throws(BundleError) -> Report {
    let terms = try requestTerms(expecting: broker)
    var coverage = Coverage()
    var findings: [Finding] = []
    guard bundle.slices.count == bundle.manifest.slices.count else {
      throw .sliceCount(expected: bundle.manifest.slices.count, got: bundle.slices.count)
    }
    // Before anything is run: most bundles that do not hold show it without.
    var work: [Work] = []
    for index in bundle.slices.indices { work.append(try check(index, terms)) }
    let root = MerkleTree(leaves: bundle.slices.map(\.receipt.canonicalBytes)).root
    guard root == bundle.jobRoot else { throw .falseJobRoot }
    for index in bundle.slices.indices {
      let (entry, slice) = (bundle.manifest.slices[index], bundle.slices[index])
      let check = try await run(work[index], entry, slice, backends)
      findings.append(
        Finding(
          slice: entry.name, backend: slice.keyRecord.backend,
          prover: slice.receipt.statement.prover, check: check))
      switch check {
      case .reexecuted:
        coverage.reexecuted += 1
        coverage.reexecutedCost = Cost(units: coverage.reexecutedCost.units + entry.cost.units)
      case .proven:
        coverage.proven += 1
        coverage.provenCost = Cost(units: coverage.provenCost.units + entry.cost.units)
      }
    }
    return Report(
      request: bundle.request.digest, model: bundle.manifest.id,
      requester: bundle.request.author, broker: bundle.acknowledgement.broker, findings: findings,
      coverage: coverage, answer: bundle.manifest.outputs.map { digest(of: $0, terms) })
  }

  private func requestTerms(expecting broker: PublicKey?) throws(BundleError) -> RequestTerms {
    guard bundle.request.isAuthentic, bundle.request.network == bundle.network else {
      throw .falseSignature("the request")
    }
    guard let command = try? Command(canonicalBytes: bundle.request.body),
      case .submitRequest(let terms) = command
    else { throw .notARequest }
    let acknowledgement = bundle.acknowledgement
    guard acknowledgement.isAuthentic, acknowledgement.command == bundle.request.digest,
      acknowledgement.network == bundle.network, acknowledgement.rejection == nil,
      broker == nil || broker == acknowledgement.broker
    else { throw .falseSignature("the broker's acknowledgement") }
    try checkEntry()
    guard terms.model == bundle.manifest.id else { throw .foreignManifest }
    guard terms.inputs.count == bundle.manifest.inputs.count,
      terms.assurances.count == bundle.manifest.slices.count
    else { throw .foreignManifest }
    return terms
  }

  /// The request's entry stands in the journal that the broker signed.
  private func checkEntry() throws(BundleError) {
    let (checkpoint, entry) = (bundle.checkpoint, bundle.entry)
    guard checkpoint.isAuthentic, checkpoint.network == bundle.network,
      checkpoint.broker == bundle.acknowledgement.broker
    else { throw .falseSignature("the broker's checkpoint") }
    guard entry.index == bundle.acknowledgement.sequence, entry.size == checkpoint.size,
      entry.verifies(
        leafHash: MerkleTree.leafHash(of: bundle.acknowledgement.head), root: checkpoint.root)
    else { throw .notJournaled }
  }

  /// Everything about a slice but the work itself; gives what the work is about.
  private func check(_ index: Int, _ terms: RequestTerms) throws(BundleError) -> Work {
    let slice = bundle.slices[index]
    let entry = bundle.manifest.slices[index]
    let statement = slice.receipt.statement
    let record = slice.keyRecord
    guard record.model == terms.model, record.slice == index,
      record.backend == terms.assurances[index].backend
    else { throw .falseStatement(slice: entry.name) }
    let expected = Statement(
      network: bundle.network, request: bundle.request.digest, lease: slice.commitment.lease,
      model: terms.model, slice: index, inputs: entry.sources.map { digest(of: $0, terms) },
      outputs: slice.commitment.outputs, backend: record.backend, keyRecord: record.digest,
      prover: slice.commitment.prover)
    guard statement == expected else { throw .falseStatement(slice: entry.name) }
    guard slice.commitment.isAuthentic, slice.commitment.network == bundle.network else {
      throw .falseSignature("the output commitment of slice '\(entry.name)'")
    }
    guard slice.batchRoot.isAuthentic, slice.batchRoot.network == bundle.network,
      slice.batchRoot.prover == statement.prover
    else { throw .falseSignature("the batch root of slice '\(entry.name)'") }
    let leaf = MerkleTree.leafHash(slice.receipt.canonicalBytes)
    guard slice.inclusion.size == UInt64(slice.batchRoot.size),
      slice.inclusion.verifies(leafHash: leaf, root: slice.batchRoot.root)
    else { throw .notIncluded(slice: entry.name) }
    return try work(on: entry, slice)
  }

  /// The bytes behind all that a slice's statement, receipt and key record name.
  private struct Work {
    let bundle: SliceBundle
    let inputs: [[UInt8]]
    let outputs: [[UInt8]]
    let proof: [UInt8]
    let verifierKey: [UInt8]
  }

  private func work(
    on entry: Manifest.Slice, _ slice: Bundle.Slice
  ) throws(BundleError) -> Work {
    let statement = slice.receipt.statement
    var inputs: [[UInt8]] = []
    for digest in statement.inputs { inputs.append(try blob(digest)) }
    // Of the last slices too, which no other slice takes: they are the answer.
    var outputs: [[UInt8]] = []
    for digest in statement.outputs { outputs.append(try blob(digest)) }
    let proof = slice.receipt.proof
    return Work(
      bundle: SliceBundle(
        // What only runs the program again has no use for the sub-model.
        onnx: slice.keyRecord.backend == .reexec ? [] : try blob(entry.onnx),
        program: try blob(entry.program),
        boundaries: Boundaries(inputs: entry.inputs, outputs: entry.outputs)),
      inputs: inputs, outputs: outputs, proof: proof == Digest.of([]) ? [] : try blob(proof),
      verifierKey: try blob(slice.keyRecord.verifierKey))
  }

  private func blob(_ digest: Digest) throws(BundleError) -> [UInt8] {
    guard let bytes = blobs[digest] else { throw .missingBlob(digest) }
    return bytes
  }

  /// Verifies the slice's proof where it has one that counts, else runs its program again.
  private func run(
    _ work: Work, _ entry: Manifest.Slice, _ slice: Bundle.Slice, _ backends: [Backend]?
  ) async throws(BundleError) -> Check {
    let id = slice.keyRecord.backend
    if let backends, id != .reexec {
      guard let backend = backends.first(where: { $0.descriptor.id == id }) else {
        throw .noVerifier(slice: entry.name, id)
      }
      // Keys that come out different each time do not tell whether they are the program's, and what
      // only runs a slice again proves nothing.
      let traits = backend.descriptor.traits
      if traits.contains(.deterministicKeys), !traits.contains(.reexecutes) {
        return try await verify(work, entry, slice, backend)
      }
    }
    try reexecute(work, entry, slice.receipt.statement)
    return .reexecuted
  }

  /// Runs the slice's program over the very tensors that the statement names.
  private func reexecute(
    _ work: Work, _ slice: Manifest.Slice, _ statement: Statement
  ) throws(BundleError) {
    guard let program = try? Program(canonicalBytes: work.bundle.program) else {
      throw .invalidProgram(slice: slice.name)
    }
    guard let outputs = try? Executor(program: program).run(work.inputs),
      outputs == work.outputs
    else { throw .wrongOutput(slice: slice.name, prover: statement.prover) }
  }

  /// A proof shows what its key says, so the key must be the program's: the backend compiles it
  /// again.
  private func verify(
    _ work: Work, _ entry: Manifest.Slice, _ slice: Bundle.Slice, _ backend: Backend
  ) async throws(BundleError) -> Check {
    let boundaries = work.bundle.boundaries
    let (inputs, outputs) = (work.inputs.map(\.count), work.outputs.map(\.count))
    guard inputs == boundaries.inputs.map(\.byteCount),
      outputs == boundaries.outputs.map(\.byteCount)
    else { throw .falseStatement(slice: entry.name) }
    let session: VerifierSession
    do {
      let compiled = try await backend.compile(work.bundle).verifier
      guard compiled == work.verifierKey else {
        throw BundleError.foreignKey(
          slice: entry.name, recorded: slice.keyRecord.backendVersion, backend.descriptor.id,
          installed: backend.descriptor.version)
      }
      session = try await backend.openVerifier(key: compiled, boundaries: boundaries)
    } catch let error as BundleError {
      throw error
    } catch {
      throw .unverified(slice: entry.name, reason: "\(error)")
    }
    let start = ContinuousClock.now
    let verification = await session.verify(
      inputs: work.inputs, outputs: work.outputs, proof: work.proof,
      context: slice.receipt.statement.digest)
    switch verification.verdict {
    case .valid:
      return .proven(proofBytes: work.proof.count, verifying: ContinuousClock.now - start)
    case .invalid:
      throw .falseProof(
        slice: entry.name, prover: slice.receipt.statement.prover, reason: verification.reason)
    case .inconclusive: throw .unverified(slice: entry.name, reason: verification.reason)
    }
  }

  private func digest(of source: Manifest.Source, _ terms: RequestTerms) -> Digest {
    switch source {
    case .input(let index): terms.inputs[index]
    case .slice(let slice, let output):
      bundle.slices[slice].commitment.outputs.indices.contains(output)
        ? bundle.slices[slice].commitment.outputs[output] : .zero
    }
  }

  /// The bytes behind an answer's digest.
  package func tensor(_ digest: Digest) -> [UInt8]? { blobs[digest] }
}

package enum BundleError: CodedError, Equatable {
  case falseSignature(String)
  case notARequest
  case notJournaled
  case foreignManifest
  case sliceCount(expected: Int, got: Int)
  case falseStatement(slice: String)
  case notIncluded(slice: String)
  case missingBlob(Digest)
  case invalidProgram(slice: String)
  case wrongOutput(slice: String, prover: PublicKey)
  case noVerifier(slice: String, BackendID)
  case foreignKey(slice: String, recorded: String, BackendID, installed: String)
  case falseProof(slice: String, prover: PublicKey, reason: String)
  case unverified(slice: String, reason: String)
  case falseJobRoot

  package var code: String {
    switch self {
    case .falseSignature: "bundle-false-signature"
    case .notARequest: "bundle-not-a-request"
    case .notJournaled: "bundle-not-journaled"
    case .foreignManifest: "bundle-foreign-manifest"
    case .sliceCount: "bundle-slice-count"
    case .falseStatement: "bundle-false-statement"
    case .notIncluded: "bundle-not-included"
    case .missingBlob: "bundle-missing-blob"
    case .invalidProgram: "bundle-invalid-program"
    case .wrongOutput: "bundle-wrong-output"
    case .noVerifier: "bundle-no-verifier"
    case .foreignKey: "bundle-foreign-key"
    case .falseProof: "bundle-false-proof"
    case .unverified: "bundle-unverified"
    case .falseJobRoot: "bundle-false-job-root"
    }
  }

  package var sentence: String {
    switch self {
    case .falseSignature(let what):
      "The signature of \(what) does not hold; do not rely on this bundle."
    case .notARequest: "The signed command is no request; do not rely on this bundle."
    case .notJournaled:
      "The request's entry is not in the journal that the broker signed; keep the bundle, whose acknowledgement says that it is."
    case .foreignManifest:
      "The manifest is not the one that the request names; do not rely on this bundle."
    case .sliceCount(let expected, let got):
      "The model has \(expected) slices and the bundle \(got); ask for a complete one."
    case .falseStatement(let slice):
      "The receipt of slice '\(slice)' states something else than the request asked; do not rely on this bundle."
    case .notIncluded(let slice):
      "The receipt of slice '\(slice)' is not under its prover's signed root; do not rely on this bundle."
    case .missingBlob(let digest):
      "The bytes of blob \(digest.short) are missing; ask for a complete bundle."
    case .invalidProgram(let slice):
      "The program of slice '\(slice)' cannot be read; do not rely on this bundle."
    case .wrongOutput(let slice, let prover):
      "Running slice '\(slice)' again contradicts what prover \(prover.short) signed; the answer is wrong."
    case .noVerifier(let slice, let backend):
      "Slice '\(slice)' is proven by '\(backend)' and no plugin here offers it; name its file with --plugin, or run all slices again with --reexecute."
    case .foreignKey(let slice, let recorded, let backend, let installed):
      "The key of slice '\(slice)', by \(backend) \(recorded), is not what \(backend) \(installed) here compiles from its program; name the plugin of that version with --plugin, or run all slices again with --reexecute."
    case .falseProof(let slice, let prover, let reason):
      "The proof of slice '\(slice)' that prover \(prover.short) signed is false (\(reason)); do not rely on this bundle."
    case .unverified(let slice, let reason):
      "The proof of slice '\(slice)' could not be verified here (\(reason)); try again, or run all slices again with --reexecute."
    case .falseJobRoot:
      "The job root is not the root of the receipts; do not rely on this bundle."
    }
  }
}
