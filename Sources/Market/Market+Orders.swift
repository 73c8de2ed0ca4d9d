import Primitives
import Statements

/// Bids, requests, and how they meet: price, then time, at the resting side's price.
extension Market {
  // MARK: Bids

  mutating func placeBid(
    _ terms: BidTerms, id: BidID, by author: PublicKey
  ) throws(Refused) {
    guard !isPaused else { throw .paused }
    try check(terms.price, terms.capacity)
    let prover = provers[author] ?? Prover()
    guard prover.coolingUntil <= now else { throw .coolingDown(until: prover.coolingUntil) }
    guard terms.expiry > now else { throw .invalidBid("it has expired already") }
    guard terms.largestSlice.units > 0 else { throw .invalidBid("its largest slice is 0 units") }
    switch terms.scope {
    case .any: break
    case .model(let model): if models.index(forKey: model) == nil { throw .unknownModel }
    case .slice(let model, let slice):
      guard let manifest = models[model] else { throw .unknownModel }
      guard manifest.slices.indices.contains(slice) else { throw .unknownSlice }
    }
    let minimum = parameters.minimumBond
    guard ledger.amount(.bond(author)) >= minimum || bonded(by: author) >= minimum else {
      throw .bondTooSmall(needed: minimum, bonded: bonded(by: author))
    }
    guard !book.holds(id) else { throw .duplicate }
    guard prover.openBids < Self.bidsPerProver else {
      throw .tooManyBids(limit: Self.bidsPerProver)
    }
    emit(.bidPlaced(id, prover: author, terms))
    takeOrders(with: id)
  }

  /// Open bids of one key: closing them all, after a slash, stays a bounded step.
  package static let bidsPerProver: UInt32 = 1_000

  /// A lower capacity keeps the bid's place in the queue; anything else counts as arriving.
  mutating func amendBid(
    _ id: BidID, price: Price, capacity: UInt32, by author: PublicKey
  ) throws(Refused) {
    guard !isPaused else { throw .paused }
    guard let bid = book.bid(id), !bid.isClosed else { throw .unknownBid }
    guard bid.prover == author else { throw .notYours("bid") }
    try check(price, capacity)
    guard bid.terms.expiry > now else { throw .unknownBid }
    guard price != bid.terms.price || capacity != bid.terms.capacity else { throw .duplicate }
    emit(.bidAmended(id, price: price, capacity: capacity))
    takeOrders(with: id)
  }

  mutating func cancelBid(_ id: BidID, by author: PublicKey) throws(Refused) {
    guard let owner = book.owner(ofOpen: id) else { throw .unknownBid }
    guard owner == author else { throw .notYours("bid") }
    emit(.bidClosed(id, .cancelled))
  }

  private func check(_ price: Price, _ capacity: UInt32) throws(Refused) {
    guard (1...100_000).contains(capacity) else {
      throw .invalidBid("its capacity is \(capacity) and must be 1 to 100000")
    }
    guard price.fee(for: .maximum) != nil else {
      throw .invalidBid("a price of \(price) overflows the fee of a large slice")
    }
  }

  /// A bid arrives: it takes resting orders, best limit first, at their limit price.
  private mutating func takeOrders(with id: BidID) {
    guard book.hasOrders else { return }
    var last: Order?
    while let order = firstOrder(for: id, after: last) {
      guard let request = requests[order.request], let bid = book.bid(id) else { return }
      lease(request, order.slice, to: bid, at: order.limitPrice)
      begin(order.request)
      last = order
    }
  }

  /// The first order behind `last` that the bid crosses and may take.
  private func firstOrder(for bid: BidID, after last: Order?) -> Order? {
    book.firstOrder(for: bid, after: last) { bid, order in
      requests[order.request].map { ineligibility(of: bid, for: $0, order.slice) == nil } ?? false
    }
  }

  // MARK: Requests

  mutating func submitRequest(
    _ terms: RequestTerms, id: RequestID, by author: PublicKey
  ) throws(Refused) {
    guard !isPaused else { throw .paused }
    guard requests[id] == nil else { throw .duplicate }
    guard openSlices[author, default: 0] + terms.assurances.count <= Self.slicesPerRequester else {
      throw .tooManySlices(limit: Self.slicesPerRequester)
    }
    let total = try opened(terms, id: id, by: author).held
    let available = ledger.amount(.available(author))
    guard total <= available else {
      throw .insufficientFunds(needed: total, available: available)
    }
    emit(
      .requestOpened(id, requester: author, terms),
      Posting.move(total, from: .available(author), to: .feeHold(author)))
    guard let request = requests[id] else { return }
    let plan = plan(for: request)
    // No lease begins before all are made, so taking a part of them serves nobody.
    guard plan.count == request.slices.count || terms.timeInForce.rests else {
      return close(id, as: .unmatched)
    }
    for (slice, bid) in plan { lease(request, slice, to: bid, at: bid.terms.price) }
    begin(id)
  }

