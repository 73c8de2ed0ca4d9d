import Dispatch
package import Journal
import Market
package import Primitives
package import ProverHost
package import Replay
import Statements
package import Verdicts

/// Finds the verdicts of a journal again, while the journal is replayed: that the broker recorded
/// what its evidence says, and that its evidence says what is so.
package struct VerdictAudit: Sendable {
  /// Which of the verdicts.
  package enum Choice: Hashable, Sendable, CustomStringConvertible {
    case all
    /// So many, drawn by the seed.
    case sample(Int)
    case none

    package var description: String {
      switch self {
      case .all: "all"
      case .sample(let count): "sample:\(count)"
      case .none: "none"
      }
    }
  }

  /// A verdict that could be neither confirmed nor contradicted here.
  package struct Unverified: Hashable, Sendable, Encodable {
    package let sequence: UInt64
    package let lease: UInt64
    package let reason: String
  }

  package struct Report: Sendable {
    package let choice: Choice
    package let seed: Digest
    /// Verdicts that the journal records.
    package internal(set) var recorded: UInt64 = 0
    package internal(set) var chosen: UInt64 = 0
    /// Those of the chosen whose proof was verified again, with the same verdict.
    package internal(set) var proofs: UInt64 = 0
    /// Those of the chosen whose program was run again, with the same verdict.
    package internal(set) var reexecutions: UInt64 = 0
    /// Recorded as inconclusive: nothing was found, so there is nothing to compare with.
    package internal(set) var inconclusive: UInt64 = 0
    package internal(set) var unverifiedCount: UInt64 = 0
    /// The first of them.
    package internal(set) var unverified: [Unverified] = []
    /// The first verdict that does not hold. Later ones were not looked at.
    package internal(set) var divergence: Divergence?
  }

  private static let unverifiedLimit = 100
  /// Verdicts that may wait while the replay goes ahead.
  private static let backlog = 256

  private let verifier: Verifier
  private let blobs: any BlobSource
  private let backends: [BackendID: BackendDescriptor]
  private let keys = KeyChecks()

  /// - Parameters:
  ///   - blobs: Those of the journal; without them no verdict can be found again.
  ///   - backends: By which leases are verified; `reexec` runs programs again.
  package init(reading blobs: (any BlobSource)?, verifyingWith backends: [Backend]) {
    self.blobs = blobs ?? NoBlobs()
    verifier = Verifier(backends, reading: self.blobs)
    self.backends = Dictionary(backends.map { ($0.descriptor.id, $0.descriptor) }) { first, _ in
      first
    }
  }

  /// Replays the journal at `path` and finds the chosen verdicts again. Those of `all` are found
  /// beside the replay; those of a sample, which is known at the end, after it.
  ///
  /// - Parameters:
  ///   - seed: Draws the sample: the same for the same journal. Whoever wrote the journal must not
  ///     have known it.
  ///   - progress: Entries decided again, or of a sample verdicts found.
  /// - Throws: What `Replay.run` throws.
  package func run(
    path: String, options: Replay.Options = Replay.Options(), choice: Choice, seed: Digest,
    progress: @escaping @Sendable (_ done: UInt64, _ total: UInt64, _ what: String) -> Void = {
      _, _, _ in
    }
  ) async throws -> (replay: ReplayReport, verdicts: Report) {
    let (verdicts, queue) = AsyncStream.makeStream(of: RecordedVerdict.self)
    let room = DispatchSemaphore(value: Self.backlog)
    let replaying = Task { () -> Result<(ReplayReport, UInt64), JournalError> in
      await withCheckedContinuation { continuation in
        // On a thread of its own, since it waits where the verdicts do not keep up.
        DispatchQueue.global().async {
          var sample = Sample(choice, seed)
          let result = Result { () throws(JournalError) in
            try Replay.run(path: path, options: options) { verdict in
              guard sample.admits(verdict) else { return }
              room.wait()
              queue.yield(verdict)
            } progress: {
              progress($0, $1, "entries")
            }
          }
          for verdict in sample.drawn {
            queue.yield(verdict)
          }
          queue.finish()
          continuation.resume(returning: result.map { ($0, sample.recorded) })
        }
      }
    }
    var report = Report(choice: choice, seed: seed)
    await withTaskGroup(of: (RecordedVerdict, Finding?).self) { group in
      var running = 0
      func note(_ found: (RecordedVerdict, Finding?)?) {
        guard let (verdict, finding) = found else { return }
        running -= 1
        room.signal()
        // Without one an earlier verdict does not hold.
        if let finding { report.note(finding, of: verdict) }
      }
      for await verdict in verdicts {
        report.chosen += 1
        if running == Self.width { note(await group.next()) }
        let isMoot = report.divergence != nil
        group.addTask { (verdict, isMoot ? nil : await find(verdict)) }
        running += 1
        if case .sample(let count) = choice { progress(report.chosen, UInt64(count), "verdicts") }
      }
      while running > 0 { note(await group.next()) }
    }
    let (replay, recorded) = try await replaying.value.get()
    report.recorded = recorded
    return (replay, report)
  }

  /// Verdicts under way: enough to keep each backend's process busy, which does one at a time.
  private static let width = 4

  // MARK: One verdict

  /// What came of finding a verdict again.
  package enum Finding: Sendable {
    /// The proof was verified again, with the same verdict.
    case proof
    /// The program was run again, with the same verdict.
    case reexecution
    /// Nothing was found in the first place.
    case inconclusive
    case unverified(String)
    case diverged(Divergence)
  }

  /// Finds one verdict again.
  package func find(_ recorded: RecordedVerdict) async -> Finding {
    do {
      if let divergence = try await evidenceFault(recorded) { return .diverged(divergence) }
      guard recorded.record.verdict != .inconclusive else { return .inconclusive }
      if recorded.job.purpose == .receipt, let fault = try await keyFault(recorded) {
        return fault
      }
      return judge(try await verifier.verify(recorded.job, of: recorded.slice), recorded)
    } catch {
      return .unverified((error as? any CodedError)?.sentence ?? "\(error)")
    }
  }

  /// Where the evidence is not about what the market wanted, or not about what was recorded.
  private func evidenceFault(_ recorded: RecordedVerdict) async throws -> Divergence? {
    let (record, job) = (recorded.record, recorded.job)
    guard record.evidence != Digest.of([]) else { throw VerdictAuditError.noEvidence }
    let bytes = try await blobs.read(record.evidence)
    func diverged(
      _ what: String, _ expected: some CustomStringConvertible, _ got: some CustomStringConvertible
    ) -> Divergence {
      Divergence(
        sequence: recorded.sequence, subject: "\(what) of the evidence on lease \(job.lease)",
        expected: expected, got: got)
    }
    let evidence: Evidence
    do { evidence = try Evidence(canonicalBytes: bytes) } catch {
      return diverged("bytes", "a canonical record", error.sentence)
    }
    if evidence.statement != job.statement {
      return diverged("statement", job.statement.digest, evidence.statement.digest)
    }
    if evidence.proof != job.proof { return diverged("proof", job.proof, evidence.proof) }
    if evidence.purpose != job.purpose {
      return diverged("purpose", "\(job.purpose)", "\(evidence.purpose)")
    }
    if evidence.verdict != record.verdict {
      return diverged("verdict", record.verdict, evidence.verdict)
    }
    if let word = evidence.word, !word.holds(for: job) || word.verdict != record.verdict {
      return diverged(
        "verifier's word", "one on this job by \(word.verifier)", "another, or not signed by it")
    }
    return nil
  }

  /// A proof shows what its key says, so the key must be the program's.
  private func keyFault(_ recorded: RecordedVerdict) async throws -> Finding? {
    let record = recorded.job.keyRecord
    let foreign = try await keys.foreignKey(record, of: recorded.slice, verifier)
    guard let foreign else { return nil }
    guard foreign.version == record.backendVersion else {
      return .unverified(
        "its key is by \(record.backend) \(record.backendVersion), and \(foreign.version) here compiles another; name the plugin of that version with --plugin"
      )
    }
    return .diverged(
      Divergence(
        sequence: recorded.sequence,
        subject: "verifier key of slice '\(recorded.slice.name)' by \(record.backend)",
        expected: foreign.compiled, got: record.verifierKey))
  }

  private func judge(_ found: Verification, _ recorded: RecordedVerdict) -> Finding {
    let job = recorded.job
    switch found.verdict {
    case .inconclusive: return .unverified(found.reason)
    case recorded.record.verdict:
      let isRerun =
        job.purpose != .receipt
        || backends[job.statement.backend]?.traits.contains(.reexecutes) ?? false
      return isRerun ? .reexecution : .proof
    default:
      let reason = found.reason.isEmpty ? "" : " (\(found.reason))"
      return .diverged(
        Divergence(
          sequence: recorded.sequence,
          subject: "verdict on lease \(job.lease), for its \(job.purpose)",
          expected: "\(found.verdict)\(reason)", got: recorded.record.verdict))
    }
  }
}

