import HeapModule
import Primitives
import Statements

/// How each event changes the state. No rule is decided here: recovery runs this alone.
///
/// An event read from a journal may be hostile: what does not fit the state throws. A market that
/// threw may have applied a part of the event and is of no further use.
extension Market {
  package mutating func evolve(_ event: Event) throws(MarketError) {
    try ledger.apply(event.postings)
    switch event.body {
    case .deposited, .withdrawn, .bonded: break
    case .commissionSet(let prover, let commission):
      pools[prover, default: DelegationPool()].commission = commission
    case .delegated(let prover, let holder, let amount):
      let since = UInt64(leases.count)
      try changePool(of: prover) { pool throws(MarketError) in
        try pool.add(amount, of: holder, since: since)
      }
    case .undelegating(let prover, let holder, let amount, let until):
      try changePool(of: prover) { pool throws(MarketError) in
        try pool.leave(amount, of: holder, until: until)
      }
      schedule(.undelegating(prover), at: until)
    case .undelegated(let prover, let holder, let amount, let until):
      try changePool(of: prover) { pool throws(MarketError) in
        try pool.pay(Prover.Unbonding(amount: amount, until: until), of: holder)
      }
    case .delegatorsPaid(let id, let paid, let tick):
      guard let prover = leases[id]?.terms.prover else {
        throw .impossibleEvent("there is no lease \(id)")
      }
      try changePool(of: prover) { $0.earn(paid, with: id, at: tick) }
    case .proverCooling(let id, let tick, let until):
      guard let terms = leases[id]?.terms else { throw .impossibleEvent("there is no lease \(id)") }
      countSlash(of: terms, at: tick, coolingUntil: until)
    case .firstLossTaken(let id, let bond, let unbonding):
      try takeFirstLoss(id, bond, unbonding)
    case .delegatorsLost(let id, let losses, let tick):
      guard let prover = leases[id]?.terms.prover else {
        throw .impossibleEvent("there is no lease \(id)")
      }
      try changePool(of: prover) { pool throws(MarketError) in
        try pool.lose(losses, at: tick)
      }
    case .unbonding(let prover, let amount, let until):
      provers[prover, default: Prover()].unbondings.append(
        Prover.Unbonding(amount: amount, until: until))
      schedule(.unbonding(prover), at: until)
    case .unbonded(let prover, let amount):
      guard provers[prover]?.unbondings.first?.amount == amount else {
        throw .impossibleEvent("\(prover.short) has no such sum on its way out")
      }
      provers[prover]?.unbondings.removeFirst()
    case .modelPublished(_, let manifest): models[manifest.id] = manifest
    case .keyPublished(let record): keep(record)
    case .bidPlaced(let id, let prover, let terms):
      guard book.insert(Bid(id: id, prover: prover, terms: terms, ordinal: arrivals + 1)) else {
        throw .impossibleEvent("bid \(id.short) is known")
      }
      arrivals += 1
      // By its index, which costs one search; the subscript with a default searches and allocates.
      if let index = provers.index(forKey: prover) {
        provers.values[index].openBids += 1
      } else {
        provers[prover] = Prover(openBids: 1)
      }
      schedule(.bid(id), at: terms.expiry)
    case .bidAmended(let id, let price, let capacity):
      guard
        let ordinal = book.amendBid(
          id, price: price, capacity: capacity, arriving: arrivals + 1)
      else { throw .impossibleEvent("bid \(id.short) is not open") }
      arrivals = max(arrivals, ordinal)
    case .bidClosed(let id, _):
      guard let prover = book.closeBid(id), let index = provers.index(forKey: prover),
        provers.values[index].countClosedBid()
      else { throw .impossibleEvent("bid \(id.short) is not open") }
    case .requestOpened(let id, let requester, let terms):
      try open(id, requester, terms)
    case .leased(let terms): try make(terms)
    case .limitRaised(let id, let price): try raiseLimit(of: id, to: price)
    case .requestMatched(let id):
      try change(id) {
        $0.state = .running
        $0.limit = $0.terms.limitPrice
      }
    case .leaseBegun(let id, let inputs, let deadline):
      try change(id) {
        $0.state = .begun
        $0.inputs = inputs
        $0.deadline = deadline
      }
      schedule(.lease(id), at: deadline)
    case .outputCommitted(let commitment, let deadline):
      if let terms = leases[commitment.lease]?.terms, let manifest = models[terms.model],
        commitment.outputs.count != manifest.slices[terms.slice].outputs.count
      {
        throw .impossibleEvent("lease \(terms.id) has another number of outputs")
      }
      countTime(of: commitment.lease, until: deadline)
      try change(commitment.lease) {
        $0.state = .committed
        $0.commitment = commitment
        $0.deadline = deadline
      }
      schedule(.lease(commitment.lease), at: deadline)
    case .requestAnswered(let id, let answer):
      try change(id) {
        $0.state = .answered
        $0.answer = answer
      }
    case .answerWithdrawn(let id):
      try change(id) {
        $0.state = .running
        $0.answer = nil
      }
    case .receiptSubmitted(let id, let receipt, let root, let inclusion):
      try change(id) {
        $0.state = .submitted
        $0.submission = Submission(receipt: receipt, batchRoot: root, inclusion: inclusion)
        // A verification, or a draw, sets the next.
        $0.deadline = .never
      }
    case .verificationWanted(let id, let purpose, let attempt, let deadline):
      try change(id) {
        $0.verification = purpose
        $0.attempt = attempt
        $0.deadline = deadline
      }
      schedule(.lease(id), at: deadline)
    case .verdictRecorded(let record, let isReexecuted):
      try change(record.lease) { lease in
        if record.verdict == .valid {
          if lease.verification == .rangeFault { lease.isFaulted = true }
          switch lease.verification {
          case .receipt, .rangeFault: lease.state = .verified
          case .audit, .challenge:
            lease.state = .verified
            lease.isAudited = true
            lease.challenge = nil
          case .fallback, .late, .unprovable, nil: break
          }
        }
        lease.verdict = record.verdict
        lease.isReexecuted = isReexecuted
        lease.verification = nil
        lease.deadline = .never
      }
    case .leaseSettled(let id, _): try end(id, as: .settled)
    case .leaseSlashed(let id, _, let bonus):
      try end(id, as: .slashed, bonus: bonus)
      if let lease = leases[id] {
        provers[lease.terms.prover]?.reputation.countSlashed(lease.stake)
      }
    case .leaseReleased(let id, let reason, let compensation):
      try end(
        id, as: .released, isFailure: reason == .inconclusive || reason == .unprovable,
        isLeft: reason == .cancelled)
      if reason == .notBegun, let request = leases[id]?.terms.request {
        try change(request) { $0.held = $0.held.saturatingSubtract(compensation) }
      }
    case .leaseLapsed(let id, let penalty):
      try end(id, as: .lapsed)
      if let prover = leases[id]?.terms.prover {
        let lapses = provers[prover]?.lapsesInARow ?? 0
        provers[prover]?.lapsesInARow = lapses == .max ? lapses : lapses + 1
        provers[prover]?.reputation.countLapsed(penalty)
      }
    case .leaseOrphaned(let id, let compensation):
      try change(id) {
        $0.isOrphaned = true
        $0.compensation = compensation
      }
      if let lease = leases[id] { returnSlice(of: lease) }
    case .requestFailing(let id, _):
      try change(id) {
        $0.state = .failing
        $0.answer = nil
      }
      removeOrders(of: id)
    case .requestClosed(let id, let state, let coverage, let jobRoot):
      removeOrders(of: id)
      if let request = requests[id], !request.state.isFinal { forget(request) }
      let answer = state == .final ? finalAnswer(id) : nil
      try change(id) {
        $0.state = state
        $0.coverage = coverage
        $0.jobRoot = jobRoot
        $0.answer = answer
        $0.held = .zero
        for slice in $0.slices.indices { $0.slices[slice].bonus = .zero }
      }
    case .beginDeadlinePassed(let id): try change(id) { $0.isBeginOver = true }
    case .resumed(let milliseconds): shiftDeadlines(by: milliseconds)
    case .changeAnnounced(let change, let effective):
      announced.append(Announcement(change: change, effective: effective))
      schedule(.change, at: effective)
    case .changed(let change):
      if announced.first?.change == change { announced.removeFirst() }
      switch change {
      case .parameters(let parameters, _): parameterSets.append(parameters)
      case .pause: isPaused = true
      case .unpause: isPaused = false
      case .halt(let key):
        halts.insert(key)
        slashRecords[key] = nil
      case .liftHalt(let key): halts.remove(key)
      }
    case .nonceCommitted(let id, let commitment):
      try change(id) { $0.brokerCommitment = commitment }
    case .revealsWanted(let id, let leases, let deadline):
      try change(id) { $0.reveals = Reveals(leases: leases, deadline: deadline) }
      schedule(.reveal(id), at: deadline)
    case .nonceRevealed(let owner, let nonce): try reveal(nonce, of: owner)
    case .revealMissed(let id, let penalty):
      try change(id) { lease in
        let missing = penalty.saturatingSubtract(lease.parts.own)
        lease.parts.own = lease.parts.own.saturatingSubtract(penalty)
        lease.parts.delegated = lease.parts.delegated.saturatingSubtract(missing)
      }
    case .auditsDrawn(let id, let seed, let audited, let spared, let fees):
      try change(id) {
        $0.isDrawn = true
        $0.seed = seed
      }
      for lease in audited { try audit(lease, isPaid: fees > .zero) }
      for lease in spared { try change(lease) { $0.draw = .spared } }
    case .auditDue(let id, let fee): try audit(id, isPaid: fee > .zero)
    case .challengeOpened(let id, let deadline):
      try change(id) { $0.deadline = deadline }
      schedule(.lease(id), at: deadline)
    case .challenged(let id, let challenge): try change(id) { $0.challenge = challenge }
    case .leaseAttested(let id):
      try change(id) {
        $0.state = .verified
        $0.deadline = .never
      }
    }
  }

