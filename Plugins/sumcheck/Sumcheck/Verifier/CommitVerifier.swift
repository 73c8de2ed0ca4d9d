import FixedPoint

/// Decides a proof of a committed witness: lookups, then accumulators, products and links, then
/// the opening that settles their claims.
struct CommitVerifier: Sendable {
  let circuit: Circuit
  /// Of the weights' matrix, where the key commits to it.
  let weightRoot: SIMD8<UInt32>?

  func verify(
    _ instances: [Instance], _ proof: inout ProofReader, _ constraints: Constraints
  ) throws(VerificationError) {
    let tensors = PublicTensors(instances, of: circuit.program)
    let root = try proof.hash()
    let logUp = LogUpVerifier(
      circuit: circuit, alpha: proof.transcript.challenge(), gamma: proof.transcript.challenge())
    var (claims, accumulators) = try logUp.verify(&proof, constraints)
    for claim in accumulators { claims += try verify(claim, &proof, constraints) }
    for check in circuit.checks {
      let point = proof.transcript.challenges(Layout(check.shape).log)
      claims += try verify(check, at: point, &proof, constraints)
    }
    for link in circuit.links {
      let point = proof.transcript.challenges(Layout(link.shape).log)
      claims.append(circuit.claim(link, at: point[...], is: .zero))
    }
    try OpeningVerifier(circuit: circuit, root: root, weightRoot: weightRoot).verify(
      claims, tensors, &proof, constraints)
  }

  private func verify(
    _ claim: LogUpVerifier.AccumulatorClaim, _ proof: inout ProofReader,
    _ constraints: Constraints
  ) throws(VerificationError) -> [Claim] {
    switch circuit.accumulators[claim.accumulator] {
    case .weighted(let sum):
      let layout = Layout(sum.innerShape)
      let (inner, value) = try proof.productSumcheck(claim.value, rounds: layout.log)
      let operand = try proof.element()
      var claims = [
        Claim(
          terms: [
            (.tensor(sum.source), sum.operandFunctional(at: claim.point[...], inner: inner[...]))
          ], value: operand)
      ]
      let folded: Extension
      if let column = sum.column {
        folded = try proof.element()
        claims.append(
          Claim(
            terms: [
              (.column(column), sum.weightFunctional(at: claim.point[...], inner: inner[...]))
            ], value: folded))
      } else {
        let channel = Layout(sum.resultShape).split(claim.point[...])[sum.channelAxis]
        folded = sum.weight(
          channel: Multilinear.equality(Array(channel), count: sum.rows.rowCount),
          inner: inner[...])
      }
      try constraints.require(value == operand * folded, .weightedSum)
      return claims
    case .product(let left, let right):
      let check = Circuit.ProductCheck(
        factors: [.init(form: left), .init(form: right)], result: .form(left))
      return try verify(check, at: claim.point, value: claim.value, &proof, constraints)
    }
  }

  /// At a point drawn after everything is committed, so that the extension of product - result is 0
  /// there only if it is 0 on every cell, but for an error of log2(cells)/|E|.
  private func verify(
    _ check: Circuit.ProductCheck, at point: [Extension], _ proof: inout ProofReader,
    _ constraints: Constraints
  ) throws(VerificationError) -> [Claim] {
    switch check.result {
    case .outside(let mask):
      return try verify(
        check, at: point, value: .one - mask.value(at: point[...]), &proof, constraints)
    case .form(let form):
      let value = try proof.element()
      return [circuit.claim(form, at: point[...], is: value)]
        + (try verify(check, at: point, value: value, &proof, constraints))
    }
  }

  private func verify(
    _ check: Circuit.ProductCheck, at point: [Extension], value: Extension,
    _ proof: inout ProofReader, _ constraints: Constraints
  ) throws(VerificationError) -> [Claim] {
    let (inner, value) = try proof.equalitySumcheck(
      value, at: point, degree: check.factors.count)
    let factors = try proof.elements(check.factors.count)
    try constraints.require(value == factors.reduce(.one, *), .productCheck)
    return zip(check.factors, factors).map { factor, value in
      let outside = factor.outside.map { .one - $0.value(at: inner[...]) } ?? Extension.zero
      return circuit.claim(factor.form, at: inner[...], is: value - outside)
    }
  }
}

/// The boundary tensors of the statement, each over the whole batch.
struct PublicTensors {
  let inputs: [[Int16]]
  let outputs: [[Int16]]

  init(_ instances: [Instance], of program: Program) {
    inputs = program.inputs.indices.map { index in
      Integers.of(instances.map { $0.inputs[index] })
    }
    outputs = program.outputs.indices.map { index in
      Integers.of(instances.map { $0.outputs[index] })
    }
  }

  func evaluate(_ tensor: PublicTensor, _ functional: Functional) -> Extension {
    switch tensor {
    case .input(let index): functional.evaluate(on: inputs[index])
    case .output(let index): functional.evaluate(on: outputs[index])
    case .constant(let values): functional.evaluate(on: values)
    }
  }
}
