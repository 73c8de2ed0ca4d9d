import FixedPoint
import Primitives
import ProverHost
import Statements

/// The checks of one slice, in the order in which a slice lives.
struct SliceCheck {
  let slice: CheckedSlice
  let backend: Backend
  let configuration: Backend.Configuration
  let settings: PluginCheck.Settings
  let progress: @Sendable (String) -> Void
  let executor: Executor?
  private(set) var results: [CheckResult] = []

  init(
    slice: CheckedSlice, backend: Backend, configuration: Backend.Configuration,
    settings: PluginCheck.Settings, progress: @escaping @Sendable (String) -> Void
  ) {
    self.slice = slice
    self.backend = backend
    self.configuration = configuration
    self.settings = settings
    self.progress = progress
    executor = slice.executor(for: backend.descriptor)
  }

  var descriptor: BackendDescriptor { backend.descriptor }
  var boundaries: Boundaries { slice.bundle.boundaries }

  /// Gives what was proven and accepted, for checks that need several slices.
  mutating func run() async -> [Proven] {
    guard await checkSupports() else { return [] }
    await check("estimate") { try await $0.estimateIsRepeatable() }
    guard let keys = await compiled() else { return [] }
    await check("options") { try await $0.unknownOptionIsRefused() }
    await check("execute") { try await $0.executeAgrees(keys) }
    await check("range faults") { try await $0.extremesAgree(keys) }
    guard let proven = await roundTrip(keys) else { return [] }
    await check("prove without execute") { try await $0.provesWithoutExecute(proven) }
    await check("false outputs") { try await $0.falseOutputsAreNotProven(proven) }
    await checkTampering(proven)
    let batch = await checkBatch()
    await checkEndurance(proven)
    return [proven] + (batch.map { [$0] } ?? [])
  }

  /// Runs one check and keeps what came of it.
  mutating func check(
    _ name: String, _ body: (SliceCheck) async throws -> Finding
  ) async {
    progress("\(slice.name): \(name)")
    let outcome: CheckResult.Outcome
    let measured: String
    do {
      switch try await body(self) {
      case .passed(let figures): (outcome, measured) = (.passed, figures)
      case .notApplicable(let why): (outcome, measured) = (.notApplicable, why)
      }
    } catch let failure as Failure {
      (outcome, measured) = (.failed, failure.what)
    } catch let error as BackendError {
      (outcome, measured) = (.failed, "\(error.code): \(error.sentence)")
    } catch {
      (outcome, measured) = (.failed, "\(error)")
    }
    results.append(
      CheckResult(check: name, slice: slice.name, outcome: outcome, measured: measured))
  }

  /// The number-th inference, with the executor's outputs where there is one, else the backend's.
  func inference(_ number: Int, by prover: ProverSession) async throws -> Inference {
    let inputs = slice.samples[number % slice.samples.count]
    let outputs =
      if let executor { try executor.run(inputs) } else { try await prover.execute(inputs) }
    return Inference(
      inputs: inputs, outputs: outputs,
      context: Digest.of(Array("\(slice.name) \(number)".utf8)))
  }

  // MARK: Before a key

  private mutating func checkSupports() async -> Bool {
    var isTaken = false
    await check("supports") { check in
      let first = try await check.backend.obstacles(to: check.slice.bundle)
      let second = try await check.backend.obstacles(to: check.slice.bundle)
      try require(first == second, "two answers differ")
      guard first.isEmpty else {
        return .notApplicable("not taken: \(first.prefix(3).joined(separator: "; "))")
      }
      isTaken = true
      return .passed("")
    }
    return isTaken
  }

  private func estimateIsRepeatable() async throws -> Finding {
    let first = try await backend.estimate(slice.bundle)
    let second = try await backend.estimate(slice.bundle)
    try require(first == second, "two answers differ")
    return .passed(
      "\(first.costUnits) units, \(Figures.bytes(first.peakMemoryBytes)), "
        + "proof \(Figures.bytes(first.proofBytes))")
  }

