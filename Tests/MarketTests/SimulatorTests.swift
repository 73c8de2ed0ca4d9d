import Market
import Primitives
import Statements
import Testing

/// Random histories: requesters, provers and a broker who do right, wrong and nonsense. After every
/// command what must always hold is checked; at the end nothing may be left hanging.
struct SimulatorTests {
  @Test(arguments: Array(UInt64(1)...8))
  func whateverHappensMoneyIsConservedAndReplayAgrees(seed: UInt64) throws {
    var simulator = Simulator(
      seed: seed, isCalm: seed.isMultiple(of: 3), isThin: seed.isMultiple(of: 4))
    for _ in 0..<400 { try simulator.step() }
    try simulator.runToTheEnd()
    #expect(simulator.violations == [])
    let market = simulator.live
    #expect(market.requests.allSatisfy { $0.state.isFinal })
    #expect(market.leases.allSatisfy { $0.state.isFinal })
    for (account, balance) in market.balances {
      switch account.purpose {
      case .feeHold, .stakeHold, .slashEscrow, .unbonding, .challengeHold, .delegatedHold:
        #expect(balance == 0, "\(account)")
      case .available, .bond, .delegated, .treasury, .burned, .external: break
      }
    }
    #expect(market.pools.values.allSatisfy { $0.leaving == .zero })
    #expect(market.book.orders.isEmpty)
    #expect(market.book.bids.allSatisfy { $0.leases == 0 && !$0.isClosed })
  }

  /// Random histories are worth something only if they reach everything.
  @Test func historiesReachEveryEventAndEveryRefusal() throws {
    var events: Set<UInt8> = []
    var refusals: Set<String> = []
    var ends: Set<RequestState> = []
    for seed in UInt64(101)...132 {
      var simulator = Simulator(
        seed: seed, checks: false, isCalm: seed > 105 && seed < 119, isThin: seed > 118)
      for _ in 0..<700 { try simulator.step() }
      try simulator.runToTheEnd()
      events.formUnion(simulator.events)
      refusals.formUnion(simulator.refusals)
      ends.formUnion(simulator.live.requests.map(\.state))
    }
    let missing = Set(UInt8(1)...49).subtracting(events)
    #expect(missing.isEmpty, "event tags never reached: \(missing)")
    #expect(ends == [.final, .unmatched, .cancelled, .failed])
    let known: Set<String> = [
      "not-operator", "not-broker", "zero-amount", "amount-too-large", "insufficient-funds",
      "model-known", "unknown-model", "unknown-slice", "key-known", "no-key", "bond-too-small",
      "invalid-bid", "unknown-bid", "invalid-request", "unknown-request", "cancel-too-late",
      "nonce-not-awaited", "false-nonce", "not-challengeable", "may-not-challenge",
      "deposit-too-small", "not-yours", "unknown-lease", "lease-not-in-state", "lease-late",
      "invalid-commitment", "invalid-batch", "verdict-not-awaited", "duplicate",
      "no-outage", "bids-open", "market-paused", "unknown-rules", "invalid-parameters",
      "not-delegable", "own-prover", "not-delegated", "delegation-too-small",
      "delegation-too-large", "bond-behind-delegation", "cooling-down", "not-halted",
    ]
    #expect(refusals == known, "\(known.symmetricDifference(refusals)) differ")
  }
}

/// One seeded history, lived three times: executed, recovered by `evolve` alone, and executed again
/// over the reference book.
struct Simulator {
  typealias F = MarketFixture

  private(set) var live: Market
  private var recovered: Market
  private var again: Market
  /// Every event so far.
  private(set) var history: [Event] = []
  private(set) var violations: [String] = []
  /// Tags of the events seen.
  private(set) var events: Set<UInt8> = []
  /// Codes of the rejections seen.
  private(set) var refusals: Set<String> = []

