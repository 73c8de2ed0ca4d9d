import Journal
import Logging
import Market
import Primitives
import Statements
import Wire

/// What happened, by request, lease and bid. It keeps an index of the journal up to date beside the
/// sequencer; what it cannot keep up with, it reads from the journal afterwards.
actor History {
  /// Groups that wait to be indexed.
  private static let groupLimit = 256
  /// Rows of one read from the disk.
  private static let rowLimit = 256
  /// Entries that wait to be written into the index together: what they mention is scattered over
  /// it, so that each write of many costs little more than a write of one.
  private static let waitingLimit = 4096
  /// How long a question waits for what was committed before it.
  private static let patience = Duration.seconds(2)

  private let sequencer: Sequencer
  private let index: HistoryIndex
  private let logger: Logger
  /// The last entry that the index has, or that waits.
  private var noted: UInt64 = 0
  /// The hash of that entry.
  private var notedHash = Digest.zero
  /// What is to be written into the index.
  private var waiting: [HistoryIndex.Mentions] = []
  /// The requests of leases that live, so that indexing need not ask for them.
  private var requestOfLease: [LeaseID: RequestID] = [:]

  init(sequencer: Sequencer, index: HistoryIndex, logger: Logger) {
    self.sequencer = sequencer
    self.index = index
    self.logger = logger
  }

  /// Indexes what is not indexed yet, and then each group of entries once it is durable. Where the
  /// index cannot be written it stays as it is until the next start.
  func follow() async {
    let commits = await sequencer.commits(groupLimit: Self.groupLimit)
    var isUsable = true
    do {
      try await check()
      try await catchUp(to: await sequencer.feedHead().sequence)
    } catch {
      isUsable = false
      logger.error("the history cannot be indexed: \(error)")
    }
    for await group in commits where isUsable {
      do {
        try await catchUp(to: group.firstSequence - 1)
        let entries = zip(group.firstSequence..., group.entries).map { sequence, entry in
          Indexable(
            sequence: sequence, tick: entry.tick, envelope: entry.envelope, outcome: entry.outcome)
        }
        try await note(entries.filter { $0.sequence > noted }, hash: group.head)
        if waiting.count >= Self.waitingLimit { try write() }
      } catch {
        isUsable = false
        logger.error("the history cannot be indexed: \(error)")
      }
    }
    // What is not written now is read from the journal at the next start.
    if isUsable { try? write() }
  }
}

// MARK: The index

extension History {
  /// An entry as it is indexed and searched.
  fileprivate struct Indexable {
    let sequence: UInt64
    let tick: Tick
    let envelope: Envelope
    let outcome: Outcome

    init(sequence: UInt64, tick: Tick, envelope: Envelope, outcome: Outcome) {
      self.sequence = sequence
      self.tick = tick
      self.envelope = envelope
      self.outcome = outcome
    }

    init(_ entry: StoredEntry) throws {
      self.init(
        sequence: entry.sequence, tick: entry.tick,
        envelope: try Envelope(canonicalBytes: entry.command),
        outcome: try Outcome(canonicalBytes: entry.outcome))
    }

    /// What it is about: its events, or its command where that was rejected.
    var subjects: [EventSubject] {
      switch outcome {
      case .accepted(let events): events.map(\.body.subject)
      case .rejected: [(try? Command(canonicalBytes: envelope.body))?.subject ?? .other]
      }
    }
  }

  /// Begins the index anew where it is not of this journal.
  private func check() async throws {
    guard let extent = try index.extent() else { return }
    let entry = try await sequencer.entries(
      from: extent.sequence, limit: 1, byteLimit: EntryPage.byteLimit
    ).first
    if let entry, entry.sequence == extent.sequence, entry.hash.bytes == extent.hash {
      noted = extent.sequence
    } else {
      logger.notice("the history's index is of another journal and is made anew")
      try index.reset()
    }
  }

  /// Indexes from the journal what is not indexed yet, up to an entry.
  private func catchUp(to sequence: UInt64) async throws {
    while noted < sequence, !Task.isCancelled {
      let page = try await sequencer.entries(
        from: noted + 1, limit: Self.rowLimit, byteLimit: EntryPage.byteLimit)
      let wanted = page.prefix { $0.sequence <= sequence }
      guard wanted.first?.sequence == noted + 1,
        let hash = wanted.last?.hash
      else { throw JournalError.unknownSequence(noted + 1, size: sequence + 1) }
      try await note(try wanted.map(Indexable.init), hash: hash)
      if waiting.count >= Self.waitingLimit { try write() }
    }
  }

