import FixedPoint
import Primitives
import Statements
import Testing

@testable import Sumcheck

/// One quotient and one remainder, whatever the field has beside them. Each forgery agrees with
/// every claim: with the lookups' balance deleted it would be accepted.
@Suite struct RequantizationTests {
  /// A matrix product that nothing reads, so that no relation but its own can refuse it.
  private static func program(shifts: [UInt8]) throws -> Program {
    try SmallProgram.chain(
      [1, 3],
      [
        SmallProgram.matrix(3, columns: 3, shifts: shifts), .reshape(Reshape(shape: [3])),
      ], reading: [1: [0]], outputs: [2])
  }

  private static func run(shifts: [UInt8]) throws -> Run {
    try Run(program(shifts: shifts), inputs: [Run.bytes([3, -2, 1])])
  }

  private func expectRefusal(_ run: Run, _ plain: PlainProver, _ what: String) {
    let proof = plain.prove(run.transcript)
    #expect(run.refusal(proof) == .rootNumerator, "\(what)")
    var verifier = run.verifier
    verifier.constraints.deleted = .rootNumerator
    #expect(throws: Never.self, "\(what): only the lookups refuse it") {
      try verifier.verify([run.instance], proof: proof)
    }
  }

  /// Shifts of 0, within one limb, of a whole one, of two, three and four; and by channel.
  @Test(arguments: [[0], [1], [8], [9], [17], [31], [5, 12, 0]] as [[UInt8]])
  func refusesQuotientAndRemainderShiftedTogether(_ shifts: [UInt8]) throws {
    let run = try Self.run(shifts: shifts)
    let honest = try PlainProver(run)
    #expect(run.refusal(honest.prove(run.transcript)) == nil)
    for (element, delta) in [(0, Int64(-1)), (1, 1), (2, -1)].prefix(shifts.count > 1 ? 3 : 2) {
      // A remainder of 2^s and more; one below 0.
      var plain = honest
      plain.set(
        tensor: 1, element: element, to: plain.tensors[1][element] + Goldilocks(delta))
      plain.settle()
      expectRefusal(run, plain, "element \(element) by \(delta)")
    }
  }

  /// q + k/2^s modulo p, with a remainder that is k less and in range: only q's range is broken.
  @Test(arguments: [1, 8, 9, 17, 31] as [UInt8])
  func refusesAQuotientOfAFractionOfP(_ shift: UInt8) throws {
    let run = try Self.run(shifts: [shift])
    var plain = try PlainProver(run)
    let accumulator = try #require(
      plain.circuit.lookups.first { $0.first.accumulator != nil }?.first)
    // accumulator + 2^(s-1) - 2^s·q of the first element, less what limbs take from it.
    var form = accumulator.form
    form.terms.removeAll { if case .column = $0.wire { true } else { false } }
    let remainder = plain.block(.init(form: form, accumulator: accumulator.accumulator))[0].value
    try #require(remainder < 1 << UInt64(shift))
    let fraction = Goldilocks(canonical: 2).power(UInt64(shift)).inverse
    let step = remainder + 1 < 1 << UInt64(shift) ? Goldilocks(-1) : Goldilocks(1)
    plain.set(tensor: 1, element: 0, to: plain.tensors[1][0] + step * fraction)
    plain.settle()
    expectRefusal(run, plain, "shift \(shift)")
  }

  /// What the accumulator gives leaves int16: a range fault, of which there is no proof.
  @Test(arguments: [0, 4, 31] as [UInt8])
  func refusesAQuotientBeyondInt16(_ shift: UInt8) throws {
    for bias: Int64 in [40_000, -40_000] {
      let rows = LinearRows(
        weights: [1, 1, 1], biases: [bias << Int64(shift)], shifts: [shift])
      let program = try SmallProgram.chain(
        [1, 3],
        [.matrixProduct(MatrixProduct(rows: rows, exponent: 0)), .reshape(Reshape(shape: [3]))],
        reading: [1: [0]], outputs: [2])
      #expect(throws: ExecutionError.self) {
        try Executor(program: program).run([Run.bytes([1, 2, 3])])
      }
      let circuit = try Circuit(program, Parameters(limbBits: 8, messageLog: 8, rateLog: 1))
      let input: [Int16] = [0, 0, 0]
      var plain = try PlainProver(circuit, [input, [0], input])
      plain.set(tensor: 1, element: 0, to: Goldilocks(bias))
      plain.settle()
      let instance = Instance(
        inputs: [Run.bytes(input)], outputs: [Run.bytes(input)], context: [])
      let proof = plain.prove(Transcript(statement: [instance], keyDigest: circuit.key.digest))
      #expect(throws: VerificationError.rootNumerator) {
        try Verifier(circuit).verify([instance], proof: proof)
      }
    }
  }

  /// Accumulators of 2^62 are refused when a key is decoded, in whatever way they come about; one
  /// less is sound, and beyond int16.
  @Test func refusesModelsAtTheWraparoundBound() throws {
    let limit = Int64(1) << 62
    func program(weight: Int16, bias: Int64, shift: UInt8) throws -> Program {
      let rows = LinearRows(weights: [weight, 0, 0], biases: [bias], shifts: [shift])
      return try SmallProgram.chain(
        [1, 3],
        [.matrixProduct(MatrixProduct(rows: rows, exponent: 0)), .reshape(Reshape(shape: [3]))],
        reading: [1: [0]], outputs: [2])
    }
    for sign: Int64 in [1, -1] {
      for (weight, shift) in [(Int16(0), UInt8(0)), (1, 0), (Int16.min, 31), (Int16.max, 1)] {
        let taken =
          Int64(weight.magnitude) << 15 + (shift == 0 ? 0 : Int64(1) << Int64(shift - 1))
        #expect(throws: ProgramError.Problem.accumulator) {
          try program(weight: weight, bias: sign * (limit - taken), shift: shift)
        }
        let valid = try program(weight: weight, bias: sign * (limit - taken - 1), shift: shift)
        // The same bytes with a bias larger by one do not decode.
        let circuit = try Circuit(valid, Parameters(limbBits: 8, messageLog: 8, rateLog: 1))
        var bytes = circuit.key.canonicalBytes
        let bias = sign * (limit - taken - 1)
        let pattern = withUnsafeBytes(of: bias.littleEndian) { Array($0) }
        let place = try #require(
          bytes.indices.first { $0 + 8 <= bytes.count && Array(bytes[$0..<$0 + 8]) == pattern })
        withUnsafeBytes(of: (bias + sign).littleEndian) {
          bytes.replaceSubrange(place..<place + 8, with: $0)
        }
        #expect(throws: CanonicalError.self) { try VerifierKey(canonicalBytes: bytes) }
        // The quotient that the field gives is no int16.
        let input: [Int16] = [weight < 0 ? Int16(-sign) : Int16(sign), 0, 0]
        var plain = try PlainProver(circuit, [input, [0], input])
        let accumulator = Int64(weight) * Int64(input[0]) + bias
        plain.set(
          tensor: 1, element: 0,
          to: Goldilocks(Requantization.apply(accumulator, shift: Int64(shift))))
        plain.settle()
        let instance = Instance(
          inputs: [Run.bytes(input)], outputs: [Run.bytes(input)], context: [])
        let proof = plain.prove(Transcript(statement: [instance], keyDigest: circuit.key.digest))
        #expect(throws: VerificationError.rootNumerator) {
          try Verifier(circuit).verify([instance], proof: proof)
        }
      }
    }
  }

  /// A quotient that only an activation's table bounds, and one that only the statement does.
  @Test func refusesAFractionOfPThroughAReader() throws {
    let program = try SmallProgram.chain(
      [1, 3], [SmallProgram.matrix(3, columns: 3, shifts: [9]), .relu(Relu())])
    let run = try Run(program, inputs: [Run.bytes([3, -2, 1])])
    for step in [Goldilocks(1), Goldilocks(-1)] {
      var plain = try PlainProver(run)
      let fraction = Goldilocks(canonical: 2).power(9).inverse
      plain.set(tensor: 1, element: 0, to: plain.tensors[1][0] + step * fraction)
      plain.settle()
      let refusal = run.refusal(plain.prove(run.transcript))
      #expect(refusal == .rootNumerator)
    }
  }

  /// A clear proof writes the remainder in its shift's bits: 2^s cannot be written, and the rest of
  /// another quotient's is a false sum.
  @Test(arguments: [1, 8, 13, 31] as [UInt8])
  func refusesAnotherRemainderInTheClear(_ shift: UInt8) throws {
    let program = try SmallProgram.chain(
      [1, 3], [SmallProgram.matrix(3, columns: 3, shifts: [shift]), .relu(Relu())])
    let run = try KeyedRun(program, "mode=clear")
    let proof = try run.prove()
    #expect(run.refusal(proof) == nil)
    let sum = try #require(ClearCircuit(program).sums.first)
    for bit in 0..<8 * (sum.quotientBytes + sum.remainderBytes) {
      var changed = proof
      changed[bit / 8] ^= 1 << UInt8(bit % 8)
      #expect(run.refusal(changed) != nil, "bit \(bit)")
    }
    for delta: Int16 in [1, -1] {
      var lying = run
      lying.tensors[1][0] += delta
      lying.tensors[2] = lying.tensors[1].map { max($0, 0) }
      lying.instances[0] = Instance(
        inputs: run.instances[0].inputs, outputs: [Run.bytes(lying.tensors[2])], context: [0])
      #expect(lying.refusal(try lying.prove()) == .weightedSum)
    }
  }
}
