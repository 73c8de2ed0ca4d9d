package import Market
package import MerkleLog
package import Primitives
package import Statements

/// What a client may ask. Answers are read from the sequencer's state and change nothing.
///
/// Jobs and verdicts of verifiers are asked for and told in the same way: they change who works on
/// what, and the broker's own command then records a verdict.
package enum Query: Hashable, Sendable {
  case status
  case models
  case model(ModelID)
  /// Key records of a model, by slice.
  case keyRecords(ModelID)
  case account(PublicKey)
  /// Open bids of a prover.
  case bids(PublicKey)
  /// Live leases of the peer, which must have said hello.
  case work
  case request(RequestID)
  /// The records of all provers.
  case provers
  /// What stands behind a key as a prover, and what it has delegated.
  case stake(PublicKey)
  /// What a request of these terms would meet now.
  case quote(RequestTerms, by: PublicKey)
  /// The journal as it stands, and that its first `since` entries are still what they were; 0 asks
  /// for no such proof.
  case checkpoint(since: UInt64)
  /// That an entry is in the journal as it stands.
  case inclusion(UInt64)
  /// Entries of the journal from a sequence (at least 1) on: one page.
  case entries(from: UInt64)
  /// The bytes of an entry that is larger than a page, from an offset on.
  case entryPart(UInt64, offset: UInt64)
  /// The book of one backend or of all, for one model or all; up to so many prices on each side.
  case book(BackendID?, ModelID?, levels: UInt32)
  /// The latest leases made, of those below `before`, latest first.
  case trades(before: LeaseID, limit: UInt32)
  /// The latest requests of a key, of those that entries below `before` opened, latest first.
  case requests(of: PublicKey, before: UInt64, limit: UInt32)
  /// What happened to a subject after an entry.
  case history(HistorySubject, after: UInt64)
  /// Where a subject stands; of a request, the leases beside its current ones may be named.
  case outlook(HistorySubject, leases: [LeaseID])
  /// A verification for one of the peer's workers, counted from 0: at most one, and the same one
  /// until its verdict is in. The peer must have said hello with a verifier's key.
  case verificationJob(slot: UInt32)
  /// A verifier's word on a job that it holds.
  case verdict(SignedVerdict)
}

/// Where the exchange stands.
package struct BrokerStatus: Hashable, Sendable {
  package let network: NetworkID
  package let tick: Tick
  /// Entries in the journal.
  package let sequence: UInt64
  package let head: Digest
  package let parameters: Parameters
  /// Keys under which no lease is made, after slashes.
  package let halts: [Market.KeySubject]

  package init(
    network: NetworkID, tick: Tick, sequence: UInt64, head: Digest, parameters: Parameters,
    halts: [Market.KeySubject]
  ) {
    self.halts = halts
    self.network = network
    self.tick = tick
    self.sequence = sequence
    self.head = head
    self.parameters = parameters
  }
}

package struct AccountBalance: Hashable, Sendable {
  package let account: Account
  package let balance: Int64

  package init(account: Account, balance: Int64) {
    (self.account, self.balance) = (account, balance)
  }
}

package struct OpenBid: Hashable, Sendable {
  package let id: BidID
  package let terms: BidTerms
  package let leases: UInt32

  package init(id: BidID, terms: BidTerms, leases: UInt32) {
    (self.id, self.terms, self.leases) = (id, terms, leases)
  }
}

/// What is known of a prover.
package struct ProverRecord: Hashable, Sendable {
  package let prover: PublicKey
  package let openBids: UInt32
  package let settled: UInt64
  package let lapsed: UInt64
  package let slashed: UInt64
  /// Stake lost.
  package let lost: Amount
  /// Microseconds per 1,000 cost units, of half and of 19 of 20 of its latest commitments.
  package let time50: UInt32?
  package let time95: UInt32?
  /// Its own stake, that behind leases included.
  package let bond: Amount
  /// What is delegated to it, without what is leaving.
  package let delegated: Amount
  /// Now; nil where it takes no delegations.
  package let commission: PartsPerMillion?

  package init(_ key: PublicKey, in market: Market) {
    let prover = market.provers[key]
    let reputation = prover?.reputation ?? Reputation()
    let pool = market.pools[key]
    bond = market.bonded(by: key)
    delegated = pool?.active ?? .zero
    commission = pool?.commission.flatMap { $0.isOpen ? $0.rate(at: market.now) : nil }
    self.prover = key
    openBids = prover?.openBids ?? 0
    settled = reputation.settled
    lapsed = reputation.lapsed
    slashed = reputation.slashed
    lost = reputation.lost
    time50 = reputation.time(PartsPerMillion(clamping: 500_000))
    time95 = reputation.time(PartsPerMillion(clamping: 950_000))
  }
}

