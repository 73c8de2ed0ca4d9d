import FixedPoint
import Primitives
import Statements
import Testing

@testable import Sumcheck

/// A proof convinces of its own statement and of no other: key, contexts, order, bytes.
@Suite struct StatementTests {
  /// The plain prover shares no kernel with the built one, and makes the same bytes.
  @Test(arguments: ["mode=commit", "weights=committed batch=2"])
  func plainProverMakesTheSameBytes(_ options: String) throws {
    let run = try KeyedRun(ModeTests.network(), options)
    guard case .commit(let prover) = run.prover.scheme else { return }
    var plain = try PlainProver(prover.circuit, run.tensors)
    let transcript = Transcript(statement: run.instances, keyDigest: run.prover.keyDigest)
    #expect(try run.prove() == plain.prove(transcript))
    let columns = plain.columns
    plain.recount()
    #expect(plain.columns == columns)
  }

  /// What is run again, or moved, leaves nothing to be challenged: the seal binds it still.
  @Test(arguments: ["mode=clear", "mode=commit", "mode=clear batch=2"])
  func bindsAProofWithoutChallenges(_ options: String) throws {
    for operation in [Operator.reshape(Reshape(shape: [6])), .relu(Relu())] {
      let run = try KeyedRun(SmallProgram.chain([2, 3], [operation]), options)
      let proof = try run.prove()
      #expect(run.refusal(proof) == nil)
      #expect(run.refusal(proof, changing: 0) { _, _, context in context[0] ^= 1 } != nil)
      if case .clear = run.key.mode {
        #expect(proof.count == 16)
        #expect(run.refusal(proof, changing: 0) { _, _, context in context = [] } == .seal)
        #expect(run.refusal([]) == .length)
      }
      for byte in proof.indices.suffix(16) {
        var changed = proof
        changed[byte] ^= 1
        #expect(run.refusal(changed) != nil)
      }
    }
  }

  /// Another key for the same function: the same integers, and every proof of the one is refused
  /// under the other.
  @Test func refusesAProofOfAnotherKey() throws {
    let program = try ModeTests.network()
    let runs = try ModeTests.options.map { try KeyedRun(program, $0) }
    for (index, run) in runs.enumerated() {
      let proof = try run.prove()
      for (other, victim) in runs.enumerated() where other != index {
        #expect(victim.refusal(proof) != nil, "\(index) as \(other)")
      }
    }
  }

  /// Two slices of one shape, whose tensors may even be the same.
  @Test(arguments: ["mode=clear", "mode=commit"])
  func refusesSwappedSlices(_ options: String) throws {
    let first = try SmallProgram.chain([1, 4], [SmallProgram.matrix(4, columns: 4, seed: 1)])
    let second = try SmallProgram.chain([1, 4], [SmallProgram.matrix(4, columns: 4, seed: 2)])
    let zeros = [Instance]([
      .init(inputs: [.init(repeating: 0, count: 8)], outputs: [], context: [])
    ])
    var runs = try [KeyedRun(first, options), KeyedRun(second, options)]
    for index in runs.indices {
      let run = try runs[index].prover.run(zeros.map(\.inputs))
      runs[index].tensors = run.tensors
      runs[index].instances = [
        Instance(inputs: zeros[0].inputs, outputs: run.outputs[0], context: [1])
      ]
    }
    let proofs = try runs.map { try $0.prove() }
    #expect(runs[0].refusal(proofs[0]) == nil && runs[1].refusal(proofs[1]) == nil)
    #expect(runs[0].refusal(proofs[1]) != nil && runs[1].refusal(proofs[0]) != nil)
  }

  /// The bytes are the same, the key is not.
  @Test(arguments: ["mode=clear", "mode=commit"])
  func refusesReshapedTensorsOfEqualBytes(_ options: String) throws {
    let wide = try KeyedRun(SmallProgram.chain([2, 6], [.relu(Relu())]), options)
    var tall = try KeyedRun(SmallProgram.chain([6, 2], [.relu(Relu())]), options)
    tall.instances = wide.instances
    let proof = try wide.prove()
    #expect(wide.refusal(proof) == nil)
    #expect(tall.refusal(proof) != nil)
  }

