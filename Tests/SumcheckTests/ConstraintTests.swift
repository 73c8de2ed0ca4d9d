import FixedPoint
import Testing

@testable import Sumcheck

/// For every constraint of the verifier a proof that breaks this one first. With the constraint
/// deleted the same proof passes, or fails later, and so does the test.
@Suite struct ConstraintTests {
  private static let honest: Run? = try? Run(SmallProgram.network(), seed: 5)

  private func expect(
    _ run: Run, _ proof: [UInt8], refusedBy constraint: VerificationError,
    elseAccepted: Bool = true
  ) throws {
    #expect(run.refusal(proof) == constraint)
    var verifier = try Verifier(run.circuit)
    verifier.constraints.deleted = constraint
    do throws(VerificationError) {
      try verifier.verify(
        inputs: run.inputs, outputs: run.outputs, context: run.context, proof: proof)
      #expect(elseAccepted)
    } catch {
      #expect(!elseAccepted && error != constraint, "then refused by \(error)")
    }
  }

  /// Proves with another circuit, under the statement and key of `run`.
  private func prove(_ run: Run, by circuit: Circuit, _ tensors: [[Int16]]) throws -> [UInt8] {
    try Prover(circuit, keyDigest: run.circuit.key.digest, threads: 1).prove(
      tensors: tensors, inputs: run.inputs, outputs: run.outputs, context: run.context)
  }

  /// The convolution's first quotient too small by one, so that its remainder is 2^6 and more.
  private func quotientTooSmall() throws -> Run {
    try #require(Self.honest).lying(tensor: 1, element: 0, by: -1)
  }

  @Test func lookupsBalance() throws {
    let run = try quotientTooSmall()
    try expect(run, run.prove(), refusedBy: .rootNumerator)
  }

  @Test func lookupsTakeEveryCell() throws {
    let run = try quotientTooSmall()
    let circuit = run.circuit.replacing { lookup in
      guard lookup.first.accumulator == 0 else { return lookup }
      var axes = lookup.mask.axes
      axes[3][0] = false
      return .init(
        first: lookup.first, second: lookup.second, tag: lookup.tag, mask: Mask(axes: axes))
    }
    try expect(run, prove(run, by: circuit, run.tensors), refusedBy: .leafNumerator)
  }

  @Test func lookupsNameTheirOwnTable() throws {
    let run = try quotientTooSmall()
    let circuit = run.circuit.replacing { lookup in
      guard lookup.first.accumulator == 0 else { return lookup }
      return .init(
        first: lookup.first, second: .bits(.along(axis: 1, [8, 8, 8])), tag: lookup.tag,
        mask: lookup.mask)
    }
    try expect(run, prove(run, by: circuit, run.tensors), refusedBy: .leafDenominator)
  }

  /// A proof for other weights, or biases, under this program's key.
  @Test(arguments: [(Int16(1), Int64(0), VerificationError.weightedSum), (0, 64, .opening)])
  func weightsAndBiasesAreTheKeys(
    weight: Int16, bias: Int64, constraint: VerificationError
  ) throws {
    var run = try #require(Self.honest)
    let program = run.circuit.program
    var operations = program.operations
    guard case .convolution(let old) = operations[0].operator else { return }
    var (weights, biases) = (old.rows.weights, old.rows.biases)
    weights[2] += weight
    biases[0] += bias
    operations[0] = .init(
      name: operations[0].name, inputs: operations[0].inputs,
      operator: .convolution(
        Convolution(
          rows: LinearRows(weights: weights, biases: biases, shifts: old.rows.shifts),
          groups: old.groups, window: old.window, exponent: old.exponent)))
    let other = try Run(
      Program(
        inputs: program.inputs, operations: operations, outputTensors: program.outputTensors,
        outputs: program.outputs), inputs: run.inputs, run.circuit.parameters)
    run.outputs = other.outputs
    try expect(run, prove(run, by: other.circuit, other.tensors), refusedBy: constraint)
  }

  /// The pool is the second operation: the ramp has moved behind it.
  @Test func aMaximumIsOneOfItsCells() throws {
    let run = try #require(Self.honest).lying(tensor: 2, element: 1, by: 1)
    try expect(run, run.prove(), refusedBy: .productCheck)
  }

  @Test func layersFollowFromEachOther() throws {
    let run = try quotientTooSmall()
    var proof = try run.prove()
    // The numerator of the first root, claimed to be 0.
    for byte in 32..<48 { proof[byte] = 0 }
    try expect(run, proof, refusedBy: .layer, elseAccepted: false)
  }

  @Test func openedColumnsAreTheCommittedOnes() throws {
    let run = try #require(Self.honest)
    var proof = try run.prove()
    proof[proof.count - 48] ^= 1
    try expect(run, proof, refusedBy: .merklePath)
    proof[proof.count - 48] ^= 1
    // The first opened column follows the row combination; its start is found by what it changes.
    let columns = run.circuit.parameters.queryCount * run.circuit.rowCount * 8
    let siblings = proof.count - columns
    let element = siblings - siblings % 8
    var refusals: Set<VerificationError> = []
    for place in stride(from: element, to: element - 4096, by: -64) where place > 0 {
      var changed = proof
      changed[place] ^= 1
      if let refusal = run.refusal(changed) { refusals.insert(refusal) }
    }
    #expect(refusals.contains(.codeword))
    #expect(refusals.isSubset(of: [.codeword, .opening]))
  }

  /// With a denominator that vanishes, both halves of the root are 0 whatever was looked up.
  @Test func denominatorsDoNotVanish() throws {
    let run = try #require(Self.honest)
    let witness = try Witness(run.circuit, tensors: run.tensors)
    let gamma = Extension(Goldilocks(canonical: 5), Goldilocks(canonical: 9))
    // The key of the row 0 of range(8), which is looked up at least once.
    let alpha = gamma * (Extension(8) + gamma * Extension(Circuit.Table.range(bits: 8).tag))
    var writer = ProofWriter(transcript: Transcript(purpose: "test"))
    _ = try LogUpProver(
      circuit: run.circuit, witness: witness, alpha: alpha, gamma: gamma,
      parallel: Parallel(threads: 1)
    ).prove(&writer, .none)
    var reader = ProofReader(writer.bytes, transcript: Transcript(purpose: "test"))
    let verifier = LogUpVerifier(circuit: run.circuit, alpha: alpha, gamma: gamma)
    #expect(throws: VerificationError.rootDenominator) {
      try verifier.verify(&reader, Constraints())
    }
  }
}

extension Circuit {
  fileprivate func replacing(_ change: (Lookup) -> Lookup) -> Circuit {
    Circuit(
      program: program, parameters: parameters, batch: batch, sources: sources, columns: columns,
      lookups: lookups.map(change), accumulators: accumulators, checks: checks, links: links,
      functions: functions, tables: tables, trees: trees, rowCount: rowCount,
      weightRows: weightRows, vectorLog: vectorLog, cellCount: cellCount)
  }
}
