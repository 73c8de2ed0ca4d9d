package import Primitives
package import Statements

/// What a party asks of the market. Authors, and what each command does: `docs/protocol.md`.
///
/// Tags are never reused. Those up to 40 belong to the commands of the design that later rules
/// bring.
package enum Command: Hashable, Sendable {
  case deposit(owner: PublicKey, amount: Amount)
  case withdraw(amount: Amount)
  case bond(amount: Amount)
  case unbond(amount: Amount)
  indirect case publishModel(Manifest)
  indirect case publishKey(KeyRecord)
  case placeBid(BidTerms)
  case amendBid(BidID, price: Price, capacity: UInt32)
  case cancelBid(BidID)
  indirect case submitRequest(RequestTerms)
  case cancelRequest(RequestID)
  /// Gives back a lease that has not begun.
  case cancelLease(LeaseID)
  indirect case commitOutput(OutputCommitment)
  indirect case submitBatch(Batch)
  case declareUnprovable(LeaseID)
  case reportRangeFault(LeaseID)
  case recordVerdict(VerdictRecord)
  case tick
  case resume
  indirect case setParameters(Parameters, rulesVersion: UInt32)
  case pause(Bool)
  /// The broker's commitment to its nonce (`AuditNonce.commitment`).
  case commitNonce(RequestID, Digest)
  case revealNonce(NonceOwner, AuditNonce)
  case challenge(LeaseID, deposit: Amount)
  /// Puts available money behind the prover, as the author's.
  case delegate(PublicKey, amount: Amount)
  case undelegate(PublicKey, amount: Amount)
  /// What the author, a prover, keeps of its delegators' fees; nil takes no new delegations.
  case setCommission(PartsPerMillion?)
  /// Lets leases be made again under a key whose leases slashes have stopped.
  case liftHalt(Market.KeySubject)

  package var name: String {
    switch self {
    case .deposit: "deposit"
    case .withdraw: "withdraw"
    case .bond: "bond"
    case .unbond: "unbond"
    case .publishModel: "publishModel"
    case .publishKey: "publishKey"
    case .placeBid: "placeBid"
    case .amendBid: "amendBid"
    case .cancelBid: "cancelBid"
    case .submitRequest: "submitRequest"
    case .cancelRequest: "cancelRequest"
    case .cancelLease: "cancelLease"
    case .commitOutput: "commitOutput"
    case .submitBatch: "submitBatch"
    case .declareUnprovable: "declareUnprovable"
    case .reportRangeFault: "reportRangeFault"
    case .recordVerdict: "recordVerdict"
    case .tick: "tick"
    case .resume: "resume"
    case .setParameters: "setParameters"
    case .pause: "pause"
    case .commitNonce: "commitNonce"
    case .revealNonce: "revealNonce"
    case .challenge: "challenge"
    case .delegate: "delegate"
    case .undelegate: "undelegate"
    case .setCommission: "setCommission"
    case .liftHalt: "liftHalt"
    }
  }
}

extension Command {
  /// Whether the signatures inside the command hold. To check one takes as long as to decide
  /// dozens of commands and needs no state, so that whoever feeds a market can ask beside it, on
  /// another core.
  package var isAuthentic: Bool {
    switch self {
    case .commitOutput(let commitment): commitment.isAuthentic
    case .submitBatch(let batch): batch.signedRoot.isAuthentic
    default: true
    }
  }
}

/// What a bid covers.
package enum Scope: Hashable, Sendable {
  case any
  case model(ModelID)
  case slice(ModelID, Int)

  /// Whether a part of the model is in it; every scope has a part of nil, any model.
  func touches(_ model: ModelID?) -> Bool {
    switch self {
    case .any: true
    case .model(let covered), .slice(let covered, _): model == nil || covered == model
    }
  }

  package func covers(_ model: ModelID, _ slice: Int) -> Bool {
    switch self {
    case .any: true
    case .model(let covered): covered == model
    case .slice(let covered, let index): covered == model && index == slice
    }
  }
}

