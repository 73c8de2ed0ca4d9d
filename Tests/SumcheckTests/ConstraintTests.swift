import FixedPoint
import Primitives
import Statements
import Testing

@testable import Sumcheck

/// For every constraint of the verifier a forgery that this one alone refuses: with the constraint
/// deleted a false statement, or a second encoding, would be accepted.
@Suite struct ConstraintTests {
  struct Forgery {
    var verifier: Verifier
    let instances: [Instance]
    let proof: [UInt8]

    init(_ verifier: Verifier, _ instances: [Instance], _ proof: [UInt8]) {
      (self.verifier, self.instances, self.proof) = (verifier, instances, proof)
    }

    init(_ run: Run, _ proof: [UInt8]) { self.init(run.verifier, [run.instance], proof) }

    init(_ run: KeyedRun, _ proof: [UInt8]) { self.init(run.verifier, run.instances, proof) }

    var refusal: VerificationError? {
      do throws(VerificationError) {
        try verifier.verify(instances, proof: proof)
        return nil
      } catch {
        return error
      }
    }
  }

  private static let honest: Run? = try? Run(SmallProgram.network(), seed: 5)

  @Test(arguments: VerificationError.allCases)
  func isNeeded(_ constraint: VerificationError) throws {
    guard var forgery = try forgery(against: constraint) else { return }
    #expect(forgery.refusal == constraint)
    forgery.verifier.constraints.deleted = constraint
    #expect(forgery.refusal == nil)
  }

  /// Nil for what is no equation: how a proof and a statement are written (`KeyTests`,
  /// `CommitmentTests`), and a denominator of 0, which takes challenges that no transcript draws.
  private func forgery(against constraint: VerificationError) throws -> Forgery? {
    switch constraint {
    case .length, .element, .instanceCount, .boundaryCount, .boundaryLength: return nil
    case .rootDenominator: return nil
    case .rootNumerator:
      let run = try quotientTooSmall()
      return Forgery(run, try run.prove())
    case .leafNumerator:
      // The false cell is left out of its lookup.
      let run = try quotientTooSmall()
      return Forgery(
        run,
        try prove(
          run,
          by: run.circuit.replacing { lookup in
            var axes = lookup.mask.axes
            axes[3][0] = false
            return .init(
              first: lookup.first, second: lookup.second, tag: lookup.tag, mask: Mask(axes: axes))
          }, run.tensors))
    case .leafDenominator:
      // The false remainder is looked up in a larger range.
      let run = try quotientTooSmall()
      return Forgery(
        run,
        try prove(
          run,
          by: run.circuit.replacing { lookup in
            .init(
              first: lookup.first, second: .bits(.along(axis: 1, [8, 8, 8])), tag: lookup.tag,
              mask: lookup.mask)
          }, run.tensors))
    case .layer:
      // The lookups do not balance, and their sum is said to be 0.
      let run = try quotientTooSmall()
      var plain = try PlainProver(run)
      plain.sentRoot = { _, root in (.zero, root.denominator) }
      return Forgery(run, plain.prove(run.transcript))
    case .weightedSum: return try otherRows(weight: 1, bias: 0)
    case .opening: return try otherRows(weight: 0, bias: 64)
    case .productCheck:
      // The pool is the second operation: the ramp has moved behind it.
      let run = try #require(Self.honest).lying(tensor: 2, element: 1, by: 1)
      return Forgery(run, try run.prove())
    case .codeword, .merklePath:
      return try falseOutput(opensWhatIsCommitted: constraint == .codeword)
    case .packing: return try secondPacking()
    case .recomputation:
      let run = try KeyedRun(ModeTests.network(), "mode=clear")
      let own = run.instances[0]
      var forged = run
      forged.instances[0] = Instance(
        inputs: own.inputs,
        outputs: [own.outputs[0], own.outputs[1].map { $0 ^ 1 }, own.outputs[2]],
        context: own.context)
      return Forgery(forged, try forged.prove())
    case .seal:
      let run = try #require(Self.honest)
      var proof = try run.prove()
      proof[proof.count - 1] ^= 1
      return Forgery(run, proof)
    }
  }

