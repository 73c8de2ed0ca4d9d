import FixedPoint
import Primitives
import Statements

/// Decides whether a proof shows that the circuit's program takes the inputs to the outputs.
///
/// Plain and scalar throughout, and apart from the prover: what both share is the circuit, the
/// fields, the transcript and the claims' algebra.
package struct Verifier: Sendable {
  package let circuit: Circuit
  private let keyDigest: [UInt8]
  var constraints = Constraints()

  package init(_ circuit: Circuit) {
    self.circuit = circuit
    keyDigest = circuit.digest
  }

  /// `inputs` and `outputs` are the raw bytes of the boundary tensors; `context` binds the proof to
  /// one purpose. Throws the first constraint that fails.
  package func verify(
    inputs: [[UInt8]], outputs: [[UInt8]], context: [UInt8], proof bytes: [UInt8]
  ) throws(VerificationError) {
    let tensors = PublicTensors(
      inputs: try Self.integers(inputs, circuit.program.inputs),
      outputs: try Self.integers(outputs, circuit.program.outputs))
    var proof = ProofReader(
      bytes,
      transcript: circuit.transcript(
        digest: keyDigest, inputs: inputs, outputs: outputs, context: context))
    let root = try proof.hash()
    let logUp = LogUpVerifier(
      circuit: circuit, alpha: proof.transcript.challenge(), gamma: proof.transcript.challenge())
    var (claims, accumulators) = try logUp.verify(&proof, constraints)
    for claim in accumulators { claims += try verify(claim, &proof) }
    for check in circuit.checks {
      let point = proof.transcript.challenges(Layout(check.shape).log)
      claims += try verify(check, at: point, &proof)
    }
    for link in circuit.links {
      let point = proof.transcript.challenges(Layout(link.shape).log)
      claims.append(circuit.claim(link, at: point[...], is: .zero))
    }
    try OpeningVerifier(circuit: circuit, root: root).verify(
      claims, tensors, &proof, constraints)
    try proof.finish()
  }

  private func verify(
    _ claim: LogUpVerifier.AccumulatorClaim, _ proof: inout ProofReader
  ) throws(VerificationError) -> [Claim] {
    switch circuit.accumulators[claim.accumulator] {
    case .weighted(let sum):
      let layout = Layout(sum.innerShape)
      let (inner, value) = try proof.productSumcheck(claim.value, rounds: layout.log)
      let channel = Layout(sum.resultShape).split(claim.point[...])[sum.channelAxis]
      let folded = sum.weight(
        channel: Multilinear.equality(Array(channel), count: sum.rows.rowCount), inner: inner[...])
      let operand = try proof.element()
      try constraints.require(value == operand * folded, .weightedSum)
      return [
        Claim(
          terms: [
            (.tensor(sum.source), sum.operandFunctional(at: claim.point[...], inner: inner[...]))
          ], value: operand)
      ]
    case .product(let left, let right):
      let check = Circuit.ProductCheck(
        factors: [.init(form: left), .init(form: right)], result: .form(left))
      return try verify(check, at: claim.point, value: claim.value, &proof)
    }
  }

  /// At a point drawn after everything is committed, so that the extension of product - result is 0
  /// there only if it is 0 on every cell, but for an error of log2(cells)/|E|.
  private func verify(
    _ check: Circuit.ProductCheck, at point: [Extension], _ proof: inout ProofReader
  ) throws(VerificationError) -> [Claim] {
    switch check.result {
    case .outside(let mask):
      return try verify(
        check, at: point, value: .one - mask.value(at: point[...]), &proof)
    case .form(let form):
      let value = try proof.element()
      return [circuit.claim(form, at: point[...], is: value)]
        + (try verify(check, at: point, value: value, &proof))
    }
  }

  private func verify(
    _ check: Circuit.ProductCheck, at point: [Extension], value: Extension,
    _ proof: inout ProofReader
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

  private static func integers(
    _ tensors: [[UInt8]], _ specifications: [BoundarySpecification]
  ) throws(VerificationError) -> [[Int16]] {
    guard tensors.count == specifications.count else { throw .boundaryCount }
    var result: [[Int16]] = []
    for (bytes, specification) in zip(tensors, specifications) {
      guard bytes.count == specification.byteCount else { throw .boundaryLength }
      result.append(
        bytes.withUnsafeBytes { buffer in
          (0..<bytes.count / 2).map {
            Int16(littleEndian: buffer.loadUnaligned(fromByteOffset: 2 * $0, as: Int16.self))
          }
        })
    }
    return result
  }
}

/// The boundary tensors of the statement.
struct PublicTensors {
  let inputs: [[Int16]]
  let outputs: [[Int16]]

  func evaluate(_ tensor: PublicTensor, _ functional: Functional) -> Extension {
    switch tensor {
    case .input(let index): functional.evaluate(on: inputs[index])
    case .output(let index): functional.evaluate(on: outputs[index])
    case .constant(let values): functional.evaluate(on: values)
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