  /// `entries` follow the last one noted; the last of them has the hash.
  private func note(_ entries: [Indexable], hash: Digest) async throws {
    guard let last = entries.last?.sequence else { return }
    var mentions: [HistoryIndex.Mentions] = []
    for entry in entries { mentions.append(await self.mentions(in: entry)) }
    waiting += mentions
    (noted, notedHash) = (last, hash)
  }

  /// Writes what waits.
  private func write() throws {
    guard !waiting.isEmpty else { return }
    try index.add(waiting, through: noted, hash: notedHash)
    waiting.removeAll(keepingCapacity: true)
  }

  private func mentions(in entry: Indexable) async -> HistoryIndex.Mentions {
    var subjects: Set<Digest> = []
    var leases: [LeaseID] = []
    var opened: (request: RequestID, requester: PublicKey)?
    for subject in entry.subjects {
      switch subject {
      case .request(let id), .bid(let id): subjects.insert(id)
      case .trade(let lease, let request, let bid):
        subjects.formUnion([request, bid])
        leases.append(lease)
        requestOfLease[lease] = request
      case .lease(let lease):
        if let request = await request(of: lease) { subjects.insert(request) }
      case .everyone: subjects.insert(.zero)
      case .other: break
      }
    }
    // A command that was rejected may still be a bid's or a request's own.
    if case .rejected = entry.outcome { subjects.insert(entry.envelope.digest) }
    if case .accepted(let events) = entry.outcome {
      for event in events {
        if event.body.endsLease, case .lease(let lease) = event.body.subject {
          requestOfLease[lease] = nil
        }
        if case .requestOpened(let id, let requester, _) = event.body { opened = (id, requester) }
      }
    }
    return HistoryIndex.Mentions(
      sequence: entry.sequence, tick: entry.tick, subjects: subjects, leases: leases,
      opened: opened)
  }

  private func request(of lease: LeaseID) async -> RequestID? {
    if let request = requestOfLease[lease] { return request }
    return await sequencer.read { $0.leases[lease]?.terms.request }
  }

  // MARK: What is asked about the past

  /// The latest leases made, of those below `before`.
  func trades(before: LeaseID, limit: Int) async throws -> Records<Trade> {
    try await awaitIndex()
    let found = try index.trades(before: before, limit: min(limit, 1_000))
    let terms = await sequencer.read { market in found.map { market.leases[$0.lease]?.terms } }
    return Records(
      zip(found, terms).compactMap { trade, terms in
        terms.map { Trade(sequence: trade.sequence, tick: trade.tick, terms: $0) }
      })
  }

  /// The latest requests of a key, of those that entries below `before` opened.
  func requests(
    of requester: PublicKey, before: UInt64, limit: Int
  ) async throws -> Records<RequestSummary> {
    try await awaitIndex()
    let found = try index.requests(
      of: requester, before: before, limit: min(limit, RequestSummary.countLimit))
    var summaries: [RequestSummary] = []
    // A few at a time: requests of thousands of slices must not keep commands waiting.
    for start in stride(from: 0, to: found.count, by: 16) {
      let some = found[start..<min(start + 16, found.count)]
      summaries += await sequencer.read { market in
        some.compactMap { opening in
          market.requests[opening.request].map {
            RequestSummary($0, in: market, sequence: opening.sequence, tick: opening.tick)
          }
        }
      }
    }
    return Records(summaries)
  }

  /// What happened to the subject after an entry.
  func page(of subject: HistorySubject, after sequence: UInt64) async throws -> HistoryPage {
    try await awaitIndex()
    let request: RequestID?
    let key: Digest
    switch subject {
    case .request(let id): (request, key) = (id, id)
    case .bid(let id): (request, key) = (nil, id)
    case .lease(let lease):
      guard let id = await self.request(of: lease) else { throw BrokerError.unknownLease(lease) }
      (request, key) = (id, id)
    }
    let sequences = try await sequences(about: key, of: subject, after: sequence)
    var entries: [HistoryEntry] = []
    var bytes = 0
    var next: UInt64?
    for found in sequences {
      guard let entry = try await entry(found) else { continue }
      if let part = HistoryEntry(entry, about: subject, of: request, try await leases(in: entry)) {
        bytes += part.canonicalBytes.count
        guard entries.isEmpty || bytes <= EntryPage.byteLimit else { break }
        entries.append(part)
      }
      next = found
    }
    let isWhole =
      next == nil || (next == sequences.last && sequences.count < HistoryPage.entryLimit)
    return HistoryPage(request: request, entries: entries, next: isWhole ? nil : next)
  }

