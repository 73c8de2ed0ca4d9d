package import MerkleLog
package import Primitives
package import Statements

/// A fact that a command caused, with the money it moved. The postings of one event sum to zero.
package struct Event: Hashable, Sendable, CanonicalCodable {
  package let body: Body
  package let postings: [Posting]

  package enum Body: Hashable, Sendable {
    case deposited(owner: PublicKey, amount: Amount)
    case withdrawn(owner: PublicKey, amount: Amount)
    case bonded(prover: PublicKey, amount: Amount)
    /// The amount is free after the tick.
    case unbonding(prover: PublicKey, amount: Amount, until: Tick)
    case unbonded(prover: PublicKey, amount: Amount)
    indirect case modelPublished(publisher: PublicKey, Manifest)
    indirect case keyPublished(KeyRecord)
    indirect case bidPlaced(BidID, prover: PublicKey, BidTerms)
    case bidAmended(BidID, price: Price, capacity: UInt32)
    case bidClosed(BidID, BidClosure)
    indirect case requestOpened(RequestID, requester: PublicKey, RequestTerms)
    /// A ramp has reached another price.
    case limitRaised(RequestID, Price)
    indirect case leased(LeaseTerms)
    /// Every slice is leased; the first leases begin.
    case requestMatched(RequestID)
    case leaseBegun(LeaseID, inputs: [Digest], deadline: Tick)
    indirect case outputCommitted(OutputCommitment, deadline: Tick)
    case requestAnswered(RequestID, answer: [Digest])
    case answerWithdrawn(RequestID)
    indirect case receiptSubmitted(LeaseID, Receipt, BatchRoot, InclusionProof)
    case verificationWanted(LeaseID, VerificationPurpose, attempt: UInt32, deadline: Tick)
    case verdictRecorded(VerdictRecord, isReexecuted: Bool)
    case leaseSettled(LeaseID, bonus: Amount)
    case leaseSlashed(LeaseID, SlashReason, bonus: Amount)
    case leaseReleased(LeaseID, ReleaseReason, compensation: Amount)
    case leaseLapsed(LeaseID, penalty: Amount)
    /// It consumed an invalid output; `compensation` is set aside in case its own work is valid.
    case leaseOrphaned(LeaseID, compensation: Amount)
    case requestFailing(RequestID, FailureReason)
    indirect case requestClosed(RequestID, RequestState, Coverage, jobRoot: Digest?)
    /// A running request's begin deadline is over: what has not begun by it is let go.
    case beginDeadlinePassed(RequestID)
    /// The broker was away: every open deadline, a bid's expiry excepted, is that much later.
    case resumed(milliseconds: UInt64)
    /// The operator's change takes effect after this tick.
    indirect case changeAnnounced(RuleChange, effective: Tick)
    indirect case changed(RuleChange)
    /// The broker's nonce commitment: leases of the request may begin.
    case nonceCommitted(RequestID, Digest)
    /// The request is answered for the first time: the requester, the broker and these leases'
    /// lessees have until the deadline.
    case revealsWanted(RequestID, [LeaseID], deadline: Tick)
    case nonceRevealed(NonceOwner, AuditNonce)
    /// The lessee did not reveal in time; the penalty is the audits' cost.
    case revealMissed(LeaseID, penalty: Amount)
    /// What is decided about all attested leases that have committed. Without a seed all are
    /// audited. `fees` of it is paid by the requester, out of what it held for their audits.
    case auditsDrawn(
      RequestID, seed: Digest?, audited: [LeaseID], spared: [LeaseID], fees: Amount)
    /// An attested lease that no draw can decide on: its lessee could have known the seed, or its
    /// input was invalid.
    case auditDue(LeaseID, fee: Amount)
    /// The lease is attested unless it is challenged by then.
    case challengeOpened(LeaseID, deadline: Tick)
    case challenged(LeaseID, Challenge)
    /// Nobody has challenged it.
    case leaseAttested(LeaseID)
    case commissionSet(prover: PublicKey, Commission)
    case delegated(prover: PublicKey, holder: PublicKey, amount: Amount)
    /// The amount is paid after the tick, once it is not behind leases.
    case undelegating(prover: PublicKey, holder: PublicKey, amount: Amount, until: Tick)
    case undelegated(prover: PublicKey, holder: PublicKey, amount: Amount, until: Tick)
    /// The delegators' part of a settled lease's fee; the postings say whose.
    case delegatorsPaid(LeaseID, paid: Amount, at: Tick)
    /// Before delegated stake of the lease is lost, the prover's free bond and its sums on their
    /// way out take its place.
    case firstLossTaken(LeaseID, bond: Amount, unbonding: Amount)
    /// What is lost of the lease's delegated stake, by delegator. How it is spent follows.
    case delegatorsLost(LeaseID, [DelegatorLoss], at: Tick)
    /// The lease's prover was slashed for it, and places no bid until the second tick.
    case proverCooling(LeaseID, at: Tick, until: Tick)
  }

  package init(_ body: Body, _ postings: [Posting] = []) {
    (self.body, self.postings) = (body, postings)
  }
}

