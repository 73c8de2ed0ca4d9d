import FixedPoint
import Primitives
import Testing

@testable import Sumcheck

/// Statements that are not so, and proofs that are not theirs.
@Suite struct RefusalTests {
  private static let network: Run? = try? Run(SmallProgram.network(), seed: 5)

  @Test func refusesEveryOtherStatement() throws {
    let run = try #require(Self.network)
    let proof = try run.prove()
    #expect(run.refusal(proof) == nil)
    let verifier = run.verifier
    func refused(_ inputs: [[UInt8]], _ outputs: [[UInt8]], _ context: [UInt8]) -> Bool {
      do throws(VerificationError) {
        try verifier.verify(inputs: inputs, outputs: outputs, context: context, proof: proof)
        return false
      } catch {
        return true
      }
    }
    for byte in run.inputs[0].indices {
      var inputs = run.inputs
      inputs[0][byte] ^= 1
      #expect(refused(inputs, run.outputs, run.context), "input byte \(byte)")
    }
    for byte in run.outputs[0].indices {
      var outputs = run.outputs
      outputs[0][byte] ^= 0x80
      #expect(refused(run.inputs, outputs, run.context), "output byte \(byte)")
    }
    for byte in run.context.indices {
      var context = run.context
      context[byte] ^= 4
      #expect(refused(run.inputs, run.outputs, context), "context byte \(byte)")
    }
    #expect(refused(run.inputs + run.inputs, run.outputs, run.context))
    #expect(refused(run.inputs, [], run.context))
    #expect(refused([Array(run.inputs[0].dropLast(2))], run.outputs, run.context))
  }

  @Test func refusesAProofOfAnotherProgram() throws {
    let run = try #require(Self.network)
    let proof = try run.prove()
    let program = run.circuit.program
    func altered(_ change: (Program.Operation) -> Operator?) throws -> Verifier {
      var operations = program.operations
      for (index, operation) in operations.enumerated() {
        guard let other = change(operation) else { continue }
        operations[index] = .init(
          name: operation.name, inputs: operation.inputs, operator: other)
        break
      }
      return try Verifier(
        Circuit(
          Program(
            inputs: program.inputs, operations: operations, outputTensors: program.outputTensors,
            outputs: program.outputs), run.circuit.parameters))
    }
    func changed(_ rows: LinearRows, weight: Int16, bias: Int64) -> LinearRows {
      var (weights, biases) = (rows.weights, rows.biases)
      weights[2] += weight
      biases[0] += bias
      return LinearRows(weights: weights, biases: biases, shifts: rows.shifts)
    }
    for (weight, bias) in [(Int16(1), Int64(0)), (0, 1)] {
      let verifier = try altered { operation in
        guard case .convolution(let old) = operation.operator else { return nil }
        return .convolution(
          Convolution(
            rows: changed(old.rows, weight: weight, bias: bias), groups: old.groups,
            window: old.window, exponent: old.exponent))
      }
      #expect(throws: VerificationError.self) {
        try verifier.verify(
          inputs: run.inputs, outputs: run.outputs, context: run.context, proof: proof)
      }
    }
    for other in [
      Parameters(limbBits: 16, messageLog: 8, rateLog: 1),
      Parameters(limbBits: 8, messageLog: 9, rateLog: 1),
      Parameters(limbBits: 8, messageLog: 8, rateLog: 2),
    ] {
      let verifier = try Verifier(Circuit(program, other))
      #expect(throws: VerificationError.self) {
        try verifier.verify(
          inputs: run.inputs, outputs: run.outputs, context: run.context, proof: proof)
      }
    }
  }

  /// Every eighth byte in turn, one bit of it, and every length.
  @Test func refusesEveryChangedByte() throws {
    let program = try SmallProgram.chain(
      [1, 3], [SmallProgram.matrix(2, columns: 3), .relu(Relu())])
    let run = try Run(program, seed: 2)
    let proof = try run.prove()
    #expect(run.refusal(proof) == nil)
    for byte in stride(from: 3, to: proof.count, by: proof.count / 60) {
      var changed = proof
      changed[byte] ^= 1 << UInt8(byte % 8)
      #expect(run.refusal(changed) != nil, "byte \(byte)")
    }
    for length in [0, 1, 31, 32, proof.count / 2, proof.count - 1] {
      #expect(run.refusal(Array(proof[..<length])) != nil)
    }
    #expect(run.refusal(proof + [0]) == .length)
  }

  @Test func refusesRandomBytes() throws {
    let run = try #require(Self.network)
    let proof = try run.prove()
    var generator = SeededGenerator(seed: 11)
    for _ in 0..<20 {
      let length = Int.random(in: 0...proof.count, using: &generator)
      let noise = (0..<length).map { _ in UInt8.random(in: 0...127, using: &generator) }
      #expect(run.refusal(noise) != nil)
      // The same noise over the middle of a proof.
      var mixed = proof
      let start = Int.random(in: 0..<proof.count, using: &generator)
      for (offset, byte) in noise.prefix(64).enumerated() where start + offset < proof.count {
        mixed[start + offset] ^= byte | 1
      }
      #expect(noise.isEmpty || run.refusal(mixed) != nil)
    }
  }

  @Test func refusesToCompileWhatItCannotProve() throws {
    let program = try SmallProgram.chain(
      [1, 2, 30, 30],
      [.maxPool(MaxPool(window: Window(kernel: (9, 9))))])
    #expect(
      throws: CircuitError(node: "node-0", reason: "a max pool of 9 cells along an axis; at most 8")
    ) {
      try Circuit(program, Parameters(limbBits: 8, messageLog: 8, rateLog: 1))
    }
  }

  @Test func refusesAKeyOfOtherParameters() throws {
    let run = try #require(Self.network)
    let key = run.circuit.key
    #expect(try VerifierKey(canonicalBytes: key.canonicalBytes) == key)
    // Version, mode, limb bits, message, rate, weights, batch.
    for (byte, value) in [
      (0, UInt8(2)), (1, 0), (1, 3), (2, 7), (2, 17), (3, 7), (3, 15), (4, 0), (4, 3), (5, 2),
      (6, 0), (7, 17),
    ] {
      var bytes = key.canonicalBytes
      bytes[byte] = value
      #expect(throws: (any Error).self) { try VerifierKey(canonicalBytes: bytes) }
    }
  }
}