package struct BidTerms: Hashable, Sendable {
  package let backend: BackendID
  package let scope: Scope
  package let price: Price
  /// Leases at a time.
  package let capacity: UInt32
  package let largestSlice: Cost
  /// `never` for good-till-cancelled.
  package let expiry: Tick

  package init(
    backend: BackendID, scope: Scope, price: Price, capacity: UInt32,
    largestSlice: Cost = .maximum, expiry: Tick = .never
  ) {
    self.backend = backend
    self.scope = scope
    self.price = price
    self.capacity = capacity
    self.largestSlice = largestSlice
    self.expiry = expiry
  }
}

/// What a slice must come with.
package enum Assurance: UInt8, Sendable, Hashable {
  case proven = 1
  case attested = 2
}

package struct SliceAssurance: Hashable, Sendable {
  package let assurance: Assurance
  package let backend: BackendID

  package init(_ assurance: Assurance, by backend: BackendID) {
    (self.assurance, self.backend) = (assurance, backend)
  }
}

/// How long a request's unmatched slices rest in the book.
package enum TimeInForce: Hashable, Sendable {
  case goodTillCancelled
  case goodTill(Tick)
  case immediateOrCancel
  case fillOrKill
}

/// Whose nonce, and in which request.
package enum NonceOwner: Hashable, Sendable {
  case requester(RequestID)
  case broker(RequestID)
  case lessee(LeaseID)
}

/// Who may see a request's tensors, and hence challenge what is attested about them: the parties
/// are the requester and the auditors that it names; a lessee sees what its slices touch.
package enum Disclosure: UInt8, Sendable, Hashable {
  case parties = 1
  case everyone = 2
}

/// A limit that rises with time: `start` until `begins`, then `step` more at every `interval`, up
/// to the request's limit price.
package struct PriceRamp: Hashable, Sendable {
  package static let stepLimit: UInt64 = 1_000
  /// Milliseconds; a step moves every slice that rests.
  package static let shortestInterval: UInt64 = 500

  package let start: Price
  package let step: Price
  /// Milliseconds.
  package let interval: UInt64
  package let begins: Tick

  package init(start: Price, step: Price, interval: UInt64, begins: Tick) {
    (self.start, self.step, self.interval, self.begins) = (start, step, interval, begins)
  }

  /// Steps until `limit` is reached.
  func stepCount(to limit: Price) -> UInt64 {
    guard step.ticks > 0, limit > start else { return 0 }
    let (quotient, remainder) = (limit.ticks - start.ticks).quotientAndRemainder(
      dividingBy: step.ticks)
    return remainder == 0 ? quotient : quotient + 1
  }

  /// The limit at a tick.
  func price(at tick: Tick, limit: Price) -> Price {
    guard interval > 0, tick > begins else { return min(start, limit) }
    let steps = (tick.milliseconds - begins.milliseconds) / interval
    guard steps < stepCount(to: limit) else { return limit }
    return Price(ticks: start.ticks + steps * step.ticks)
  }

  /// The tick of the step after `price`, which the ramp has reached; `never` after the last.
  func tick(after price: Price, limit: Price) -> Tick {
    guard price < limit, step.ticks > 0, price >= start else { return .never }
    let (wait, overflow) = ((price.ticks - start.ticks) / step.ticks + 1)
      .multipliedReportingOverflow(by: interval)
    return overflow ? .never : begins.advanced(by: wait)
  }
}

