import FixedPoint
package import Market
import MerkleLog
package import Primitives
package import Statements

/// Checks a bundle offline: nobody is asked, and nothing in it is believed that another part of it
/// or a signature does not bear out.
package struct BundleAudit: Sendable {
  package struct Finding: Sendable, Hashable {
    package let slice: String
    package let backend: BackendID
    package let prover: PublicKey
    /// `re-executed` where the program was run again here.
    package let check: String
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

  /// Throws at the first thing that does not hold.
  ///
  /// - Parameter broker: The key of the broker whose word is expected; nil accepts the one
  ///   that the bundle names.
  package func run(expecting broker: PublicKey? = nil) throws(BundleError) -> Report {
    let terms = try requestTerms(expecting: broker)
    var coverage = Coverage()
    var findings: [Finding] = []
    guard bundle.slices.count == bundle.manifest.slices.count else {
      throw .sliceCount(expected: bundle.manifest.slices.count, got: bundle.slices.count)
    }
    for index in bundle.slices.indices {
      findings.append(try check(index, terms))
      let cost = bundle.manifest.slices[index].cost
      coverage.reexecuted += 1
      coverage.reexecutedCost = Cost(units: coverage.reexecutedCost.units + cost.units)
    }
    let root = MerkleTree(leaves: bundle.slices.map(\.receipt.canonicalBytes)).root
    guard root == bundle.jobRoot else { throw .falseJobRoot }
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
    guard terms.model == bundle.manifest.id else { throw .foreignManifest }
    guard terms.inputs.count == bundle.manifest.inputs.count,
      terms.assurances.count == bundle.manifest.slices.count
    else { throw .foreignManifest }
    return terms
  }

  private func check(_ index: Int, _ terms: RequestTerms) throws(BundleError) -> Finding {
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
    try reexecute(entry, statement)
    return Finding(
      slice: entry.name, backend: record.backend, prover: statement.prover, check: "re-executed")
  }

  /// Runs the slice's program over the very tensors that the statement names.
  private func reexecute(
    _ slice: Manifest.Slice, _ statement: Statement
  ) throws(BundleError) {
    guard let bytes = blobs[slice.program] else { throw .missingBlob(slice.program) }
    guard let program = try? Program(canonicalBytes: bytes) else {
      throw .invalidProgram(slice: slice.name)
    }
    var inputs: [[UInt8]] = []
    for digest in statement.inputs {
      guard let input = blobs[digest] else { throw .missingBlob(digest) }
      inputs.append(input)
    }
    guard let outputs = try? Executor(program: program).run(inputs),
      outputs.map({ Digest.of($0) }) == statement.outputs
    else { throw .wrongOutput(slice: slice.name, prover: statement.prover) }
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
  case foreignManifest
  case sliceCount(expected: Int, got: Int)
  case falseStatement(slice: String)
  case notIncluded(slice: String)
  case missingBlob(Digest)
  case invalidProgram(slice: String)
  case wrongOutput(slice: String, prover: PublicKey)
  case falseJobRoot

  package var code: String {
    switch self {
    case .falseSignature: "bundle-false-signature"
    case .notARequest: "bundle-not-a-request"
    case .foreignManifest: "bundle-foreign-manifest"
    case .sliceCount: "bundle-slice-count"
    case .falseStatement: "bundle-false-statement"
    case .notIncluded: "bundle-not-included"
    case .missingBlob: "bundle-missing-blob"
    case .invalidProgram: "bundle-invalid-program"
    case .wrongOutput: "bundle-wrong-output"
    case .falseJobRoot: "bundle-false-job-root"
    }
  }

  package var sentence: String {
    switch self {
    case .falseSignature(let what):
      "The signature of \(what) does not hold; do not rely on this bundle."
    case .notARequest: "The signed command is no request; do not rely on this bundle."
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
    case .falseJobRoot:
      "The job root is not the root of the receipts; do not rely on this bundle."
    }
  }
}
