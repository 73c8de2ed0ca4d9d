import DequeModule
import Primitives
import Statements

/// Which verifications are outstanding, and who works on which. Jobs go to the broker's own workers
/// and to the verifiers that the operator has named. Requesters take turns, and each one's jobs go
/// in the order in which they came up: whoever has many holds nobody else up for more than one.
actor VerificationPool {
  /// A job as the market names it.
  struct Ticket: Hashable, Sendable {
    let lease: LeaseID
    let attempt: UInt32
    /// Whose request it is.
    let requester: PublicKey
  }

  /// One worker of a verifier. Whoever asks again for the same place is given the same job, so that
  /// a lost answer, or a verifier that starts again, loses nothing.
  private struct Place: Hashable {
    let verifier: PublicKey
    let slot: UInt32
  }

  private struct Holding {
    let job: VerificationJob
    let ticket: Ticket
    let until: ContinuousClock.Instant
  }

  /// Places that one verifier may have.
  static let slotLimit: UInt32 = 64

  private let patience: Duration
  private var verifiers: Set<PublicKey>
  /// What waits, by requester; none is empty.
  private var waiting: [PublicKey: Deque<Ticket>] = [:]
  /// Those for whom something waits, whoever's turn is next first.
  private var turns = Deque<PublicKey>()
  private var held: [Place: Holding] = [:]
  private var idle: Deque<CheckedContinuation<Ticket?, Never>> = []
  private var isClosed = false

  /// - Parameter patience: How long a verifier may hold a job that nobody hears of.
  init(verifiers: Set<PublicKey>, patience: Duration) {
    self.verifiers = verifiers
    self.patience = patience
  }

  func add(_ ticket: Ticket) {
    if let worker = idle.popFirst() {
      worker.resume(returning: ticket)
    } else {
      if waiting[ticket.requester] == nil { turns.append(ticket.requester) }
      waiting[ticket.requester, default: []].append(ticket)
    }
  }

  /// Ends every worker of the broker's own.
  func close() {
    isClosed = true
    while let worker = idle.popFirst() { worker.resume(returning: nil) }
  }

  // MARK: The broker's own workers

  /// Waits for a job; nil once the pool is closed.
  func next() async -> Ticket? {
    guard !isClosed else { return nil }
    if let ticket = takeWaiting() { return ticket }
    return await withCheckedContinuation { idle.append($0) }
  }

  // MARK: Verifiers elsewhere

  /// The one that the operator has named, and that has not been dropped.
  func require(_ verifier: PublicKey?) throws(BrokerError) -> PublicKey {
    guard let verifier else { throw .helloNeeded }
    guard verifiers.contains(verifier) else { throw .notAVerifier(verifier) }
    return verifier
  }

  /// What the place holds; asking again does not let it be held for longer.
  func job(of verifier: PublicKey, _ slot: UInt32) -> VerificationJob? {
    held[Place(verifier: verifier, slot: slot)]?.job
  }

  /// The oldest job that nobody works on, of the requester whose turn it is.
  func takeWaiting() -> Ticket? {
    guard let requester = turns.popFirst() else { return nil }
    let ticket = waiting[requester]?.popFirst()
    if waiting[requester]?.isEmpty ?? true {
      waiting[requester] = nil
    } else {
      turns.append(requester)
    }
    return ticket
  }

  /// False where the place has been given another job meanwhile, or its verifier was dropped.
  func hold(
    _ job: VerificationJob, of ticket: Ticket, by verifier: PublicKey, _ slot: UInt32
  ) -> Bool {
    let place = Place(verifier: verifier, slot: slot)
    guard held[place] == nil, verifiers.contains(verifier) else { return false }
    held[place] = Holding(job: job, ticket: ticket, until: .now + patience)
    return true
  }

  func isHeld(_ digest: Digest, by verifier: PublicKey) -> Bool {
    held.contains { place, holding in
      place.verifier == verifier && holding.job.names(digest)
    }
  }

  /// Gives up the job that the word is about, for its taker to finish. Nil where the word's
  /// verifier does not hold such a job.
  func release(_ word: SignedVerdict) -> (job: VerificationJob, ticket: Ticket)? {
    let found = held.first { place, holding in
      place.verifier == word.verifier && holding.job.lease == word.lease
        && holding.job.attempt == word.attempt
    }
    guard let (place, holding) = found, word.holds(for: holding.job) else { return nil }
    held[place] = nil
    return (holding.job, holding.ticket)
  }

  /// Gives up what the place holds: the market does not wait for it any more.
  func forget(_ verifier: PublicKey, _ slot: UInt32) {
    held[Place(verifier: verifier, slot: slot)] = nil
  }

  /// Hands nothing more to the verifier, and what it holds to others.
  func drop(_ verifier: PublicKey) {
    verifiers.remove(verifier)
    reassign { place, _ in place.verifier == verifier }
  }

  /// Takes back what has been held for too long. Whether there was any.
  func reassignOverdue() -> Bool {
    let now = ContinuousClock.now
    return reassign { $1.until <= now }
  }

  @discardableResult
  private func reassign(where isLost: (Place, Holding) -> Bool) -> Bool {
    let lost = held.filter { isLost($0.key, $0.value) }
    for (place, holding) in lost.sorted(by: { $0.value.job.lease < $1.value.job.lease }) {
      held[place] = nil
      add(holding.ticket)
    }
    return !lost.isEmpty
  }
}

extension VerificationJob {
  /// Whether verifying needs the blob: a tensor, the proof, or the key.
  fileprivate func names(_ digest: Digest) -> Bool {
    digest == proof || digest == keyRecord.verifierKey || statement.inputs.contains(digest)
      || statement.outputs.contains(digest)
  }
}
