import HeapModule
package import Primitives
package import Statements

/// The exchange as a pure state machine: a command in, events out.
///
/// `execute` decides a command and applies the events it causes; `evolve` applies an event that was
/// decided before. Live runs execute, recovery evolves, an audit executes again and compares. There
/// is no clock, no randomness, no input or output, and nothing iterates a dictionary: equal
/// commands at equal ticks give equal bytes on every machine.
///
/// A rejected command changes nothing: every rule is checked before the first event is emitted.
package struct Market: Sendable {
  /// The exact integer meaning under which a slice can be run again.
  package static let semantics = "fixed16/1"

  package let genesis: Genesis
  package var ledger = Ledger()
  package var models: [ModelID: Manifest] = [:]
  package var keyRecords: [KeySubject: KeyRecord] = [:]
  /// The key records of each model, in the order in which they were published.
  package var keySubjects: [ModelID: [KeySubject]] = [:]
  package var book: any OrderBook
  package var requests = RequestList()
  package var leases = LeaseList()
  package var provers: [PublicKey: Prover] = [:]
  /// What is delegated, by prover.
  package var pools: [PublicKey: DelegationPool] = [:]
  /// Slices of each requester's requests that have not ended.
  var openSlices: [PublicKey: Int] = [:]
  /// Bids and requests so far: the next one's ordinal.
  package var arrivals: UInt64 = 0
  /// Deadlines so far: equal ticks come up in the order they were set.
  var scheduled: UInt64 = 0
  /// The parameters of the genesis, then each that the operator has set.
  package var parameterSets: [Parameters]
  /// The operator's changes that are not in effect yet, in the order in which they will be.
  package var announced: [Announcement] = []
  package var isPaused = false
  /// Keys under which no lease is made, until the operator lifts it.
  package var halts: Set<KeySubject> = []
  /// Slashes under each key since its last halt, one for each prover, by time.
  package var slashRecords: [KeySubject: [SlashRecord]] = [:]
  /// The latest tick of an executed command.
  package var now: Tick = .zero
  /// The latest tick before the command being executed.
  var lastNow: Tick = .zero
  var deadlines = Heap<Deadline>()
  /// Events of the command being executed.
  var emitted: [Event] = []
  /// What its caller has found about the signatures inside the command being executed.
  var isAuthentic: Bool?
  /// Whether `moneyViolations` are looked for after every event, which costs time linear in the
  /// state.
  package var watchesMoney = false
  /// The first that was found so.
  private(set) var violation: String?
  /// Provers whose capacity or stake came free during this command: their bids are tried again.
  var freed: [PublicKey] = []
  /// Requests of which a slice came back during this command: their orders are tried again.
  var returned: [RequestID] = []

  package struct KeySubject: Hashable, Sendable {
    package let model: ModelID
    package let slice: Int
    package let backend: BackendID

    package init(model: ModelID, slice: Int, backend: BackendID) {
      self.model = model
      self.slice = slice
      self.backend = backend
    }
  }

  package init(
    genesis: Genesis, book: any OrderBook = FastBook()
  ) throws(MarketError) {
    guard genesis.rulesVersion == Genesis.rulesVersion else {
      throw MarketError.unknownRules(genesis.rulesVersion)
    }
    self.genesis = genesis
    self.book = book
    parameterSets = [genesis.parameters]
  }

  /// Those in force now.
  package var parameters: Parameters { parameterSets[parameterSets.count - 1] }

  /// Those that the lease was made under.
  func parameters(of lease: Lease) -> Parameters { parameterSets[Int(lease.terms.parameters)] }

  /// Decides a command and applies what it causes.
  ///
  /// - Parameters:
  ///   - author: Who signed the command; the caller has checked the signature.
  ///   - digest: The envelope's digest, which becomes the id of a bid or request.
  ///   - tick: Sequencer time, never before that of an earlier command.
  ///   - isAuthentic: `command.isAuthentic`, where the caller has asked already; nil to have the
  ///     rules ask where they come to it.
  package mutating func execute(
    _ command: Command, by author: PublicKey, digest: Digest, at tick: Tick,
    isAuthentic: Bool? = nil
  ) -> Outcome {
    self.isAuthentic = isAuthentic
    lastNow = now
    now = max(now, tick)
    emitted = []
    do {
      try decide(command, by: author, digest: digest)
      matchAgain()
    } catch {
      precondition(emitted.isEmpty, "a rejected command has caused events")
      return .rejected(error.rejection)
    }
    defer { emitted = [] }
    return .accepted(emitted)
  }

  private mutating func decide(
    _ command: Command, by author: PublicKey, digest: Digest
  ) throws(Refused) {
    switch command {
    case .deposit(let owner, let amount): try deposit(amount, to: owner, by: author)
    case .withdraw(let amount): try withdraw(amount, by: author)
    case .bond(let amount): try bond(amount, by: author)
    case .unbond(let amount): try unbond(amount, by: author)
    case .publishModel(let manifest): try publishModel(manifest, by: author)
    case .publishKey(let record): try publishKey(record, by: author)
    case .placeBid(let terms): try placeBid(terms, id: digest, by: author)
    case .amendBid(let bid, let price, let capacity):
      try amendBid(bid, price: price, capacity: capacity, by: author)
    case .cancelBid(let bid): try cancelBid(bid, by: author)
    case .submitRequest(let terms): try submitRequest(terms, id: digest, by: author)
    case .cancelRequest(let request): try cancelRequest(request, by: author)
    case .cancelLease(let lease): try cancelLease(lease, by: author)
    case .commitOutput(let commitment): try commitOutput(commitment, by: author)
    case .submitBatch(let batch): try submitBatch(batch, by: author)
    case .declareUnprovable(let lease): try declareUnprovable(lease, by: author)
    case .reportRangeFault(let lease): try reportRangeFault(lease, by: author)
    case .recordVerdict(let record): try recordVerdict(record, by: author)
    case .tick: try passTime(by: author)
    case .resume: try resume(by: author)
    case .setParameters(let parameters, let rulesVersion):
      try setParameters(parameters, rulesVersion: rulesVersion, by: author)
    case .pause(let isPaused): try pause(isPaused, by: author)
    case .commitNonce(let request, let commitment):
      try commitNonce(request, commitment, by: author)
    case .revealNonce(let owner, let nonce): try revealNonce(nonce, of: owner, by: author)
    case .challenge(let lease, let deposit): try challenge(lease, deposit, by: author)
    case .delegate(let prover, let amount): try delegate(amount, to: prover, by: author)
    case .undelegate(let prover, let amount): try undelegate(amount, from: prover, by: author)
    case .setCommission(let rate): try setCommission(rate, by: author)
    case .liftHalt(let key): try liftHalt(of: key, by: author)
    }
  }

  /// Records an event and applies it. What is emitted has been checked to fit the state.
  mutating func emit(_ body: consuming Event.Body, _ postings: consuming [Posting] = []) {
    let event = Event(body, postings)
    do {
      try evolve(event)
    } catch {
      preconditionFailure("the market emitted an impossible event: \(error)")
    }
    if watchesMoney, violation == nil {
      violation = moneyViolations().first.map { "\($0) after \(event.body)" }
    }
    // Most commands cause one event, for which a literal makes room faster than appending does; the
    // others cause several.
    guard !emitted.isEmpty else { return emitted = [event] }
    if emitted.count == 1 { emitted.reserveCapacity(8) }
    emitted.append(event)
  }

  package func balance(_ account: Account) -> Int64 { ledger.balance(account) }
  package var balances: [(account: Account, balance: Int64)] { ledger.sorted }
}