  private var generator: SeededGenerator
  private var now: UInt64 = 1_000
  private var commands: UInt64 = 0
  private let checks: Bool
  /// As a sequencer would keep it: no digest twice, no tick before the last, and every entry kept.
  private let isJournal: Bool
  /// Time passes slowly, and most slices are attested: few of their requests end well otherwise.
  private let isCalm: Bool
  /// Bonds are small and stakes large, so that delegators' stake is reached.
  private let isThin: Bool
  private(set) var entries: [(envelope: Envelope, tick: Tick, outcome: Outcome)] = []
  /// Digests of bids and requests.
  private var orders: [Digest] = []

  private let manifests = [
    F.chain, F.diamond, F.manifest("single", [(500, [.input(0)])]),
    F.manifest("late", [(7, [.input(0)]), (999, [.slice(0, output: 0), .input(0)])]),
  ]
  private let requesters = [F.alice, F.bob]
  private let backends = [BackendID.reexec, F.sumcheck, BackendID("ezkl")!]

  init(
    seed: UInt64, checks: Bool = true, isJournal: Bool = false, isCalm: Bool = false,
    isThin: Bool = false
  ) {
    generator = SeededGenerator(seed: seed)
    self.checks = checks
    self.isJournal = isJournal
    self.isCalm = isCalm
    self.isThin = isThin
    var parameters = Parameters()
    parameters.inconclusiveRetries = UInt32(generator.below(3))
    parameters.lapseLimit = UInt32(1 + generator.below(3))
    parameters.minimumStake = Amount([1, 1_000, 77][generator.below(3)])
    parameters.replacementShare = PartsPerMillion(
      clamping: generator.pick([0, 100_000, 1_000_000]))
    parameters.treasuryShare = PartsPerMillion(clamping: generator.pick([0, 250_000, 1_000_000]))
    parameters.noticePeriod = UInt64(generator.below(20_000))
    parameters.challengeWindow = isCalm ? 5_000 : 20_000
    parameters.challengerShare = PartsPerMillion(clamping: generator.pick([0, 100_000, 1_000_000]))
    parameters.minimumDelegation = Amount(generator.pick([1, isThin ? 500 : 10_000]))
    if isThin { parameters.minimumBond = Amount(500) }
    parameters.coolDown = isThin ? 3_000 : 0
    parameters.breakerSlashes = isThin ? 2 : 0
    let genesis = Genesis(
      network: F.network, operator: F.operatorKey.publicKey, broker: F.broker.publicKey,
      parameters: parameters)
    live = try! Market(genesis: genesis)
    live.watchesMoney = checks
    recovered = live
    again = try! Market(genesis: genesis, book: ReferenceBook())
  }

  // MARK: One step

  mutating func step() throws {
    if generator.chance(70) { now += UInt64(generator.below(400)) }
    if generator.chance(isCalm ? 1 : 4) { now += UInt64(generator.below(40_000)) }
    let (command, author) = commands < 16 ? opening(Int(commands)) : anything()
    try execute(command, by: author, at: now)
    if generator.chance(25) { try execute(.tick, by: F.broker, at: now) }
  }

  /// Ticks into the far future until nothing is due.
  mutating func runToTheEnd() throws {
    now += 366 * 86_400_000
    for _ in 0..<40 {
      now += 10_000_000
      try execute(.tick, by: F.broker, at: now)
    }
  }

  /// Its envelope's digest; for bids and requests sometimes one that was.
  private mutating func digest(of command: Command, in envelope: Envelope) -> Digest {
    switch command {
    case .placeBid, .submitRequest:
      if !isJournal, !orders.isEmpty, generator.chance(8) { return generator.pick(orders) }
      orders.append(envelope.digest)
    default: break
    }
    return envelope.digest
  }

