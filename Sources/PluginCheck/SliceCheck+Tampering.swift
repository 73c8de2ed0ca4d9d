import FixedPoint
import Primitives
import ProverHost
import Statements

extension SliceCheck {
  /// Everything that a verifier sees, changed in every class of place.
  mutating func checkTampering(_ proven: Proven) async {
    await check("context") { check in
      guard check.descriptor.traits.contains(.bindsContext) else {
        return .notApplicable("does not bind contexts")
      }
      return try await check.refused(
        proven,
        (0..<Bytes32.count).map {
          Mutation(
            target: .context(inference: 0), change: .flip(offset: $0, bit: $0 % 8))
        })
    }
    await check("inputs") { check in
      try await check.refused(
        proven,
        check.places(check.boundaries.inputs.map(\.byteCount)) {
          .input(inference: 0, tensor: $0)
        })
    }
    await check("outputs") { check in
      try await check.refused(
        proven,
        check.places(check.boundaries.outputs.map(\.byteCount)) {
          .output(inference: 0, tensor: $0)
        })
    }
    await check("proof bits") { check in
      guard !proven.proof.isEmpty else { return .notApplicable("proofs are empty") }
      let count = proven.proof.count
      return try await check.refused(
        proven,
        (0..<min(64, count)).map { .visit($0, of: count, seed: check.settings.seed) })
    }
    await check("proof length") { try await $0.otherLengthsAreRefused(proven) }
    await check("tensor lengths") { try await $0.otherTensorLengthsAreNotValid(proven) }
    await check("another model's proof") { try await $0.anotherModelsProofIsRefused(proven) }
  }

  /// Bytes at both ends, in the middle and spread between, of each tensor.
  private func places(
    _ byteCounts: [Int], _ target: (Int) -> Mutation.Target
  ) -> [Mutation] {
    byteCounts.enumerated().flatMap { tensor, count in
      Set([0, 1, count / 2, count - 2, count - 1] + (0..<24).map { $0 * count / 24 })
        .filter { 0..<count ~= $0 }.sorted()
        .map { Mutation(target: target(tensor), change: .flip(offset: $0, bit: $0 % 8)) }
    }
  }

  private func refused(_ proven: Proven, _ mutations: [Mutation]) async throws -> Finding {
    let verifier = try await backend.openVerifier(
      key: proven.keys.verifier, boundaries: boundaries)
    var refused = 0
    for mutation in mutations {
      let (statement, proof) = mutation.applied(to: proven.statement, proof: proven.proof)
      let mustRefuse = proven.mustRefuse(statement, proof: proof, by: descriptor, executor)
      let verification = await verifier.verify(statement, proof: proof)
      switch mustRefuse {
      case true?:
        try require(
          verification.verdict == .invalid,
          "\(mutation) is \(verification.verdict): \(verification.reason)")
        refused += 1
      case false?:
        try require(
          verification.verdict == .valid,
          "\(mutation) changes nothing in the outputs and is \(verification.verdict)")
      case nil: continue
      }
    }
    return .passed("\(refused) changes refused")
  }

  private func otherLengthsAreRefused(_ proven: Proven) async throws -> Finding {
    let count = proven.proof.count
    let lengths = Set([0, 1, count / 2, count - 32, count - 8, count - 1] + [7, 8, 31, 32, 33])
    let cuts = lengths.filter { 0..<count ~= $0 }.sorted().map {
      Mutation(target: .proof, change: .cut(count: count - $0))
    }
    let extensions: [[UInt8]] = [
      [0], [255], .init(repeating: 0, count: 32), [0, 0, 0, 0, 0, 0, 0, 1],
    ]
    return try await refused(
      proven,
      cuts + extensions.map { Mutation(target: .proof, change: .extend($0)) }
        + (count == 0 ? [] : [Mutation(target: .proof, change: .extend(proven.proof))]))
  }

  /// The host refuses them before the plugin; none may come out valid.
  private func otherTensorLengthsAreNotValid(_ proven: Proven) async throws -> Finding {
    let verifier = try await backend.openVerifier(
      key: proven.keys.verifier, boundaries: boundaries)
    var longer = proven.statement
    longer.inferences[0].inputs[0] += [0, 0]
    var shorter = proven.statement
    shorter.inferences[0].outputs[0].removeLast(2)
    var fewer = proven.statement
    fewer.inferences[0].outputs.removeLast()
    for statement in [longer, shorter, fewer] {
      let verification = await verifier.verify(statement, proof: proven.proof)
      try require(verification.verdict != .valid, "a tensor of another length is valid")
    }
    return .passed("")
  }

  /// The same slice with one weight changed has other proofs, even where its outputs are the same.
  private func anotherModelsProofIsRefused(_ proven: Proven) async throws -> Finding {
    guard !descriptor.traits.contains(.reexecutes) else {
      return .notApplicable("proves nothing of the model")
    }
    guard let other = try await anotherModel(than: proven) else {
      return .notApplicable("the program has no weight to change")
    }
    let prover = try await backend.openProver(key: other.keys.prover, boundaries: boundaries)
    let inputs = proven.statement.inferences[0].inputs
    let outputs: [[UInt8]]
    do {
      outputs = try await prover.execute(inputs)
    } catch BackendError.refused(.rangeFault, _) {
      return .notApplicable("with another weight the sample has no value")
    }
    var statement = proven.statement
    statement.inferences[0].outputs = outputs
    let proof = try await prover.prove(statement)
    let verifier = try await backend.openVerifier(
      key: proven.keys.verifier, boundaries: boundaries)
    for claimed in [statement, proven.statement] {
      let verification = await verifier.verify(claimed, proof: proof)
      try require(
        verification.verdict == .invalid, "the other model's proof is \(verification.verdict)")
    }
    let difference =
      statement == proven.statement ? "equal outputs" : "other outputs"
    return .passed("one bit of byte \(other.offset) of the program, \(difference)")
  }

  /// Keys of a program that differs in one byte, of the same boundaries.
  private func anotherModel(
    than proven: Proven
  ) async throws -> (keys: CompiledKeys, offset: Int)? {
    let original = slice.bundle.program
    guard !original.isEmpty else { return nil }
    // The weights are most of a program, so that a few spread places find one.
    for number in 0..<16 {
      var program = original
      let offset = (number + 1) * Mutation.stride(of: program.count) % program.count
      program[offset] ^= 1
      let bundle = SliceBundle(
        onnx: slice.bundle.onnx, program: program, boundaries: boundaries)
      guard
        let changed = try? CheckedSlice(name: slice.name, bundle: bundle, samples: slice.samples),
        changed.program?.inputs == slice.program?.inputs,
        changed.program?.outputs == slice.program?.outputs,
        try await backend.obstacles(to: bundle).isEmpty
      else { continue }
      let keys = try await backend.compile(bundle, options: settings.options)
      if keys.verifier != proven.keys.verifier { return (keys, offset) }
    }
    return nil
  }
}