  private mutating func compiled() async -> CompiledKeys? {
    var keys: CompiledKeys?
    await check("compile") { check in
      let first: CompiledKeys
      let time: Duration
      do {
        (first, time) = try await Figures.timed {
          try await check.backend.compile(check.slice.bundle, options: check.settings.options)
        }
      } catch BackendError.optionsRefused(_, let why) {
        // `supports` speaks of the backend's own choice.
        return .notApplicable("not taken with these options: \(why)")
      }
      keys = first
      let figures =
        "\(Figures.milliseconds(time)), verifier key \(Figures.bytes(first.verifier.count))"
      guard check.descriptor.traits.contains(.deterministicKeys) else {
        return .passed(figures + "; promises no equal keys")
      }
      // In a process of its own, so that nothing is remembered.
      let fresh = try await Backend(check.configuration)
      let second = try await fresh.compile(check.slice.bundle, options: check.settings.options)
      await fresh.close()
      try require(first == second, "two compilations give other keys, and equal ones are promised")
      return .passed(figures)
    }
    return keys
  }

  private func unknownOptionIsRefused() async throws -> Finding {
    let key = "unheard-of"
    do {
      _ = try await backend.compile(
        slice.bundle, options: (settings.options + " \(key)=1").drop { $0 == " " }.description)
    } catch let error as BackendError {
      guard case .optionsRefused(_, let sentence) = error else {
        throw Failure("'\(key)=1' is refused as \(error.code)")
      }
      try require(sentence.contains(key), "the refusal does not name '\(key)': \(sentence)")
      return .passed("")
    }
    throw Failure("'\(key)=1' is accepted")
  }

  // MARK: Execution

  private func executeAgrees(_ keys: CompiledKeys) async throws -> Finding {
    let prover = try await backend.openProver(key: keys.prover, boundaries: boundaries)
    var times: [Duration] = []
    for inputs in slice.samples {
      let (first, time) = try await Figures.timed { try await prover.execute(inputs) }
      times.append(time)
      try require(try await prover.execute(inputs) == first, "two executions differ")
      if let executor {
        try require(first == (try executor.run(inputs)), "the outputs are not the program's")
      }
    }
    let median = Figures.milliseconds(times.sorted()[times.count / 2])
    return .passed("\(slice.samples.count) samples, \(median)")
  }

  /// Tensors of the least and greatest integers drive a program where it may have no value.
  private func extremesAgree(_ keys: CompiledKeys) async throws -> Finding {
    guard let executor else { return .notApplicable("the semantics is the backend's own") }
    let prover = try await backend.openProver(key: keys.prover, boundaries: boundaries)
    var faults = 0
    for pattern: [UInt8] in [[0xFF, 0x7F], [0, 0x80], [0xFF, 0x7F, 0, 0x80]] {
      let inputs = boundaries.inputs.map { input in
        (0..<input.byteCount).map { pattern[$0 % pattern.count] }
      }
      let expected: [[UInt8]]?
      do throws(ExecutionError) {
        expected = try executor.run(inputs)
      } catch {
        expected = nil
        faults += 1
      }
      do {
        let outputs = try await prover.execute(inputs)
        try require(outputs == expected, "the outputs of extreme inputs are not the program's")
      } catch let error as BackendError {
        guard case .refused(.rangeFault, let sentence) = error else { throw error }
        try require(expected == nil, "a range fault where the program has a value: \(sentence)")
      }
    }
    return .passed("\(faults) of 3 extreme inputs have no value")
  }

  // MARK: Proofs

  private mutating func roundTrip(_ keys: CompiledKeys) async -> Proven? {
    var proven: Proven?
    await check("prove and verify") { check in
      let prover = try await check.backend.openProver(
        key: keys.prover, boundaries: check.boundaries)
      let verifier = try await check.backend.openVerifier(
        key: keys.verifier, boundaries: check.boundaries)
      let statement = Statement(try await check.inference(0, by: prover))
      _ = try await prover.execute(statement.inferences[0].inputs)
      let (proof, proving) = try await Figures.timed { try await prover.prove(statement) }
      let (verification, verifying) = await Figures.timed {
        await verifier.verify(statement, proof: proof)
      }
      try require(
        verification.verdict == .valid,
        "its own proof is \(verification.verdict): \(verification.reason)")
      proven = Proven(slice: check.slice, keys: keys, statement: statement, proof: proof)
      return .passed(
        "proved in \(Figures.milliseconds(proving)), verified in "
          + "\(Figures.milliseconds(verifying)), proof \(Figures.bytes(proof.count))")
    }
    return proven
  }

