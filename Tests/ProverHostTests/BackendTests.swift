import FixedPoint
import Primitives
import ProverHost
import Statements
import Testing

@Suite struct BackendTests {
  private let context = Digest.of([1, 2, 3])

  @Test func describesItself() async throws {
    let backend = try await Backend(try Fixtures.reexec())
    #expect(backend.descriptor.id == .reexec)
    #expect(backend.descriptor.semantics == Program.semantics)
    #expect(backend.descriptor.traits == [.transparent, .deterministicKeys, .reexecutes])
    #expect(backend.plugin.abiMajor == 1)
  }

  @Test(arguments: ["reexec", "example-c"])
  func executesProvesAndVerifies(name: String) async throws {
    let backend = try await Backend(
      try Fixtures.configuration(plugin: Fixtures.installed.plugin(name), backend: name))
    let bundle = try Fixtures.relu()
    #expect(try await backend.obstacles(to: bundle) == [])
    #expect(try await backend.estimate(bundle).costUnits == 4)
    let keys = try await backend.compile(bundle)
    #expect(keys.verifier == bundle.program)
    let prover = try await backend.openProver(key: keys.prover, boundaries: bundle.boundaries)
    let verifier = try await backend.openVerifier(
      key: keys.verifier, boundaries: bundle.boundaries)
    let inputs = [Fixtures.tensor([-5, 0, 7, -32768])]
    let outputs = try await prover.execute(inputs)
    #expect(outputs == [Fixtures.tensor([0, 0, 7, 0])])
    let proof = try await prover.prove(inputs: inputs, outputs: outputs, context: context)
    #expect(proof == [])
    let honest = await verifier.verify(
      inputs: inputs, outputs: outputs, proof: proof, context: context)
    #expect(honest.verdict == .valid)
    for byte in outputs[0].indices {
      var wrong = outputs
      wrong[0][byte] ^= 1
      let verification = await verifier.verify(
        inputs: inputs, outputs: wrong, proof: proof, context: context)
      #expect(verification.verdict == .invalid)
    }
    let padded = await verifier.verify(
      inputs: inputs, outputs: outputs, proof: [0], context: context)
    #expect(padded.verdict == .invalid)
  }