  private mutating func execute(
    _ command: Command, by author: SigningKey, at milliseconds: UInt64
  ) throws {
    commands += 1
    let envelope = Envelope(
      network: F.network, nonce: Nonce(high: 0, low: commands), expiry: .never,
      body: command.canonicalBytes, signedBy: author)
    let digest = digest(of: command, in: envelope)
    // Some clocks are late: the sequencer's time does not run backwards for them.
    let lateness = !isJournal && generator.chance(5) ? UInt64(generator.below(500)) : 0
    let tick = Tick(milliseconds: milliseconds - lateness)
    let outcome = live.execute(command, by: author.publicKey, digest: digest, at: tick)
    history += outcome.events
    if isJournal { entries.append((envelope, tick, outcome)) }
    for event in outcome.events { events.insert(event.body.canonicalBytes[0]) }
    if let code = outcome.rejection { refusals.insert(code) }
    guard checks else { return }

    violations += live.invariantViolations()
    let outcomeBytes = outcome.canonicalBytes
    #expect(try Outcome(canonicalBytes: outcomeBytes) == outcome)
    let commandBytes = command.canonicalBytes
    #expect(try Command(canonicalBytes: commandBytes).canonicalBytes == commandBytes)
    for event in outcome.events {
      #expect(event.postings.reduce(0) { $0 + $1.delta } == 0)
      let bytes = event.canonicalBytes
      #expect(try Event(canonicalBytes: bytes).canonicalBytes == bytes)
    }

    // A market recovered just before this command decides it alike.
    var resumed = recovered
    resumed.now = again.now
    let resumedOutcome = resumed.execute(
      command, by: author.publicKey, digest: digest, at: tick)
    #expect(resumedOutcome == outcome, "a recovered market decides \(command.name) otherwise")

    for event in outcome.events { try recovered.evolve(event) }
    let againOutcome = again.execute(command, by: author.publicKey, digest: digest, at: tick)
    #expect(againOutcome == outcome, "the reference book decides \(command.name) otherwise")
    // Costs time linear in the history, and what differs now differs later.
    guard commands.isMultiple(of: 8) else { return }
    let state = live.stateDigest
    #expect(recovered.stateDigest == state)
    #expect(again.stateDigest == state)
    #expect(recovered.balances.elementsEqual(live.balances, by: ==))
    // From here on it is a market restored from a snapshot that is compared.
    guard commands.isMultiple(of: 32) else { return }
    var restored = try Market(genesis: recovered.genesis)
    try restored.restore(recovered.snapshot)
    #expect(restored.stateDigest == state)
    #expect(restored.snapshot == recovered.snapshot)
    recovered = restored
  }

  // MARK: Commands

  /// What every exchange begins with: models, keys, money, bonds.
  private func opening(_ index: Int) -> (Command, SigningKey) {
    switch index {
    case 0..<3: (.publishModel(manifests[index]), F.broker)
    case 3..<6:
      (.deposit(owner: F.provers[index - 3].publicKey, amount: Amount(3_000_000)), F.operatorKey)
    case 6..<9: (.bond(amount: Amount(isThin ? 15_000 : 1_000_000)), F.provers[index - 6])
    case 9..<11:
      (.deposit(owner: requesters[index - 9].publicKey, amount: Amount(5_000_000)), F.operatorKey)
    default: (.publishKey(F.keyRecord(F.chain, index % 3, .reexec)), F.broker)
    }
  }

