import Primitives
import Statements

/// Bids, requests, and how they meet: price, then time, at the resting side's price.
extension Market {
  // MARK: Bids

  mutating func placeBid(
    _ terms: BidTerms, id: BidID, by author: PublicKey
  ) throws(Refused) {
    guard (1...100_000).contains(terms.capacity) else {
      throw .invalidBid("its capacity is \(terms.capacity) and must be 1 to 100000")
    }
    guard terms.expiry > now else { throw .invalidBid("it has expired already") }
    guard terms.largestSlice.units > 0 else { throw .invalidBid("its largest slice is 0 units") }
    guard terms.price.fee(for: .maximum) != nil else {
      throw .invalidBid("a price of \(terms.price) overflows the fee of a large slice")
    }
    switch terms.scope {
    case .any: break
    case .model(let model): if models[model] == nil { throw .unknownModel }
    case .slice(let model, let slice):
      guard let manifest = models[model] else { throw .unknownModel }
      guard manifest.slices.indices.contains(slice) else { throw .unknownSlice }
    }
    let bonded = Amount(
      microcredits: ledger.amount(.bond(author)).microcredits
        + ledger.amount(.stakeHold(author)).microcredits)
    guard bonded >= parameters.minimumBond else {
      throw .bondTooSmall(needed: parameters.minimumBond, bonded: bonded)
    }
    guard bidBackends[id] == nil else { throw .duplicate }
    emit(.bidPlaced(id, prover: author, terms))
    takeOrders(with: id, on: terms.backend)
  }

  mutating func cancelBid(_ id: BidID, by author: PublicKey) throws(Refused) {
    guard let backend = bidBackends[id], let bid = books[backend]?.bid(id) else {
      throw .unknownBid
    }
    guard bid.prover == author else { throw .notYours("bid") }
    emit(.bidClosed(id, .cancelled))
  }

  /// A bid arrives: it takes resting orders, best limit first, at their limit price.
  private mutating func takeOrders(with id: BidID, on backend: BackendID) {
    for order in books[backend]?.orders ?? [] {
      guard let bid = books[backend]?.bid(id), bid.terms.price <= order.limitPrice else { return }
      guard let request = requests[order.request],
        isEligible(bid, for: request, order.slice, Tally())
      else { continue }
      lease(request, order.slice, to: bid, at: order.limitPrice)
      begin(order.request)
    }
  }

  // MARK: Requests

  mutating func submitRequest(
    _ terms: RequestTerms, id: RequestID, by author: PublicKey
  ) throws(Refused) {
    guard requests[id] == nil else { throw .duplicate }
    guard let manifest = models[terms.model] else { throw .unknownModel }
    try check(terms, against: manifest)
    let slices = try requestSlices(terms, manifest)
    guard let total = Self.total(slices) else { throw .amountTooLarge }
    let available = ledger.amount(.available(author))
    guard total <= available else {
      throw .insufficientFunds(needed: total, available: available)
    }
    emit(
      .requestOpened(id, requester: author, terms),
      Posting.move(total, from: .available(author), to: .feeHold(author)))
    guard let request = requests[id] else { return }
    let plan = plan(for: request)
    switch terms.timeInForce {
    case .immediateOrCancel, .fillOrKill:
      // No lease begins before all are made, so taking a part of them serves nobody.
      if plan.count < slices.count { return close(id, as: .unmatched) }
    case .goodTillCancelled, .goodTill: break
    }
    for (slice, bid) in plan { lease(request, slice, to: bid, at: bid.terms.price) }
    begin(id)
  }

  mutating func cancelRequest(_ id: RequestID, by author: PublicKey) throws(Refused) {
    guard let request = requests[id] else { throw .unknownRequest }
    guard request.requester == author else { throw .notYours("request") }
    guard request.state == .open else { throw .cancelTooLate }
    close(id, as: .cancelled)
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
    if case .goodTill(let tick) = terms.timeInForce, tick <= now {
      throw .invalidRequest("its time in force is over")
    }
    for (slice, assurance) in zip(manifest.slices.indices, terms.assurances) {
      guard assurance.assurance == .proven else { throw .attestedUnavailable }
      let subject = KeySubject(model: terms.model, slice: slice, backend: assurance.backend)
      guard keyRecords[subject] != nil else {
        throw .noKey(slice: manifest.slices[slice].name, backend: assurance.backend.name)
      }
    }
  }

  private func requestSlices(
    _ terms: RequestTerms, _ manifest: Manifest
  ) throws(Refused) -> [RequestSlice] {
    var slices: [RequestSlice] = []
    for slice in manifest.slices {
      guard let fee = terms.limitPrice.fee(for: slice.cost),
        fee.multiplied(by: UInt64(terms.stakeMultiple)) != nil
      else { throw .amountTooLarge }
      slices.append(RequestSlice(cost: slice.cost, limitFee: fee))
    }
    return slices
  }