extension VerdictAudit.Report {
  fileprivate mutating func note(_ finding: VerdictAudit.Finding, of verdict: RecordedVerdict) {
    switch finding {
    case .proof: proofs += 1
    case .reexecution: reexecutions += 1
    case .inconclusive: inconclusive += 1
    case .unverified(let reason):
      unverifiedCount += 1
      guard unverified.count < VerdictAudit.unverifiedLimit else { return }
      unverified.append(
        VerdictAudit.Unverified(
          sequence: verdict.sequence, lease: verdict.job.lease.ordinal, reason: reason))
    case .diverged(let found):
      guard let known = divergence?.sequence, known < found.sequence ?? 0 else {
        divergence = found
        return
      }
    }
  }
}

/// Which verdicts are chosen: all at once, or the ones whose hashes with the seed are the smallest,
/// which nobody can arrange who does not know it.
private struct Sample {
  private let choice: VerdictAudit.Choice
  private let seed: Digest
  private(set) var recorded: UInt64 = 0
  /// By their hashes, ascending.
  private var smallest: [(rank: UInt64, verdict: RecordedVerdict)] = []

  init(_ choice: VerdictAudit.Choice, _ seed: Digest) {
    (self.choice, self.seed) = (choice, seed)
  }

  /// What was drawn, in the journal's order.
  var drawn: [RecordedVerdict] {
    smallest.map(\.verdict).sorted { $0.sequence < $1.sequence }
  }

