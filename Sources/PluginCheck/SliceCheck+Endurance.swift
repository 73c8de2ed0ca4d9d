import Primitives
import ProverHost
import Statements

extension SliceCheck {
  /// What a backend does when it is stopped, shared, used for long, or given nonsense.
  mutating func checkEndurance(_ proven: Proven) async {
    await check("cancellation") { try await $0.cancellationIsAnswered(proven) }
    await check("two sessions") { try await $0.sessionsDoNotMix(proven) }
    await check("memory") { try await $0.memoryStays(proven) }
    await check("wrong role") { try await $0.wrongRoleIsSurvived(proven) }
    await check("hostile keys") { try await $0.hostileKeysAreSurvived(proven) }
  }

  /// Bound for the answer, of the header's "poll it about every 10 ms".
  private static let cancellationLimit = Duration.milliseconds(100)
  /// Tries at one moment of a proof before it counts as late there. A backend that does not poll is
  /// late every time, a busy machine only now and then.
  private static let cancellationTries = 5

  private func cancellationIsAnswered(_ proven: Proven) async throws -> Finding {
    let prover = try await backend.openProver(key: proven.keys.prover, boundaries: boundaries)
    let inference = proven.statement.inferences[0]
    let whole = try await prover.timedProof(of: inference).whole
    var latencies: [Duration] = []
    for percent in [10, 30, 50, 70, 20, 40, 60] {
      var late: [Duration] = []
      for _ in 0..<Self.cancellationTries {
        let proof = try await prover.timedProof(
          of: inference, stoppedAfter: whole * percent / 100)
        guard let latency = proof.sinceStop else { break }
        guard latency <= Self.cancellationLimit else {
          late.append(latency)
          continue
        }
        // A finished one was done before it heard.
        if !proof.isFinished { latencies.append(latency) }
        break
      }
      if late.count == Self.cancellationTries, let best = late.min() {
        throw Failure(
          "answered late each time at \(percent) % of \(Figures.milliseconds(whole)): "
            + "\(Figures.milliseconds(best)) in the best of \(late.count) tries")
      }
      latencies += late
    }
    let verifier = try await backend.openVerifier(
      key: proven.keys.verifier, boundaries: boundaries)
    let proof = try await prover.prove(proven.statement)
    let verification = await verifier.verify(proven.statement, proof: proof)
    try require(
      verification.verdict == .valid, "after a cancellation its proof is \(verification.verdict)")
    guard !latencies.isEmpty else {
      return .notApplicable("done in \(Figures.milliseconds(whole)), too soon to be cancelled")
    }
    latencies.sort()
    return .passed(
      "median \(Figures.milliseconds(latencies[latencies.count / 2])) of \(latencies.count) tries, "
        + "most \(Figures.milliseconds(latencies[latencies.count - 1]))")
  }

  /// Two of each role, used in turn: what one keeps of an execution is not the other's.
  private func sessionsDoNotMix(_ proven: Proven) async throws -> Finding {
    let key = proven.keys
    let first = try await backend.openProver(key: key.prover, boundaries: boundaries)
    let second = try await backend.openProver(key: key.prover, boundaries: boundaries)
    let one = try await inference(0, by: first)
    let other = try await inference(1, by: second)
    _ = try await first.execute(one.inputs)
    _ = try await second.execute(other.inputs)
    async let firstProof = first.prove(Statement(one))
    async let secondProof = second.prove(Statement(other))
    let proofs = (try await firstProof, try await secondProof)
    let verifiers = (
      try await backend.openVerifier(key: key.verifier, boundaries: boundaries),
      try await backend.openVerifier(key: key.verifier, boundaries: boundaries)
    )
    let valid = (
      await verifiers.0.verify(Statement(one), proof: proofs.0).verdict,
      await verifiers.1.verify(Statement(other), proof: proofs.1).verdict
    )
    try require(valid == (.valid, .valid), "their proofs are \(valid.0) and \(valid.1)")
    guard one.inputs != other.inputs, !descriptor.traits.contains(.reexecutes) else {
      return .passed("")
    }
    let crossed = await verifiers.0.verify(Statement(one), proof: proofs.1)
    try require(crossed.verdict == .invalid, "the other's proof is \(crossed.verdict)")
    return .passed("")
  }