/// Whether a lessee must still reveal the nonce that it committed to.
package enum NonceDuty: UInt8, Hashable, Sendable {
  case none = 0
  /// Once its request is answered.
  case later = 1
  case now = 2
}

/// What a lessee needs in order to act on a lease.
package struct WorkItem: Hashable, Sendable {
  package let terms: LeaseTerms
  package let state: LeaseState
  package let inputs: [Digest]
  package let outputs: [Digest]
  package let deadline: Tick
  package let nonceDuty: NonceDuty

  package init(
    terms: LeaseTerms, state: LeaseState, inputs: [Digest], outputs: [Digest], deadline: Tick,
    nonceDuty: NonceDuty
  ) {
    self.terms = terms
    self.state = state
    self.inputs = inputs
    self.outputs = outputs
    self.deadline = deadline
    self.nonceDuty = nonceDuty
  }
}

/// One lease of a request, live or ended.
package struct LeaseReport: Sendable {
  package let terms: LeaseTerms
  package let state: LeaseState
  package let verdict: Verdict?
  package let isReexecuted: Bool
  package let commitment: OutputCommitment?
  package let receipt: Receipt?
  package let batchRoot: BatchRoot?
  package let inclusion: InclusionProof?
  /// What was decided about its audit; nil where it is not attested, or not yet.
  package let draw: AuditDraw?
  package let isAudited: Bool
  /// The last tick at which it can be challenged; nil where it cannot be.
  package let challengeableUntil: Tick?
  /// Who has challenged it, while that is not decided.
  package let challenger: PublicKey?

  package init(_ lease: Lease) {
    terms = lease.terms
    state = lease.state
    verdict = lease.verdict
    isReexecuted = lease.isReexecuted
    commitment = lease.commitment
    receipt = lease.receipt
    batchRoot = lease.batchRoot
    inclusion = lease.inclusion
    draw = lease.draw
    isAudited = lease.isAudited
    challengeableUntil = lease.isChallengeable ? lease.deadline : nil
    challenger = lease.challenge?.challenger
  }
}

/// A request with all its leases, in the order they were made.
package struct RequestReport: Sendable {
  package let state: RequestState
  package let requester: PublicKey
  package let terms: RequestTerms
  /// The current lease of each slice; 0 where its order rests.
  package let current: [LeaseID]
  package let leases: [LeaseReport]
  package let answer: [Digest]?
  package let coverage: Coverage?
  package let jobRoot: Digest?
  /// Whether the requester must reveal its nonce now.
  package let isRevealWanted: Bool
  /// The seed that drew its audits; nil before, and where a nonce was missing.
  package let seed: Digest?

  package init(_ request: Request, leases: [LeaseReport]) {
    state = request.state
    requester = request.requester
    terms = request.terms
    current = request.slices.map { $0.lease ?? LeaseID(ordinal: 0) }
    self.leases = leases
    answer = request.answer
    coverage = request.coverage
    jobRoot = request.jobRoot
    isRevealWanted = request.isRevealing && request.reveals?.requester == nil
    seed = request.seed
  }
}

/// A signed checkpoint, and the proof that it continues an earlier one where that was asked for.
package struct CheckpointAnswer: Hashable, Sendable {
  package let checkpoint: Checkpoint
  package let consistency: ConsistencyProof?

  package init(checkpoint: Checkpoint, consistency: ConsistencyProof?) {
    (self.checkpoint, self.consistency) = (checkpoint, consistency)
  }
}

/// An entry's hash and its audit path under a signed checkpoint.
package struct InclusionAnswer: Hashable, Sendable {
  package let checkpoint: Checkpoint
  package let entryHash: Digest
  package let proof: InclusionProof

  package init(checkpoint: Checkpoint, entryHash: Digest, proof: InclusionProof) {
    (self.checkpoint, self.entryHash, self.proof) = (checkpoint, entryHash, proof)
  }
}

// MARK: Codec