  private mutating func changePool(
    of prover: PublicKey, _ body: (inout DelegationPool) throws(MarketError) -> Void
  ) throws(MarketError) {
    guard var pool = pools.removeValue(forKey: prover) else {
      throw .impossibleEvent("nothing is delegated to \(prover.short)")
    }
    defer { pools[prover] = pool }
    try body(&pool)
  }

  private mutating func takeFirstLoss(
    _ id: LeaseID, _ bond: Amount, _ unbonding: Amount
  ) throws(MarketError) {
    guard let lease = leases[id], let taken = bond.adding(unbonding),
      let delegated = lease.parts.delegated.subtracting(taken),
      let own = lease.parts.own.adding(taken)
    else { throw .impossibleEvent("lease \(id) has not so much delegated stake") }
    if unbonding > .zero {
      guard provers[lease.terms.prover]?.unbondings.take(unbonding) == true else {
        throw .impossibleEvent("\(lease.terms.prover.short) does not unbond so much")
      }
    }
    try change(id) { $0.parts = StakeParts(own: own, delegated: delegated) }
  }

  mutating func keep(_ record: KeyRecord) {
    let subject = KeySubject(record)
    if keyRecords.updateValue(record, forKey: subject) == nil {
      keySubjects[record.model, default: []].append(subject)
    }
  }