  /// True where the verdict is chosen whatever follows.
  mutating func admits(_ verdict: RecordedVerdict) -> Bool {
    recorded += 1
    switch choice {
    case .all: return true
    case .none: return false
    case .sample(let count):
      var encoder = CanonicalEncoder()
      encoder.append(seed)
      encoder.append(verdict.sequence)
      let rank = Digest.of(encoder.bytes).value.word0
      guard smallest.count < count || rank < smallest.last?.rank ?? 0 else { return false }
      let place = smallest.firstIndex { rank < $0.rank } ?? smallest.count
      smallest.insert((rank, verdict), at: place)
      if smallest.count > count { smallest.removeLast() }
      return false
    }
  }
}

/// Each key is compiled once.
private actor KeyChecks {
  private var checked: [Digest: Task<Verifier.ForeignKey?, any Error>] = [:]

  func foreignKey(
    _ record: KeyRecord, of slice: Manifest.Slice, _ verifier: Verifier
  ) async throws -> Verifier.ForeignKey? {
    let task =
      checked[record.digest] ?? Task { try await verifier.foreignKey(record, of: slice) }
    checked[record.digest] = task
    return try await task.value
  }
}

extension BlobReader: BlobSource {}

private struct NoBlobs: BlobSource {
  func read(_ digest: Digest) async throws -> [UInt8] { throw VerdictAuditError.noBlobs }
}

/// Why a verdict cannot be found again.
package enum VerdictAuditError: CodedError, Equatable {
  case noEvidence
  case noBlobs

  package var code: String {
    switch self {
    case .noEvidence: "verdict-without-evidence"
    case .noBlobs: "journal-without-blobs"
    }
  }

  package var sentence: String {
    switch self {
    case .noEvidence: "The broker kept no evidence of this verdict; ask the operator why."
    case .noBlobs:
      "There are no blobs beside the journal; replay the broker's directory, or an export made with --evidence."
    }
  }
}