  /// Proves with another circuit, under the statement and key of `run`.
  private func prove(_ run: Run, by circuit: Circuit, _ tensors: [[Int16]]) throws -> [UInt8] {
    try Prover(circuit, keyDigest: run.circuit.key.digest, threads: 1).prove(
      [run.instance], tensors: tensors)
  }

  /// The convolution's first quotient too small by one, so that its remainder is 2^6 and more.
  private func quotientTooSmall() throws -> Run {
    try #require(Self.honest).lying(tensor: 1, element: 0, by: -1)
  }

  /// A proof for other weights, or biases, under this program's key.
  private func otherRows(weight: Int16, bias: Int64) throws -> Forgery {
    var run = try #require(Self.honest)
    let program = run.circuit.program
    var operations = program.operations
    guard case .convolution(let old) = operations[0].operator else { throw Missing() }
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
    return Forgery(run, try prove(run, by: other.circuit, other.tensors))
  }

  private struct Missing: Error {}

  /// A false output, and a row combination made up so that all claims hold at the point. Opened are
  /// the committed columns, which contradict it, or columns that are not under the root.
  private func falseOutput(opensWhatIsCommitted: Bool) throws -> Forgery {
    var run = try #require(Self.honest)
    run.outputs[0][0] ^= 1
    var plain = try PlainProver(run)
    plain.statement = run.instance
    plain.sentCombination = { combination, opened, equality in
      let own = zip(combination, equality).reduce(Extension.zero) { $0 + $1.0 * $1.1 }
      return [combination[0] + (opened - own) * equality[0].inverse] + combination.dropFirst()
    }
    if !opensWhatIsCommitted {
      plain.openedColumn = { column, weights, sum in
        // Two elements of F_p make up for an element of E.
        let missing = zip(weights, column).dropFirst(2).reduce(sum) { $0 - $1.0 * $1.1 }
        let (a, b) = (weights[0], weights[1])
        let determinant = (a.c0 * b.c1 - b.c0 * a.c1).inverse
        return [
          (missing.c0 * b.c1 - b.c0 * missing.c1) * determinant,
          (a.c0 * missing.c1 - missing.c0 * a.c1) * determinant,
        ] + column.dropFirst(2)
      }
    }
    return Forgery(run, plain.prove(run.transcript))
  }

  /// The same quotients and remainders with a bit of 1 behind them, and sumchecks that follow.
  private func secondPacking() throws -> Forgery {
    let run = try KeyedRun(ModeTests.network(), "mode=clear")
    let circuit = try ClearCircuit(run.key.program)
    let stated = circuit.sums.reduce(0) { $0 + $1.quotientBytes + $1.remainderBytes }
    var proof = ProofWriter(
      transcript: Transcript(statement: run.instances, keyDigest: run.prover.keyDigest))
    var bytes = Array(try run.prove()[..<stated])
    bytes[stated - 1] |= 0x80
    proof.append(bytes)
    for sum in circuit.sums {
      let weighted = sum.weighted
      let point = proof.transcript.challenges(Layout(weighted.resultShape).log)
      let parallel = Parallel(threads: 1)
      _ = PlainProver.productRounds(
        try weighted.foldedOperand(run.tensors[weighted.source], at: point, parallel).elements,
        try weighted.foldedWeights(at: point, parallel).elements, &proof)
    }
    proof.seal()
    return Forgery(run, proof.bytes)
  }

