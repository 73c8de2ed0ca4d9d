import FixedPoint

/// The prover's side of `CommitVerifier`.
struct CommitProver: Sendable {
  let circuit: Circuit
  let parallel: Parallel
  /// Where the key commits to them.
  let weights: EncodedMatrix?

  init(_ circuit: Circuit, _ parallel: Parallel) {
    (self.circuit, self.parallel) = (circuit, parallel)
    weights = EncodedMatrix(weightsOf: circuit, parallel)
  }

  func prove(
    _ tensors: [[Int16]], _ proof: inout ProofWriter, _ supervision: Supervision
  ) throws(Cancelled) {
    try supervision.checkpoint(.witness)
    try prove(Witness(circuit, tensors: tensors, parallel), &proof, supervision)
  }

  func prove(
    _ witness: Witness, _ proof: inout ProofWriter, _ supervision: Supervision
  ) throws(Cancelled) {
    try supervision.checkpoint(.commitment)
    let commitment = Commitment(circuit, witness.vector, weights, parallel)
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
  }
}