/// A list as one record.
package struct Records<Record: CanonicalCodable & Sendable>: Sendable, CanonicalCodable {
  package let records: [Record]

  package init(_ records: [Record]) { self.records = records }
  package func encode(into encoder: inout CanonicalEncoder) { encoder.append(records) }
  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    records = try decoder.list(limit: 1 << 20)
  }
}

extension Query: CanonicalCodable {
  package func encode(into encoder: inout CanonicalEncoder) {
    switch self {
    case .status: encoder.append(UInt8(1))
    case .models: encoder.append(UInt8(2))
    case .model(let model):
      encoder.append(UInt8(3))
      encoder.append(model)
    case .keyRecords(let model):
      encoder.append(UInt8(4))
      encoder.append(model)
    case .account(let owner):
      encoder.append(UInt8(5))
      encoder.append(owner)
    case .bids(let prover):
      encoder.append(UInt8(6))
      encoder.append(prover)
    case .work: encoder.append(UInt8(7))
    case .request(let request):
      encoder.append(UInt8(8))
      encoder.append(request)
    case .provers: encoder.append(UInt8(9))
    case .stake(let key):
      encoder.append(UInt8(32))
      encoder.append(key)
    case .quote(let terms, let requester):
      encoder.append(UInt8(10))
      encoder.append(terms)
      encoder.append(requester)
    case .checkpoint(let since):
      encoder.append(UInt8(11))
      encoder.append(since)
    case .inclusion(let sequence):
      encoder.append(UInt8(12))
      encoder.append(sequence)
    case .entries(let sequence):
      encoder.append(UInt8(20))
      encoder.append(sequence)
    case .entryPart(let sequence, let offset):
      encoder.append(UInt8(21))
      encoder.append(sequence)
      encoder.append(offset)
    case .book(let backend, let model, let levels):
      encoder.append(UInt8(22))
      encoder.append(backend)
      encoder.append(model)
      encoder.append(levels)
    case .trades(let before, let limit):
      encoder.append(UInt8(23))
      encoder.append(before)
      encoder.append(limit)
    case .history(let subject, let after):
      encoder.append(UInt8(24))
      encoder.append(subject)
      encoder.append(after)
    case .outlook(let subject, let leases):
      encoder.append(UInt8(25))
      encoder.append(subject)
      encoder.append(leases)
    case .requests(let requester, let before, let limit):
      encoder.append(UInt8(26))
      encoder.append(requester)
      encoder.append(before)
      encoder.append(limit)
    case .verificationJob(let slot):
      encoder.append(UInt8(30))
      encoder.append(slot)
    case .verdict(let word):
      encoder.append(UInt8(31))
      encoder.append(word)
    }
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    let start = decoder.offset
    switch try decoder.integer(UInt8.self) {
    case 1: self = .status
    case 2: self = .models
    case 3: self = .model(try decoder.record())
    case 4: self = .keyRecords(try decoder.record())
    case 5: self = .account(try decoder.record())
    case 6: self = .bids(try decoder.record())
    case 7: self = .work
    case 8: self = .request(try decoder.record())
    case 9: self = .provers
    case 10: self = .quote(try decoder.record(), by: try decoder.record())
    case 11: self = .checkpoint(since: try decoder.integer())
    case 12: self = .inclusion(try decoder.integer())
    case 20: self = .entries(from: try decoder.integer())
    case 21: self = .entryPart(try decoder.integer(), offset: try decoder.integer())
    case 22:
      self = .book(try decoder.optional(), try decoder.optional(), levels: try decoder.integer())
    case 23: self = .trades(before: try decoder.record(), limit: try decoder.integer())
    case 24: self = .history(try decoder.record(), after: try decoder.integer())
    case 25:
      self = .outlook(
        try decoder.record(),
        leases: try decoder.list(limit: Outlook.leaseLimit, elementSize: 8))
    case 26:
      self = .requests(
        of: try decoder.record(), before: try decoder.integer(), limit: try decoder.integer())
    case 30: self = .verificationJob(slot: try decoder.integer())
    case 31: self = .verdict(try decoder.record())
    case 32: self = .stake(try decoder.record())
    case let tag: throw decoder.failure(.unknownTag(tag, of: "Query"), at: start)
    }
  }
}

extension BrokerStatus: CanonicalCodable {
  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(network)
    encoder.append(tick)
    encoder.append(sequence)
    encoder.append(head)
    encoder.append(parameters)
    encoder.append(halts)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    network = try decoder.record()
    tick = try decoder.record()
    sequence = try decoder.integer()
    head = try decoder.record()
    parameters = try decoder.record()
    halts = try decoder.list(limit: 1 << 16)
  }
}