  private mutating func anything() -> (Command, SigningKey) {
    if generator.chance(40), let duty = assurance() { return duty }
    if generator.chance(isCalm ? 5 : 10) { return delegation() }
    switch generator.below(100) {
    case 0..<4:
      let owner = generator.pick(F.provers + requesters).publicKey
      return (.deposit(owner: owner, amount: amount()), author(F.operatorKey))
    case 4..<6: return (.withdraw(amount: amount()), generator.pick(F.everyone))
    case 6..<8:
      let isSmall = isThin && generator.chance(90)
      return (
        .bond(amount: isSmall ? Amount(UInt64(generator.below(8_000))) : amount()),
        generator.pick(F.provers)
      )
    case 8:
      let prover = generator.pick(F.provers)
      let all = live.ledger.amount(.bond(prover.publicKey))
      return (.unbond(amount: generator.chance(40) ? all : amount()), prover)
    case 9..<10: return (.publishModel(generator.pick(manifests)), generator.pick(F.everyone))
    case 10..<20: return (.publishKey(keyRecord()), author(F.broker))
    case 20..<29: return (bid(), generator.pick(F.provers + [F.alice]))
    case 29..<31:
      let bids = live.book.bids
      guard !bids.isEmpty, !generator.chance(10) else {
        return (.cancelBid(.zero), generator.pick(F.provers))
      }
      let bid = generator.pick(bids)
      return (.cancelBid(bid.id), author(F.key(of: bid.prover)))
    case 31..<34: return amendment()
    case 34..<42:
      let requester = generator.pick(requesters + [F.paula])
      return (request(by: requester), requester)
    case 42..<44:
      if !isThin, let lease = anyLease(.leased), generator.chance(10) {
        return (.cancelLease(lease.id), author(F.key(of: lease.terms.prover)))
      }
      guard let request = anyRequest(), !generator.chance(10) else {
        return (.cancelRequest(.zero), F.alice)
      }
      return (.cancelRequest(request.id), author(F.key(of: request.requester)))
    case 44..<63:
      guard let lease = anyLease(.begun) else { return (.tick, F.alice) }
      return (.commitOutput(commitment(lease)), author(F.key(of: lease.terms.prover)))
    case 63..<76: return batch()
    case 76..<78:
      guard let lease = anyLease(.committed) else { return (.declareUnprovable(unknown), F.paula) }
      return (.declareUnprovable(lease.id), author(F.key(of: lease.terms.prover)))
    case 78..<80:
      guard let lease = anyLease(.begun) else { return (.reportRangeFault(unknown), F.paula) }
      return (.reportRangeFault(lease.id), author(F.key(of: lease.terms.prover)))
    case 80..<97: return (.recordVerdict(verdict()), author(F.broker))
    case 97: return exchange()
    default: return (.tick, author(F.broker))
    }
  }

  private mutating func delegation() -> (Command, SigningKey) {
    let prover = generator.pick(F.provers)
    let holder = generator.pick(F.provers + requesters)
    let position = live.pools[prover.publicKey]?.position(of: holder.publicKey)
    switch generator.below(8) {
    case 0..<2:
      let rate = PartsPerMillion(clamping: UInt32(generator.below(1_000_000)))
      return (.setCommission(generator.chance(10) ? nil : rate), prover)
    case 2..<4:
      let all = position?.stake ?? .zero
      return (
        .undelegate(prover.publicKey, amount: generator.chance(50) ? all : amount()), holder
      )
    default:
      let own = min(live.bonded(by: prover.publicKey).microcredits, 1 << 40)
      let part = Amount(UInt64(generator.below(Int(own) * 4 + 1)))
      return (
        .delegate(prover.publicKey, amount: generator.chance(80) ? part : Amount(1)), holder
      )
    }
  }

  /// What operator and broker do with the exchange itself.
  private mutating func exchange() -> (Command, SigningKey) {
    switch generator.below(9) {
    case 8:
      let key = live.halts.min() ?? Market.KeySubject(model: .zero, slice: 0, backend: .reexec)
      return (.liftHalt(key), author(F.operatorKey))
    case 0..<2:
      now += UInt64(generator.below(12_000))
      return (.resume, author(F.broker))
    case 2: return (.pause(generator.chance(60)), author(F.operatorKey))
    case 3..<6: return (.pause(false), author(F.operatorKey))
    default:
      var parameters = live.parameters
      parameters.minimumStake = Amount(UInt64(generator.below(5) * 40))
      parameters.executeWindow = UInt64(5_000 + generator.below(10_000))
      parameters.feeShare = PartsPerMillion(clamping: UInt32(generator.below(50_000)))
      return (
        .setParameters(parameters, rulesVersion: generator.chance(10) ? 2 : 1),
        author(F.operatorKey)
      )
    }
  }