  private static let memoryTries = 3

  /// Growth over many rounds after some to warm up; how many those are depends on how fast the
  /// machine is just then.
  private func memoryStays(_ proven: Proven) async throws -> Finding {
    // A process of its own, or what other checks left would count.
    let fresh = try await Backend(configuration)
    let prover = try await fresh.openProver(key: proven.keys.prover, boundaries: boundaries)
    let verifier = try await fresh.openVerifier(
      key: proven.keys.verifier, boundaries: boundaries)
    func round() async throws {
      _ = try await prover.execute(proven.statement.inferences[0].inputs)
      let proof = try await prover.prove(proven.statement)
      let verification = await verifier.verify(proven.statement, proof: proof)
      try require(verification.verdict == .valid, "its proof is \(verification.verdict)")
      let opened = try await fresh.openVerifier(
        key: proven.keys.verifier, boundaries: boundaries)
      _ = await opened.verify(proven.statement, proof: proof)
    }
    let (_, time) = try await Figures.timed { try await round() }
    // About a second of it, and enough to see a leak of a tensor's size. An allocator takes some
    // rounds before it has all that it keeps for its threads.
    let rounds = Int(max(8, min(60, .seconds(1) / time)))
    for _ in 0..<rounds { try await round() }
    var figures = ""
    // A leak grows every time, an allocator only until it has all that it keeps.
    for _ in 0..<Self.memoryTries {
      let before = try await fresh.usage()
      for _ in 0..<rounds { try await round() }
      let after = try await fresh.usage()
      let growth = Int(after.residentBytes) - Int(before.residentBytes)
      figures =
        "\(Figures.bytes(growth)) in \(rounds) rounds, resident "
        + "\(Figures.bytes(after.residentBytes)), peak \(Figures.bytes(after.peakResidentBytes))"
      if growth <= max(16 << 20, Int(before.residentBytes) / 10) {
        await fresh.close()
        return .passed(figures)
      }
    }
    await fresh.close()
    throw Failure("grew each of \(Self.memoryTries) times, at last by \(figures)")
  }

  /// The header lets a plugin answer as it likes, if it lives and calls nothing valid that is not.
  private func wrongRoleIsSurvived(_ proven: Proven) async throws -> Finding {
    let answers = try await backend.callWithTheWrongRole(
      keys: proven.keys, boundaries: boundaries, proven.statement.inferences[0])
    return .passed(answers.map { "\($0.0): \($0.1)" }.joined(separator: ", "))
  }

  /// Keys come from strangers: each is refused, or opens and verifies nothing that it should not.
  private func hostileKeysAreSurvived(_ proven: Proven) async throws -> Finding {
    var random = SplitMix64(state: settings.seed)
    let key = proven.keys.verifier
    var keys: [[UInt8]] = [[], [0], .init(repeating: 255, count: 64)]
    keys.append((0..<256).map { _ in UInt8.random(in: 0...255, using: &random) })
    for number in 0..<48 where !key.isEmpty {
      var changed = key
      switch number % 4 {
      case 0: changed.removeLast(Int.random(in: 1...key.count, using: &random))
      case 1: changed += [UInt8](repeating: 0, count: 1 + number)
      // The head holds counts and shapes, the rest mostly weights.
      case 2: changed[number * 8 % min(key.count, 512)] ^= 1 << UInt8(number / 4 % 8)
      default:
        changed[Int.random(in: 0..<key.count, using: &random)] = UInt8.random(
          in: 0...255, using: &random)
      }
      if changed != key { keys.append(changed) }
    }
    var opened = 0
    for changed in keys {
      do {
        let verifier = try await backend.openVerifier(key: changed, boundaries: boundaries)
        opened += 1
        let verification = await verifier.verify(proven.statement, proof: proven.proof)
        try require(
          verification.verdict != .valid || descriptor.traits.contains(.reexecutes),
          "the proof is valid under a changed key")
      } catch let error as BackendError {
        guard case .refused = error else { throw error }
      }
      do {
        _ = try await backend.openProver(key: changed, boundaries: boundaries)
      } catch let error as BackendError {
        guard case .refused = error else { throw error }
      }
    }
    return .passed("\(keys.count - opened) of \(keys.count) refused, the others open")
  }
}