  private mutating func reveal(_ nonce: AuditNonce, of owner: NonceOwner) throws(MarketError) {
    switch owner {
    case .requester(let id): try change(id) { $0.reveals?.requester = nonce }
    case .broker(let id): try change(id) { $0.reveals?.broker = nonce }
    case .lessee(let id): try change(id) { $0.nonce = nonce }
    }
  }

  /// - Parameter isPaid: By what the requester held for it, which is spent then.
  private mutating func audit(_ id: LeaseID, isPaid: Bool) throws(MarketError) {
    try change(id) { $0.draw = .audited }
    guard isPaid, let terms = leases[id]?.terms else { return }
    try change(terms.request) {
      $0.held = $0.held.saturatingSubtract($0.slices[terms.slice].auditFee)
      $0.slices[terms.slice].auditFee = .zero
    }
  }

  private mutating func shiftDeadlines(by milliseconds: UInt64) {
    for request in requests where !request.state.isFinal {
      let (delay, overflow) = request.delay.addingReportingOverflow(milliseconds)
      _ = requests.change(request.id) { $0.delay = overflow ? .max : delay }
      if let deadline = request.reveals?.deadline, request.isRevealing {
        let shifted = deadline.advanced(by: milliseconds)
        _ = requests.change(request.id) { $0.reveals?.deadline = shifted }
        schedule(.reveal(request.id), at: shifted)
      }
      if let shifted = requests[request.id] { scheduleDeadlines(of: shifted) }
    }
    for lease in leases where !lease.state.isFinal && lease.deadline < .never {
      let deadline = lease.deadline.advanced(by: milliseconds)
      _ = leases.change(lease.id) { $0.deadline = deadline }
      schedule(.lease(lease.id), at: deadline)
    }
    for prover in provers.keys.sorted() {
      for index in provers[prover]?.unbondings.indices ?? 0..<0 {
        let until = provers[prover]?.unbondings[index].until.advanced(by: milliseconds) ?? .never
        provers[prover]?.unbondings[index].until = until
        schedule(.unbonding(prover), at: until)
      }
    }
    for prover in pools.keys.sorted() {
      pools[prover]?.shift(by: milliseconds)
      for position in pools[prover]?.positions ?? [] {
        for sum in position.leaving { schedule(.undelegating(prover), at: sum.until) }
      }
    }
  }