package struct RequestTerms: Hashable, Sendable {
  package static let auditorLimit = 16

  package let model: ModelID
  /// One digest per input of the model.
  package let inputs: [Digest]
  /// One per slice of the model.
  package let assurances: [SliceAssurance]
  /// The most that is ever paid; fees and stakes are held at this price.
  package let limitPrice: Price
  /// How an open request's limit rises to `limitPrice`; nil where it stands there from the start.
  package let ramp: PriceRamp?
  /// The stake behind a lease is this many times its fee at the limit price, and at least
  /// `Parameters.minimumStake`.
  package let stakeMultiple: UInt32
  /// How many slices one key may hold at a time; 0 for any number.
  package let spread: UInt32
  /// Which provers may work on it; nil for all.
  package let reputation: ReputationFilter?
  package let disclosure: Disclosure
  /// Keys that may read the tensors and challenge, beside the requester.
  package let auditors: [PublicKey]
  /// How likely each attested slice is audited.
  package let auditRate: PartsPerMillion
  /// `AuditNonce.commitment` of the requester; zero bytes will do where no slice is attested.
  package var nonceCommitment: Digest
  package let beginDeadline: Tick
  package let finalDeadline: Tick
  package let attemptsMax: UInt32
  package let timeInForce: TimeInForce

  package init(
    model: ModelID, inputs: [Digest], assurances: [SliceAssurance], limitPrice: Price,
    ramp: PriceRamp? = nil, stakeMultiple: UInt32, spread: UInt32,
    reputation: ReputationFilter? = nil, disclosure: Disclosure, auditors: [PublicKey] = [],
    auditRate: PartsPerMillion = PartsPerMillion(clamping: 0), nonceCommitment: Digest,
    beginDeadline: Tick, finalDeadline: Tick, attemptsMax: UInt32, timeInForce: TimeInForce
  ) {
    self.model = model
    self.inputs = inputs
    self.assurances = assurances
    self.limitPrice = limitPrice
    self.ramp = ramp
    self.stakeMultiple = stakeMultiple
    self.spread = spread
    self.reputation = reputation
    self.disclosure = disclosure
    self.auditors = auditors
    self.auditRate = auditRate
    self.nonceCommitment = nonceCommitment
    self.beginDeadline = beginDeadline
    self.finalDeadline = finalDeadline
    self.attemptsMax = attemptsMax
    self.timeInForce = timeInForce
  }

  package var isAttested: Bool { assurances.contains { $0.assurance == .attested } }
}

/// The outcome of the verification that a `verificationWanted` event asked for.
package struct VerdictRecord: Hashable, Sendable {
  package let lease: LeaseID
  /// The attempt that the event named.
  package let attempt: UInt32
  package let verdict: Verdict
  /// Blob that lets anyone run the verification again, or the digest of nothing.
  package let evidence: Digest

  package init(lease: LeaseID, attempt: UInt32, verdict: Verdict, evidence: Digest) {
    self.lease = lease
    self.attempt = attempt
    self.verdict = verdict
    self.evidence = evidence
  }
}

