import FixedPoint
import Primitives
import Testing

@testable import Sumcheck

/// What keys may choose: clear proofs, batches, committed weights.
@Suite struct ModeTests {
  static let options = [
    "mode=clear", "mode=commit", "mode=commit weights=committed", "mode=clear batch=3",
    "mode=commit batch=3", "mode=commit weights=committed batch=2",
  ]

  /// Groups, shifts by channel, an output that is a sum of its own, and one that is not.
  static func network() throws -> Program {
    try SmallProgram.chain(
      [2, 4, 5, 6],
      [
        SmallProgram.convolution(
          6, channels: 4, Window(kernel: (3, 2), stride: (2, 1), pads: (1, 0, 0, 1)), groups: 2,
          shifts: [9, 17, 7]),
        .relu(Relu()),
        .maxPool(MaxPool(window: Window(kernel: (2, 2), pads: (0, 0, 1, 0)))),
        .constant(Constant(shape: [6, 1, 1], exponent: 0, values: [3, -4, 5, -6, 7, -8])),
        .add(
          Addition(leftAlignment: 0, rightAlignment: 0, subtracts: false, shift: 0, exponent: 0)),
        .reshape(Reshape(shape: [2, 60])),
        SmallProgram.matrix(5, columns: 60, shifts: [8, 7, 9, 5, 6]),
      ], reading: [4: [3, 4]], outputs: [7, 5, 2])
  }

  @Test(arguments: options)
  func provesInEveryMode(_ options: String) throws {
    let run = try KeyedRun(Self.network(), options)
    let proof = try run.prove()
    #expect(run.refusal(proof) == nil)
    #expect(try Prover(run.key, threads: 2).prove(run.instances, tensors: run.tensors) == proof)
  }

  @Test(arguments: options)
  func keysComeBackFromTheirBytes(_ options: String) throws {
    let key = try ProverKey(Self.network(), KeyOptions(text: options))
    #expect(try ProverKey(canonicalBytes: key.canonicalBytes) == key)
    let verifierKey = try key.verifierKey()
    let bytes = verifierKey.canonicalBytes
    #expect(try VerifierKey(canonicalBytes: bytes) == verifierKey)
    let run = try KeyedRun(key)
    let verifier = try Verifier(VerifierKey(canonicalBytes: bytes))
    try verifier.verify(run.instances, proof: run.prove())
  }

  @Test func committedWeightsAreNotInTheKey() throws {
    let program = try Self.network()
    let open = try ProverKey(program, KeyOptions(text: "mode=commit")).verifierKey()
    let committed = try ProverKey(program, KeyOptions(text: "weights=committed")).verifierKey()
    #expect(committed.canonicalBytes.count < open.canonicalBytes.count - 300)
  }

  /// One bit of every stated byte in turn, and of the sumcheck's every element.
  @Test func refusesEveryChangedByteOfAClearProof() throws {
    let run = try KeyedRun(Self.network(), "mode=clear")
    let proof = try run.prove()
    for byte in proof.indices {
      var changed = proof
      changed[byte] ^= 1 << UInt8(byte % 8)
      #expect(run.refusal(changed) != nil, "byte \(byte)")
    }
    for length in [0, 1, proof.count / 2, proof.count - 1] {
      #expect(run.refusal(Array(proof[..<length])) == .length)
    }
    #expect(run.refusal(proof + [0]) == .length)
  }

  @Test(arguments: options)
  func refusesEveryOtherStatement(_ options: String) throws {
    let run = try KeyedRun(Self.network(), options)
    let proof = try run.prove()
    for index in run.instances.indices {
      let refusals = [
        run.refusal(proof, changing: index) { inputs, _, _ in inputs[0][7] ^= 1 },
        run.refusal(proof, changing: index) { _, outputs, _ in outputs[0][3] ^= 0x80 },
        run.refusal(proof, changing: index) { _, outputs, _ in outputs[1][0] ^= 1 },
        run.refusal(proof, changing: index) { _, outputs, _ in outputs[2][2] ^= 1 },
        run.refusal(proof, changing: index) { _, _, context in context[31] ^= 1 },
      ]
      #expect(refusals.allSatisfy { $0 != nil }, "instance \(index)")
    }
    var other = run
    other.instances.append(run.instances[0])
    #expect(other.refusal(proof) == .instanceCount)
    other.instances = []
    #expect(other.refusal(proof) == .instanceCount)
    if run.key.batch > 1 {
      other.instances = run.instances
      other.instances.swapAt(0, 1)
      #expect(other.refusal(proof) != nil)
    }
  }

  /// A quotient too small by one makes a remainder of 2^s; too large, a negative one. Neither is
  /// packed, and both are refused.
  @Test(arguments: options)
  func refusesAFalseQuotient(_ options: String) throws {
    let run = try KeyedRun(Self.network(), options)
    let count = run.tensors[1].count
    for (cell, delta) in [(0, Int16(1)), (count - 1, -1), (count / 2, 1 << 8)] {
      var lying = run
      lying.tensors[1][cell] &+= delta
      #expect(lying.refusal(try lying.prove()) != nil)
    }
  }