  /// Slices of one key's open requests, twice the largest model's: whatever else a command does, it
  /// may have to pass by all that rest.
  package static let slicesPerRequester = 2 * Manifest.sliceLimit

  mutating func cancelRequest(_ id: RequestID, by author: PublicKey) throws(Refused) {
    guard let request = requests[id] else { throw .unknownRequest }
    guard request.requester == author else { throw .notYours("request") }
    guard request.state == .open else { throw .cancelTooLate }
    close(id, as: .cancelled)
  }

  /// The request that these terms open, not yet in the state.
  func opened(
    _ terms: RequestTerms, id: RequestID, by requester: PublicKey
  ) throws(Refused) -> Request {
    guard let manifest = models[terms.model] else { throw .unknownModel }
    try check(terms, against: manifest)
    guard
      let request = Request(
        id: id, requester: requester, terms: terms, ordinal: arrivals + 1,
        slices: try requestSlices(terms, manifest), parameters: parameters)
    else { throw .amountTooLarge }
    return request
  }

  private func check(_ terms: RequestTerms, against manifest: Manifest) throws(Refused) {
    guard terms.inputs.count == manifest.inputs.count else {
      throw .invalidRequest(
        "it names \(terms.inputs.count) inputs and the model has \(manifest.inputs.count)")
    }
    guard terms.assurances.count == manifest.slices.count else {
      throw .invalidRequest(
        "it has \(terms.assurances.count) assurances and the model has \(manifest.slices.count) slices"
      )
    }
    guard (1...1000).contains(terms.stakeMultiple) else {
      throw .invalidRequest("its stake multiple is \(terms.stakeMultiple) and must be 1 to 1000")
    }
    guard (1...100).contains(terms.attemptsMax) else {
      throw .invalidRequest("its attempts are \(terms.attemptsMax) and must be 1 to 100")
    }
    guard terms.beginDeadline > now, terms.finalDeadline >= terms.beginDeadline,
      terms.finalDeadline < now.advanced(by: 366 * 86_400_000)
    else {
      throw .invalidRequest(
        "its deadlines must lie ahead, begin before final, within a year")
    }
    if let ramp = terms.ramp {
      guard ramp.start < terms.limitPrice, ramp.interval >= PriceRamp.shortestInterval,
        (1...PriceRamp.stepLimit).contains(ramp.stepCount(to: terms.limitPrice)),
        ramp.begins <= terms.beginDeadline, terms.timeInForce.rests
      else {
        throw .invalidRequest(
          "its ramp must rise to the limit in 1 to \(PriceRamp.stepLimit) steps, \(PriceRamp.shortestInterval) ms apart at least, while it rests"
        )
      }
    }
    if case .goodTill(let tick) = terms.timeInForce, tick <= now {
      throw .invalidRequest("its time in force is over")
    }
    for slice in manifest.slices.indices {
      let assurance = terms.assurances[slice]
      guard assurance.assurance == .proven || assurance.backend == .reexec else {
        throw .invalidRequest("its attested slices must trade in '\(BackendID.reexec)'")
      }
      let subject = KeySubject(model: terms.model, slice: slice, backend: assurance.backend)
      guard keyRecords.index(forKey: subject) != nil else {
        throw .noKey(slice: manifest.slices[slice].name, backend: assurance.backend.name)
      }
    }
    if terms.isAttested { try checkAttested(terms, manifest) }
  }

  /// What attested slices need in order to be audited.
  private func checkAttested(_ terms: RequestTerms, _ manifest: Manifest) throws(Refused) {
    guard manifest.semantics == Self.semantics else {
      throw .invalidRequest(
        "its attested slices could not be audited: the broker runs '\(Self.semantics)' again")
    }
    guard terms.nonceCommitment != .zero else {
      throw .invalidRequest("its attested slices need a nonce commitment")
    }
    let needed = parameters.revealWindow + parameters.challengeWindow
    guard terms.finalDeadline >= terms.beginDeadline.advanced(by: needed) else {
      throw .invalidRequest(
        "its final deadline must be \(needed) ms behind the begin deadline, for nonces and challenges"
      )
    }
  }

