package import FixedPoint

/// Makes proofs that the circuit's program takes inputs to outputs.
package struct Prover: Sendable {
  package let circuit: Circuit
  private let keyDigest: [UInt8]
  private let parallel: Parallel

  /// `threads` changes how fast a proof comes, never its bytes.
  package init(_ circuit: Circuit, threads: Int) {
    self.circuit = circuit
    keyDigest = circuit.digest
    parallel = Parallel(threads: threads)
  }

  /// `tensors` holds the integers of every tensor of `circuit.program`, row-major, by number. The
  /// statement's own bytes are hashed as they come. From tensors that the program does not give
  /// follows a proof that no verifier accepts.
  package func prove(
    tensors: [[Int16]], inputs: [[UInt8]], outputs: [[UInt8]], context: [UInt8]
  ) -> [UInt8] {
    let witness = Witness(circuit, tensors: tensors)
    return prove(witness, inputs: inputs, outputs: outputs, context: context)
  }

  func prove(
    _ witness: Witness, inputs: [[UInt8]], outputs: [[UInt8]], context: [UInt8]
  ) -> [UInt8] {
    var proof = ProofWriter(
      transcript: circuit.transcript(
        digest: keyDigest, inputs: inputs, outputs: outputs, context: context))
    let commitment = Commitment(circuit, witness.vector, parallel)
    proof.append(commitment.root)
    let logUp = LogUpProver(
      circuit: circuit, witness: witness, alpha: proof.transcript.challenge(),
      gamma: proof.transcript.challenge(), parallel: parallel)
    var (claims, accumulators) = logUp.prove(&proof)
    for accumulator in accumulators { claims += accumulator.prove(circuit, &proof) }
    for check in circuit.checks {
      let point = proof.transcript.challenges(Layout(check.shape).log)
      claims += circuit.prove(check, at: point, witness, &proof)
    }
    for link in circuit.links {
      let point = proof.transcript.challenges(Layout(link.shape).log)
      claims.append(circuit.claim(link, at: point[...], is: .zero))
    }
    commitment.open(claims, parallel, &proof)
    return proof.bytes
  }
}