  /// Weights under another root are other weights, also for a prover that has them.
  @Test func refusesOtherCommittedWeights() throws {
    let run = try KeyedRun(Self.network(), "weights=committed")
    var operations = run.key.program.operations
    guard case .convolution(let old) = operations[0].operator else { return }
    var weights = old.rows.weights
    weights[9] += 1
    operations[0] = .init(
      name: "other", inputs: [0],
      operator: .convolution(
        Convolution(
          rows: LinearRows(weights: weights, biases: old.rows.biases, shifts: old.rows.shifts),
          groups: old.groups, window: old.window, exponent: old.exponent)))
    let program = try Program(
      inputs: run.key.program.inputs, operations: operations,
      outputTensors: run.key.program.outputTensors, outputs: run.key.program.outputs)
    let other = try KeyedRun(ProverKey(program: program, mode: run.key.mode))
    let proof = try other.prove()
    #expect(other.refusal(proof) == nil)
    // The other weights' prover, under this key's digest: only the root tells them apart.
    guard case .commit(let parameters) = run.key.mode else { return }
    let forger = Prover(
      .commit(CommitProver(try Circuit(program, parameters), threads: 1)),
      keyDigest: try run.key.verifierKey().digest, threads: 1)
    let forged = try forger.prove(other.instances, tensors: other.tensors)
    var victim = run
    victim.instances = other.instances
    #expect(victim.refusal(forged) == .merklePath)
  }

  @Test func clearConstraintsAreNeeded() throws {
    var run = try KeyedRun(Self.network(), "mode=clear")
    let honest = try run.prove()
    run.verifier.constraints.deleted = .packing
    let sums = try ClearCircuit(run.key.program).sums
    var padded = honest
    try #require(sums[1].bitCount % 8 != 0)
    let stated = sums.reduce(0) { $0 + $1.quotientBytes + $1.remainderBytes }
    padded[stated - 1] |= 0x80
    // The bytes are absorbed, so that the sumchecks after them are others too.
    #expect(run.refusal(padded) != .packing)
    run.verifier.constraints.deleted = nil
    #expect(run.refusal(padded) == .packing)
    // An output that the rest does not give.
    var lying = run
    lying.instances[0] = Instance(
      inputs: run.instances[0].inputs,
      outputs: [run.instances[0].outputs[0], run.instances[0].outputs[1].map { $0 ^ 1 }]
        + [run.instances[0].outputs[2]], context: run.instances[0].context)
    let falseOutput = try lying.prove()
    #expect(lying.refusal(falseOutput) == .recomputation)
    lying.verifier.constraints.deleted = .recomputation
    #expect(lying.refusal(falseOutput) == nil)
    // A sum that is another, in the tensor and in the output that states it.
    lying = run
    lying.tensors[7][0] &+= 1
    lying.instances[0] = Instance(
      inputs: run.instances[0].inputs,
      outputs: [Run.bytes(lying.tensors[7])] + run.instances[0].outputs.dropFirst(),
      context: run.instances[0].context)
    let falseSum = try lying.prove()
    #expect(lying.refusal(falseSum) == .weightedSum)
    lying.verifier.constraints.deleted = .weightedSum
    #expect(lying.refusal(falseSum) == nil)
  }

  @Test(arguments: ["mode", "mode=fast", "weights=secret", "batch=0", "batch=5000", "batch=x"])
  func refusesOptionsThatAreNone(_ text: String) {
    #expect(throws: KeyOptionError.self) { try KeyOptions(text: text) }
  }

  @Test func refusesClearProofsOfCommittedWeights() {
    #expect(throws: KeyOptionError.clearWeights) {
      try KeyOptions(text: "mode=clear weights=committed")
    }
  }

  /// Running a program again is no proof of it: the clear mode is chosen for sums only.
  @Test func choosesTheClearModeOnlyWhereThereIsASum() throws {
    let pooled = try SmallProgram.chain(
      [1, 2, 12, 12], [.maxPool(MaxPool(window: Window(kernel: (9, 9))))])
    #expect(throws: CircuitError.self) { try ProverKey(pooled) }
    #expect(try ProverKey(pooled, KeyOptions(text: "mode=clear")).mode == .clear)
    let ramp = try SmallProgram.chain([1, 40], [.relu(Relu())])
    #expect(try ProverKey(ramp).mode.name == "commit")
  }

  /// What no relation covers is run again in the clear.
  @Test func provesInTheClearWhatHasNoRelation() throws {
    let program = try SmallProgram.chain(
      [1, 2, 12, 12],
      [
        SmallProgram.convolution(3, channels: 2, Window(kernel: (3, 3))),
        .maxPool(MaxPool(window: Window(kernel: (9, 9)))),
      ])
    let run = try KeyedRun(program, "")
    #expect(run.key.mode == .clear)
    #expect(run.refusal(try run.prove()) == nil)
    #expect(throws: CircuitError.self) { try ProverKey(program, KeyOptions(text: "mode=commit")) }
  }
}

extension ClearCircuit.Sum {
  fileprivate var bitCount: Int {
    var bits = 0
    forEachRun { channel, cells in bits += cells.count * Int(weighted.rows.shifts[channel]) }
    return bits
  }
}
