import FixedPoint
import Primitives
import ProverHost

/// What a proof is about: the inferences that it covers, in order.
struct Statement: Sendable, Hashable {
  var inferences: [Inference]
  /// Whether it goes through `bourse.batch/1`.
  let isBatch: Bool

  init(_ inference: Inference) { (inferences, isBatch) = ([inference], false) }
  init(batch: [Inference]) { (inferences, isBatch) = (batch, true) }
}

extension ProverSession {
  func prove(_ statement: Statement) async throws -> [UInt8] {
    guard !statement.isBatch, let inference = statement.inferences.first else {
      return try await prove(batch: statement.inferences)
    }
    return try await prove(
      inputs: inference.inputs, outputs: inference.outputs, context: inference.context)
  }
}

extension VerifierSession {
  func verify(_ statement: Statement, proof: [UInt8]) async -> Verification {
    guard !statement.isBatch, let inference = statement.inferences.first else {
      return await verify(batch: statement.inferences, proof: proof)
    }
    return await verify(
      inputs: inference.inputs, outputs: inference.outputs, proof: proof,
      context: inference.context)
  }
}

/// A statement with a proof that was accepted, and all that is needed to verify it again.
struct Proven: Sendable {
  let slice: CheckedSlice
  let keys: CompiledKeys
  let statement: Statement
  let proof: [UInt8]

  /// Whether a verifier must refuse a changed statement or proof; nil where the backend promises
  /// nothing about the difference.
  ///
  /// A backend that re-executes must tell right outputs from wrong ones and have no proof; any
  /// other must refuse whatever differs from what was proven, but for contexts that it does not
  /// bind.
  func mustRefuse(
    _ changed: Statement, proof changedProof: [UInt8], by backend: BackendDescriptor,
    _ executor: Executor?
  ) -> Bool? {
    guard changed != statement || changedProof != proof else { return nil }
    if changedProof != proof { return true }
    let isSameButContexts = zip(changed.inferences, statement.inferences).allSatisfy {
      $0.inputs == $1.inputs && $0.outputs == $1.outputs
    }
    if isSameButContexts, !backend.traits.contains(.bindsContext) { return nil }
    guard backend.traits.contains(.reexecutes) else { return true }
    guard let executor else { return nil }
    return !changed.inferences.allSatisfy { (try? executor.run($0.inputs)) == $0.outputs }
  }
}