package enum BidClosure: UInt8, Sendable, Hashable {
  case cancelled = 1
  case expired = 2
  /// The prover was slashed.
  case slashed = 3
  /// The prover lapsed too often in a row.
  case lapsed = 4
}

package enum SlashReason: UInt8, Sendable, Hashable, CustomStringConvertible {
  case invalidReceipt = 1
  case falseBatchRoot = 2
  case falseStatement = 3
  case falseRangeFault = 4

  package var description: String {
    switch self {
    case .invalidReceipt: "its output or proof is invalid"
    case .falseBatchRoot: "its batch's signed root is not the root of its receipts"
    case .falseStatement: "its receipt states something else than its lease"
    case .falseRangeFault: "the range fault it reported does not happen"
    }
  }
}

package enum ReleaseReason: UInt8, Sendable, Hashable, CustomStringConvertible {
  case upstreamInvalid = 1
  case inconclusive = 2
  case requestEnded = 3
  case staleInput = 4
  /// Its inputs did not come by the request's begin deadline.
  case notBegun = 5
  /// Its output is right, and no proof of it would verify.
  case unprovable = 6
  /// Its lessee has left it before it began.
  case cancelled = 7

  package var description: String {
    switch self {
    case .upstreamInvalid: "an upstream output was invalid"
    case .inconclusive: "its verification stayed inconclusive"
    case .requestEnded: "its request ended"
    case .staleInput: "its input was replaced"
    case .notBegun: "it did not begin by the begin deadline"
    case .unprovable: "its output is right and cannot be proven"
    case .cancelled: "its lessee left it before it began"
    }
  }
}

package enum FailureReason: UInt8, Sendable, Hashable {
  case attemptsExhausted = 1
  case finalDeadline = 2
  case rangeFault = 3
}

extension Event {
  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(body)
    encoder.append(postings)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    body = try decoder.record()
    postings = try decoder.list(limit: 4096, elementSize: 10)
  }
}