  private let unknown = LeaseID(ordinal: .max)

  /// What brings a request with attested slices on, where there is such a thing: nonces, outputs,
  /// challenges. By chance alone few of them would be answered.
  private mutating func assurance() -> (Command, SigningKey)? {
    let open = anyRequest { $0.state == .open && $0.terms.isAttested && $0.brokerCommitment == nil }
    let revealing = anyRequest { $0.isRevealing }
    let begun = live.leases.filter {
      $0.state == .begun && live.requests[$0.terms.request]?.terms.isAttested == true
    }
    switch generator.below(20) {
    case 0..<4:
      guard let id = open?.id else { return nil }
      let nonce = F.nonce(of: id).commitment(by: F.broker.publicKey)
      return (.commitNonce(id, nonce), author(F.broker))
    case 4..<9: return revealing.flatMap { reveal($0) }
    case 9..<13:
      guard !begun.isEmpty else { return nil }
      let lease = generator.pick(begun)
      return (.commitOutput(commitment(lease)), author(F.key(of: lease.terms.prover)))
    case 13: return batch()
    default: return challenge()
    }
  }

  private mutating func reveal(_ request: Request) -> (Command, SigningKey)? {
    guard let reveals = request.reveals else { return nil }
    if generator.chance(8) {
      return (.revealNonce(.broker(request.id), AuditNonce(.zero)), F.broker)
    }
    let lessees = reveals.leases.filter { live.leases[$0]?.nonce == nil }
    switch reveals.requester == nil ? 0 : generator.below(2 + lessees.count) {
    case 0:
      let requester = F.key(of: request.requester)
      return (
        .revealNonce(.requester(request.id), F.nonce(of: requester)), author(requester)
      )
    case 1: return (.revealNonce(.broker(request.id), F.nonce(of: request.id)), author(F.broker))
    case let index:
      guard let lease = live.leases[lessees[index - 2]] else { return nil }
      return (
        .revealNonce(.lessee(lease.id), F.nonce(of: lease)),
        author(F.key(of: lease.terms.prover))
      )
    }
  }

  private mutating func challenge() -> (Command, SigningKey)? {
    let isAny = generator.chance(5)
    let leases = live.leases.filter { isAny || $0.isChallengeable }
    guard !leases.isEmpty else { return nil }
    let lease = generator.pick(leases)
    let fee = lease.terms.fee.microcredits
    let deposit = generator.chance(50) ? fee / 2 : max(1, fee)
    let requester = live.requests[lease.terms.request]?.requester ?? F.alice.publicKey
    let challenger = generator.chance(25) ? generator.pick(F.everyone) : F.key(of: requester)
    return (.challenge(lease.id, deposit: Amount(deposit)), challenger)
  }

  /// Usually the right author, sometimes anyone.
  private mutating func author(_ key: SigningKey) -> SigningKey {
    generator.chance(6) ? generator.pick(F.everyone) : key
  }

  private mutating func amount() -> Amount {
    switch generator.below(10) {
    case 0: .zero
    case 1: .maximum
    case 2: Amount(generator.next() >> 2)
    case 3: Amount(Amount.maximum.microcredits - 5_000_000)
    default: Amount(UInt64(generator.below(1_000_000)))
    }
  }

  private mutating func price() -> Price {
    switch generator.below(25) {
    case 0: Price(ticks: .max)
    case 1: Price(ticks: 1 << 40)
    case 2: Price(ticks: generator.next())
    case 3: Price(ticks: 0)
    default: Price(ticks: UInt64(20 + generator.below(200)))
    }
  }

  private mutating func backend() -> BackendID {
    generator.chance(70) ? .reexec : generator.pick(backends)
  }

  private mutating func keyRecord() -> KeyRecord {
    let manifest = generator.pick(manifests)
    let slice = generator.below(manifest.slices.count + (generator.chance(10) ? 1 : 0))
    return F.keyRecord(manifest, slice, generator.pick([.reexec, F.sumcheck]))
  }

