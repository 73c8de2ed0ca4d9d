package import FixedPoint

/// Makes proofs that a key's program takes inputs to outputs.
package struct Prover: Sendable {
  enum Scheme: Sendable {
    case clear(ClearProver)
    case commit(CommitProver)
  }

  let keyDigest: [UInt8]
  let scheme: Scheme
  private let program: Program
  private let executor: Executor
  private let threads: Int
  /// Inferences of one proof.
  package let batch: Int

  /// `threads` changes how fast a proof comes, never its bytes. Throws, naming the operation, where
  /// the key's mode cannot prove the key's program.
  package init(_ key: ProverKey, threads: Int) throws(CircuitError) {
    let scheme: Scheme
    var weightRoot: [UInt8]?
    switch key.mode {
    case .clear:
      scheme = .clear(
        ClearProver(circuit: try ClearCircuit(key.program, batch: key.batch)))
    case .commit(let parameters):
      let prover = CommitProver(
        try Circuit(key.program, parameters, batch: key.batch), threads: threads)
      weightRoot = prover.weights?.root
      scheme = .commit(prover)
    }
    let verifierKey = VerifierKey(
      program: key.program, mode: key.mode, batch: key.batch, weightRoot: weightRoot)
    self.init(scheme, keyDigest: verifierKey.digest, threads: threads)
  }

  /// Under the key of that digest, which is the scheme's own in every proof that is accepted.
  init(_ scheme: Scheme, keyDigest: [UInt8], threads: Int) {
    self.scheme = scheme
    self.keyDigest = keyDigest
    self.threads = threads
    switch scheme {
    case .clear(let prover): (program, batch) = (prover.circuit.program, prover.circuit.batch)
    case .commit(let prover): (program, batch) = (prover.circuit.program, prover.circuit.batch)
    }
    executor = Executor(program: program, threads: threads)
  }

  /// Runs the program on the raw bytes of the inputs of every inference, in the form that is
  /// proven.
  package func run(
    _ inputs: [[[UInt8]]], isCancelled: () -> Bool = { false }
  ) throws(ExecutionError) -> RetainedRun {
    var tensors = [[Int16]](repeating: [], count: program.tensors.count)
    var outputs: [[[UInt8]]] = []
    for input in inputs {
      let run = try executor.runRetaining(input, isCancelled: isCancelled)
      for tensor in tensors.indices { run.withTensor(tensor) { tensors[tensor] += $0 } }
      outputs.append(run.outputs)
    }
    return RetainedRun(tensors: tensors, outputs: outputs)
  }

  /// `tensors` holds the integers of every tensor of the program, row-major, by number, of the
  /// whole batch. The instances' own bytes are hashed as they come. From tensors that the program
  /// does not give follows a proof that no verifier accepts.
  package func prove(
    _ instances: [Instance], tensors: [[Int16]], _ supervision: Supervision = .none
  ) throws(Cancelled) -> [UInt8] {
    var proof = ProofWriter(
      transcript: Transcript(statement: instances, keyDigest: keyDigest))
    let parallel = Parallel(threads: threads, supervision)
    switch scheme {
    case .clear(let prover): try prover.prove(tensors, parallel, &proof, supervision)
    case .commit(let prover): try prover.prove(tensors, parallel, &proof, supervision)
    }
    proof.seal()
    return proof.bytes
  }
}

/// Runs of a key's program, as many as its batch, that keep every tensor, as a witness needs them.
package struct RetainedRun: Sendable {
  /// The integers of every tensor, row-major, by number; inference after inference.
  package let tensors: [[Int16]]
  /// The raw bytes of the outputs of each inference.
  package let outputs: [[[UInt8]]]
}
