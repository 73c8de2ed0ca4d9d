import Journal
import Logging
import Market
package import Primitives
import ProverHost
import Statements
import Verdicts

/// Who verifies, and how much of what others say is looked at again.
package struct VerificationOptions: Sendable {
  /// Verifications at a time in the broker's own process and its children; 0 leaves all of them to
  /// `verifiers`.
  package var localWorkers = 2
  /// Keys whose signed verdicts count.
  package var verifiers: Set<PublicKey> = []
  /// How many of their `valid` verdicts the broker finds again itself. Every other verdict it finds
  /// again in any case: `invalid` takes a stake.
  package var crossChecked = PartsPerMillion(clamping: 100_000)
  /// How long a verifier may hold a job before it goes to another: half as long as the market waits
  /// under its first parameters.
  package var patience = Duration.seconds(15)

  package init() {}
}

/// Answers `verificationWanted`: has verdicts found, here or by verifiers elsewhere, beside the
/// sequencer, and tells it each with evidence that anyone can check.
struct VerificationDesk: Sendable {
  let network: NetworkID
  let sequencer: Sequencer
  let blobs: BlobStore
  let verifier: Verifier
  let options: VerificationOptions
  let pool: VerificationPool
  let key: SigningKey
  let logger: Logger

  init(
    network: NetworkID, sequencer: Sequencer, blobs: BlobStore, backends: [Backend],
    options: VerificationOptions, key: SigningKey, logger: Logger
  ) {
    self.network = network
    self.sequencer = sequencer
    self.blobs = blobs
    verifier = Verifier(backends, reading: blobs)
    self.options = options
    pool = VerificationPool(verifiers: options.verifiers, patience: options.patience)
    self.key = key
    self.logger = logger
  }

  /// Works until the pool is closed. A recovered market's outstanding jobs come first.
  func run() async {
    let outstanding = await sequencer.read { market in
      market.leases.filter { $0.verification != nil }.compactMap {
        market.ticket(of: $0.id, attempt: $0.attempt)
      }
    }
    for ticket in outstanding { await pool.add(ticket) }
    await withTaskCancellationHandler {
      await withDiscardingTaskGroup { group in
        for _ in 0..<options.localWorkers {
          group.addTask {
            while let ticket = await pool.next() { await work(ticket) }
          }
        }
        // Without workers of its own it still has to last as long as the broker.
        if options.localWorkers == 0 {
          group.addTask { while !Task.isCancelled { try? await Task.sleep(for: .seconds(3600)) } }
        }
      }
    } onCancel: {
      Task { await pool.close() }
    }
  }

  /// Has a verdict found.
  func want(_ lease: LeaseID, attempt: UInt32) async {
    if let ticket = await sequencer.read({ $0.ticket(of: lease, attempt: attempt) }) {
      await pool.add(ticket)
    }
  }

  private func work(_ ticket: VerificationPool.Ticket) async {
    guard let job = await job(of: ticket) else { return }
    let verdict = await findVerdict(job)
    // A broker that stops has not tried: the job is outstanding again when it starts.
    if verdict == .inconclusive, Task.isCancelled { return }
    await record(Evidence(job, verdict), of: job)
  }

  /// Nil where the market does not wait for it any more.
  private func job(of ticket: VerificationPool.Ticket) async -> VerificationJob? {
    let job = await sequencer.read { $0.verificationJob(of: ticket.lease) }
    return job?.attempt == ticket.attempt ? job : nil
  }

  private func findVerdict(_ job: VerificationJob) async -> Verdict {
    let statement = job.statement
    let slice = await sequencer.read { $0.models[statement.model]?.slices[statement.slice] }
    guard let slice else { return .inconclusive }
    do {
      let verification = try await verifier.verify(job, of: slice)
      if verification.verdict != .valid {
        logger.notice("lease \(job.lease): \(verification.reason)")
      }
      return verification.verdict
    } catch {
      logger.warning("lease \(job.lease): verification failed: \(error)")
      return .inconclusive
    }
  }

  private func record(_ evidence: Evidence, of job: VerificationJob) async {
    let digest = (try? await blobs.put(evidence.canonicalBytes)) ?? Digest.of([])
    let record = VerdictRecord(
      lease: job.lease, attempt: job.attempt, verdict: evidence.verdict, evidence: digest)
    let finder = evidence.word.map { ", by verifier \($0.verifier.short)" } ?? ""
    logger.info("lease \(job.lease): \(evidence.verdict)\(finder)")
    await sequencer.perform(.recordVerdict(record), network: network, signedBy: key, logger)
  }

  // MARK: Verifiers elsewhere

  /// A job for one worker of a verifier, or none; asked again, the same.
  func job(for verifier: PublicKey?, _ slot: UInt32) async throws -> VerificationJob? {
    let verifier = try await pool.require(verifier)
    guard slot < VerificationPool.slotLimit else {
      throw BrokerError.tooManySlots(limit: VerificationPool.slotLimit)
    }
    if let held = await pool.job(of: verifier, slot) {
      let lease = held.lease
      if await sequencer.read({ $0.verificationJob(of: lease) }) == held { return held }
      await pool.forget(verifier, slot)
    }
    while let ticket = await pool.takeWaiting() {
      guard let job = await job(of: ticket) else { continue }
      guard await pool.hold(job, of: ticket, by: verifier, slot) else {
        // The same question came twice, and the other has its answer.
        await pool.add(ticket)
        return await pool.job(of: verifier, slot)
      }
      logger.debug("lease \(job.lease): verifier \(verifier.short) looks into it")
      return job
    }
    return nil
  }

  /// Takes a verifier's word, finding the verdict again where that is due, which no verifier can
  /// foresee. Gives the digest of what the word was about once the verdict is recorded.
  func take(_ word: SignedVerdict) async throws -> Digest {
    let verifier = try await pool.require(word.verifier)
    guard word.network == network, word.isAuthentic else { throw BrokerError.falseSignature }
    guard let (job, ticket) = await pool.release(word) else {
      throw BrokerError.verdictNotAwaited(word.lease)
    }
    let isTrusted = word.verdict == .valid && !options.crossChecked.draw()
    let found = isTrusted ? word.verdict : await findVerdict(job)
    if found == .inconclusive, Task.isCancelled {
      await pool.add(ticket)
      throw BrokerError.verdictNotAwaited(word.lease)
    }
    let agrees = found == word.verdict
    await record(Evidence(job, found, word: agrees ? word : nil), of: job)
    if !agrees, found != .inconclusive, word.verdict != .inconclusive {
      logger.critical(
        "verifier \(verifier) called lease \(job.lease) \(word.verdict), and it is \(found): it is given nothing more; look into what it called valid before"
      )
      await pool.drop(verifier)
      throw BrokerError.verdictContradicted(word.lease)
    }
    return word.evidence
  }

  /// What its jobs name, for as long as it holds them.
  func mayRead(_ digest: Digest, _ verifier: PublicKey?) async -> Bool {
    guard let verifier else { return false }
    return await pool.isHeld(digest, by: verifier)
  }
}

extension Market {
  /// Nil where there is no such lease.
  fileprivate func ticket(of lease: LeaseID, attempt: UInt32) -> VerificationPool.Ticket? {
    guard let terms = leases[lease]?.terms, let request = requests[terms.request] else {
      return nil
    }
    return VerificationPool.Ticket(
      lease: lease, attempt: attempt, requester: request.requester)
  }
}

extension PartsPerMillion {
  /// Drawn anew by the system's generator, which nobody elsewhere can foresee.
  fileprivate func draw() -> Bool { UInt32.random(in: 0..<1_000_000) < parts }
}
