import HeapModule
import MerkleLog
package import Primitives
import Statements

/// The whole state as bytes: what its digest is taken over, and what a snapshot holds, so that a
/// start need not apply every event anew. A snapshot is a cache: it is made from the journal, and a
/// build that cannot read one does without.
extension Market {
  /// Goes up with every change of what a snapshot holds, or of how it is encoded.
  package static let snapshotVersion: UInt32 = 3

  /// One digest over all that decides what comes next: equal states, equal digests. Left out are
  /// the latest tick and the queue of deadlines, which differ after a recovery without consequence.
  package var stateDigest: Digest {
    var encoder = CanonicalEncoder(capacity: usualStateBytes)
    encodeState(into: &encoder)
    return Digest.of(encoder.bytes)
  }

  /// What `restore` makes a market of.
  package var snapshot: [UInt8] {
    var encoder = CanonicalEncoder(capacity: usualStateBytes)
    encodeState(into: &encoder)
    encoder.append(now)
    encoder.append(scheduled)
    encoder.append(deadlines.unordered.filter { isOpen($0.subject) }.sorted())
    return encoder.finish()
  }

  /// Fills a market that has just begun, under the same genesis, with a snapshot's state.
  ///
  /// What the bytes say is believed: whoever reads them must know whose they are. A market that
  /// threw is of no further use.
  package mutating func restore(_ bytes: [UInt8]) throws(CanonicalError) {
    var decoder = CanonicalDecoder(bytes)
    try decodeState(from: &decoder)
    now = try decoder.record()
    scheduled = try decoder.integer()
    for deadline in try decoder.all(of: Deadline.self) { deadlines.insert(deadline) }
    try decoder.finish()
  }

  /// False where no deadline of the subject can come up again, so that its entries in the queue do
  /// nothing. Others may be stale now, and not when another deadline falls on the same tick.
  private func isOpen(_ subject: Deadline.Subject) -> Bool {
    switch subject {
    case .bid(let id): book.bid(id).map { !$0.isClosed } ?? false
    case .requestBegin(let id), .requestFinal(let id), .ramp(let id), .reveal(let id):
      requests[id].map { !$0.state.isFinal } ?? false
    case .lease(let id): leases[id].map { !$0.state.isFinal } ?? false
    case .change: !announced.isEmpty
    case .unbonding(let prover): provers[prover].map { !$0.unbondings.isEmpty } ?? false
    case .undelegating(let prover): pools[prover].map { $0.leaving > .zero } ?? false
    }
  }

  /// A lease, with its part of a request: most of a long history's state.
  private var usualStateBytes: Int { leases.count << 10 }

  private func encodeState(into encoder: inout CanonicalEncoder) {
    encoder.append(arrivals)
    encoder.append(UInt64(leases.count))
    encoder.append(balances.map { Posting(account: $0.account, delta: $0.balance) })
    encoder.append(parameterSets)
    encoder.append(announced)
    encoder.append(isPaused)
    encoder.append(halts.sorted())
    let counted = slashRecords.sorted { $0.key < $1.key }
    encoder.append(UInt32(counted.count))
    for (key, records) in counted {
      encoder.append(key)
      encoder.append(records)
    }
    encoder.append(models.keys.sorted().compactMap { models[$0] })
    encoder.append(
      keyRecords.values.sorted {
        ($0.model, $0.slice, $0.backend) < ($1.model, $1.slice, $1.backend)
      })
    encoder.append(UInt32(provers.count))
    for (key, prover) in provers.sorted(by: { $0.key < $1.key }) {
      encoder.append(key)
      encoder.append(prover)
    }
    encoder.append(UInt32(pools.count))
    for (prover, pool) in pools.sorted(by: { $0.key < $1.key }) {
      encoder.append(prover)
      encoder.append(pool)
    }
    encoder.append(requests)
    encoder.append(leases)
    encoder.append(book.bids)
    encoder.append(book.orders)
  }

