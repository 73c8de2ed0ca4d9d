import Glibc
import Primitives
import ProverHost
import Statements
import Testing

/// Everything a plugin can do wrong costs its job and nothing else.
@Suite struct PluginFaultTests {
  private let boundaries = Boundaries(
    inputs: [Fixtures.specification("x", [4])], outputs: [Fixtures.specification("y", [4])])
  private let tensor = Fixtures.tensor([1, 2, 3, 4])
  private let context = Digest.of([7])

  @Test(arguments: [
    ("WRONG_ABI", "plugin-wrong-abi"), ("NO_ENTRY", "plugin-has-no-entry"),
    ("SMALL_ENTRY", "plugin-malformed"), ("SMALL_BATCH", "plugin-malformed"),
    ("REFUSES_TO_START", "plugin-refused-to-start"),
    ("CRASH_IN_CONSTRUCTOR", "backend-crashed"),
  ])
  func rejectsPluginThatDoesNotOpen(fault: String, code: String) async throws {
    let configuration = try Fixtures.fault(fault)
    defer { unlink(configuration.plugin) }
    let error = await #expect(throws: BackendError.self) { try await Backend(configuration) }
    #expect(error?.code == code)
  }

  @Test func rejectsMissingPlugin() async throws {
    let configuration = Backend.Configuration(
      host: Fixtures.installed.proverHost, plugin: "/nonexistent/plugin.so", digest: .zero,
      backend: .reexec)
    let error = await #expect(throws: BackendError.self) { try await Backend(configuration) }
    #expect(error?.code == "plugin-missing")
  }

  @Test func rejectsMissingHost() async throws {
    let configuration = Backend.Configuration(
      host: "/nonexistent/host", plugin: "/nonexistent/plugin.so", digest: .zero, backend: .reexec)
    let error = await #expect(throws: BackendError.self) { try await Backend(configuration) }
    #expect(error?.code == "prover-host-unavailable")
  }

  @Test func rejectsFileOfAnotherDigestBeforeItsConstructorsRun() async throws {
    let plugin = try Fixtures.compileFault("CRASH_IN_CONSTRUCTOR")
    defer { unlink(plugin) }
    let configuration = Backend.Configuration(
      host: Fixtures.installed.proverHost, plugin: plugin, digest: .zero, backend: .reexec)
    let error = await #expect(throws: BackendError.self) { try await Backend(configuration) }
    #expect(error?.code == "plugin-digest-mismatch")
  }