  private mutating func bid() -> Command {
    let model = generator.pick(manifests).id
    let scope: Scope =
      switch generator.below(6) {
      case 0: .model(model)
      case 1: .slice(model, generator.below(5))
      case 2 where generator.chance(10): .model(.zero)
      default: .any
      }
    return .placeBid(
      BidTerms(
        backend: backend(), scope: scope, price: price(),
        capacity: generator.chance(5) ? generator.pick([0, .max]) : UInt32(1 + generator.below(6)),
        largestSlice: generator.chance(20)
          ? Cost(units: UInt64(generator.below(2_500))) : .maximum,
        expiry: generator.chance(50)
          ? .never : Tick(milliseconds: now + UInt64(generator.below(60_000)))))
  }

  private mutating func reputation() -> ReputationFilter? {
    guard generator.chance(15) else { return nil }
    return ReputationFilter(
      settled: UInt32(generator.below(3)),
      faults: PartsPerMillion(clamping: UInt32(500_000 + generator.below(600_000))),
      time95: generator.chance(50) ? 0 : UInt32(generator.below(2_000_000)))
  }

  private mutating func amendment() -> (Command, SigningKey) {
    let bids = live.book.bids
    guard !bids.isEmpty else {
      return (.amendBid(.zero, price: Price(ticks: 1), capacity: 1), F.paula)
    }
    let bid = generator.pick(bids)
    let capacity = generator.chance(50) ? bid.terms.capacity : UInt32(generator.below(7))
    return (
      .amendBid(
        bid.id, price: generator.chance(50) ? bid.terms.price : price(), capacity: capacity),
      author(F.key(of: bid.prover))
    )
  }

  private mutating func ramp(_ limit: Price) -> PriceRamp? {
    guard generator.chance(20) else { return nil }
    return PriceRamp(
      start: Price(ticks: limit.ticks / 2), step: Price(ticks: UInt64(generator.below(30))),
      interval: UInt64(generator.below(5_000)),
      begins: Tick(milliseconds: now + UInt64(generator.below(1_000))))
  }

  private mutating func request(by requester: SigningKey) -> Command {
    let manifest = generator.pick(manifests)
    let inForce: TimeInForce =
      switch generator.below(6) {
      case 0: .fillOrKill
      case 1: .immediateOrCancel
      case 2: .goodTill(Tick(milliseconds: now + UInt64(generator.below(20_000))))
      default: .goodTillCancelled
      }
    let begin = now + UInt64(generator.below(50_000))
    let isBroken = generator.chance(5)
    let isAttested = generator.chance(isCalm ? 90 : 35)
    let backend = backend()
    let limit = price()
    return .submitRequest(
      RequestTerms(
        model: generator.chance(2) ? .zero : manifest.id,
        inputs: isBroken ? [] : [F.digest("input \(generator.below(5))")],
        assurances: manifest.slices.map { _ in
          isAttested && generator.chance(70)
            ? SliceAssurance(.attested, by: generator.chance(4) ? backend : .reexec)
            : SliceAssurance(.proven, by: generator.chance(10) ? self.backend() : backend)
        },
        limitPrice: limit, ramp: ramp(limit),
        stakeMultiple: generator.chance(3) ? .max : UInt32(1 + generator.below(isThin ? 80 : 40)),
        spread: UInt32(generator.below(4)), reputation: reputation(),
        disclosure: generator.pick([.parties, .everyone]),
        auditors: generator.chance(50) ? [F.bob.publicKey] : [],
        // Half of the calm ones spare all, so that some windows for challenges open.
        auditRate: PartsPerMillion(
          clamping: isCalm && generator.chance(50) ? 0 : UInt32(generator.below(1_000_001))),
        nonceCommitment: generator.chance(4)
          ? .zero : F.nonce(of: requester).commitment(by: requester.publicKey),
        beginDeadline: Tick(milliseconds: begin),
        finalDeadline: Tick(
          milliseconds: generator.chance(3) ? .max : begin + UInt64(generator.below(250_000))),
        attemptsMax: generator.chance(3) ? 0 : UInt32(1 + generator.below(4)),
        timeInForce: inForce))
  }