  /// With a denominator that vanishes, both halves of the root are 0 whatever was looked up: a
  /// false lookup would pass, and leave only claims that hold.
  @Test func denominatorsDoNotVanish() throws {
    let run = try quotientTooSmall()
    let plain = try PlainProver(run)
    let gamma = Extension(Goldilocks(canonical: 5), Goldilocks(canonical: 9))
    // The key of the row 0 of range(8), which is looked up at least once.
    let alpha = gamma * (Extension(8) + gamma * Extension(Circuit.Table.range(bits: 8).tag))
    var writer = ProofWriter(transcript: Transcript(purpose: "test"))
    _ = plain.proveLookups(alpha, gamma, &writer)
    let verifier = LogUpVerifier(circuit: run.circuit, alpha: alpha, gamma: gamma)
    var reader = ProofReader(writer.bytes, transcript: Transcript(purpose: "test"))
    #expect(throws: VerificationError.rootDenominator) {
      try verifier.verify(&reader, Constraints())
    }
    reader = ProofReader(writer.bytes, transcript: Transcript(purpose: "test"))
    let claims = try verifier.verify(&reader, Constraints(deleted: .rootDenominator)).claims
    #expect(claims.allSatisfy(plain.satisfies))
  }

  /// With the challenges known before the multiplicities, two of these repair any false lookup. The
  /// root is absorbed first, so that no proof has such challenges.
  @Test func multiplicitiesComeBeforeTheChallenges() throws {
    let run = try quotientTooSmall()
    var plain = try PlainProver(run)
    let (alpha, gamma) = (
      Extension(Goldilocks(canonical: 77), Goldilocks(canonical: 3)),
      Extension(Goldilocks(canonical: 5), Goldilocks(canonical: 9))
    )
    func lookups() -> (verifier: LogUpVerifier, reader: ProofReader, sum: Extension) {
      var writer = ProofWriter(transcript: Transcript(purpose: "test"))
      _ = plain.proveLookups(alpha, gamma, &writer)
      var reader = ProofReader(writer.bytes, transcript: Transcript(purpose: "test"))
      var sum = Extension.zero
      if let numerator = try? reader.element(), let denominator = try? reader.element() {
        sum = numerator * denominator.inverse
      }
      return (
        LogUpVerifier(circuit: run.circuit, alpha: alpha, gamma: gamma),
        ProofReader(writer.bytes, transcript: Transcript(purpose: "test")), sum
      )
    }
    try #require(run.circuit.trees.count == 1)
    let unbalanced = lookups()
    var reader = unbalanced.reader
    #expect(throws: VerificationError.rootNumerator) {
      try unbalanced.verifier.verify(&reader, Constraints())
    }
    // Δ0/(α - key0) + Δ1/(α - key1) is the sum that is left, solved for two elements of F_p.
    let (table, column) = try #require(run.circuit.tables.last)
    let rows = run.circuit.rows(of: table)
    let poles = (0..<2).map { row in
      (alpha - Extension(Int64(rows.first.buffer[row]))
        - gamma * (Extension(Int64(rows.second.buffer[row])) + gamma * Extension(table.tag)))
        .inverse
    }
    let determinant = (poles[0].c0 * poles[1].c1 - poles[1].c0 * poles[0].c1).inverse
    let sum = unbalanced.sum
    let changes = [
      (sum.c0 * poles[1].c1 - poles[1].c0 * sum.c1) * determinant,
      (poles[0].c0 * sum.c1 - sum.c0 * poles[0].c1) * determinant,
    ]
    for row in 0..<2 { plain.columns[column][row] = plain.columns[column][row] + changes[row] }
    let forged = lookups()
    reader = forged.reader
    let claims = try forged.verifier.verify(&reader, Constraints()).claims
    #expect(claims.allSatisfy(plain.satisfies))
    // In a proof the challenges follow the root, and so the multiplicities.
    #expect(run.refusal(plain.prove(run.transcript)) == .rootNumerator)
    plain.lookupChallenges = { _ in (alpha, gamma) }
    #expect(run.refusal(plain.prove(run.transcript)) == .leafDenominator)
  }
}

extension Circuit {
  /// With the remainders of the first accumulator looked up in another way.
  fileprivate func replacing(_ change: (Lookup) -> Lookup) -> Circuit {
    Circuit(
      program: program, parameters: parameters, batch: batch, sources: sources, columns: columns,
      lookups: lookups.map { $0.first.accumulator == 0 ? change($0) : $0 },
      accumulators: accumulators, checks: checks, links: links, functions: functions,
      tables: tables, trees: trees, rowCount: rowCount, weightRows: weightRows,
      vectorLog: vectorLog, cellCount: cellCount)
  }
}