/// A rejection by a rule of the market.
package enum Refused: CodedError, Hashable {
  case notOperator
  case notBroker
  case zeroAmount
  case amountTooLarge
  case insufficientFunds(needed: Amount, available: Amount)
  case modelKnown
  case unknownModel
  case unknownSlice
  case keyKnown
  case noKey(slice: String, backend: String)
  case bondTooSmall(needed: Amount, bonded: Amount)
  case invalidBid(String)
  case coolingDown(until: Tick)
  case notHalted
  case tooManyBids(limit: UInt32)
  case tooManySlices(limit: Int)
  case bidsOpen(minimum: Amount)
  case tooManyUnbondings(limit: Int)
  case bondBehindDelegation(needed: Amount)
  case notDelegable
  case ownProver
  case notDelegated
  case tooManyDelegators(limit: Int)
  case delegationTooSmall(minimum: Amount)
  case delegationTooLarge(room: Amount)
  case unknownBid
  case invalidRequest(String)
  case unknownRequest
  case nonceNotAwaited
  case falseNonce
  case notChallengeable(LeaseID)
  case mayNotChallenge
  case depositTooSmall(needed: Amount)
  case cancelTooLate
  case notYours(String)
  case unknownLease(LeaseID)
  case leaseNotInState(LeaseID, expected: String)
  case leaseLate(LeaseID)
  case invalidCommitment(String)
  case invalidBatch(String)
  case notAwaited(LeaseID)
  case noOutage(bound: UInt64)
  case paused
  case unknownRules(UInt32)
  case invalidParameters(String)
  case duplicate

  package var rejection: Rejection { Rejection(code: code, sentence: sentence) }

  package var code: String {
    switch self {
    case .notOperator: "not-operator"
    case .notBroker: "not-broker"
    case .zeroAmount: "zero-amount"
    case .amountTooLarge: "amount-too-large"
    case .insufficientFunds: "insufficient-funds"
    case .modelKnown: "model-known"
    case .unknownModel: "unknown-model"
    case .unknownSlice: "unknown-slice"
    case .keyKnown: "key-known"
    case .noKey: "no-key"
    case .bondTooSmall: "bond-too-small"
    case .invalidBid: "invalid-bid"
    case .coolingDown: "cooling-down"
    case .notHalted: "not-halted"
    case .tooManyBids: "too-many-bids"
    case .tooManySlices: "too-many-slices"
    case .bidsOpen: "bids-open"
    case .tooManyUnbondings: "too-many-unbondings"
    case .bondBehindDelegation: "bond-behind-delegation"
    case .notDelegable: "not-delegable"
    case .ownProver: "own-prover"
    case .notDelegated: "not-delegated"
    case .tooManyDelegators: "too-many-delegators"
    case .delegationTooSmall: "delegation-too-small"
    case .delegationTooLarge: "delegation-too-large"
    case .unknownBid: "unknown-bid"
    case .invalidRequest: "invalid-request"
    case .unknownRequest: "unknown-request"
    case .nonceNotAwaited: "nonce-not-awaited"
    case .falseNonce: "false-nonce"
    case .notChallengeable: "not-challengeable"
    case .mayNotChallenge: "may-not-challenge"
    case .depositTooSmall: "deposit-too-small"
    case .cancelTooLate: "cancel-too-late"
    case .notYours: "not-yours"
    case .unknownLease: "unknown-lease"
    case .leaseNotInState: "lease-not-in-state"
    case .leaseLate: "lease-late"
    case .invalidCommitment: "invalid-commitment"
    case .invalidBatch: "invalid-batch"
    case .notAwaited: "verdict-not-awaited"
    case .noOutage: "no-outage"
    case .paused: "market-paused"
    case .unknownRules: "unknown-rules"
    case .invalidParameters: "invalid-parameters"
    case .duplicate: "duplicate"
    }
  }

  package var sentence: String {
    switch self {
    case .notOperator: "Only the operator may do this; sign with the operator's key."
    case .notBroker: "Only the broker may do this."
    case .zeroAmount: "The amount is zero; name at least one micro-credit."
    case .amountTooLarge:
      "The amount, or a sum with it, is above 2^62 micro-credits; use a smaller one."
    case .insufficientFunds(let needed, let available):
      "\(needed) micro-credits are needed and \(available) are available; deposit the difference first."
    case .modelKnown: "This model is published already; use it by its id."
    case .unknownModel: "No such model is published; publish it first with `bourse model publish`."
    case .unknownSlice: "The model has no such slice; see `bourse model inspect`."
    case .keyKnown: "A key for this slice and backend is published already."
    case .noKey(let slice, let backend):
      "No key of backend '\(backend)' is published for slice '\(slice)' yet; wait for the broker to publish it or choose another backend."
    case .bondTooSmall(let needed, let bonded):
      "A bid needs a bond of at least \(needed) micro-credits and yours is \(bonded); bond more first."
    case .invalidBid(let what): "The bid is not usable: \(what)."
    case .coolingDown(let until):
      "You were slashed, and place no bid until \(until), in milliseconds since 1970; find out why, then bid again."
    case .notHalted: "No leases are stopped under this key; see `bourse rules halts`."
    case .tooManyBids(let limit):
      "Your key has \(limit) bids open, which is the most; cancel one, or amend one instead."
    case .tooManySlices(let limit):
      "Your open requests may have \(limit) slices together; wait until one has ended."
    case .bidsOpen(let minimum):
      "While you have bids open your bond must stay at \(minimum) micro-credits; cancel them first."
    case .tooManyUnbondings(let limit):
      "\(limit) sums of yours are on their way out already; wait until one is free."
    case .bondBehindDelegation(let needed):
      "While you have bids open your bond must stay at \(needed) micro-credits for what is delegated to you; cancel them first."
    case .notDelegable:
      "The prover takes no delegations; it must offer a commission first, with `bourse stake commission`."
    case .ownProver: "A prover cannot delegate to itself; bond instead."
    case .notDelegated: "You have delegated nothing to this prover; see `bourse stake show`."
    case .tooManyDelegators(let limit):
      "The prover has \(limit) delegators, which is the most; choose another prover."
    case .delegationTooSmall(let minimum):
      "A delegation is at least \(minimum) micro-credits, or nothing; delegate more, or undelegate all."
    case .delegationTooLarge(let room):
      "The prover's own bond has room for \(room) micro-credits more behind it; delegate less."
    case .unknownBid: "No such bid is open."
    case .invalidRequest(let what): "The request is not usable: \(what)."
    case .unknownRequest: "No such request is known."
    case .nonceNotAwaited:
      "No such nonce is awaited: ask for the request's state and act on that."
    case .falseNonce: "The nonce is not the one that was committed to; reveal that one."
    case .notChallengeable(let lease):
      "Lease \(lease) cannot be challenged: only one that is attested, not audited, and within its challenge window can, once."
    case .mayNotChallenge:
      "Only the requester and the auditors it names may challenge here, and never the lessee; ask one of them."
    case .depositTooSmall(let needed):
      "A challenge needs a deposit of at least \(needed) micro-credits, the lease's fee; deposit more."
    case .cancelTooLate:
      "Work on the request has begun, so it can no longer be cancelled; wait until it is final."
    case .notYours(let what): "The \(what) belongs to another key; sign with its owner's."
    case .unknownLease(let lease): "There is no lease \(lease)."
    case .leaseNotInState(let lease, let expected):
      "Lease \(lease) is not \(expected); ask for its state and act on that."
    case .leaseLate(let lease): "The deadline of lease \(lease) has passed."
    case .invalidCommitment(let what): "The output commitment is not usable: \(what)."
    case .invalidBatch(let what): "The batch is not usable: \(what)."
    case .notAwaited(let lease): "No such verdict on lease \(lease) is awaited."
    case .noOutage(let bound):
      "The last command is not \(bound) ms old, so no deadline needs to be shifted."
    case .paused:
      "The operator has paused the exchange; what is leased goes on, and nothing new is taken."
    case .unknownRules(let version):
      "This build does not have rules version \(version); use a build that does."
    case .invalidParameters(let what): "The parameters are not usable: \(what)."
    case .duplicate: "This has been done already."
    }
  }
}