  /// Usually one that lives and is as asked for, sometimes one that has ended.
  private mutating func anyRequest(where isAsked: (Request) -> Bool = { _ in true }) -> Request? {
    let requests = live.requests.filter {
      !$0.state.isFinal && isAsked($0) || generator.chance(3)
    }
    return requests.isEmpty ? nil : generator.pick(requests)
  }

  /// Usually a lease in the state, sometimes any.
  private mutating func anyLease(_ state: LeaseState) -> Lease? {
    let isAny = generator.chance(8)
    let leases = live.leases.filter { isAny || $0.state == state }
    return leases.isEmpty ? nil : generator.pick(leases)
  }

  private mutating func commitment(_ lease: Lease) -> OutputCommitment {
    let output = generator.chance(80) ? F.honest(lease) : F.digest("lie \(generator.below(3))")
    let key = generator.chance(4) ? generator.pick(F.provers) : F.key(of: lease.terms.prover)
    return OutputCommitment(
      network: generator.chance(2) ? NetworkID("other")! : F.network,
      lease: generator.chance(2) ? unknown : lease.id,
      outputs: generator.chance(3) ? [output, output] : [output],
      nonceCommitment: generator.chance(2)
        ? .zero : F.nonce(of: lease).commitment(by: lease.terms.prover),
      signedBy: key)
  }

  private mutating func batch() -> (Command, SigningKey) {
    guard let first = anyLease(.committed) else {
      return (
        .submitBatch(Batch(network: F.network, receipts: [], signedBy: F.paula)), F.paula
      )
    }
    let prover = F.key(of: first.terms.prover)
    var leases = [first]
    for lease in live.leases
    where lease.state == .committed && lease.terms.prover == first.terms.prover
      && lease.verification == nil && lease.id != first.id && generator.chance(40)
    {
      leases.append(lease)
    }
    if generator.chance(3) { leases.append(first) }
    let receipts = leases.map { lease in
      let statement = live.statement(of: lease)
      guard generator.chance(5) else {
        return Receipt(statement: statement, proof: F.digest("proof"))
      }
      return Receipt(
        statement: Statement(
          network: statement.network, request: statement.request, lease: statement.lease,
          model: statement.model, slice: generator.below(9), inputs: [], outputs: [],
          backend: statement.backend, keyRecord: .zero, prover: statement.prover),
        proof: .zero)
    }
    let signer = generator.chance(3) ? generator.pick(F.provers) : prover
    let honest = Batch(network: F.network, receipts: receipts, signedBy: signer)
    guard generator.chance(6) else { return (.submitBatch(honest), author(prover)) }
    let root = BatchRoot(
      network: F.network, root: generator.chance(50) ? .zero : honest.signedRoot.root,
      size: UInt32(truncatingIfNeeded: generator.next()), signedBy: signer)
    return (.submitBatch(Batch(signedRoot: root, receipts: receipts)), author(prover))
  }

  /// On whatever is awaited, in any order; sometimes on what is not.
  private mutating func verdict() -> VerdictRecord {
    let isAny = generator.chance(8)
    let leases = live.leases.filter { isAny || $0.verification != nil }
    guard !leases.isEmpty else {
      return VerdictRecord(lease: unknown, attempt: 1, verdict: .invalid, evidence: .zero)
    }
    let lease = generator.pick(leases)
    let verdict: Verdict =
      switch generator.below(20) {
      case 0..<(isThin ? 10 : 3): .invalid
      case 3..<7 where !isThin: .inconclusive
      default: .valid
      }
    return VerdictRecord(
      lease: lease.id, attempt: generator.chance(4) ? .max : lease.attempt, verdict: verdict,
      evidence: .zero)
  }
}