extension Event.Body: CanonicalCodable {
  package func encode(into encoder: inout CanonicalEncoder) {
    switch self {
    case .deposited(let owner, let amount):
      encoder.append(UInt8(1))
      encoder.append(owner)
      encoder.append(amount)
    case .withdrawn(let owner, let amount):
      encoder.append(UInt8(2))
      encoder.append(owner)
      encoder.append(amount)
    case .bonded(let prover, let amount):
      encoder.append(UInt8(3))
      encoder.append(prover)
      encoder.append(amount)
    case .modelPublished(let publisher, let manifest):
      encoder.append(UInt8(4))
      encoder.append(publisher)
      encoder.append(manifest)
    case .keyPublished(let record):
      encoder.append(UInt8(5))
      encoder.append(record)
    case .bidPlaced(let bid, let prover, let terms):
      encoder.append(UInt8(6))
      encoder.append(bid)
      encoder.append(prover)
      encoder.append(terms)
    case .bidClosed(let bid, let closure):
      encoder.append(UInt8(7))
      encoder.append(bid)
      encoder.append(closure.rawValue)
    case .requestOpened(let request, let requester, let terms):
      encoder.append(UInt8(8))
      encoder.append(request)
      encoder.append(requester)
      encoder.append(terms)
    case .leased(let terms):
      encoder.append(UInt8(9))
      encoder.append(terms)
    case .requestMatched(let request):
      encoder.append(UInt8(10))
      encoder.append(request)
    case .leaseBegun(let lease, let inputs, let deadline):
      encoder.append(UInt8(11))
      encoder.append(lease)
      encoder.append(inputs)
      encoder.append(deadline)
    case .outputCommitted(let commitment, let deadline):
      encoder.append(UInt8(12))
      encoder.append(commitment)
      encoder.append(deadline)
    case .requestAnswered(let request, let answer):
      encoder.append(UInt8(13))
      encoder.append(request)
      encoder.append(answer)
    case .answerWithdrawn(let request):
      encoder.append(UInt8(14))
      encoder.append(request)
    case .receiptSubmitted(let lease, let receipt, let root, let inclusion):
      encoder.append(UInt8(15))
      encoder.append(lease)
      encoder.append(receipt)
      encoder.append(root)
      encoder.append(inclusion)
    case .verificationWanted(let lease, let purpose, let attempt, let deadline):
      encoder.append(UInt8(16))
      encoder.append(lease)
      encoder.append(purpose.rawValue)
      encoder.append(attempt)
      encoder.append(deadline)
    case .verdictRecorded(let record, let isReexecuted):
      encoder.append(UInt8(17))
      encoder.append(record)
      encoder.append(isReexecuted)
    case .leaseSettled(let lease, let bonus):
      encoder.append(UInt8(18))
      encoder.append(lease)
      encoder.append(bonus)
    case .leaseSlashed(let lease, let reason, let bonus):
      encoder.append(UInt8(19))
      encoder.append(lease)
      encoder.append(reason.rawValue)
      encoder.append(bonus)
    case .leaseReleased(let lease, let reason, let compensation):
      encoder.append(UInt8(20))
      encoder.append(lease)
      encoder.append(reason.rawValue)
      encoder.append(compensation)
    case .leaseLapsed(let lease, let penalty):
      encoder.append(UInt8(21))
      encoder.append(lease)
      encoder.append(penalty)
    case .leaseOrphaned(let lease, let compensation):
      encoder.append(UInt8(22))
      encoder.append(lease)
      encoder.append(compensation)
    case .requestFailing(let request, let reason):
      encoder.append(UInt8(23))
      encoder.append(request)
      encoder.append(reason.rawValue)
    case .requestClosed(let request, let state, let coverage, let jobRoot):
      encoder.append(UInt8(24))
      encoder.append(request)
      encoder.append(state.rawValue)
      encoder.append(coverage)
      encoder.append(jobRoot)
    case .bidAmended(let bid, let price, let capacity):
      encoder.append(UInt8(25))
      encoder.append(bid)
      encoder.append(price)
      encoder.append(capacity)
    case .limitRaised(let request, let price):
      encoder.append(UInt8(26))
      encoder.append(request)
      encoder.append(price)
    case .resumed(let milliseconds):
      encoder.append(UInt8(27))
      encoder.append(milliseconds)
    case .changeAnnounced(let change, let effective):
      encoder.append(UInt8(28))
      encoder.append(change)
      encoder.append(effective)
    case .changed(let change):
      encoder.append(UInt8(29))
      encoder.append(change)
    case .beginDeadlinePassed(let request):
      encoder.append(UInt8(30))
      encoder.append(request)
    case .unbonding(let prover, let amount, let until):
      encoder.append(UInt8(31))
      encoder.append(prover)
      encoder.append(amount)
      encoder.append(until)
    case .unbonded(let prover, let amount):
      encoder.append(UInt8(32))
      encoder.append(prover)
      encoder.append(amount)
    case .nonceCommitted(let request, let commitment):
      encoder.append(UInt8(33))
      encoder.append(request)
      encoder.append(commitment)
    case .revealsWanted(let request, let leases, let deadline):
      encoder.append(UInt8(34))
      encoder.append(request)
      encoder.append(leases)
      encoder.append(deadline)
    case .nonceRevealed(let owner, let nonce):
      encoder.append(UInt8(35))
      encoder.append(owner)
      encoder.append(nonce)
    case .revealMissed(let lease, let penalty):
      encoder.append(UInt8(36))
      encoder.append(lease)
      encoder.append(penalty)
    case .auditsDrawn(let request, let seed, let audited, let spared, let fees):
      encoder.append(UInt8(37))
      encoder.append(request)
      encoder.append(seed)
      encoder.append(audited)
      encoder.append(spared)
      encoder.append(fees)
    case .auditDue(let lease, let fee):
      encoder.append(UInt8(38))
      encoder.append(lease)
      encoder.append(fee)
    case .challengeOpened(let lease, let deadline):
      encoder.append(UInt8(39))
      encoder.append(lease)
      encoder.append(deadline)
    case .challenged(let lease, let challenge):
      encoder.append(UInt8(40))
      encoder.append(lease)
      encoder.append(challenge)
    case .leaseAttested(let lease):
      encoder.append(UInt8(41))
      encoder.append(lease)
    case .commissionSet(let prover, let commission):
      encoder.append(UInt8(42))
      encoder.append(prover)
      encoder.append(commission)
    case .delegated(let prover, let holder, let amount):
      encoder.append(UInt8(43))
      encoder.append(prover)
      encoder.append(holder)
      encoder.append(amount)
    case .undelegating(let prover, let holder, let amount, let until):
      encoder.append(UInt8(44))
      encoder.append(prover)
      encoder.append(holder)
      encoder.append(amount)
      encoder.append(until)
    case .undelegated(let prover, let holder, let amount, let until):
      encoder.append(UInt8(45))
      encoder.append(prover)
      encoder.append(holder)
      encoder.append(amount)
      encoder.append(until)
    case .delegatorsPaid(let lease, let paid, let tick):
      encoder.append(UInt8(46))
      encoder.append(lease)
      encoder.append(paid)
      encoder.append(tick)
    case .firstLossTaken(let lease, let bond, let unbonding):
      encoder.append(UInt8(47))
      encoder.append(lease)
      encoder.append(bond)
      encoder.append(unbonding)
    case .delegatorsLost(let lease, let losses, let tick):
      encoder.append(UInt8(48))
      encoder.append(lease)
      encoder.append(losses)
      encoder.append(tick)
    case .proverCooling(let lease, let tick, let until):
      encoder.append(UInt8(49))
      encoder.append(lease)
      encoder.append(tick)
      encoder.append(until)
    }
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    let start = decoder.offset
    switch try decoder.integer(UInt8.self) {
    case 1: self = .deposited(owner: try decoder.record(), amount: try decoder.record())
    case 2: self = .withdrawn(owner: try decoder.record(), amount: try decoder.record())
    case 3: self = .bonded(prover: try decoder.record(), amount: try decoder.record())
    case 4: self = .modelPublished(publisher: try decoder.record(), try decoder.record())
    case 5: self = .keyPublished(try decoder.record())
    case 6:
      self = .bidPlaced(
        try decoder.record(), prover: try decoder.record(), try decoder.record())
    case 7: self = .bidClosed(try decoder.record(), try decoder.choice())
    case 8:
      self = .requestOpened(
        try decoder.record(), requester: try decoder.record(), try decoder.record())
    case 9: self = .leased(try decoder.record())
    case 10: self = .requestMatched(try decoder.record())
    case 11:
      self = .leaseBegun(
        try decoder.record(),
        inputs: try decoder.list(limit: Manifest.boundaryLimit, elementSize: Bytes32.count),
        deadline: try decoder.record())
    case 12: self = .outputCommitted(try decoder.record(), deadline: try decoder.record())
    case 13:
      self = .requestAnswered(
        try decoder.record(),
        answer: try decoder.list(limit: Manifest.boundaryLimit, elementSize: Bytes32.count))
    case 14: self = .answerWithdrawn(try decoder.record())
    case 15:
      self = .receiptSubmitted(
        try decoder.record(), try decoder.record(), try decoder.record(),
        try decoder.record())
    case 16:
      self = .verificationWanted(
        try decoder.record(), try decoder.choice(), attempt: try decoder.integer(),
        deadline: try decoder.record())
    case 17: self = .verdictRecorded(try decoder.record(), isReexecuted: try decoder.bool())
    case 18: self = .leaseSettled(try decoder.record(), bonus: try decoder.record())
    case 19:
      self = .leaseSlashed(
        try decoder.record(), try decoder.choice(), bonus: try decoder.record())
    case 20:
      self = .leaseReleased(
        try decoder.record(), try decoder.choice(), compensation: try decoder.record())
    case 21: self = .leaseLapsed(try decoder.record(), penalty: try decoder.record())
    case 22: self = .leaseOrphaned(try decoder.record(), compensation: try decoder.record())
    case 23: self = .requestFailing(try decoder.record(), try decoder.choice())
    case 24:
      self = .requestClosed(
        try decoder.record(), try decoder.choice(), try decoder.record(),
        jobRoot: try decoder.optional())
    case 25:
      self = .bidAmended(
        try decoder.record(), price: try decoder.record(), capacity: try decoder.integer())
    case 26: self = .limitRaised(try decoder.record(), try decoder.record())
    case 27: self = .resumed(milliseconds: try decoder.integer())
    case 28:
      self = .changeAnnounced(try decoder.record(), effective: try decoder.record())
    case 29: self = .changed(try decoder.record())
    case 30: self = .beginDeadlinePassed(try decoder.record())
    case 31:
      self = .unbonding(
        prover: try decoder.record(), amount: try decoder.record(), until: try decoder.record())
    case 32: self = .unbonded(prover: try decoder.record(), amount: try decoder.record())
    case 33: self = .nonceCommitted(try decoder.record(), try decoder.record())
    case 34:
      self = .revealsWanted(
        try decoder.record(), try decoder.leases(), deadline: try decoder.record())
    case 35: self = .nonceRevealed(try decoder.record(), try decoder.record())
    case 36: self = .revealMissed(try decoder.record(), penalty: try decoder.record())
    case 37:
      self = .auditsDrawn(
        try decoder.record(), seed: try decoder.optional(), audited: try decoder.leases(),
        spared: try decoder.leases(), fees: try decoder.record())
    case 38: self = .auditDue(try decoder.record(), fee: try decoder.record())
    case 39: self = .challengeOpened(try decoder.record(), deadline: try decoder.record())
    case 40: self = .challenged(try decoder.record(), try decoder.record())
    case 41: self = .leaseAttested(try decoder.record())
    case 42: self = .commissionSet(prover: try decoder.record(), try decoder.record())
    case 43:
      self = .delegated(
        prover: try decoder.record(), holder: try decoder.record(), amount: try decoder.record())
    case 44:
      self = .undelegating(
        prover: try decoder.record(), holder: try decoder.record(), amount: try decoder.record(),
        until: try decoder.record())
    case 45:
      self = .undelegated(
        prover: try decoder.record(), holder: try decoder.record(), amount: try decoder.record(),
        until: try decoder.record())
    case 46:
      self = .delegatorsPaid(
        try decoder.record(), paid: try decoder.record(), at: try decoder.record())
    case 47:
      self = .firstLossTaken(
        try decoder.record(), bond: try decoder.record(), unbonding: try decoder.record())
    case 48:
      self = .delegatorsLost(
        try decoder.record(),
        try decoder.list(limit: DelegationPool.positionLimit, elementSize: 48),
        at: try decoder.record())
    case 49:
      self = .proverCooling(
        try decoder.record(), at: try decoder.record(), until: try decoder.record())
    case let tag: throw decoder.failure(.unknownTag(tag, of: "Event"), at: start)
    }
  }
}