  @Test func unknownOptionIsRefusedByName() async throws {
    let backend = try await Backend(try Fixtures.reexec())
    let bundle = try Fixtures.relu()
    for (options, word) in [("speed=fast", "'speed'"), ("fast", "'fast'")] {
      let error = await #expect(throws: BackendError.self) {
        try await backend.compile(bundle, options: options)
      }
      #expect(error?.code == "backend-option-refused")
      #expect(error?.sentence.contains(word) == true)
    }
  }

  /// What it does not take without options either is not their fault.
  @Test func tellsARefusedOptionFromARefusedSlice() async throws {
    let backend = try await Backend(
      try Fixtures.configuration(
        plugin: Fixtures.installed.plugin("example-c"), backend: "example-c"))
    let addition = try Fixtures.bundle(
      .add(Addition(leftAlignment: 0, rightAlignment: 0, shift: 0, exponent: 8)), inputs: 2)
    for (slice, code) in [
      (try Fixtures.relu(), "backend-option-refused"),
      (addition, "slice-unsupported"),
    ] {
      let error = await #expect(throws: BackendError.self) {
        try await backend.compile(slice, options: "speed=fast")
      }
      #expect(error?.code == code)
    }
  }

  @Test func reexecVerifiesEveryInferenceOfABatch() async throws {
    let backend = try await Backend(try Fixtures.reexec())
    let bundle = try Fixtures.relu()
    let verifier = try await backend.openVerifier(
      key: bundle.program, boundaries: bundle.boundaries)
    var batch = (Int16(1)...5).map { value in
      let tensor = Fixtures.tensor([value, 0, 7, 0])
      return Inference(inputs: [tensor], outputs: [tensor], context: context)
    }
    #expect(await verifier.verify(batch: batch, proof: []).verdict == .valid)
    batch[4].outputs[0][0] ^= 1
    #expect(await verifier.verify(batch: batch, proof: []).verdict == .invalid)
  }

  @Test func rangeFaultNamesNodeAndElementAndMakesEveryOutputInvalid() async throws {
    let backend = try await Backend(try Fixtures.reexec())
    let bundle = try Fixtures.bundle(
      .add(Addition(leftAlignment: 0, rightAlignment: 0, shift: 0, exponent: 8)), inputs: 2)
    let keys = try await backend.compile(bundle)
    let prover = try await backend.openProver(key: keys.prover, boundaries: bundle.boundaries)
    let inputs = [Fixtures.tensor([0, 0, 32767, 0]), Fixtures.tensor([0, 0, 1, 0])]
    let error = await #expect(throws: BackendError.self) { try await prover.execute(inputs) }
    #expect(error?.code == "range-fault")
    #expect(error?.sentence.contains("'node', element 2") == true)
    let verifier = try await backend.openVerifier(
      key: keys.verifier, boundaries: bundle.boundaries)
    let verification = await verifier.verify(
      inputs: inputs, outputs: [Fixtures.tensor([0, 0, 32767, 0])], proof: [], context: context)
    #expect(verification.verdict == .invalid)
  }

  @Test func refusesWhatIsNoProgram() async throws {
    let backend = try await Backend(try Fixtures.reexec())
    let relu = try Fixtures.relu()
    let bundle = SliceBundle(onnx: [], program: [1, 2, 3], boundaries: relu.boundaries)
    #expect(try await backend.obstacles(to: bundle).count == 1)
    let compile = await #expect(throws: BackendError.self) { try await backend.compile(bundle) }
    #expect(compile?.code == "backend-key-unusable")
    let other = Boundaries(
      inputs: [Fixtures.specification("x", [5])], outputs: relu.boundaries.outputs)
    await #expect(throws: BackendError.self) {
      try await backend.openVerifier(key: relu.program, boundaries: other)
    }
  }

  @Test func exampleRefusesEverythingButOneRelu() async throws {
    let backend = try await Backend(
      try Fixtures.configuration(
        plugin: Fixtures.installed.plugin("example-c"), backend: "example-c"))
    let addition = try Fixtures.bundle(
      .add(Addition(leftAlignment: 0, rightAlignment: 0, shift: 0, exponent: 8)), inputs: 2)
    #expect(try await backend.obstacles(to: addition).count == 1)
    let relu = try Fixtures.relu()
    for count in relu.program.indices {
      let cut = SliceBundle(
        onnx: [], program: Array(relu.program[..<count]), boundaries: relu.boundaries)
      #expect(try await backend.obstacles(to: cut).count == 1)
    }
  }

  @Test func wrongTensorLengthIsInconclusiveNotInvalid() async throws {
    let backend = try await Backend(try Fixtures.reexec())
    let bundle = try Fixtures.relu()
    let verifier = try await backend.openVerifier(
      key: bundle.program, boundaries: bundle.boundaries)
    let verification = await verifier.verify(
      inputs: [[1]], outputs: [[]], proof: [], context: context)
    #expect(verification.verdict == .inconclusive)
  }

  @Test func reopensSessionsInARecycledProcess() async throws {
    var configuration = try Fixtures.reexec()
    configuration.jobsPerProcess = 1
    let backend = try await Backend(configuration)
    let bundle = try Fixtures.relu()
    let prover = try await backend.openProver(key: bundle.program, boundaries: bundle.boundaries)
    for value in Int16(1)...3 {
      let tensor = Fixtures.tensor([value, 0, 0, 0])
      #expect(try await prover.execute([tensor]) == [tensor])
    }
  }

  @Test func manyTasksShareOneBackend() async throws {
    let backend = try await Backend(try Fixtures.reexec())
    let bundle = try Fixtures.relu()
    let prover = try await backend.openProver(key: bundle.program, boundaries: bundle.boundaries)
    try await withThrowingTaskGroup(of: Bool.self) { group in
      for value in Int16(0)..<100 {
        group.addTask {
          let tensor = Fixtures.tensor([value, 1, 2, 3])
          return try await prover.execute([tensor]) == [tensor]
        }
      }
      for try await right in group { #expect(right) }
    }
  }
}