  /// The slices of a request as they are when it opens. Nil where a fee overflows.
  func openedSlices(_ terms: RequestTerms) -> [RequestSlice]? {
    guard let manifest = models[terms.model] else { return nil }
    return try? requestSlices(terms, manifest)
  }

  static func total(_ slices: [RequestSlice]) -> Amount? {
    var total = Amount.zero
    for slice in slices {
      guard let sum = total.adding(slice.limitFee) else { return nil }
      total = sum
    }
    return total
  }

  // MARK: Matching

  /// What a greedy plan has promised so far and the state does not show yet.
  struct Tally {
    var leases: [BidID: UInt32] = [:]
    var stakes: [PublicKey: UInt64] = [:]
    var slices: [PublicKey: UInt32] = [:]
  }

  /// Slices in manifest order, each to the best eligible bid, without backtracking.
  private func plan(for request: Request) -> [(slice: Int, bid: OrderBook.Bid)] {
    var tally = Tally()
    var plan: [(slice: Int, bid: OrderBook.Bid)] = []
    for slice in request.slices.indices {
      guard let bid = bestBid(for: request, slice, tally) else { continue }
      tally.leases[bid.id, default: 0] += 1
      tally.stakes[bid.prover, default: 0] += stake(for: request, slice).microcredits
      tally.slices[bid.prover, default: 0] += 1
      plan.append((slice, bid))
    }
    return plan
  }

  func bestBid(for request: Request, _ slice: Int, _ tally: Tally = Tally()) -> OrderBook.Bid? {
    let backend = request.terms.assurances[slice].backend
    for bid in books[backend]?.bids ?? [] {
      guard bid.terms.price <= request.terms.limitPrice else { return nil }
      if isEligible(bid, for: request, slice, tally) { return bid }
    }
    return nil
  }

  private func isEligible(
    _ bid: OrderBook.Bid, for request: Request, _ slice: Int, _ tally: Tally
  ) -> Bool {
    guard request.takesLeases(at: now),
      bid.terms.scope.covers(request.terms.model, slice),
      bid.leases + tally.leases[bid.id, default: 0] < bid.terms.capacity,
      request.slices[slice].cost <= bid.terms.largestSlice,
      bid.prover != request.requester,
      bid.terms.expiry > now,
      !request.slices[slice].ineligible.contains(bid.prover)
    else { return false }
    let (needed, overflow) = tally.stakes[bid.prover, default: 0].addingReportingOverflow(
      stake(for: request, slice).microcredits)
    guard !overflow, needed <= ledger.amount(.bond(bid.prover)).microcredits else { return false }
    guard request.terms.spread > 0 else { return true }
    var held = tally.slices[bid.prover, default: 0]
    for other in request.slices {
      if let lease = other.lease.flatMap({ leases[$0] }), lease.terms.prover == bid.prover {
        held += 1
      }
    }
    return held < request.terms.spread
  }

  private func stake(for request: Request, _ slice: Int) -> Amount {
    let multiple = UInt64(request.terms.stakeMultiple)
    return max(
      parameters.minimumStake,
      request.slices[slice].limitFee.multiplied(by: multiple) ?? .maximum)
  }

  /// Capacity, stake and slice in one event; the fee has been held since the request opened.
  private mutating func lease(
    _ request: Request, _ slice: Int, to bid: OrderBook.Bid, at price: Price
  ) {
    let assurance = request.terms.assurances[slice]
    let subject = KeySubject(
      model: request.terms.model, slice: slice, backend: assurance.backend)
    guard let fee = price.fee(for: request.slices[slice].cost),
      let keyRecord = keyRecords[subject]
    else { preconditionFailure("the request was opened with a key and a fee that fits") }
    let stake = stake(for: request, slice)
    emit(
      .leased(
        LeaseTerms(
          id: LeaseID(ordinal: leaseCount + 1), request: request.id, model: request.terms.model,
          slice: slice, bid: bid.id, prover: bid.prover, assurance: assurance, price: price,
          fee: fee, stake: stake, keyRecord: keyRecord.digest)),
      Posting.move(stake, from: .bond(bid.prover), to: .stakeHold(bid.prover)))
  }

  /// Tries every resting order again, best limit first. Its slice has come back, or capacity or
  /// stake has come free; the bids have been resting, so the trade is at their price.
  mutating func matchRestingOrders() {
    isRematchDue = false
    for backend in books.keys.sorted() {
      for order in books[backend]?.orders ?? [] {
        guard let request = requests[order.request],
          let bid = bestBid(for: request, order.slice)
        else { continue }
        lease(request, order.slice, to: bid, at: bid.terms.price)
        begin(order.request)
      }
    }
  }
}