  /// How long the lessee took: both deadlines are windows after the instants that they began with,
  /// and an outage in between has moved the first.
  private mutating func countTime(of id: LeaseID, until deadline: Tick) {
    guard let terms = leases[id]?.keptTerms, let due = leases[id]?.deadline,
      let cost = requests[terms.value.request]?.slices[terms.value.slice].cost
    else { return }
    let windows = parameterSets[Int(terms.value.parameters)]
    let begun = due.milliseconds.subtractingReportingOverflow(windows.executeWindow)
    let committed = deadline.milliseconds.subtractingReportingOverflow(windows.proveWindow)
    guard !begun.overflow, !committed.overflow, committed.partialValue >= begun.partialValue
    else { return }
    guard let index = provers.index(forKey: terms.value.prover) else { return }
    provers.values[index].reputation.countTime(
      committed.partialValue - begun.partialValue, for: cost)
  }

  private mutating func scheduleDeadlines(of request: Request) {
    schedule(.requestBegin(request.id), at: request.restsUntil)
    // A request that leaves the book earlier has leases that may not have begun by this one.
    if request.restsUntil < request.beginDeadline {
      schedule(.requestBegin(request.id), at: request.beginDeadline)
    }
    schedule(.requestFinal(request.id), at: request.finalDeadline)
    scheduleRamp(of: request)
  }

  private mutating func open(
    _ id: RequestID, _ requester: PublicKey, _ terms: RequestTerms
  ) throws(MarketError) {
    guard let manifest = models[terms.model],
      terms.assurances.count == manifest.slices.count,
      terms.inputs.count == manifest.inputs.count,
      let slices = try? requestSlices(terms, manifest),
      let request = Request(
        id: id, requester: requester, terms: terms, ordinal: arrivals + 1, slices: slices,
        parameters: parameters),
      requests.append(request)
    else { throw .impossibleEvent("request \(id.short) cannot open") }
    arrivals += 1
    openSlices[requester, default: 0] += slices.count
    for slice in slices.indices { rest(id, slice) }
    scheduleDeadlines(of: request)
  }

  private mutating func raiseLimit(of id: RequestID, to price: Price) throws(MarketError) {
    try change(id) { $0.limit = price }
    guard let request = requests[id] else { return }
    for slice in request.slices.indices where request.slices[slice].lease == nil {
      book.removeOrder(request: id, slice: slice)
      rest(id, slice)
    }
    scheduleRamp(of: request)
  }

  private mutating func scheduleRamp(of request: Request) {
    guard let tick = request.rampDeadline else { return }
    deadlines.insert(
      Deadline(tick: tick, isRamp: true, ordinal: request.ordinal, subject: .ramp(request.id)))
  }

  private mutating func make(_ terms: LeaseTerms) throws(MarketError) {
    guard requests[terms.request]?.terms.model == terms.model,
      requests[terms.request]?.slices.indices.contains(terms.slice) == true,
      requests[terms.request]?.slices[terms.slice].lease == nil,
      requests[terms.request]?.terms.assurances[terms.slice] == terms.assurance,
      parameterSets.indices.contains(Int(terms.parameters)), terms.delegated <= terms.stake
    else { throw .impossibleEvent("lease \(terms.id) is of no slice that is free") }
    guard leases.append(Lease(terms: terms)) else {
      throw .impossibleEvent("lease \(terms.id) is out of order")
    }
    try change(terms.request) { $0.slices[terms.slice].lease = terms.id }
    book.removeOrder(request: terms.request, slice: terms.slice)
    try changeLeases(of: terms.bid, taken: true)
  }

