import FixedPoint
import Primitives
import ProverHost
import Statements
import Synchronization

/// Tries many changed statements and proofs on several verifier processes at once. What each mutant
/// is follows from the seed, the order of the subjects and its number.
package struct MutationCampaign: Sendable {
  package struct Report: Sendable {
    package let seed: UInt64
    package let tried: Int
    package let refused: Int
    /// Changes after which the statement is still true and the proof as it should be, or that the
    /// backend promises nothing about.
    package let harmless: Int
    package let seconds: Double
    /// What was not refused, ready to be found again; at most `failureLimit` are kept.
    package let failures: [String]
    /// Bytes of proofs, and how many of them were visited by a flip.
    package let proofBytes: Int
    package let visitedBytes: Int

    package var perSecond: Double { Double(tried) / max(seconds, 1e-9) }

    var result: CheckResult {
      let figures =
        "\(tried) tried, \(refused) refused, \(harmless) harmless, \(Int(perSecond))/s, "
        + "\(visitedBytes) of \(proofBytes) proof bytes visited, seed \(seed)"
      return CheckResult(
        check: "mutants", slice: "-", outcome: failures.isEmpty ? .passed : .failed,
        measured: failures.first.map { "\($0); \(figures)" } ?? figures)
    }
  }

  package static let failureLimit = 20
  /// Mutants that a verifier takes at a time.
  private static let chunk = 64

  let configuration: Backend.Configuration
  let subjects: [Proven]
  let settings: PluginCheck.Settings
  let progress: @Sendable (String) -> Void

  /// How many of the mutants are of each subject: first those that visit its proof's bytes, as far
  /// as they go in proportion, then random ones in equal parts.
  private struct Share {
    let subject: Int
    let visits: Int
    let count: Int
  }

  private struct Tally: Sendable {
    var next = 0
    var done = 0
    var refused = 0
    var harmless = 0
    var failures: [String] = []
  }

  package func run() async throws -> Report {
    let shares = shares()
    let total = shares.reduce(0) { $0 + $1.count }
    let tally = SharedTally()
    let clock = ContinuousClock()
    let start = clock.now
    try await withThrowingTaskGroup(of: Void.self) { group in
      for _ in 0..<max(1, settings.verifiers) {
        group.addTask { try await verify(shares, total: total, tally, since: start) }
      }
      try await group.waitForAll()
    }
    let result = tally.state.withLock { $0 }
    return Report(
      seed: settings.seed, tried: result.done, refused: result.refused,
      harmless: result.harmless, seconds: (clock.now - start) / .seconds(1),
      failures: result.failures, proofBytes: subjects.reduce(0) { $0 + $1.proof.count },
      visitedBytes: shares.reduce(0) { $0 + $1.visits })
  }

  private func shares() -> [Share] {
    let bytes = subjects.reduce(0) { $0 + $1.proof.count }
    let visits = subjects.map {
      settings.mutants >= bytes
        ? $0.proof.count
        : Int(Double(settings.mutants) * 0.8 * Double($0.proof.count) / Double(bytes))
    }
    let left = settings.mutants - visits.reduce(0, +)
    return subjects.indices.map { index in
      let random = left / subjects.count + (index < left % subjects.count ? 1 : 0)
      return Share(subject: index, visits: visits[index], count: visits[index] + random)
    }
  }

  /// One verifier's work: a process of its own, a session for each subject, and chunks of mutants
  /// until there are none.
  private func verify(
    _ shares: [Share], total: Int, _ tally: SharedTally, since start: ContinuousClock.Instant
  ) async throws {
    var configuration = configuration
    configuration.threads = 1
    configuration.jobsPerProcess = .max
    let backend = try await Backend(configuration)
    var sessions: [VerifierSession] = []
    for subject in subjects {
      sessions.append(
        try await backend.openVerifier(
          key: subject.keys.verifier, boundaries: subject.slice.bundle.boundaries))
    }
    let executors = subjects.map { $0.slice.executor(for: backend.descriptor, threads: 1) }
    while let chunk = tally.take(Self.chunk, of: total) {
      var (refused, harmless) = (0, 0)
      for number in chunk {
        let (share, local) = Self.locate(number, shares)
        let subject = subjects[share.subject]
        let seed = settings.seed &+ UInt64(share.subject) &* 0x9E37_79B9_7F4A_7C15
        let mutation: Mutation =
          local < share.visits
          ? .visit(local, of: subject.proof.count, seed: seed)
          : .random(local, of: subject.statement, proof: subject.proof, seed: seed)
        let (statement, proof) = mutation.applied(to: subject.statement, proof: subject.proof)
        guard
          subject.mustRefuse(
            statement, proof: proof, by: backend.descriptor, executors[share.subject]) == true
        else {
          harmless += 1
          continue
        }
        let verification = await sessions[share.subject].verify(statement, proof: proof)
        if verification.verdict == .invalid {
          refused += 1
        } else {
          let kind = subject.statement.isBatch ? " (batch)" : ""
          tally.fail(
            "mutant \(number) of --seed \(settings.seed), \(subject.slice.name)\(kind), "
              + "\(mutation): \(verification.verdict) \(verification.reason)")
        }
      }
      let done = tally.finish(chunk.count, refused: refused, harmless: harmless)
      let seconds = (ContinuousClock.now - start) / .seconds(1)
      progress("mutants: \(done) of \(total), \(Int(Double(done) / max(seconds, 1e-3)))/s")
    }
    await backend.close()
  }

  private static func locate(_ number: Int, _ shares: [Share]) -> (Share, Int) {
    var local = number
    for share in shares.dropLast() {
      if local < share.count { return (share, local) }
      local -= share.count
    }
    return (shares[shares.count - 1], local)
  }

  /// What the verifiers of one campaign share.
  private final class SharedTally: Sendable {
    let state = Mutex(Tally())

    /// The next numbers; none once too much has failed.
    func take(_ count: Int, of total: Int) -> Range<Int>? {
      state.withLock { state in
        guard state.next < total, state.failures.count < failureLimit else { return nil }
        defer { state.next = min(total, state.next + count) }
        return state.next..<min(total, state.next + count)
      }
    }

    func fail(_ what: String) {
      state.withLock { if $0.failures.count < failureLimit { $0.failures.append(what) } }
    }

    /// How many are done.
    func finish(_ count: Int, refused: Int, harmless: Int) -> Int {
      state.withLock { state in
        state.done += count
        state.refused += refused
        state.harmless += harmless
        return state.done
      }
    }
  }
}