  /// The slices as they are when a request of these terms opens.
  func requestSlices(
    _ terms: RequestTerms, _ manifest: Manifest
  ) throws(Refused) -> [RequestSlice] {
    var slices: [RequestSlice] = []
    slices.reserveCapacity(manifest.slices.count)
    // By index: a loop over the manifest's slices would copy each, names and shapes.
    for index in manifest.slices.indices {
      let (cost, assurance) = (manifest.slices[index].cost, terms.assurances[index].assurance)
      guard let fee = terms.limitPrice.fee(for: cost),
        fee.multiplied(by: UInt64(terms.stakeMultiple)) != nil
      else { throw .amountTooLarge }
      let auditFee = assurance == .attested ? fee.share(parameters.auditShare) : .zero
      slices.append(RequestSlice(cost: cost, limitFee: fee, auditFee: auditFee))
    }
    return slices
  }

  // MARK: Matching

  /// What a greedy plan has promised so far and the state does not show yet.
  struct Tally {
    var leases: [BidID: UInt32] = [:]
    var stakes: [PublicKey: StakeParts] = [:]
    var slices: [PublicKey: UInt32] = [:]

    mutating func add(_ bid: Bid, stake: StakeParts) {
      leases[bid.id, default: 0] += 1
      var drawn = stakes[bid.prover, default: StakeParts()]
      drawn.own = drawn.own.adding(stake.own) ?? .maximum
      drawn.delegated = drawn.delegated.adding(stake.delegated) ?? .maximum
      stakes[bid.prover] = drawn
      slices[bid.prover, default: 0] += 1
    }
  }

  /// Slices in manifest order, each to the best eligible bid, without backtracking.
  private func plan(for request: Request) -> [(slice: Int, bid: Bid)] {
    var tally = Tally()
    var plan: [(slice: Int, bid: Bid)] = []
    plan.reserveCapacity(request.slices.count)
    for slice in request.slices.indices {
      guard let bid = bestBid(for: request, slice, tally),
        let drawn = parts(for: request, slice, by: bid.prover, tally)
      else { continue }
      tally.add(bid, stake: drawn)
      plan.append((slice, bid))
    }
    return plan
  }

  func bestBid(for request: Request, _ slice: Int, _ tally: Tally = Tally()) -> Bid? {
    book.firstBid(
      on: request.terms.assurances[slice].backend, for: request.terms.model, slice,
      upTo: request.limit
    ) { ineligibility(of: $0, for: request, slice, tally) == nil }
  }

  /// Why the bid, whose scope covers the slice, may not take it now; nil where it may.
  func ineligibility(
    of bid: Bid, for request: Request, _ slice: Int, _ tally: Tally = Tally()
  ) -> Ineligibility? {
    guard !isPaused else { return .paused }
    guard request.takesLeases(at: now) else { return .requestEnded }
    if !halts.isEmpty {
      let key = KeySubject(
        model: request.terms.model, slice: slice,
        backend: request.terms.assurances[slice].backend)
      guard !halts.contains(key) else { return .halted }
    }
    guard bid.terms.price <= request.limit else { return .priceAboveLimit }
    guard bid.leases + tally.leases[bid.id, default: 0] < bid.terms.capacity else {
      return .noCapacity
    }
    guard request.slices[slice].cost <= bid.terms.largestSlice else { return .sliceTooLarge }
    guard bid.prover != request.requester else { return .ownRequest }
    guard bid.terms.expiry > now, !bid.isClosed else { return .closed }
    guard !request.slices[slice].ineligible.contains(bid.prover) else { return .failedBefore }
    if let filter = request.terms.reputation,
      !filter.accepts(provers[bid.prover]?.reputation ?? Reputation())
    {
      return .reputation
    }
    guard parts(for: request, slice, by: bid.prover, tally) != nil else { return .stakeTooSmall }
    guard request.terms.spread > 0 else { return nil }
    var held = tally.slices[bid.prover, default: 0]
    for other in request.slices {
      if let lease = other.lease.flatMap({ leases[$0] }), lease.terms.prover == bid.prover {
        held += 1
      }
    }
    return held < request.terms.spread ? nil : .spreadUsedUp
  }

  func stake(for request: Request, _ slice: Int) -> Amount {
    let multiple = UInt64(request.terms.stakeMultiple)
    return max(
      parameters.minimumStake,
      request.slices[slice].limitFee.multiplied(by: multiple) ?? .maximum)
  }

  func parts(
    for request: Request, _ slice: Int, by prover: PublicKey, _ tally: Tally = Tally()
  ) -> StakeParts? {
    parts(
      of: stake(for: request, slice), by: prover,
      after: tally.stakes[prover, default: StakeParts()])
  }