  private func provesWithoutExecute(_ proven: Proven) async throws -> Finding {
    let prover = try await backend.openProver(key: proven.keys.prover, boundaries: boundaries)
    let verifier = try await backend.openVerifier(
      key: proven.keys.verifier, boundaries: boundaries)
    let proof = try await prover.prove(proven.statement)
    let verification = await verifier.verify(proven.statement, proof: proof)
    try require(
      verification.verdict == .valid,
      "its proof is \(verification.verdict): \(verification.reason)")
    return .passed(proof == proven.proof ? "the same bytes" : "other bytes")
  }

  private func falseOutputsAreNotProven(_ proven: Proven) async throws -> Finding {
    let prover = try await backend.openProver(key: proven.keys.prover, boundaries: boundaries)
    let verifier = try await backend.openVerifier(
      key: proven.keys.verifier, boundaries: boundaries)
    var lie = proven.statement
    lie.inferences[0].outputs[0][0] ^= 1
    let proof: [UInt8]
    do {
      proof = try await prover.prove(lie)
    } catch let error as BackendError {
      guard case .refused(let status, _) = error else { throw error }
      return .passed("the prover refuses: \(status)")
    }
    let verification = await verifier.verify(lie, proof: proof)
    try require(
      verification.verdict == .invalid, "their proof is \(verification.verdict)")
    return .passed("the verifier refuses their proof")
  }

  // MARK: Batches

  /// A batch's proof is a subject of the mutants too, unless it is large: there the same code
  /// would be tried at a higher price.
  private static let mutatedBatchLimit = 1 << 16

  /// Three inferences in one proof, where the backend offers that.
  private mutating func checkBatch() async -> Proven? {
    var proven: Proven?
    await check("batch") { check in
      guard check.descriptor.provesBatches else {
        return .notApplicable("offers no batches")
      }
      let count = 3
      let (keys, isFixed) = try await check.batchKeys(count)
      let prover = try await check.backend.openProver(
        key: keys.prover, boundaries: check.boundaries)
      let verifier = try await check.backend.openVerifier(
        key: keys.verifier, boundaries: check.boundaries)
      var batch: [Inference] = []
      for number in 0..<count { batch.append(try await check.inference(number, by: prover)) }
      let statement = Statement(batch: batch)
      let (proof, time) = try await Figures.timed { try await prover.prove(statement) }
      let verification = await verifier.verify(statement, proof: proof)
      try require(
        verification.verdict == .valid,
        "its own proof is \(verification.verdict): \(verification.reason)")
      let candidate = Proven(
        slice: check.slice, keys: keys, statement: statement, proof: proof)
      for (what, changed) in check.rearranged(batch) {
        let changed = Statement(batch: changed)
        guard
          candidate.mustRefuse(changed, proof: proof, by: check.descriptor, check.executor) == true
        else { continue }
        let found = await verifier.verify(changed, proof: proof)
        try require(found.verdict != .valid, "\(what) is \(found.verdict)")
      }
      if proof.count <= Self.mutatedBatchLimit { proven = candidate }
      return .passed(
        "\(count) in \(Figures.milliseconds(time)), proof \(Figures.bytes(proof.count))"
          + (isFixed ? ", the key fixes how many" : ""))
    }
    return proven
  }

  /// Keys for proofs of `count` inferences. A backend whose keys fix the number has an option
  /// `batch` for it; any other takes every number.
  private func batchKeys(_ count: Int) async throws -> (CompiledKeys, isFixed: Bool) {
    let options = settings.options.split(separator: " ").filter { !$0.hasPrefix("batch=") }
    do {
      return (
        try await backend.compile(
          slice.bundle, options: (options + ["batch=\(count)"]).joined(separator: " ")), true
      )
    } catch let error as BackendError {
      switch error {
      case .refused, .optionsRefused: break
      default: throw error
      }
      return (
        try await backend.compile(slice.bundle, options: options.joined(separator: " ")), false
      )
    }
  }

  private func rearranged(_ batch: [Inference]) -> [(String, [Inference])] {
    var exchanged = batch
    exchanged.swapAt(0, batch.count - 1)
    var altered = batch
    altered[batch.count - 1].outputs[0][0] ^= 1
    var moved = batch
    (moved[0].context, moved[1].context) = (batch[1].context, batch[0].context)
    return [
      ("another order", exchanged), ("one inference less", batch.dropLast()),
      ("one inference twice", batch + batch.suffix(1)), ("an altered output", altered),
      ("exchanged contexts", moved),
    ]
  }
}
