package import Primitives

/// The book as sorted arrays that are searched from the front: obviously right, and slow.
package struct ReferenceBook: OrderBook {
  private var queue: [Bid] = []
  private var demand: [Order] = []

  package init() {}

  package var bids: [Bid] { queue.sorted { $0.ordinal < $1.ordinal } }
  package var orders: [Order] {
    demand.sorted { ($0.ordinal, $0.slice) < ($1.ordinal, $1.slice) }
  }

  package mutating func insert(_ bid: Bid) -> Bool {
    guard !holds(bid.id) else { return false }
    let index = queue.firstIndex { Bid.precedes(bid, $0) } ?? queue.endIndex
    queue.insert(bid, at: index)
    return true
  }

  package func bid(_ id: BidID) -> Bid? { queue.first { $0.id == id } }
  package func holds(_ id: BidID) -> Bool { bid(id) != nil }
  package func bids(of prover: PublicKey) -> [Bid] {
    queue.filter { $0.prover == prover }.sorted { $0.ordinal < $1.ordinal }
  }

  package func crossingBids(of prover: PublicKey) -> [BidID] {
    queue.filter { bid in
      bid.prover == prover && firstOrder(for: bid.id, after: nil) { _, _ in true } != nil
    }.map(\.id)
  }

  private mutating func replace(_ bid: Bid) {
    removeBid(bid.id)
    _ = insert(bid)
  }

  package mutating func amendBid(
    _ id: BidID, price: Price, capacity: UInt32, arriving ordinal: UInt64
  ) -> UInt64? {
    guard let bid = bid(id), !bid.isClosed else { return nil }
    let keepsPlace = price == bid.terms.price && capacity <= bid.terms.capacity
    var amended = Bid(
      id: id, prover: bid.prover,
      terms: BidTerms(
        backend: bid.terms.backend, scope: bid.terms.scope, price: price, capacity: capacity,
        largestSlice: bid.terms.largestSlice, expiry: bid.terms.expiry),
      ordinal: keepsPlace ? bid.ordinal : ordinal)
    amended.leases = bid.leases
    replace(amended)
    return amended.ordinal
  }

  package mutating func changeLeases(of id: BidID, taken: Bool) -> Bool {
    guard var bid = bid(id), taken ? bid.isOffered : bid.leases > 0 else { return false }
    if taken { bid.leases += 1 } else { bid.leases -= 1 }
    if bid.isClosed, bid.leases == 0 { removeBid(id) } else { replace(bid) }
    return true
  }

  package mutating func removeBid(_ id: BidID) { queue.removeAll { $0.id == id } }

  package func owner(ofOpen id: BidID) -> PublicKey? {
    queue.first { $0.id == id && !$0.isClosed }?.prover
  }

  package mutating func closeBid(_ id: BidID) -> PublicKey? {
    guard var bid = bid(id), !bid.isClosed else { return nil }
    bid.isClosed = true
    if bid.leases == 0 { removeBid(id) } else { replace(bid) }
    return bid.prover
  }

  package var hasOrders: Bool { !demand.isEmpty }

  package mutating func insert(_ order: Order) {
    let index = demand.firstIndex { Order.precedes(order, $0) } ?? demand.endIndex
    demand.insert(order, at: index)
  }

  package mutating func removeOrder(request: RequestID, slice: Int) {
    demand.removeAll { $0.request == request && $0.slice == slice }
  }

  package func firstBid(
    on backend: BackendID, for model: ModelID, _ slice: Int, upTo limit: Price,
    where accepts: (Bid) -> Bool
  ) -> Bid? {
    queue.first { bid in
      bid.isOffered && bid.terms.backend == backend && bid.terms.scope.covers(model, slice)
        && bid.terms.price <= limit && accepts(bid)
    }
  }

  package var backends: [BackendID] {
    Set(queue.map(\.terms.backend) + demand.map(\.backend)).sorted()
  }

  package func bidLevels(
    on backend: BackendID, of model: ModelID?, at now: Tick, limit: Int
  ) -> [DepthLevel] {
    var count = LevelCount(limit: limit)
    for bid in queue
    where bid.isOffered && bid.terms.backend == backend && bid.terms.scope.touches(model)
      && bid.terms.expiry > now
    {
      _ = count.add(bid.terms.price, capacity: UInt64(bid.terms.capacity - bid.leases))
    }
    return count.levels
  }

  package func orderLevels(
    on backend: BackendID, of model: ModelID?, limit: Int
  ) -> [DepthLevel] {
    var count = LevelCount(limit: limit)
    for order in demand where order.backend == backend && (model == nil || order.model == model) {
      _ = count.add(order.limitPrice, capacity: 1)
    }
    return count.levels
  }

  package func firstOrder(
    for id: BidID, after last: Order?, where accepts: (Bid, Order) -> Bool
  ) -> Order? {
    guard let bid = bid(id), bid.isOffered else { return nil }
    return demand.first { order in
      order.backend == bid.terms.backend && bid.terms.scope.covers(order.model, order.slice)
        && order.limitPrice >= bid.terms.price && (last.map { Order.precedes($0, order) } ?? true)
        && accepts(bid, order)
    }
  }
}