extension Command: CanonicalCodable {
  package func encode(into encoder: inout CanonicalEncoder) {
    switch self {
    case .deposit(let owner, let amount):
      encoder.append(UInt8(1))
      encoder.append(owner)
      encoder.append(amount)
    case .withdraw(let amount):
      encoder.append(UInt8(2))
      encoder.append(amount)
    case .bond(let amount):
      encoder.append(UInt8(3))
      encoder.append(amount)
    case .publishModel(let manifest):
      encoder.append(UInt8(4))
      encoder.append(manifest)
    case .publishKey(let record):
      encoder.append(UInt8(5))
      encoder.append(record)
    case .placeBid(let terms):
      encoder.append(UInt8(6))
      encoder.append(terms)
    case .cancelBid(let bid):
      encoder.append(UInt8(7))
      encoder.append(bid)
    case .submitRequest(let terms):
      encoder.append(UInt8(8))
      encoder.append(terms)
    case .cancelRequest(let request):
      encoder.append(UInt8(9))
      encoder.append(request)
    case .commitOutput(let commitment):
      encoder.append(UInt8(10))
      encoder.append(commitment)
    case .submitBatch(let batch):
      encoder.append(UInt8(11))
      encoder.append(batch)
    case .reportRangeFault(let lease):
      encoder.append(UInt8(12))
      encoder.append(lease)
    case .recordVerdict(let record):
      encoder.append(UInt8(13))
      encoder.append(record)
    case .tick: encoder.append(UInt8(14))
    case .amendBid(let bid, let price, let capacity):
      encoder.append(UInt8(15))
      encoder.append(bid)
      encoder.append(price)
      encoder.append(capacity)
    case .declareUnprovable(let lease):
      encoder.append(UInt8(16))
      encoder.append(lease)
    case .resume: encoder.append(UInt8(17))
    case .setParameters(let parameters, let rulesVersion):
      encoder.append(UInt8(18))
      encoder.append(parameters)
      encoder.append(rulesVersion)
    case .pause(let isPaused):
      encoder.append(UInt8(19))
      encoder.append(isPaused)
    case .unbond(let amount):
      encoder.append(UInt8(20))
      encoder.append(amount)
    case .commitNonce(let request, let commitment):
      encoder.append(UInt8(21))
      encoder.append(request)
      encoder.append(commitment)
    case .revealNonce(let owner, let nonce):
      encoder.append(UInt8(22))
      encoder.append(owner)
      encoder.append(nonce)
    case .challenge(let lease, let deposit):
      encoder.append(UInt8(23))
      encoder.append(lease)
      encoder.append(deposit)
    case .delegate(let prover, let amount):
      encoder.append(UInt8(24))
      encoder.append(prover)
      encoder.append(amount)
    case .undelegate(let prover, let amount):
      encoder.append(UInt8(25))
      encoder.append(prover)
      encoder.append(amount)
    case .setCommission(let rate):
      encoder.append(UInt8(26))
      encoder.append(rate)
    case .liftHalt(let key):
      encoder.append(UInt8(27))
      encoder.append(key)
    case .cancelLease(let lease):
      encoder.append(UInt8(28))
      encoder.append(lease)
    }
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    let start = decoder.offset
    switch try decoder.integer(UInt8.self) {
    case 1:
      let owner = try decoder.record(PublicKey.self)
      self = .deposit(owner: owner, amount: try decoder.record())
    case 2: self = .withdraw(amount: try decoder.record())
    case 3: self = .bond(amount: try decoder.record())
    case 4: self = .publishModel(try decoder.record())
    case 5: self = .publishKey(try decoder.record())
    case 6: self = .placeBid(try decoder.record())
    case 7: self = .cancelBid(try decoder.record())
    case 8: self = .submitRequest(try decoder.record())
    case 9: self = .cancelRequest(try decoder.record())
    case 10: self = .commitOutput(try decoder.record())
    case 11: self = .submitBatch(try decoder.record())
    case 12: self = .reportRangeFault(try decoder.record())
    case 13: self = .recordVerdict(try decoder.record())
    case 14: self = .tick
    case 15:
      self = .amendBid(
        try decoder.record(), price: try decoder.record(), capacity: try decoder.integer())
    case 16: self = .declareUnprovable(try decoder.record())
    case 17: self = .resume
    case 18:
      self = .setParameters(try decoder.record(), rulesVersion: try decoder.integer())
    case 19: self = .pause(try decoder.bool())
    case 20: self = .unbond(amount: try decoder.record())
    case 21: self = .commitNonce(try decoder.record(), try decoder.record())
    case 22: self = .revealNonce(try decoder.record(), try decoder.record())
    case 23: self = .challenge(try decoder.record(), deposit: try decoder.record())
    case 24: self = .delegate(try decoder.record(), amount: try decoder.record())
    case 25: self = .undelegate(try decoder.record(), amount: try decoder.record())
    case 26: self = .setCommission(try decoder.optional())
    case 27: self = .liftHalt(try decoder.record())
    case 28: self = .cancelLease(try decoder.record())
    case let tag: throw decoder.failure(.unknownTag(tag, of: "Command"), at: start)
    }
  }
}

extension Scope: CanonicalCodable {
  package func encode(into encoder: inout CanonicalEncoder) {
    switch self {
    case .any: encoder.append(UInt8(1))
    case .model(let model):
      encoder.append(UInt8(2))
      encoder.append(model)
    case .slice(let model, let slice):
      encoder.append(UInt8(3))
      encoder.append(model)
      encoder.append(UInt32(slice))
    }
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    let start = decoder.offset
    switch try decoder.integer(UInt8.self) {
    case 1: self = .any
    case 2: self = .model(try decoder.record())
    case 3:
      let model = try decoder.record(ModelID.self)
      self = .slice(model, Int(try decoder.integer(UInt32.self)))
    case let tag: throw decoder.failure(.unknownTag(tag, of: "Scope"), at: start)
    }
  }
}

extension NonceOwner: CanonicalCodable {
  package func encode(into encoder: inout CanonicalEncoder) {
    switch self {
    case .requester(let request):
      encoder.append(UInt8(1))
      encoder.append(request)
    case .broker(let request):
      encoder.append(UInt8(2))
      encoder.append(request)
    case .lessee(let lease):
      encoder.append(UInt8(3))
      encoder.append(lease)
    }
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    let start = decoder.offset
    switch try decoder.integer(UInt8.self) {
    case 1: self = .requester(try decoder.record())
    case 2: self = .broker(try decoder.record())
    case 3: self = .lessee(try decoder.record())
    case let tag: throw decoder.failure(.unknownTag(tag, of: "NonceOwner"), at: start)
    }
  }
}