  private mutating func end(
    _ id: LeaseID, as state: LeaseState, bonus: Amount = .zero, isFailure: Bool = false,
    isLeft: Bool = false
  ) throws(MarketError) {
    guard leases[id]?.state.isFinal != true else {
      throw .impossibleEvent("lease \(id) has ended already")
    }
    try change(id) {
      $0.state = state
      $0.deadline = .never
      $0.verification = nil
      $0.compensation = .zero
      $0.challenge = nil
    }
    guard let terms = leases[id]?.keptTerms.value, let isOrphaned = leases[id]?.isOrphaned else {
      return
    }
    let prover = terms.prover
    let isFailure = isFailure || state == .slashed || state == .lapsed
    if state == .settled, let index = provers.index(forKey: prover) {
      provers.values[index].countSettled()
    }
    try changeLeases(of: terms.bid, taken: false)
    try change(terms.request) { request in
      let slice = terms.slice
      if state == .settled {
        request.held = request.held.saturatingSubtract(terms.fee)
        request.slices[slice].bonus = .zero
      }
      if isFailure, !isOrphaned {
        request.slices[slice].failures += 1
        request.slices[slice].bonus =
          request.slices[slice].bonus.adding(bonus) ?? request.slices[slice].bonus
      }
      if isFailure || isLeft, !request.slices[slice].ineligible.contains(prover) {
        request.slices[slice].ineligible.append(prover)
      }
    }
    if state != .settled, !isOrphaned, let lease = leases[id] { returnSlice(of: lease) }
  }

  /// An ended request does not count among its requester's any more.
  private mutating func forget(_ request: Request) {
    let left = openSlices[request.requester, default: 0] - request.slices.count
    openSlices[request.requester] = left > 0 ? left : nil
  }

  private mutating func changeLeases(of bid: BidID, taken: Bool) throws(MarketError) {
    guard book.changeLeases(of: bid, taken: taken) else {
      throw .impossibleEvent("bid \(bid.short) has no such lease")
    }
  }

  /// The slice has no lease any more: it rests in the book at the requester's limit.
  private mutating func returnSlice(of lease: Lease) {
    guard let request = requests[lease.terms.request], !request.state.isFinal,
      request.slices[lease.terms.slice].lease == lease.id
    else { return }
    _ = requests.change(request.id) { $0.slices[lease.terms.slice].lease = nil }
    if request.state != .failing { rest(request.id, lease.terms.slice) }
  }

  private mutating func rest(_ id: RequestID, _ slice: Int) {
    guard let request = requests[id] else { return }
    book.insert(
      Order(
        request: id, model: request.terms.model, slice: slice,
        backend: request.terms.assurances[slice].backend, limitPrice: request.limit,
        ordinal: request.ordinal))
  }

  private mutating func removeOrders(of id: RequestID) {
    guard let request = requests[id] else { return }
    for slice in request.slices.indices {
      book.removeOrder(request: id, slice: slice)
    }
  }

  private func finalAnswer(_ id: RequestID) -> [Digest]? {
    guard let request = requests[id], let manifest = models[request.terms.model] else { return nil }
    return digests(manifest.outputs, in: request)
  }

  private mutating func schedule(_ subject: Deadline.Subject, at tick: Tick) {
    guard tick < .never else { return }
    scheduled += 1
    deadlines.insert(
      Deadline(tick: tick, isRamp: false, ordinal: scheduled, subject: subject))
  }

  private mutating func change(
    _ id: LeaseID, _ body: (inout Lease) -> Void
  ) throws(MarketError) {
    guard leases.change(id, body) else { throw .impossibleEvent("there is no lease \(id)") }
  }

  private mutating func change(
    _ id: RequestID, _ body: (inout Request) -> Void
  ) throws(MarketError) {
    guard requests.change(id, body) else {
      throw .impossibleEvent("there is no request \(id.short)")
    }
  }
}