  private mutating func decodeState(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    arrivals = try decoder.integer()
    let leaseCount = try decoder.integer(UInt64.self)
    let start = decoder.offset
    let postings = try decoder.all(of: Posting.self)
    do throws(MarketError) { try ledger.apply(postings) } catch {
      throw decoder.failure(.invalid(error.sentence), at: start)
    }
    parameterSets = try decoder.all()
    announced = try decoder.all()
    isPaused = try decoder.bool()
    halts = Set(try decoder.all(of: KeySubject.self))
    for _ in 0..<(try decoder.count(limit: .max, elementSize: 41)) {
      let key = try decoder.record(KeySubject.self)
      slashRecords[key] = try decoder.all()
    }
    for manifest in try decoder.all(of: Manifest.self) { models[manifest.id] = manifest }
    for record in try decoder.all(of: KeyRecord.self) { keep(record) }
    for _ in 0..<(try decoder.count(limit: .max, elementSize: 32)) {
      let key = try decoder.record(PublicKey.self)
      provers[key] = try decoder.record()
    }
    for _ in 0..<(try decoder.count(limit: .max, elementSize: 32)) {
      let prover = try decoder.record(PublicKey.self)
      pools[prover] = try decoder.record()
    }
    requests = try decoder.record()
    for request in requests where !request.state.isFinal {
      openSlices[request.requester, default: 0] += request.slices.count
    }
    let place = decoder.offset
    leases = try decoder.record()
    guard leases.count == leaseCount else {
      throw decoder.failure(.invalid("\(leases.count) leases and not \(leaseCount)"), at: place)
    }
    for bid in try decoder.all(of: Bid.self) { book.insert(bid) }
    for order in try decoder.all(of: Order.self) { book.insert(order) }
  }
}

extension CanonicalDecoder {
  /// A list as long as the state has it: nobody else's bytes are read here.
  mutating func all<Record: CanonicalCodable>(
    of type: Record.Type = Record.self
  ) throws(CanonicalError) -> [Record] {
    try list(limit: .max)
  }
}

extension Prover: CanonicalCodable {
  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(openBids)
    encoder.append(lapsesInARow)
    encoder.append(coolingUntil)
    encoder.append(reputation)
    encoder.append(unbondings)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    openBids = try decoder.integer()
    lapsesInARow = try decoder.integer()
    coolingUntil = try decoder.record()
    reputation = try decoder.record()
    unbondings = try decoder.all()
  }
}

extension Prover.Unbonding: CanonicalCodable {
  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(amount)
    encoder.append(until)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    amount = try decoder.record()
    until = try decoder.record()
  }
}

extension Bid: CanonicalCodable {
  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(id)
    encoder.append(prover)
    encoder.append(terms)
    encoder.append(ordinal)
    encoder.append(leases)
    encoder.append(isClosed)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    id = try decoder.record()
    prover = try decoder.record()
    terms = try decoder.record()
    ordinal = try decoder.integer()
    leases = try decoder.integer()
    isClosed = try decoder.bool()
  }
}

extension Order: CanonicalCodable {
  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(request)
    encoder.append(model)
    encoder.append(UInt32(slice))
    encoder.append(backend)
    encoder.append(limitPrice)
    encoder.append(ordinal)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    request = try decoder.record()
    model = try decoder.record()
    slice = Int(try decoder.integer(UInt32.self))
    backend = try decoder.record()
    limitPrice = try decoder.record()
    ordinal = try decoder.integer()
  }
}

extension RequestSlice: CanonicalCodable {
  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(cost)
    encoder.append(limitFee)
    encoder.append(auditFee)
    encoder.append(lease)
    encoder.append(failures)
    encoder.append(ineligible)
    encoder.append(bonus)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    cost = try decoder.record()
    limitFee = try decoder.record()
    auditFee = try decoder.record()
    lease = try decoder.optional()
    failures = try decoder.integer()
    ineligible = try decoder.all()
    bonus = try decoder.record()
  }
}

extension Reveals: CanonicalCodable {
  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(leases)
    encoder.append(deadline)
    encoder.append(requester)
    encoder.append(broker)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    leases = try decoder.all()
    deadline = try decoder.record()
    requester = try decoder.optional()
    broker = try decoder.optional()
  }
}

extension Request: CanonicalCodable {
  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(id)
    encoder.append(requester)
    encoder.append(terms)
    encoder.append(ordinal)
    encoder.append(state.rawValue)
    encoder.append(delay)
    encoder.append(isBeginOver)
    encoder.append(reservationShare)
    encoder.append(revealWindow)
    encoder.append(limit)
    encoder.append(slices)
    encoder.append(held)
    encoder.append(answer != nil)
    encoder.append(answer ?? [])
    encoder.append(coverage)
    encoder.append(jobRoot)
    encoder.append(brokerCommitment)
    encoder.append(reveals)
    encoder.append(isDrawn)
    encoder.append(seed)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    id = try decoder.record()
    requester = try decoder.record()
    keptTerms = Kept(try decoder.record())
    ordinal = try decoder.integer()
    state = try decoder.choice()
    delay = try decoder.integer()
    isBeginOver = try decoder.bool()
    reservationShare = try decoder.record()
    revealWindow = try decoder.integer()
    limit = try decoder.record()
    slices = try decoder.all()
    held = try decoder.record()
    let isAnswered = try decoder.bool()
    let digests = try decoder.all(of: Digest.self)
    answer = isAnswered ? digests : nil
    coverage = try decoder.optional()
    jobRoot = try decoder.optional()
    brokerCommitment = try decoder.optional()
    reveals = try decoder.optional()
    isDrawn = try decoder.bool()
    seed = try decoder.optional()
  }
}

