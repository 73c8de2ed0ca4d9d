import FixedPoint
import Statements
import Testing

@testable import Sumcheck

/// Whole programs drawn at random, run by the executor, proven and verified, and then lied about.
@Suite struct RandomProgramTests {
  /// Some dozens, and hundreds in a long run.
  private static let seeds: Range<UInt64> = 0..<(LongRun.isEnabled ? 400 : 32)

  @Test(arguments: seeds)
  func provesWhatTheExecutorGives(_ seed: UInt64) throws {
    let (program, inputs) = try RandomProgram.run(seed: seed)
    let outputs = try Executor(program: program).run(inputs)
    var options = ["mode=commit", "mode=clear", "weights=committed"]
    if !LongRun.isEnabled { options = [options[Int(seed % 3)]] }
    var parameters = [WitnessTests.limbs]
    if LongRun.isEnabled { parameters.append(WitnessTests.tables) }
    for limbs in parameters {
      for option in options {
        try prove(program, inputs, outputs, option, limbs, seed)
      }
    }
  }

  /// The generator reaches what it is for.
  @Test func drawsEveryOperation() throws {
    let programs = try (0..<UInt64(32)).map { try RandomProgram.run(seed: $0).program }
    let operators = programs.flatMap { $0.operations.map(\.operator) }
    #expect(Set(operators.map(\.name)).count == 12)
    let rows = programs.flatMap { $0.operations.compactMap(\.rows) }
    let shifts = Set(rows.flatMap(\.shifts))
    #expect(shifts.contains(0) && shifts.contains { $0 > 16 })
    #expect(rows.contains { $0.weights.contains(32767) && $0.weights.contains(-32767) })
    #expect(operators.contains { if case .convolution(let c) = $0 { c.groups > 1 } else { false } })
    #expect(programs.contains { $0.outputs.count > 2 })
  }

  private func prove(
    _ program: Program, _ inputs: [[UInt8]], _ outputs: [[UInt8]], _ option: String,
    _ limbs: Parameters, _ seed: UInt64
  ) throws {
    let isCommitted = option.hasPrefix("weights")
    if isCommitted, !program.operations.contains(where: { $0.rows != nil }) { return }
    let parameters = Parameters(
      limbBits: limbs.limbBits, messageLog: limbs.messageLog, rateLog: 1 + Int(seed % 2),
      commitsWeights: isCommitted)
    // A batch of other inputs too, where the program has a value for them.
    let zeros = inputs.map { [UInt8](repeating: 0, count: $0.count) }
    let others = (try? Executor(program: program).run(zeros)).map { _ in zeros } ?? inputs
    let batch = [[inputs], [inputs, others], [inputs, others, inputs]][Int(seed / 3 % 3)]
    let key = ProverKey(
      program: program, mode: option == "mode=clear" ? .clear : .commit(parameters),
      batch: batch.count)
    let run = try KeyedRun(key, inputs: batch)
    #expect(run.instances[0].outputs == outputs)
    let proof = try run.prove()
    #expect(run.refusal(proof) == nil, "\(option), \(limbs)")
    var generator = SeededGenerator(seed: seed)
    // The statement.
    let output = Int.random(in: outputs.indices, using: &generator)
    let byte = Int.random(in: outputs[output].indices, using: &generator)
    #expect(run.refusal(proof, changing: 0) { _, outputs, _ in outputs[output][byte] ^= 1 } != nil)
    #expect(run.refusal(proof, changing: 0) { _, _, context in context[3] ^= 1 } != nil)
    // A proof for it, that the prover is forced to make.
    var lying = run
    let own = run.instances[0]
    var other = own.outputs
    other[output][byte] ^= 1
    lying.instances[0] = Instance(inputs: own.inputs, outputs: other, context: own.context)
    #expect(lying.refusal(try lying.prove()) != nil)
    // A tensor of the witness; the clear proof holds those alone that are sums.
    for _ in 0..<(LongRun.isEnabled ? 4 : 1) {
      lying = run
      let tensor = Int.random(in: run.tensors.indices, using: &generator)
      let element = Int.random(in: run.tensors[tensor].indices, using: &generator)
      lying.tensors[tensor][element] ^= 1 << Int16.random(in: 0..<15, using: &generator)
      let forged = try lying.prove()
      let circuit: Circuit? =
        if case .commit(let prover) = run.prover.scheme { prover.circuit } else { nil }
      if forged != proof, circuit?.isRead(tensor) ?? true {
        #expect(lying.refusal(forged) != nil, "tensor \(tensor), element \(element)")
      }
    }
  }

  /// Functions have tables of 2^16 rows each; in a long run only.
  @Test(.enabled(if: LongRun.isEnabled), arguments: 1000..<1040 as Range<UInt64>)
  func provesFunctions(_ seed: UInt64) throws {
    let (program, inputs) = try RandomProgram.run(seed: seed, hasFunctions: true)
    let outputs = try Executor(program: program).run(inputs)
    try prove(program, inputs, outputs, "mode=commit", WitnessTests.tables, seed)
    try prove(program, inputs, outputs, "mode=clear", WitnessTests.limbs, seed)
  }
}

extension Circuit {
  /// Whether a relation reads the tensor's own integers: those of inputs, outputs and constants are
  /// the verifier's, and a derived tensor has none.
  fileprivate func isRead(_ tensor: Int) -> Bool {
    if case .column = sources[tensor] { true } else { false }
  }
}

extension Operator {
  /// The name of its case.
  fileprivate var name: String { Mirror(reflecting: self).children.first?.label ?? "" }
}