  @Test func rejectsFileThatIsNoLibrary() async throws {
    let configuration = try Fixtures.configuration(plugin: #filePath, backend: "reexec")
    let error = await #expect(throws: BackendError.self) { try await Backend(configuration) }
    #expect(error?.code == "plugin-not-loadable")
  }

  @Test func rejectsBackendThatThePluginDoesNotOffer() async throws {
    let configuration = try Fixtures.configuration(
      plugin: Fixtures.installed.plugin("reexec"), backend: "sumcheck")
    let error = await #expect(throws: BackendError.self) { try await Backend(configuration) }
    #expect(error?.code == "no-such-backend")
  }

  @Test(arguments: [
    "CRASH_IN_VERIFY", "HANG_IN_VERIFY", "UNKNOWN_STATUS", "UNKNOWN_VERDICT",
    "GARBAGE_ON_THE_STREAM",
  ])
  func verificationThatGoesWrongIsInconclusiveAndTheNextCallIsServed(fault: String) async throws {
    var configuration = try Fixtures.fault(fault)
    defer { unlink(configuration.plugin) }
    configuration.verifyMilliseconds = 500
    let backend = try await Backend(configuration)
    let verifier = try await backend.openVerifier(key: [], boundaries: boundaries)
    let prover = try await backend.openProver(key: [], boundaries: boundaries)
    for _ in 0..<2 {
      let verification = await verifier.verify(
        inputs: [tensor], outputs: [tensor], proof: [], context: context)
      #expect(verification.verdict == .inconclusive)
      #expect(!verification.reason.isEmpty)
      #expect(try await prover.execute([tensor]) == [tensor])
    }
  }

  @Test(arguments: [
    ("SHORT_OUTPUT", "backend-answer-malformed"), ("LONG_OUTPUT", "backend-limit-exceeded"),
  ])
  func rejectsOutputOfAnotherLength(fault: String, code: String) async throws {
    let configuration = try Fixtures.fault(fault)
    defer { unlink(configuration.plugin) }
    let backend = try await Backend(configuration)
    let prover = try await backend.openProver(key: [], boundaries: boundaries)
    let error = await #expect(throws: BackendError.self) { try await prover.execute([tensor]) }
    #expect(error?.code == code)
  }

  @Test func rejectsKeyOfTenGigabytes() async throws {
    let configuration = try Fixtures.fault("TEN_GIGABYTES")
    defer { unlink(configuration.plugin) }
    let backend = try await Backend(configuration)
    let bundle = SliceBundle(onnx: [], program: [], boundaries: boundaries)
    let error = await #expect(throws: BackendError.self) { try await backend.compile(bundle) }
    #expect(error?.code == "backend-limit-exceeded")
    let prover = try await backend.openProver(key: [], boundaries: boundaries)
    #expect(try await prover.execute([tensor]) == [tensor])
  }

  @Test func cancelledTaskStopsAPluginThatAsks() async throws {
    let configuration = try Fixtures.fault("HANG_UNTIL_CANCELLED")
    defer { unlink(configuration.plugin) }
    let backend = try await Backend(configuration)
    let prover = try await backend.openProver(key: [], boundaries: boundaries)
    let input = tensor
    let task = Task { try await prover.execute([input]) }
    task.cancel()
    await #expect(throws: BackendError.self) { try await task.value }
    let verifier = try await backend.openVerifier(key: [], boundaries: boundaries)
    let verification = await verifier.verify(
      inputs: [tensor], outputs: [tensor], proof: [], context: context)
    #expect(verification.verdict == .valid)
  }

  @Test func proofThatHangsIsKilledAtItsCallersLimitAndTheNextCallIsServed() async throws {
    let configuration = try Fixtures.fault("HANGS_IN_PROVE")
    defer { unlink(configuration.plugin) }
    let backend = try await Backend(configuration)
    let prover = try await backend.openProver(key: [], boundaries: boundaries)
    for limit in [300, 0] {
      let error = await #expect(throws: BackendError.self) {
        try await prover.prove(
          inputs: [tensor], outputs: [tensor], context: context, within: .milliseconds(limit))
      }
      #expect(error == .deadlineExceeded(.prove, milliseconds: limit))
    }
    #expect(try await prover.execute([tensor], within: .seconds(60)) == [tensor])
  }

  @Test func limitOfACallRunsWhileItWaitsForOneThatHangs() async throws {
    let configuration = try Fixtures.fault("HANGS_IN_PROVE")
    defer { unlink(configuration.plugin) }
    let backend = try await Backend(configuration)
    let prover = try await backend.openProver(key: [], boundaries: boundaries)
    let (input, context) = (tensor, context)
    let start = ContinuousClock.now
    let calls = (0..<40).map { _ in
      Task {
        try await prover.prove(
          inputs: [input], outputs: [input], context: context, within: .seconds(2))
      }
    }
    for call in calls {
      // The one behind the first may be opening the next host when its own limit comes.
      let error = await #expect(throws: BackendError.self) { try await call.value }
      #expect(error?.code == "backend-deadline-exceeded")
    }
    #expect(ContinuousClock.now - start < .seconds(60), "one after the other they would take 80")
    #expect(try await prover.execute([tensor]) == [tensor])
  }