  /// Another exponent, another name, another order of outputs: nothing of the program is left out.
  @Test(arguments: ["mode=clear", "mode=commit"])
  func bindsEveryFieldOfTheKey(_ options: String) throws {
    let run = try KeyedRun(ModeTests.network(), options)
    let proof = try run.prove()
    let bytes = try run.key.verifierKey().canonicalBytes
    var tried = 0
    for place in stride(from: 0, to: bytes.count, by: 3) {
      var mutant = bytes
      mutant[place] ^= 1
      guard let key = try? VerifierKey(canonicalBytes: mutant), let verifier = try? Verifier(key)
      else { continue }
      tried += 1
      #expect(throws: VerificationError.self, "byte \(place)") {
        try verifier.verify(run.instances, proof: proof)
      }
    }
    #expect(tried > 100)
  }

  /// Instances of a batch exchanged as a whole, or by their contexts or tensors alone.
  @Test(arguments: ["mode=clear batch=3", "mode=commit batch=3", "weights=committed batch=3"])
  func refusesABatchInAnotherOrder(_ options: String) throws {
    let run = try KeyedRun(ModeTests.network(), options)
    let proof = try run.prove()
    let own = run.instances
    func refusal(_ instances: [Instance]) -> VerificationError? {
      var other = run
      other.instances = instances
      return other.refusal(proof)
    }
    #expect(refusal(own) == nil)
    for (left, right) in [(0, 1), (1, 2), (0, 2)] {
      var order = Array(own.indices)
      order.swapAt(left, right)
      #expect(refusal(order.map { own[$0] }) != nil)
      #expect(
        refusal(
          order.enumerated().map {
            Instance(
              inputs: own[$0].inputs, outputs: own[$0].outputs, context: own[$1].context)
          }) != nil)
      #expect(
        refusal(
          order.enumerated().map {
            Instance(
              inputs: own[$0].inputs, outputs: own[$1].outputs, context: own[$0].context)
          }) != nil)
    }
    #expect(refusal([own[0], own[0], own[2]]) != nil)
    #expect(refusal(Array(own[..<2])) == .instanceCount)
  }

  /// A prover that computes one inference of a batch as another one's.
  @Test(arguments: ["mode=clear batch=2", "mode=commit batch=2"])
  func refusesSwappedTensorsWithinABatch(_ options: String) throws {
    let run = try KeyedRun(ModeTests.network(), options)
    for tensor in 1..<run.tensors.count {
      var lying = run
      let half = run.tensors[tensor].count / 2
      let swapped = Array(run.tensors[tensor][half...] + run.tensors[tensor][..<half])
      guard swapped != run.tensors[tensor] else { continue }
      lying.tensors[tensor] = swapped
      guard let proof = try? lying.prove() else { continue }
      // A clear proof holds no tensor but the sums' results.
      if proof != (try run.prove()) { #expect(lying.refusal(proof) != nil, "tensor \(tensor)") }
    }
  }

  /// Where the program has no value nothing can be proven, whatever the outputs say: neither that
  /// the run ends, nor, as a fault is no statement, that it does not.
  @Test(arguments: ["mode=clear", "mode=commit"])
  func provesNothingOfARangeFault(_ options: String) throws {
    let rows = LinearRows(weights: [32767, 32767], biases: [0], shifts: [4])
    let program = try SmallProgram.chain(
      [1, 2], [.matrixProduct(MatrixProduct(rows: rows, exponent: 0)), .relu(Relu())])
    var run = try KeyedRun(
      ProverKey(program, KeyOptions(text: options)), inputs: [[Run.bytes([1, -1])]])
    let faulty = [Run.bytes([32767, 32767])]
    #expect(throws: ExecutionError.self) { try run.prover.run([faulty]) }
    for claimed: Int16 in [Int16.max, Int16.min, 0, -1] {
      run.tensors = [[32767, 32767], [claimed], [max(claimed, 0)]]
      run.instances = [
        Instance(inputs: faulty, outputs: [Run.bytes([max(claimed, 0)])], context: [])
      ]
      #expect(run.refusal(try run.prove()) != nil)
    }
  }
}
