package import Journal
package import Market
package import Primitives
import Statements
import Synchronization
package import Wire

/// The one owner of the market and of the journal.
///
/// Commands that arrive while a transaction commits are decided and committed together in the next
/// one; an acknowledgement is given only after its transaction is durable. The state in memory runs
/// ahead of the disk by at most the open transaction, so a failed commit ends the sequencer: what
/// it had decided and not committed must never be seen.
package actor Sequencer {
  /// Entries that became durable together.
  package struct Committed: Sendable {
    package let firstSequence: UInt64
    package let entries: [PendingEntry]
    /// What was written of each.
    package let written: [WrittenEntry]
    /// Hash of the last of them.
    package let head: Digest

    package var lastSequence: UInt64 { firstSequence + UInt64(entries.count) - 1 }

    /// All events, in order.
    package var events: some Sequence<Event> {
      entries.lazy.flatMap { entry -> [Event] in
        if case .accepted(let events) = entry.outcome { events } else { [] }
      }
    }
  }

  /// Commands in one transaction at most.
  private static let groupLimit = 1024

  private let executor: PollExecutor
  package nonisolated var unownedExecutor: UnownedSerialExecutor {
    executor.asUnownedSerialExecutor()
  }

  private var market: Market
  private let journal: Journal
  private var disclosure: DisclosureIndex
  private var leases: LeaseIndex
  /// What came since the sequencer last looked.
  private nonisolated let arrived = Mutex<[Submission]>([])
  private var lastTick: Tick
  let clock: @Sendable () -> Tick
  /// Of commands from outside; it hears here what became of them.
  let quota: CommandQuota
  /// When this actor last ran.
  private var lastAlive: Tick
  /// It did not run for longer than the rules call an outage, and has not made up for that yet.
  private var wasStalled = false
  private var failure: BrokerError?
  private var subscribers: [AsyncStream<Committed>.Continuation] = []

  /// A command to decide, and the way back of its acknowledgement.
  package struct Submission: Sendable {
    fileprivate let envelope: Envelope
    fileprivate let command: Command
    fileprivate let isAuthentic: Bool
    fileprivate let answer: @Sendable (Result<[UInt8], BrokerError>) -> Void

    /// Checks what is signed within the command, so that it is done on whichever core is free and
    /// not where all commands pass one after another.
    ///
    /// - Parameter answer: Called once, on the sequencer's thread, with the acknowledgement's
    ///   bytes, durable; with the stored ones where the command has acted before.
    package init(
      _ envelope: Envelope, _ command: Command,
      answer: @escaping @Sendable (Result<[UInt8], BrokerError>) -> Void
    ) {
      self.envelope = envelope
      self.command = command
      isAuthentic = command.isAuthentic
      self.answer = answer
    }
  }

  package init(
    journal: Journal, market: Market, executor: PollExecutor,
    quota: CommandQuota = CommandQuota(), clock: @escaping @Sendable () -> Tick = { .now }
  ) {
    self.executor = executor
    self.journal = journal
    self.market = market
    self.clock = clock
    self.quota = quota
    quota.noteAccounts(of: market)
    disclosure = DisclosureIndex(of: market)
    leases = LeaseIndex(of: market)
    lastTick = journal.lastTick
    lastAlive = clock()
  }

  // MARK: Commands

  /// The acknowledgement's bytes, durable; the stored ones where the command has acted before.
  package nonisolated func submit(
    _ envelope: Envelope, _ command: Command
  ) async -> Result<[UInt8], BrokerError> {
    await withCheckedContinuation { caller in
      submit([Submission(envelope, command) { caller.resume(returning: $0) }])
    }
  }

  /// Takes commands without waiting for what becomes of them.
  package nonisolated func submit(_ submissions: [Submission]) {
    guard !submissions.isEmpty else { return }
    let isFirst = arrived.withLock { arrived in
      defer { arrived += submissions }
      return arrived.isEmpty
    }
    if isFirst { decideSoon() }
  }

  private nonisolated func decideSoon() {
    executor.run { self.assumeIsolated { $0.decideArrived() } }
  }

  /// One group of what has arrived: whatever is new is decided, committed and answered; what has
  /// acted before gets its stored result, whatever its expiry.
  private func decideArrived() {
    let (submissions, isMore) = arrived.withLock { arrived in
      let taken = Array(arrived.prefix(Self.groupLimit))
      arrived.removeFirst(taken.count)
      return (taken, !arrived.isEmpty)
    }
    if isMore { decideSoon() }
    if let failure { return submissions.forEach { $0.answer(.failure(failure)) } }
    let tick = max(lastTick, clock())
    lastTick = tick
    noteTime(tick)
    var group: [Submission] = []
    // Of each command in the group, those who sent it again before it was answered.
    var others: [Digest: [Submission]] = [:]
    for submission in submissions {
      let digest = submission.envelope.digest
      if let known = answered(digest) {
        submission.answer(known)
      } else if others[digest] != nil {
        others[digest]?.append(submission)
      } else if let refusal = refusal(of: submission.envelope, at: tick) {
        submission.answer(.failure(refusal))
      } else {
        others[digest] = []
        group.append(submission)
      }
    }
    guard !group.isEmpty else { return }
    if wasStalled {
      group.insert(resumption(at: tick), at: 0)
      wasStalled = false
    }
    commit(group, at: tick) { submission, result in
      submission.answer(result)
      others[submission.envelope.digest]?.forEach { $0.answer(result) }
    }
  }

  /// What a command that has acted before is answered; nil for a new one.
  private func answered(_ command: Digest) -> Result<[UInt8], BrokerError>? {
    do { return try journal.storedAcknowledgement(for: command).map { .success($0) } } catch {
      return .failure(.journalFailed("\(error)"))
    }
  }

  private func commit(
    _ group: [Submission], at tick: Tick,
    answer: (Submission, Result<[UInt8], BrokerError>) -> Void
  ) {
    let entries = group.map { submission in
      PendingEntry(
        envelope: submission.envelope, tick: tick,
        outcome: market.execute(
          submission.command, by: submission.envelope.author,
          digest: submission.envelope.digest, at: tick, isAuthentic: submission.isAuthentic))
    }
    do {
      let written = try journal.append(entries)
      publish(
        Committed(
          firstSequence: journal.count - UInt64(entries.count), entries: entries,
          written: written, head: journal.head))
      for (submission, entry) in zip(group, written) {
        answer(submission, .success(entry.acknowledgement))
      }
    } catch {
      let failure = BrokerError.journalFailed("\(error)")
      self.failure = failure
      for submission in group { answer(submission, .failure(failure)) }
      subscribers.forEach { $0.finish() }
    }
  }

  /// False where the command has been acted on already: whatever its expiry, it gets its stored
  /// result.
  ///
  /// - Throws: where it may not act.
  package func mustDecide(_ envelope: Envelope) throws(BrokerError) -> Bool {
    if let answered = answered(envelope.digest) {
      _ = try answered.get()
      return false
    }
    if let refusal = refusal(of: envelope, at: max(lastTick, clock())) { throw refusal }
    return true
  }

  /// Why a command that is new may not act.
  private func refusal(of envelope: Envelope, at tick: Tick) -> BrokerError? {
    guard envelope.expiry >= tick else { return .expired(at: envelope.expiry, now: tick) }
    if market.hasAccount(envelope.author) { return nil }
    quota.noteStranger(envelope.author)
    return .unknownAuthor(envelope.author)
  }

  /// A disk that hung, a machine that slept or a clock that leapt is an outage like any other: who
  /// could not be heard meanwhile must not be late for it.
  private func noteTime(_ tick: Tick) {
    let isLate = lastAlive.advanced(by: market.parameters.outageBound) < tick
    if isLate, market.now > .zero { wasStalled = true }
    lastAlive = max(lastAlive, tick)
  }

  /// What must come before whatever waited through the outage.
  private func resumption(at tick: Tick) -> Submission {
    let envelope = Envelope(
      network: market.genesis.network, nonce: .random(), expiry: tick.advanced(by: 60_000),
      body: Command.resume.canonicalBytes, signedBy: journal.key)
    return Submission(envelope, .resume) { _ in }
  }

  private func publish(_ committed: Committed) {
    for event in committed.events {
      disclosure.note(event, in: market)
      leases.note(event, in: market)
      for posting in event.postings where posting.delta > 0 {
        if let owner = posting.account.owner { quota.noteAccount(of: owner) }
      }
    }
    for entry in committed.entries {
      if case .rejected = entry.outcome { quota.noteRejection(of: entry.envelope.author) }
    }
    subscribers.forEach { $0.yield(committed) }
  }

  // MARK: What others see

  /// Everything committed from now on, in order. Ends when the journal fails.
  ///
  /// - Parameter groupLimit: Groups that wait for a reader that is slow; the oldest are dropped.
  package func commits(groupLimit: Int = .max) -> AsyncStream<Committed> {
    let (stream, continuation) = AsyncStream.makeStream(
      of: Committed.self, bufferingPolicy: .bufferingNewest(groupLimit))
    if failure == nil { subscribers.append(continuation) } else { continuation.finish() }
    return stream
  }

  /// The last entry as it is now.
  package func feedHead() -> FeedHead {
    FeedHead(
      network: market.genesis.network, sequence: journal.count - 1, hash: journal.head,
      tick: lastTick)
  }

  /// The leases that the prover must act on, or may owe a nonce for.
  package func work(of prover: PublicKey) -> Records<WorkItem> {
    market.work(on: leases.openLeases(of: prover))
  }

  /// Nil where there is no such request.
  package func report(on request: RequestID) -> RequestReport? {
    market.report(on: request, leases: leases.leases(of: request))
  }

  /// The books as they are at the last entry.
  package func book(
    on backend: BackendID?, of model: ModelID?, levels: Int
  ) -> BookSnapshot {
    BookSnapshot(
      head: feedHead(), isPaused: market.isPaused,
      books: market.depth(on: backend, of: model, levels: min(max(1, levels), 1_000)))
  }

  package func outlook(of subject: HistorySubject, leases: [LeaseID]) -> Outlook {
    var upcoming: [Upcoming] = []
    var resting: [Outlook.RestingSlice] = []
    let request: RequestID? =
      switch subject {
      case .request(let id): id
      case .lease(let id): market.leases[id]?.terms.request
      case .bid: nil
      }
    if case .bid(let id) = subject { upcoming = market.upcoming(forBid: id) }
    if let request {
      upcoming = market.upcoming(for: request, leases: leases)
      if case .lease(let id) = subject {
        upcoming.removeAll { $0.lease != nil && $0.lease != id }
      } else {
        resting = market.restingSlices(of: request)
      }
    }
    return Outlook(
      head: feedHead(), now: max(lastTick, clock()), upcoming: upcoming, resting: resting)
  }

  /// Entries from `sequence` (at least 1) on, up to `limit` and to the first beyond `byteLimit`
  /// bytes. A read from the disk between commits: callers keep it small.
  package func entries(
    from sequence: UInt64, limit: Int, byteLimit: Int
  ) throws(JournalError) -> [StoredEntry] {
    try journal.entries(from: sequence, limit: limit, byteLimit: byteLimit)
  }

  /// Those that an accepted command names.
  func named(among digests: [Digest]) -> [Digest] { digests.filter(disclosure.isNamed) }

  package func read<Value: Sendable>(_ body: @Sendable (Market) -> Value) -> Value { body(market) }

  package func mayRead(_ digest: Digest, _ reader: PublicKey?) -> Bool {
    disclosure.mayRead(digest, reader)
  }

  /// True once a deadline has passed that a tick must act on.
  package func isTickDue() -> Bool {
    let tick = clock()
    noteTime(tick)
    return wasStalled || market.nextDeadline.map { $0 <= tick } ?? false
  }

  /// True where no command has come for longer than the rules call an outage.
  package func wasAway(at tick: Tick) -> Bool {
    let last = market.now
    return last > .zero && last.advanced(by: market.parameters.outageBound) < tick
  }

  package func status() -> BrokerStatus {
    BrokerStatus(
      network: market.genesis.network, tick: max(lastTick, clock()), sequence: journal.count,
      head: journal.head, parameters: market.parameters,
      halts: market.halts.sorted())
  }

  package func checkpoint(since size: UInt64) throws(JournalError) -> CheckpointAnswer {
    CheckpointAnswer(
      checkpoint: journal.checkpoint(),
      consistency: size == 0 ? nil : try journal.consistencyProof(from: size))
  }

  package func inclusion(of sequence: UInt64) throws(JournalError) -> InclusionAnswer {
    let (hash, proof) = try journal.inclusion(of: sequence)
    return InclusionAnswer(checkpoint: journal.checkpoint(), entryHash: hash, proof: proof)
  }

  /// The state as it stands, for its caller to write; nil while the latest snapshot is fewer than
  /// `entries` behind, and after a failure.
  package func snapshot(ifBehind entries: UInt64) -> Snapshot? {
    guard failure == nil, journal.count - journal.snapshotted >= entries else { return nil }
    return journal.snapshot(of: market)
  }

  package func failureIfAny() -> BrokerError? { failure }
}

extension Market {
  /// The slices that nobody has taken, each with the bids that cover it and why they have not.
  fileprivate func restingSlices(of id: RequestID) -> [Outlook.RestingSlice] {
    guard let request = requests[id], !request.state.isFinal else { return [] }
    return request.slices.indices.filter { request.slices[$0].lease == nil }.map {
      Outlook.RestingSlice(slice: UInt32($0), candidates: candidates(id, $0))
    }
  }
}