  @Test func batchesKeepTheirOrderAndTheirContexts() async throws {
    let configuration = try Fixtures.fault("NONE")
    defer { unlink(configuration.plugin) }
    let backend = try await Backend(configuration)
    #expect(backend.descriptor.provesBatches)
    let prover = try await backend.openProver(key: [], boundaries: boundaries)
    let verifier = try await backend.openVerifier(key: [], boundaries: boundaries)
    let batch = (0..<300).map { number in
      let tensor = Fixtures.tensor([Int16(number), 2, 3, 4])
      return Inference(
        inputs: [tensor], outputs: [tensor], context: Digest.of([UInt8(number % 7)]))
    }
    let proof = try await prover.prove(batch: batch)
    #expect(proof == batch.flatMap { [$0.outputs[0][0], $0.context.bytes[0]] })
    #expect(await verifier.verify(batch: batch, proof: proof).verdict == .valid)
    #expect(await verifier.verify(batch: batch.reversed(), proof: proof).verdict == .invalid)
    #expect(await verifier.verify(batch: batch.dropLast(), proof: proof).verdict == .invalid)
    for refused in [[], Array(repeating: batch[0], count: Inference.batchLimit + 1)] {
      let error = await #expect(throws: BackendError.self) {
        try await prover.prove(batch: refused)
      }
      #expect(error?.code == "backend-arguments-malformed")
    }
  }

  @Test func batchesAreRefusedByABackendWithoutThem() async throws {
    let configuration = try Fixtures.fault("NO_BATCH")
    defer { unlink(configuration.plugin) }
    let backend = try await Backend(configuration)
    #expect(!backend.descriptor.provesBatches)
    let inference = Inference(inputs: [tensor], outputs: [tensor], context: context)
    let prover = try await backend.openProver(key: [], boundaries: boundaries)
    let error = await #expect(throws: BackendError.self) {
      try await prover.prove(batch: [inference])
    }
    #expect(error?.code == "batches-unsupported")
    let verifier = try await backend.openVerifier(key: [], boundaries: boundaries)
    #expect(await verifier.verify(batch: [inference], proof: []).verdict == .inconclusive)
  }

  @Test(arguments: ["CRASH_IN_BATCH", "UNKNOWN_BATCH_VERDICT"])
  func batchThatGoesWrongIsInconclusiveAndTheNextCallIsServed(fault: String) async throws {
    let configuration = try Fixtures.fault(fault)
    defer { unlink(configuration.plugin) }
    let backend = try await Backend(configuration)
    let verifier = try await backend.openVerifier(key: [], boundaries: boundaries)
    let inference = Inference(inputs: [tensor], outputs: [tensor], context: context)
    #expect(await verifier.verify(batch: [inference], proof: [1, 7]).verdict == .inconclusive)
    let single = await verifier.verify(
      inputs: [tensor], outputs: [tensor], proof: [], context: context)
    #expect(single.verdict == .valid)
  }

  @Test func optionsReachThePluginWithinTheirBound() async throws {
    let configuration = try Fixtures.fault("NONE")
    defer { unlink(configuration.plugin) }
    let backend = try await Backend(configuration)
    let bundle = SliceBundle(onnx: [], program: [], boundaries: boundaries)
    #expect(
      try await backend.compile(bundle, options: "mode=é a=b").prover == Array("mode=é a=b".utf8))
    for options in [String(repeating: "a", count: Backend.optionsLimit + 1), "a=\u{0}"] {
      let error = await #expect(throws: BackendError.self) {
        try await backend.compile(bundle, options: options)
      }
      #expect(error?.code == "backend-arguments-malformed")
    }
  }

  @Test func usageIsTheHostsOwn() async throws {
    let configuration = try Fixtures.fault("NONE")
    defer { unlink(configuration.plugin) }
    let usage = try await Backend(configuration).usage()
    #expect(usage.processorNanoseconds > 0)
    #expect(usage.residentBytes > 1 << 20)
    #expect(usage.peakResidentBytes >= usage.residentBytes)
  }

  @Test func pluginSeesNeitherEnvironmentNorDescriptors() async throws {
    let configuration = try Fixtures.fault("SECRET_ENVIRONMENT")
    defer { unlink(configuration.plugin) }
    let backend = try await Backend(configuration)
    let verifier = try await backend.openVerifier(key: [], boundaries: boundaries)
    let verification = await verifier.verify(
      inputs: [tensor], outputs: [tensor], proof: [], context: context)
    #expect(verification.verdict == .valid)
  }
}
