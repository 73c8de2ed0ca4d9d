package import Market
package import Primitives
package import Statements

/// Whose history is asked for.
package enum HistorySubject: Hashable, Sendable {
  case request(RequestID)
  case lease(LeaseID)
  case bid(BidID)
}

/// A lease as it was made.
package struct Trade: Hashable, Sendable {
  /// The entry that made it.
  package let sequence: UInt64
  package let tick: Tick
  package let terms: LeaseTerms

  package init(sequence: UInt64, tick: Tick, terms: LeaseTerms) {
    (self.sequence, self.tick, self.terms) = (sequence, tick, terms)
  }
}

/// A request as it stands, in a line.
package struct RequestSummary: Hashable, Sendable {
  /// Of one answer.
  package static let countLimit = 1_000

  package let id: RequestID
  /// The entry that opened it.
  package let sequence: UInt64
  package let tick: Tick
  package let model: ModelID
  package let state: RequestState
  package let slices: UInt32
  /// Those that have a lease; of a request that has ended, those whose lease stood then.
  package let taken: UInt32
  /// Of these leases: what they are paid, or will be where all goes well.
  package let fee: Amount
  /// What is still held of its requester's money.
  package let held: Amount

  /// `sequence` and `tick` are those of the entry that opened it.
  package init(_ request: Request, in market: Market, sequence: UInt64, tick: Tick) {
    id = request.id
    (self.sequence, self.tick) = (sequence, tick)
    model = request.terms.model
    state = request.state
    slices = UInt32(clamping: request.slices.count)
    let fees = request.slices.compactMap { $0.lease.flatMap { market.leases[$0]?.terms.fee } }
    taken = UInt32(clamping: fees.count)
    // Fees at the limit price were held together, and none is above its own.
    fee = fees.reduce(.zero) { $0.adding($1) ?? .maximum }
    held = request.held
  }
}

/// All books, or some, at one point of the journal. Who follows it from `head` on misses nothing.
package struct BookSnapshot: Hashable, Sendable {
  package let head: FeedHead
  package let isPaused: Bool
  package let books: [Depth]

  package init(head: FeedHead, isPaused: Bool, books: [Depth]) {
    (self.head, self.isPaused, self.books) = (head, isPaused, books)
  }
}

/// One entry's part in the history of something.
package struct HistoryEntry: Sendable {
  package static let commandLimit = 64
  /// Of one entry; a bid may take far more orders at once, and the feed has them all.
  package static let eventLimit = 1_024

  package let sequence: UInt64
  package let tick: Tick
  /// The command's name, and who signed it.
  package let command: String
  package let author: PublicKey
  /// Those of its events that are about the subject.
  package let events: [Event]
  /// Why it was rejected, where it was.
  package let rejection: Rejection?

  package init(
    sequence: UInt64, tick: Tick, command: String, author: PublicKey, events: [Event],
    rejection: Rejection?
  ) {
    self.sequence = sequence
    self.tick = tick
    self.command = command
    self.author = author
    self.events = events
    self.rejection = rejection
  }
}

/// What happened to a subject, in order: one page.
package struct HistoryPage: Sendable {
  package static let entryLimit = 128

  /// The request, where the subject is one or a lease of one.
  package let request: RequestID?
  package let entries: [HistoryEntry]
  /// Go on after this entry; nil where this page is the last.
  package let next: UInt64?

  package init(request: RequestID?, entries: [HistoryEntry], next: UInt64?) {
    (self.request, self.entries, self.next) = (request, entries, next)
  }
}

