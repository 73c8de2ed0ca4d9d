package import FixedPoint

/// Makes proofs that the circuit's program takes inputs to outputs.
package struct Prover: Sendable {
  package let circuit: Circuit
  private let keyDigest: [UInt8]
  private let parallel: Parallel
  private let executor: Executor

  /// `threads` changes how fast a proof comes, never its bytes.
  package init(_ circuit: Circuit, threads: Int) {
    self.init(circuit, keyDigest: circuit.digest, threads: threads)
  }

  /// Under the key of that digest, which is the circuit's own in every proof that is accepted.
  init(_ circuit: Circuit, keyDigest: [UInt8], threads: Int) {
    self.circuit = circuit
    self.keyDigest = keyDigest
    parallel = Parallel(threads: threads)
    executor = Executor(program: circuit.program, threads: threads)
  }

  /// Runs the circuit's program on the raw bytes of its inputs.
  package func run(_ inputs: [[UInt8]]) throws(ExecutionError) -> RetainedRun {
    let run = try executor.runRetaining(inputs)
    return RetainedRun(
      tensors: circuit.program.tensors.indices.map { run.withTensor($0) { Array($0) } },
      outputs: run.outputs)
  }

  /// `tensors` holds the integers of every tensor of `circuit.program`, row-major, by number. The
  /// statement's own bytes are hashed as they come. From tensors that the program does not give
  /// follows a proof that no verifier accepts.
  package func prove(
    tensors: [[Int16]], inputs: [[UInt8]], outputs: [[UInt8]], context: [UInt8],
    _ supervision: Supervision = .none
  ) throws(Cancelled) -> [UInt8] {
    try supervision.checkpoint(.witness)
    let witness = Witness(circuit, tensors: tensors, parallel)
    return try prove(
      witness, inputs: inputs, outputs: outputs, context: context, supervision)
  }

  func prove(
    _ witness: Witness, inputs: [[UInt8]], outputs: [[UInt8]], context: [UInt8],
    _ supervision: Supervision = .none
  ) throws(Cancelled) -> [UInt8] {
    var proof = ProofWriter(
      transcript: circuit.transcript(
        digest: keyDigest, inputs: inputs, outputs: outputs, context: context))
    try supervision.checkpoint(.commitment)
    let commitment = Commitment(circuit, witness.vector, parallel)
    proof.append(commitment.root)
    let logUp = LogUpProver(
      circuit: circuit, witness: witness, alpha: proof.transcript.challenge(),
      gamma: proof.transcript.challenge(), parallel: parallel)
    var (claims, accumulators) = try logUp.prove(&proof, supervision)
    for (index, accumulator) in accumulators.enumerated() {
      try supervision.checkpoint(.relations, Double(index) / Double(accumulators.count))
      claims += accumulator.prove(circuit, &proof)
    }
    for check in circuit.checks {
      try supervision.checkpoint(.relations, 1)
      let point = proof.transcript.challenges(Layout(check.shape).log)
      claims += circuit.prove(check, at: point, witness, &proof)
    }
    for link in circuit.links {
      let point = proof.transcript.challenges(Layout(link.shape).log)
      claims.append(circuit.claim(link, at: point[...], is: .zero))
    }
    try supervision.checkpoint(.opening)
    commitment.open(claims, parallel, &proof)
    return proof.bytes
  }
}
