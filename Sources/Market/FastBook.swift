package import Primitives
import Statements

/// The book in logarithmic time and little memory.
///
/// Every scope of a backend has a *ladder*: one queue of the bids of exactly that scope, one of the
/// orders within it. The best bid for a slice is the best of three ladders' first (any, its model,
/// the slice itself); an order stands in all three, so that a bid finds its best order at once.
/// Full and closed bids are taken out of their queue and return to the place of their arrival.
package struct FastBook: OrderBook {
  private struct Ladder {
    let backend: BackendID
    let scope: Scope
    var bids = OrderedForest.Tree()
    var orders = OrderedForest.Tree()
    /// Bids, queued or not, and orders: an unused ladder is given up.
    var users = 0
  }

  /// A bid without what its ladder and its node in `bidForest`, of the same number, say already.
  private struct BidSlot {
    var id: BidID
    var largestSlice: Cost
    var expiry: Tick
    var capacity: UInt32
    var leases: UInt32
    var ladder: UInt32
    var owner: UInt32
    /// The owner's other bids, in a list without order; of a free slot, the next free one.
    var next: UInt32
    var previous: UInt32
    var isClosed: Bool
    var isQueued: Bool

    var isOffered: Bool { !isClosed && leases < capacity }
  }

  /// A prover that has bids.
  private struct Owner {
    let prover: PublicKey
    var firstBid: UInt32
  }

  /// An order; its nodes in `orderForest` are three times its number, and the two that follow.
  private struct OrderSlot {
    var order: Order
    var ladders: [3 of UInt32]
  }

  private var bidForest = OrderedForest()
  private var bidSlots: [BidSlot] = []
  private var freeBid = OrderedForest.none
  private var bidCount = 0
  private var slotOfBid = SlotTable()

  private var owners: [Owner] = []
  private var freeOwners: [UInt32] = []
  private var slotOfOwner = SlotTable()

  private var orderForest = OrderedForest()
  private var orderSlots: [OrderSlot?] = []
  private var freeOrders: [UInt32] = []
  private var slotOfOrder = SlotTable()

  private var ladders: [Ladder] = []
  private var freeLadders: [UInt32] = []
  private var slotOfLadder = SlotTable()

  package init() {}

  // MARK: Bids

  package mutating func insert(_ bid: Bid) -> Bool {
    let hash = bid.id.value.keyedHash
    guard slot(of: bid.id, hash) == nil else { return false }
    let owner = owner(bid.prover)
    let slot = store(
      BidSlot(
        id: bid.id, largestSlice: bid.terms.largestSlice, expiry: bid.terms.expiry,
        capacity: bid.terms.capacity, leases: bid.leases,
        ladder: useLadder(bid.terms.backend, bid.terms.scope), owner: owner,
        next: owners[Int(owner)].firstBid, previous: OrderedForest.none, isClosed: bid.isClosed,
        isQueued: false))
    bidForest.setKey(
      OrderedForest.Key(price: bid.terms.price.ticks, arrival: bid.ordinal), of: slot)
    slotOfBid.insert(slot, hash)
    linkToOwner(slot)
    bidCount += 1
    queue(slot)
    return true
  }

  @inline(__always)
  package func bid(_ id: BidID) -> Bid? {
    guard let slot = slot(of: id) else { return nil }
    return bid(at: slot)
  }

  package func holds(_ id: BidID) -> Bool { slot(of: id) != nil }

  package func bids(of prover: PublicKey) -> [Bid] {
    var bids: [Bid] = []
    var slot = firstBid(of: prover)
    while slot != OrderedForest.none {
      bids.append(bid(at: slot))
      slot = bidSlots[Int(slot)].next
    }
    return bids.sorted { $0.ordinal < $1.ordinal }
  }

  package func crossingBids(of prover: PublicKey) -> [BidID] {
    // However many bids the prover has.
    guard hasOrders else { return [] }
    var crossing: [(key: OrderedForest.Key, id: BidID)] = []
    var slot = firstBid(of: prover)
    while slot != OrderedForest.none {
      let held = bidSlots[Int(slot)]
      let order =
        held.isQueued ? orderForest.first(in: ladders[Int(held.ladder)].orders) : OrderedForest.none
      let key = bidForest.key(of: slot)
      if order != OrderedForest.none, ~orderForest.key(of: order).price >= key.price {
        crossing.append((key, held.id))
      }
      slot = held.next
    }
    return crossing.sorted { $0.key < $1.key }.map(\.id)
  }

  package mutating func amendBid(
    _ id: BidID, price: Price, capacity: UInt32, arriving ordinal: UInt64
  ) -> UInt64? {
    guard let slot = slot(of: id), !bidSlots[Int(slot)].isClosed else { return nil }
    let place = bidForest.key(of: slot)
    let keepsPlace = price.ticks == place.price && capacity <= bidSlots[Int(slot)].capacity
    bidSlots[Int(slot)].capacity = capacity
    if !keepsPlace {
      if bidSlots[Int(slot)].isQueued { dequeue(slot) }
      bidForest.setKey(OrderedForest.Key(price: price.ticks, arrival: ordinal), of: slot)
    }
    queue(slot)
    return bidForest.key(of: slot).arrival
  }

  package mutating func changeLeases(of id: BidID, taken: Bool) -> Bool {
    guard let slot = slot(of: id),
      taken ? bidSlots[Int(slot)].isOffered : bidSlots[Int(slot)].leases > 0
    else { return false }
    if taken { bidSlots[Int(slot)].leases += 1 } else { bidSlots[Int(slot)].leases -= 1 }
    let isOver = bidSlots[Int(slot)].isClosed && bidSlots[Int(slot)].leases == 0
    if isOver { removeBid(at: slot) } else { queue(slot) }
    return true
  }

  package mutating func removeBid(_ id: BidID) {
    if let slot = slot(of: id) { removeBid(at: slot) }
  }

  package func owner(ofOpen id: BidID) -> PublicKey? {
    guard let slot = slot(of: id), !bidSlots[Int(slot)].isClosed else { return nil }
    return prover(of: slot)
  }

  package mutating func closeBid(_ id: BidID) -> PublicKey? {
    guard let slot = slot(of: id), !bidSlots[Int(slot)].isClosed else { return nil }
    let prover = prover(of: slot)
    guard bidSlots[Int(slot)].leases > 0 else {
      removeBid(at: slot)
      return prover
    }
    bidSlots[Int(slot)].isClosed = true
    queue(slot)
    return prover
  }

  private mutating func removeBid(at slot: UInt32) {
    if bidSlots[Int(slot)].isQueued { dequeue(slot) }
    slotOfBid.remove(slot, bidSlots[Int(slot)].id.value.keyedHash)
    unlinkFromOwner(slot)
    leaveLadder(bidSlots[Int(slot)].ladder)
    bidSlots[Int(slot)].ladder = OrderedForest.none
    bidSlots[Int(slot)].next = freeBid
    freeBid = slot
    bidCount -= 1
  }

  package func firstBid(
    on backend: BackendID, for model: ModelID, _ slice: Int, upTo limit: Price,
    where accepts: (Bid) -> Bool
  ) -> Bid? {
    let hash = Self.hash(backend)
    var places: [3 of OrderedForest.Place] = [
      begin(backend, .any, hash), begin(backend, .model(model), hash),
      begin(backend, .slice(model, slice), hash),
    ]
    while true {
      var best: (index: Int, slot: UInt32, key: OrderedForest.Key)?
      for index in places.indices {
        let slot = bidForest.node(at: places[index])
        guard slot != OrderedForest.none else { continue }
        let key = bidForest.key(of: slot)
        if let best, best.key < key { continue }
        best = (index, slot, key)
      }
      guard let best, best.key.price <= limit.ticks else { return nil }
      let bid = bid(at: best.slot)
      if accepts(bid) { return bid }
      places[best.index] = bidForest.next(places[best.index])
    }
  }

  package var bids: [Bid] {
    var bids: [Bid] = []
    bids.reserveCapacity(bidCount)
    for slot in bidSlots.indices where bidSlots[slot].ladder != OrderedForest.none {
      bids.append(bid(at: UInt32(slot)))
    }
    return bids.sorted { $0.ordinal < $1.ordinal }
  }

  private func begin(
    _ backend: BackendID, _ scope: Scope, _ hash: UInt64
  ) -> OrderedForest.Place {
    let ladder = ladder(backend, scope, hash &+ Self.hash(scope))
    return bidForest.begin(ladder.map { ladders[Int($0)].bids } ?? OrderedForest.Tree())
  }

  // Inlined, as are its like: a call would be given a copy of the whole book's head.
  @inline(__always)
  private func slot(of id: BidID) -> UInt32? { slot(of: id, id.value.keyedHash) }

  @inline(__always)
  private func slot(of id: BidID, _ hash: UInt64) -> UInt32? {
    slotOfBid.slot(hash) { bidSlots[Int($0)].id == id }
  }

  @inline(__always)
  private func bid(at slot: UInt32) -> Bid {
    let held = bidSlots[Int(slot)]
    let ladder = ladders[Int(held.ladder)]
    let key = bidForest.key(of: slot)
    var bid = Bid(
      id: held.id, prover: owners[Int(held.owner)].prover,
      terms: BidTerms(
        backend: ladder.backend, scope: ladder.scope, price: Price(ticks: key.price),
        capacity: held.capacity, largestSlice: held.largestSlice, expiry: held.expiry),
      ordinal: key.arrival)
    bid.leases = held.leases
    bid.isClosed = held.isClosed
    return bid
  }

  private mutating func store(_ bid: BidSlot) -> UInt32 {
    if freeBid != OrderedForest.none {
      let slot = freeBid
      freeBid = bidSlots[Int(slot)].next
      bidSlots[Int(slot)] = bid
      return slot
    }
    let count = bidSlots.count + 1
    // A quarter at a time, as in the forest.
    if count > bidSlots.capacity { bidSlots.reserveCapacity(count + count / 4) }
    bidSlots.append(bid)
    bidForest.grow(to: count)
    return UInt32(count - 1)
  }

  /// Puts the bid into its queue, or takes it out, as it is offered or not.
  private mutating func queue(_ slot: UInt32) {
    guard bidSlots[Int(slot)].isOffered else {
      if bidSlots[Int(slot)].isQueued { dequeue(slot) }
      return
    }
    guard !bidSlots[Int(slot)].isQueued else { return }
    bidSlots[Int(slot)].isQueued = true
    bidForest.insert(slot, into: &ladders[Int(bidSlots[Int(slot)].ladder)].bids)
  }

  private mutating func dequeue(_ slot: UInt32) {
    bidSlots[Int(slot)].isQueued = false
    bidForest.remove(slot, from: &ladders[Int(bidSlots[Int(slot)].ladder)].bids)
  }

  // MARK: Owners

  private func prover(of slot: UInt32) -> PublicKey {
    owners[Int(bidSlots[Int(slot)].owner)].prover
  }

  @inline(__always)
  private func slot(ofOwner prover: PublicKey) -> UInt32? {
    slotOfOwner.slot(prover.value.keyedHash) { owners[Int($0)].prover == prover }
  }

  private func firstBid(of prover: PublicKey) -> UInt32 {
    slot(ofOwner: prover).map { owners[Int($0)].firstBid } ?? OrderedForest.none
  }

  /// The prover's slot, made where it has none.
  private mutating func owner(_ prover: PublicKey) -> UInt32 {
    if let owner = slot(ofOwner: prover) { return owner }
    let made = Owner(prover: prover, firstBid: OrderedForest.none)
    let owner: UInt32
    if let free = freeOwners.popLast() {
      owner = free
      owners[Int(owner)] = made
    } else {
      owner = UInt32(owners.count)
      owners.append(made)
    }
    slotOfOwner.insert(owner, prover.value.keyedHash)
    return owner
  }

  /// Puts the bid before the first, which it names already.
  private mutating func linkToOwner(_ slot: UInt32) {
    let (owner, next) = (bidSlots[Int(slot)].owner, bidSlots[Int(slot)].next)
    if next != OrderedForest.none { bidSlots[Int(next)].previous = slot }
    owners[Int(owner)].firstBid = slot
  }

  /// A prover without bids is given up.
  private mutating func unlinkFromOwner(_ slot: UInt32) {
    let (next, previous) = (bidSlots[Int(slot)].next, bidSlots[Int(slot)].previous)
    if next != OrderedForest.none { bidSlots[Int(next)].previous = previous }
    if previous != OrderedForest.none {
      bidSlots[Int(previous)].next = next
      return
    }
    let owner = bidSlots[Int(slot)].owner
    owners[Int(owner)].firstBid = next
    guard next == OrderedForest.none else { return }
    slotOfOwner.remove(owner, owners[Int(owner)].prover.value.keyedHash)
    freeOwners.append(owner)
  }

  // MARK: Orders

  package var hasOrders: Bool { freeOrders.count < orderSlots.count }

  package mutating func insert(_ order: Order) {
    let scopes: [3 of Scope] = [
      .any, .model(order.model), .slice(order.model, order.slice),
    ]
    var held = OrderSlot(order: order, ladders: .init(repeating: OrderedForest.none))
    for index in scopes.indices {
      held.ladders[index] = useLadder(order.backend, scopes[index])
    }
    let slot: UInt32
    if let free = freeOrders.popLast() {
      slot = free
      orderSlots[Int(slot)] = held
    } else {
      slot = UInt32(orderSlots.count)
      orderSlots.append(held)
      orderForest.grow(to: 3 * orderSlots.count)
    }
    for index in scopes.indices {
      let node = 3 * slot + UInt32(index)
      orderForest.setKey(Self.key(order), of: node)
      orderForest.insert(node, into: &ladders[Int(held.ladders[index])].orders)
    }
    slotOfOrder.insert(slot, Self.hash(order.request, order.slice))
  }

  package mutating func removeOrder(request: RequestID, slice: Int) {
    let hash = Self.hash(request, slice)
    let found = slotOfOrder.slot(hash) { slot in
      let order = orderSlots[Int(slot)]?.order
      return order?.request == request && order?.slice == slice
    }
    guard let slot = found, let held = orderSlots[Int(slot)] else { return }
    slotOfOrder.remove(slot, hash)
    for index in held.ladders.indices {
      let ladder = held.ladders[index]
      orderForest.remove(3 * slot + UInt32(index), from: &ladders[Int(ladder)].orders)
      leaveLadder(ladder)
    }
    orderSlots[Int(slot)] = nil
    freeOrders.append(slot)
  }

  package func firstOrder(
    for id: BidID, after last: Order?, where accepts: (Bid, Order) -> Bool
  ) -> Order? {
    guard let slot = slot(of: id), bidSlots[Int(slot)].isQueued else { return nil }
    let tree = ladders[Int(bidSlots[Int(slot)].ladder)].orders
    var place =
      last.map { orderForest.place(after: Self.key($0), in: tree) } ?? orderForest.begin(tree)
    let price = bidForest.key(of: slot).price
    while case let node = orderForest.node(at: place), node != OrderedForest.none {
      guard let order = orderSlots[Int(node / 3)]?.order, order.limitPrice.ticks >= price else {
        return nil
      }
      let bid = bid(at: slot)
      if accepts(bid, order) { return order }
      place = orderForest.next(place)
    }
    return nil
  }

  package var orders: [Order] {
    orderSlots.compactMap { $0?.order }.sorted { ($0.ordinal, $0.slice) < ($1.ordinal, $1.slice) }
  }

  /// The highest limit has the smallest rank; of one request's orders the first slice's.
  private static func key(_ order: Order) -> OrderedForest.Key {
    OrderedForest.Key(
      price: ~order.limitPrice.ticks,
      arrival: order.ordinal * UInt64(Manifest.sliceLimit) + UInt64(order.slice))
  }

  private static func hash(_ request: RequestID, _ slice: Int) -> UInt64 {
    // An odd factor keeps a request's slices apart, and in places of their own.
    request.value.keyedHash &+ UInt64(slice) &* 0x9E37_79B9_7F4A_7C15
  }

  // MARK: Depth

  package var backends: [BackendID] {
    Set(ladders.lazy.filter { $0.users > 0 }.map(\.backend)).sorted()
  }

  /// Each ladder's own first prices, merged: none of the backend's first prices is missing then.
  package func bidLevels(
    on backend: BackendID, of model: ModelID?, at now: Tick, limit: Int
  ) -> [DepthLevel] {
    var found: [UInt64: DepthLevel] = [:]
    for ladder in ladders
    where ladder.users > 0 && ladder.backend == backend && ladder.scope.touches(model) {
      var count = LevelCount(limit: limit)
      var place = bidForest.begin(ladder.bids)
      while case let node = bidForest.node(at: place), node != OrderedForest.none {
        let bid = bidSlots[Int(node)]
        if bid.expiry > now {
          let price = Price(ticks: bidForest.key(of: node).price)
          guard count.add(price, capacity: UInt64(bid.capacity - bid.leases)) else { break }
        }
        place = bidForest.next(place)
      }
      for level in count.levels {
        found[
          level.price.ticks, default: DepthLevel(price: level.price, capacity: 0, count: 0)
        ].add(level)
      }
    }
    return found.keys.sorted().prefix(limit).compactMap { found[$0] }
  }

  package func orderLevels(
    on backend: BackendID, of model: ModelID?, limit: Int
  ) -> [DepthLevel] {
    let scope = model.map { Scope.model($0) } ?? .any
    guard let ladder = ladder(backend, scope, Self.hash(backend) &+ Self.hash(scope)) else {
      return []
    }
    var count = LevelCount(limit: limit)
    var place = orderForest.begin(ladders[Int(ladder)].orders)
    while case let node = orderForest.node(at: place), node != OrderedForest.none,
      count.add(Price(ticks: ~orderForest.key(of: node).price), capacity: 1)
    {
      place = orderForest.next(place)
    }
    return count.levels
  }

  // MARK: Ladders

  private static func hash(_ backend: BackendID) -> UInt64 {
    UInt64(bitPattern: Int64(backend.name.hashValue))
  }

  private static func hash(_ scope: Scope) -> UInt64 {
    switch scope {
    case .any: 0
    case .model(let model): hash(model, 0)
    case .slice(let model, let slice): hash(model, slice + 1)
    }
  }

  @inline(__always)
  private func ladder(_ backend: BackendID, _ scope: Scope, _ hash: UInt64) -> UInt32? {
    slotOfLadder.slot(hash) {
      ladders[Int($0)].scope == scope && ladders[Int($0)].backend == backend
    }
  }

  private mutating func useLadder(_ backend: BackendID, _ scope: Scope) -> UInt32 {
    let hash = Self.hash(backend) &+ Self.hash(scope)
    if let ladder = ladder(backend, scope, hash) {
      ladders[Int(ladder)].users += 1
      return ladder
    }
    let made = Ladder(backend: backend, scope: scope, users: 1)
    let ladder: UInt32
    if let free = freeLadders.popLast() {
      ladder = free
      ladders[Int(ladder)] = made
    } else {
      ladder = UInt32(ladders.count)
      ladders.append(made)
    }
    slotOfLadder.insert(ladder, hash)
    return ladder
  }

  private mutating func leaveLadder(_ ladder: UInt32) {
    ladders[Int(ladder)].users -= 1
    guard ladders[Int(ladder)].users == 0 else { return }
    let (backend, scope) = (ladders[Int(ladder)].backend, ladders[Int(ladder)].scope)
    slotOfLadder.remove(ladder, Self.hash(backend) &+ Self.hash(scope))
    freeLadders.append(ladder)
  }
}