extension CanonicalDecoder {
  /// Leases of one request, at most one per slice.
  fileprivate mutating func leases() throws(CanonicalError) -> [LeaseID] {
    try list(limit: Manifest.sliceLimit, elementSize: 8)
  }
}

extension LeaseTerms: CanonicalCodable {
  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(id)
    encoder.append(request)
    encoder.append(model)
    encoder.append(UInt32(slice))
    encoder.append(bid)
    encoder.append(prover)
    encoder.append(assurance)
    encoder.append(price)
    encoder.append(fee)
    encoder.append(stake)
    encoder.append(delegated)
    encoder.append(keyRecord)
    encoder.append(parameters)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    id = try decoder.record()
    request = try decoder.record()
    model = try decoder.record()
    slice = Int(try decoder.integer(UInt32.self))
    bid = try decoder.record()
    prover = try decoder.record()
    assurance = try decoder.record()
    price = try decoder.record()
    fee = try decoder.record()
    stake = try decoder.record()
    delegated = try decoder.record()
    keyRecord = try decoder.record()
    parameters = try decoder.integer()
  }
}

/// What came of a command: the events, or why there are none.
package enum Outcome: Hashable, Sendable, CanonicalCodable {
  case accepted([Event])
  case rejected(Rejection)

  /// Far above what one command can cause, so that whatever was journaled can be read back: a bid
  /// takes up to 100,000 orders at once, with some events each.
  package static let eventLimit = 1 << 24

  package func encode(into encoder: inout CanonicalEncoder) {
    switch self {
    case .accepted(let events):
      encoder.append(UInt8(1))
      encoder.append(events)
    case .rejected(let rejection):
      encoder.append(UInt8(2))
      encoder.append(rejection)
    }
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    let start = decoder.offset
    switch try decoder.integer(UInt8.self) {
    case 1: self = .accepted(try decoder.list(limit: Self.eventLimit, elementSize: 5))
    case 2: self = .rejected(try decoder.record())
    case let tag: throw decoder.failure(.unknownTag(tag, of: "Outcome"), at: start)
    }
  }
}
