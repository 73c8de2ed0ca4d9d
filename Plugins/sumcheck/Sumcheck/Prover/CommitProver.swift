import FixedPoint

/// The prover's side of `CommitVerifier`.
struct CommitProver: Sendable {
  let circuit: Circuit
  /// Where the key commits to them.
  let weights: EncodedMatrix?

  init(_ circuit: Circuit, threads: Int) {
    self.circuit = circuit
    weights = Parallel.unsupervised(threads: threads) { parallel throws(Cancelled) in
      try EncodedMatrix(weightsOf: circuit, parallel)
    }
  }

  func prove(
    _ tensors: [[Int16]], _ parallel: Parallel, _ proof: inout ProofWriter,
    _ supervision: Supervision
  ) throws(Cancelled) {
    try supervision.checkpoint(.witness)
    let witness = try Witness(circuit, tensors: tensors, parallel)
    try prove(witness, parallel, &proof, supervision)
  }

  func prove(
    _ witness: Witness, _ parallel: Parallel, _ proof: inout ProofWriter,
    _ supervision: Supervision
  ) throws(Cancelled) {
    try supervision.checkpoint(.commitment)
    let commitment = try Commitment(circuit, witness.vector, weights, parallel)
    proof.append(commitment.root)
    let logUp = LogUpProver(
      circuit: circuit, witness: witness, alpha: proof.transcript.challenge(),
      gamma: proof.transcript.challenge(), parallel: parallel)
    var (claims, accumulators) = try logUp.prove(&proof, supervision)
    let relations = Double(max(accumulators.count + circuit.checks.count, 1))
    for (index, accumulator) in accumulators.enumerated() {
      try supervision.checkpoint(.relations, Double(index) / relations)
      claims += try accumulator.prove(circuit, parallel, &proof)
    }
    for (index, check) in circuit.checks.enumerated() {
      try supervision.checkpoint(
        .relations, Double(accumulators.count + index) / relations)
      let point = proof.transcript.challenges(Layout(check.shape).log)
      claims += try circuit.prove(check, at: point, witness, parallel, &proof)
    }
    for link in circuit.links {
      let point = proof.transcript.challenges(Layout(link.shape).log)
      claims.append(circuit.claim(link, at: point[...], is: .zero))
    }
    try supervision.checkpoint(.opening)
    try commitment.open(claims, parallel, &proof)
  }
}