extension BidTerms: CanonicalCodable {
  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(backend)
    encoder.append(scope)
    encoder.append(price)
    encoder.append(capacity)
    encoder.append(largestSlice)
    encoder.append(expiry)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    backend = try decoder.record()
    scope = try decoder.record()
    price = try decoder.record()
    capacity = try decoder.integer()
    largestSlice = try decoder.record()
    expiry = try decoder.record()
  }
}

extension SliceAssurance: CanonicalCodable {
  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(assurance.rawValue)
    encoder.append(backend)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    let start = decoder.offset
    let tag = try decoder.integer(UInt8.self)
    guard let assurance = Assurance(rawValue: tag) else {
      throw decoder.failure(.unknownTag(tag, of: "Assurance"), at: start)
    }
    self.assurance = assurance
    backend = try decoder.record()
  }
}

extension TimeInForce: CanonicalCodable {
  package func encode(into encoder: inout CanonicalEncoder) {
    switch self {
    case .goodTillCancelled: encoder.append(UInt8(1))
    case .goodTill(let tick):
      encoder.append(UInt8(2))
      encoder.append(tick)
    case .immediateOrCancel: encoder.append(UInt8(3))
    case .fillOrKill: encoder.append(UInt8(4))
    }
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    let start = decoder.offset
    switch try decoder.integer(UInt8.self) {
    case 1: self = .goodTillCancelled
    case 2: self = .goodTill(try decoder.record())
    case 3: self = .immediateOrCancel
    case 4: self = .fillOrKill
    case let tag: throw decoder.failure(.unknownTag(tag, of: "TimeInForce"), at: start)
    }
  }
}

extension PriceRamp: CanonicalCodable {
  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(start)
    encoder.append(step)
    encoder.append(interval)
    encoder.append(begins)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    start = try decoder.record()
    step = try decoder.record()
    interval = try decoder.integer()
    begins = try decoder.record()
  }
}

extension RequestTerms: CanonicalCodable {
  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(model)
    encoder.append(inputs)
    encoder.append(assurances)
    encoder.append(limitPrice)
    encoder.append(ramp)
    encoder.append(stakeMultiple)
    encoder.append(spread)
    encoder.append(reputation)
    encoder.append(disclosure.rawValue)
    encoder.append(auditors)
    encoder.append(auditRate)
    encoder.append(nonceCommitment)
    encoder.append(beginDeadline)
    encoder.append(finalDeadline)
    encoder.append(attemptsMax)
    encoder.append(timeInForce)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    model = try decoder.record()
    inputs = try decoder.list(limit: Manifest.boundaryLimit, elementSize: Bytes32.count)
    assurances = try decoder.list(limit: Manifest.sliceLimit, elementSize: 6)
    limitPrice = try decoder.record()
    ramp = try decoder.optional()
    stakeMultiple = try decoder.integer()
    spread = try decoder.integer()
    reputation = try decoder.optional()
    let start = decoder.offset
    let tag = try decoder.integer(UInt8.self)
    guard let disclosure = Disclosure(rawValue: tag) else {
      throw decoder.failure(.unknownTag(tag, of: "Disclosure"), at: start)
    }
    self.disclosure = disclosure
    auditors = try decoder.list(limit: Self.auditorLimit, elementSize: Bytes32.count)
    auditRate = try decoder.record()
    nonceCommitment = try decoder.record()
    beginDeadline = try decoder.record()
    finalDeadline = try decoder.record()
    attemptsMax = try decoder.integer()
    timeInForce = try decoder.record()
  }
}

extension VerdictRecord: CanonicalCodable {
  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(lease)
    encoder.append(attempt)
    encoder.append(verdict)
    encoder.append(evidence)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    lease = try decoder.record()
    attempt = try decoder.integer()
    verdict = try decoder.record()
    evidence = try decoder.record()
  }
}