extension Lease: CanonicalCodable {
  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(terms)
    encoder.append(state.rawValue)
    encoder.append(inputs)
    encoder.append(commitment)
    encoder.append(receipt)
    encoder.append(batchRoot)
    encoder.append(inclusion)
    encoder.append(deadline)
    encoder.append(verification?.rawValue ?? 0)
    encoder.append(attempt)
    encoder.append(verdict)
    encoder.append(isReexecuted)
    encoder.append(isFaulted)
    encoder.append(isOrphaned)
    encoder.append(compensation)
    encoder.append(nonce)
    encoder.append(draw?.rawValue ?? 0)
    encoder.append(challenge)
    encoder.append(isAudited)
    encoder.append(parts)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    self.init(terms: try decoder.record())
    state = try decoder.choice()
    inputs = try decoder.all()
    commitment = try decoder.optional()
    submission = try Self.submission(from: &decoder)
    deadline = try decoder.record()
    verification = try decoder.choice(orNone: VerificationPurpose.self)
    attempt = try decoder.integer()
    verdict = try decoder.optional()
    isReexecuted = try decoder.bool()
    isFaulted = try decoder.bool()
    isOrphaned = try decoder.bool()
    compensation = try decoder.record()
    nonce = try decoder.optional()
    draw = try decoder.choice(orNone: AuditDraw.self)
    challenge = try decoder.optional()
    isAudited = try decoder.bool()
    parts = try decoder.record()
  }

  private static func submission(
    from decoder: inout CanonicalDecoder
  ) throws(CanonicalError) -> Submission? {
    let start = decoder.offset
    let receipt = try decoder.optional(Receipt.self)
    let batchRoot = try decoder.optional(BatchRoot.self)
    let inclusion = try decoder.optional(InclusionProof.self)
    if let receipt, let batchRoot, let inclusion {
      return Submission(receipt: receipt, batchRoot: batchRoot, inclusion: inclusion)
    }
    guard receipt == nil, batchRoot == nil, inclusion == nil else {
      throw decoder.failure(.invalid("a receipt is without its batch"), at: start)
    }
    return nil
  }
}

extension Deadline: CanonicalCodable {
  func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(tick)
    encoder.append(isRamp)
    encoder.append(ordinal)
    encoder.append(subject)
  }

  init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    tick = try decoder.record()
    isRamp = try decoder.bool()
    ordinal = try decoder.integer()
    subject = try decoder.record()
  }
}

extension Deadline.Subject: CanonicalCodable {
  func encode(into encoder: inout CanonicalEncoder) {
    switch self {
    case .bid(let id):
      encoder.append(UInt8(1))
      encoder.append(id)
    case .requestBegin(let id):
      encoder.append(UInt8(2))
      encoder.append(id)
    case .requestFinal(let id):
      encoder.append(UInt8(3))
      encoder.append(id)
    case .ramp(let id):
      encoder.append(UInt8(4))
      encoder.append(id)
    case .reveal(let id):
      encoder.append(UInt8(5))
      encoder.append(id)
    case .lease(let id):
      encoder.append(UInt8(6))
      encoder.append(id)
    case .change: encoder.append(UInt8(7))
    case .unbonding(let prover):
      encoder.append(UInt8(8))
      encoder.append(prover)
    case .undelegating(let prover):
      encoder.append(UInt8(9))
      encoder.append(prover)
    }
  }

  init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    let start = decoder.offset
    switch try decoder.integer(UInt8.self) {
    case 1: self = .bid(try decoder.record())
    case 2: self = .requestBegin(try decoder.record())
    case 3: self = .requestFinal(try decoder.record())
    case 4: self = .ramp(try decoder.record())
    case 5: self = .reveal(try decoder.record())
    case 6: self = .lease(try decoder.record())
    case 7: self = .change
    case 8: self = .unbonding(try decoder.record())
    case 9: self = .undelegating(try decoder.record())
    case let tag: throw decoder.failure(.unknownTag(tag, of: "Deadline.Subject"), at: start)
    }
  }
}