extension AccountBalance: CanonicalCodable {
  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(account)
    encoder.append(balance)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    account = try decoder.record()
    balance = try decoder.integer()
  }
}

extension OpenBid: CanonicalCodable {
  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(id)
    encoder.append(terms)
    encoder.append(leases)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    id = try decoder.record()
    terms = try decoder.record()
    leases = try decoder.integer()
  }
}

extension ProverRecord: CanonicalCodable {
  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(prover)
    encoder.append(openBids)
    encoder.append(settled)
    encoder.append(lapsed)
    encoder.append(slashed)
    encoder.append(lost)
    // 0 where there is no time yet: no commitment takes none.
    encoder.append(time50 ?? 0)
    encoder.append(time95 ?? 0)
    encoder.append(bond)
    encoder.append(delegated)
    encoder.append(commission)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    prover = try decoder.record()
    openBids = try decoder.integer()
    settled = try decoder.integer()
    lapsed = try decoder.integer()
    slashed = try decoder.integer()
    lost = try decoder.record()
    let (half, most) = (try decoder.integer(UInt32.self), try decoder.integer(UInt32.self))
    time50 = half == 0 ? nil : half
    time95 = most == 0 ? nil : most
    bond = try decoder.record()
    delegated = try decoder.record()
    commission = try decoder.optional()
  }
}

extension WorkItem: CanonicalCodable {
  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(terms)
    encoder.append(state.rawValue)
    encoder.append(inputs)
    encoder.append(outputs)
    encoder.append(deadline)
    encoder.append(nonceDuty.rawValue)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    terms = try decoder.record()
    state = try decoder.choice(LeaseState.self)
    inputs = try decoder.list(limit: Manifest.boundaryLimit, elementSize: Bytes32.count)
    outputs = try decoder.list(limit: Manifest.boundaryLimit, elementSize: Bytes32.count)
    deadline = try decoder.record()
    nonceDuty = try decoder.choice(NonceDuty.self)
  }
}

extension LeaseReport: CanonicalCodable {
  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(terms)
    encoder.append(state.rawValue)
    encoder.append(verdict)
    encoder.append(isReexecuted)
    encoder.append(commitment)
    encoder.append(receipt)
    encoder.append(batchRoot)
    encoder.append(inclusion)
    encoder.append(draw?.rawValue ?? 0)
    encoder.append(isAudited)
    encoder.append(challengeableUntil)
    encoder.append(challenger)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    terms = try decoder.record()
    state = try decoder.choice(LeaseState.self)
    verdict = try decoder.optional()
    isReexecuted = try decoder.bool()
    commitment = try decoder.optional()
    receipt = try decoder.optional()
    batchRoot = try decoder.optional()
    inclusion = try decoder.optional()
    draw = try decoder.choice(orNone: AuditDraw.self)
    isAudited = try decoder.bool()
    challengeableUntil = try decoder.optional()
    challenger = try decoder.optional()
  }
}

extension RequestReport: CanonicalCodable {
  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(state.rawValue)
    encoder.append(requester)
    encoder.append(terms)
    encoder.append(current)
    encoder.append(leases)
    encoder.append(answer.map(Records.init))
    encoder.append(coverage)
    encoder.append(jobRoot)
    encoder.append(isRevealWanted)
    encoder.append(seed)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    state = try decoder.choice(RequestState.self)
    requester = try decoder.record()
    terms = try decoder.record()
    current = try decoder.list(limit: Manifest.sliceLimit, elementSize: 8)
    leases = try decoder.list(limit: 1 << 20)
    answer = try decoder.optional(Records<Digest>.self)?.records
    coverage = try decoder.optional()
    jobRoot = try decoder.optional()
    isRevealWanted = try decoder.bool()
    seed = try decoder.optional()
  }
}

extension CheckpointAnswer: CanonicalCodable {
  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(checkpoint)
    encoder.append(consistency)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    checkpoint = try decoder.record()
    consistency = try decoder.optional()
  }
}

extension InclusionAnswer: CanonicalCodable {
  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(checkpoint)
    encoder.append(entryHash)
    encoder.append(proof)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    checkpoint = try decoder.record()
    entryHash = try decoder.record()
    proof = try decoder.record()
  }
}