/// Where a subject stands, and what comes next.
package struct Outlook: Sendable {
  /// Leases that may be named.
  package static let leaseLimit = 4096

  package struct RestingSlice: Sendable {
    package let slice: UInt32
    /// The bids that cover it, and why each has not taken it.
    package let candidates: [Quote.Candidate]

    package init(slice: UInt32, candidates: [Quote.Candidate]) {
      (self.slice, self.candidates) = (slice, candidates)
    }
  }

  /// The point of the journal that this is about.
  package let head: FeedHead
  /// The broker's clock.
  package let now: Tick
  /// Soonest first.
  package let upcoming: [Upcoming]
  /// Slices that nobody has taken.
  package let resting: [RestingSlice]

  package init(head: FeedHead, now: Tick, upcoming: [Upcoming], resting: [RestingSlice]) {
    self.head = head
    self.now = now
    self.upcoming = upcoming
    self.resting = resting
  }
}

// MARK: Codec

extension HistorySubject: CanonicalCodable {
  package func encode(into encoder: inout CanonicalEncoder) {
    switch self {
    case .request(let request):
      encoder.append(UInt8(1))
      encoder.append(request)
    case .lease(let lease):
      encoder.append(UInt8(2))
      encoder.append(lease)
    case .bid(let bid):
      encoder.append(UInt8(3))
      encoder.append(bid)
    }
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    let start = decoder.offset
    switch try decoder.integer(UInt8.self) {
    case 1: self = .request(try decoder.record())
    case 2: self = .lease(try decoder.record())
    case 3: self = .bid(try decoder.record())
    case let tag: throw decoder.failure(.unknownTag(tag, of: "HistorySubject"), at: start)
    }
  }
}

extension Trade: CanonicalCodable {
  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(sequence)
    encoder.append(tick)
    encoder.append(terms)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    sequence = try decoder.integer()
    tick = try decoder.record()
    terms = try decoder.record()
  }
}

extension RequestSummary: CanonicalCodable {
  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(id)
    encoder.append(sequence)
    encoder.append(tick)
    encoder.append(model)
    encoder.append(state.rawValue)
    encoder.append(slices)
    encoder.append(taken)
    encoder.append(fee)
    encoder.append(held)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    id = try decoder.record()
    sequence = try decoder.integer()
    tick = try decoder.record()
    model = try decoder.record()
    state = try decoder.choice(RequestState.self)
    slices = try decoder.integer()
    taken = try decoder.integer()
    fee = try decoder.record()
    held = try decoder.record()
  }
}

extension BookSnapshot: CanonicalCodable {
  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(head)
    encoder.append(isPaused)
    encoder.append(books)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    head = try decoder.record()
    isPaused = try decoder.bool()
    books = try decoder.list(limit: 1 << 16, elementSize: 12)
  }
}

extension HistoryEntry: CanonicalCodable {
  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(sequence)
    encoder.append(tick)
    encoder.append(command)
    encoder.append(author)
    encoder.append(events)
    encoder.append(rejection)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    sequence = try decoder.integer()
    tick = try decoder.record()
    command = try decoder.text(limit: Self.commandLimit)
    author = try decoder.record()
    events = try decoder.list(limit: Self.eventLimit, elementSize: 5)
    rejection = try decoder.optional()
  }
}

extension HistoryPage: CanonicalCodable {
  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(request)
    encoder.append(entries)
    encoder.append(next != nil)
    encoder.append(next ?? 0)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    request = try decoder.optional()
    entries = try decoder.list(limit: Self.entryLimit, elementSize: 57)
    let isContinued = try decoder.bool()
    let sequence = try decoder.integer(UInt64.self)
    next = isContinued ? sequence : nil
  }
}

extension Outlook.RestingSlice: CanonicalCodable {
  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(slice)
    encoder.append(candidates)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    slice = try decoder.integer()
    candidates = try decoder.list(limit: Quote.candidateLimit, elementSize: 73)
  }
}

extension Outlook: CanonicalCodable {
  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(head)
    encoder.append(now)
    encoder.append(upcoming)
    encoder.append(resting)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    head = try decoder.record()
    now = try decoder.record()
    upcoming = try decoder.list(limit: 1 << 16, elementSize: 18)
    resting = try decoder.list(limit: 1 << 16, elementSize: 8)
  }
}