  /// Entries about the subject, and about everyone while it lasted.
  private func sequences(
    about key: Digest, of subject: HistorySubject, after sequence: UInt64
  ) async throws -> [UInt64] {
    guard let first = try index.sequences(mentioning: key, after: 0, limit: 1).first else {
      throw BrokerError.unknownHistory(key)
    }
    let limit = HistoryPage.entryLimit
    let own = try index.sequences(mentioning: key, after: sequence, limit: limit)
    let isOver = await sequencer.read { market in
      switch subject {
      case .request, .lease: market.requests[key]?.state.isFinal ?? true
      case .bid: market.book.bid(key) == nil
      }
    }
    // Beyond the last of its own that is known here, nothing concerns what has ended.
    let end = own.count == limit || isOver ? own.last ?? 0 : UInt64.max
    let shared = try index.sequences(
      mentioning: .zero, after: max(sequence, first), limit: limit
    ).filter { $0 <= end }
    return Array(Set(own + shared).sorted().prefix(limit))
  }

  /// The requests of the leases that the entry is about.
  private func leases(in entry: Indexable) async throws -> [LeaseID: RequestID] {
    var requests: [LeaseID: RequestID] = [:]
    for case .lease(let lease) in entry.subjects where requests[lease] == nil {
      requests[lease] = await request(of: lease)
    }
    return requests
  }

  private func entry(_ sequence: UInt64) async throws -> Indexable? {
    guard
      let stored = try await sequencer.entries(
        from: sequence, limit: 1, byteLimit: EntryPage.byteLimit
      ).first
    else { return nil }
    return try Indexable(stored)
  }

  /// Waits until the index has what was committed when the question came, which takes it some
  /// milliseconds, and refuses where it takes longer.
  private func awaitIndex() async throws {
    let last = await sequencer.feedHead().sequence
    let deadline = ContinuousClock.now + Self.patience
    while noted < last {
      guard ContinuousClock.now < deadline else {
        throw BrokerError.historyBehind(indexed: noted, of: last)
      }
      try await Task.sleep(for: .milliseconds(2))
    }
    try write()
  }
}

extension HistoryEntry {
  /// Nil where nothing in the entry is about the subject.
  fileprivate init?(
    _ entry: History.Indexable, about subject: HistorySubject, of request: RequestID?,
    _ requests: [LeaseID: RequestID]
  ) {
    guard let command = try? Command(canonicalBytes: entry.envelope.body) else { return nil }
    var events: [Event] = []
    var rejection: Rejection?
    switch entry.outcome {
    case .accepted(let all):
      events = Array(
        all.lazy.filter { $0.body.subject.isAbout(subject, of: request, requests) }
          .prefix(HistoryEntry.eventLimit))
      if events.isEmpty { return nil }
    case .rejected(let reason):
      let isItself =
        switch subject {
        case .request(let id), .bid(let id): id == entry.envelope.digest
        case .lease: false
        }
      guard isItself || command.subject.isAbout(subject, of: request, requests) else { return nil }
      rejection = reason
    }
    self.init(
      sequence: entry.sequence, tick: entry.tick, command: command.name,
      author: entry.envelope.author, events: events, rejection: rejection)
  }
}

extension EventSubject {
  /// A request's history has all its leases'; a lease's has its request's, but not other leases'.
  fileprivate func isAbout(
    _ subject: HistorySubject, of request: RequestID?, _ requests: [LeaseID: RequestID]
  ) -> Bool {
    switch (self, subject) {
    case (.everyone, _): true
    case (.other, _): false
    case (.request(let id), _): id == request
    case (.bid(let id), .bid(let wanted)): id == wanted
    case (.bid, _): false
    case (.trade(_, let id, _), .request): id == request
    case (.trade(_, _, let bid), .bid(let wanted)): bid == wanted
    case (.trade(let lease, _, _), .lease(let wanted)): lease == wanted
    case (.lease(let lease), .lease(let wanted)): lease == wanted
    case (.lease(let lease), .request): requests[lease] == request
    case (.lease, .bid): false
    }
  }
}