  /// Capacity, stake and slice in one event; the fee has been held since the request opened.
  private mutating func lease(
    _ request: Request, _ slice: Int, to bid: Bid, at price: Price
  ) {
    let assurance = request.terms.assurances[slice]
    let subject = KeySubject(
      model: request.terms.model, slice: slice, backend: assurance.backend)
    guard let fee = price.fee(for: request.slices[slice].cost),
      let keyRecord = keyRecords[subject], let drawn = parts(for: request, slice, by: bid.prover)
    else { preconditionFailure("the bid is eligible, and the request was opened with a key") }
    emit(
      .leased(
        LeaseTerms(
          id: leases.nextID, request: request.id, model: request.terms.model,
          slice: slice, bid: bid.id, prover: bid.prover, assurance: assurance, price: price,
          fee: fee, stake: stake(for: request, slice), delegated: drawn.delegated,
          keyRecord: keyRecord.digest, parameters: UInt32(parameterSets.count - 1))),
      Posting.move(drawn.own, from: .bond(bid.prover), to: .stakeHold(bid.prover))
        + Posting.move(
          drawn.delegated, from: .delegated(bid.prover), to: .delegatedHold(bid.prover)))
  }

  // MARK: Matching again

  /// Tries again what a command has made possible: the slices that came back, in the order in which
  /// they came, then the bids of provers whose capacity or stake came free, cheapest first. Nothing
  /// else can have begun to cross. Both sides have been resting, so the trade is at the bid's
  /// price, and the order goes to the best bid that it now has.
  mutating func matchAgain() {
    guard !returned.isEmpty || !freed.isEmpty else { return }
    for id in returned.withoutRepeats { matchSlices(of: id) }
    for prover in freed.withoutRepeats {
      payLeaving(of: prover)
      for bid in book.crossingBids(of: prover) {
        var last: Order?
        while let order = firstOrder(for: bid, after: last) {
          match(order.request, order.slice)
          last = order
        }
      }
    }
    (returned, freed) = ([], [])
  }

  /// Gives the request's resting slices to the best bids, at the bids' prices.
  private mutating func matchSlices(of id: RequestID) {
    for slice in requests[id]?.slices.indices ?? 0..<0
    where requests[id]?.slices[slice].lease == nil && requests[id]?.state.isFinal == false {
      match(id, slice)
    }
  }

  private mutating func match(_ id: RequestID, _ slice: Int) {
    guard let request = requests[id], let bid = bestBid(for: request, slice) else { return }
    lease(request, slice, to: bid, at: bid.terms.price)
    begin(id)
  }

  /// A ramp rises to what it is at this tick. Its orders arrive anew.
  mutating func raiseLimit(of request: Request) {
    guard let ramp = request.terms.ramp else { return }
    let running = Tick(milliseconds: now.milliseconds - min(now.milliseconds, request.delay))
    let price = ramp.price(at: running, limit: request.terms.limitPrice)
    guard price > request.limit else { return }
    emit(.limitRaised(request.id, price))
    matchSlices(of: request.id)
  }
}

extension Array where Element: Hashable {
  /// Each of them once, in the order in which they come first.
  fileprivate var withoutRepeats: [Element] {
    guard count > 1 else { return self }
    var found: Set<Element> = []
    return filter { found.insert($0).inserted }
  }
}

/// Why a bid may not take a slice that its scope covers.
package enum Ineligibility: UInt8, Sendable, Hashable, CaseIterable, CustomStringConvertible {
  case priceAboveLimit = 1
  case noCapacity = 2
  case sliceTooLarge = 3
  case ownRequest = 4
  case closed = 5
  case failedBefore = 6
  case stakeTooSmall = 7
  case spreadUsedUp = 8
  case requestEnded = 9
  case paused = 10
  case reputation = 11
  case halted = 12

  package var description: String {
    switch self {
    case .priceAboveLimit: "its price is above the limit"
    case .noCapacity: "its capacity is in use"
    case .sliceTooLarge: "the slice is above its largest"
    case .ownRequest: "its prover made the request"
    case .closed: "it is closed or has expired"
    case .failedBefore: "its prover failed on this slice before"
    case .stakeTooSmall: "its prover's free stake is too small"
    case .spreadUsedUp: "its prover has as many slices as the spread permits"
    case .requestEnded: "the request takes no more leases"
    case .paused: "the exchange is paused"
    case .halted: "leases under its key are stopped, after slashes"
    case .reputation: "its prover's record is not what the request asks for"
    }
  }
}

extension TimeInForce {
  /// Whether what is not taken at once stays in the book.
  var rests: Bool {
    switch self {
    case .goodTillCancelled, .goodTill: true
    case .immediateOrCancel, .fillOrKill: false
    }
  }
}
