import FixedPoint
import Statements

/// One inference that a proof speaks of.
package struct Instance: Sendable {
  /// The raw bytes of the boundary tensors.
  package let inputs: [[UInt8]]
  package let outputs: [[UInt8]]
  /// What the proof is bound to: it convinces under no other context.
  package let context: [UInt8]

  package init(inputs: [[UInt8]], outputs: [[UInt8]], context: [UInt8]) {
    (self.inputs, self.outputs, self.context) = (inputs, outputs, context)
  }
}

/// Decides whether a proof shows that a key's program takes inputs to outputs.
///
/// Plain and scalar throughout, and apart from the prover: what both share is the circuit, the
/// fields, the transcript and the claims' algebra.
package struct Verifier: Sendable {
  enum Scheme: Sendable {
    case clear(ClearVerifier)
    case commit(CommitVerifier)
  }

  private let key: VerifierKey
  private let keyDigest: [UInt8]
  private let scheme: Scheme
  var constraints = Constraints()

  /// Throws, naming the operation, where the key's mode cannot prove the key's program.
  package init(_ key: VerifierKey) throws(CircuitError) {
    self.key = key
    keyDigest = key.digest
    switch key.mode {
    case .clear: scheme = .clear(ClearVerifier(try ClearCircuit(key.program, batch: key.batch)))
    case .commit(let parameters):
      scheme = .commit(
        CommitVerifier(
          circuit: try Circuit(key.program, parameters, batch: key.batch),
          weightRoot: key.weightRoot.map { bytes in bytes.withUnsafeBytes { Blake3.words($0) } }))
    }
  }

  /// Inferences of one proof.
  package var batch: Int { key.batch }

  /// `instances` are as many as the key's batch, in the order that the proof was made for. Throws
  /// the first constraint that fails.
  package func verify(_ instances: [Instance], proof bytes: [UInt8]) throws(VerificationError) {
    guard instances.count == key.batch else { throw .instanceCount }
    for instance in instances {
      try Self.check(instance.inputs, key.program.inputs)
      try Self.check(instance.outputs, key.program.outputs)
    }
    var proof = ProofReader(
      bytes, transcript: Transcript(statement: instances, keyDigest: keyDigest))
    switch scheme {
    case .clear(let verifier): try verifier.verify(instances, &proof, constraints)
    case .commit(let verifier): try verifier.verify(instances, &proof, constraints)
    }
    try proof.finish(constraints)
  }

  private static func check(
    _ tensors: [[UInt8]], _ specifications: [BoundarySpecification]
  ) throws(VerificationError) {
    guard tensors.count == specifications.count else { throw .boundaryCount }
    for (bytes, specification) in zip(tensors, specifications) {
      guard bytes.count == specification.byteCount else { throw .boundaryLength }
    }
  }
}

/// Every equation that the verifier requires. Tests delete one at a time, to show that each is
/// needed.
struct Constraints: Sendable {
  var deleted: VerificationError?

  func require(
    _ holds: Bool, _ constraint: VerificationError
  ) throws(VerificationError) {
    guard holds || deleted == constraint else { throw constraint }
  }
}
