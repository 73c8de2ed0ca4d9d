package import Primitives

/// A standing offer as the book knows it.
package struct Bid: Sendable, Hashable {
  package let id: BidID
  package let prover: PublicKey
  package let terms: BidTerms
  /// Order of arrival; price first, then this.
  package let ordinal: UInt64
  /// Leases held now.
  package var leases: UInt32 = 0
  /// It takes no more leases and stays only until those it has have ended.
  package var isClosed = false

  package init(id: BidID, prover: PublicKey, terms: BidTerms, ordinal: UInt64) {
    (self.id, self.prover, self.terms, self.ordinal) = (id, prover, terms, ordinal)
  }

  /// Whether the book may offer it: closed and full bids are kept, and never offered.
  var isOffered: Bool { !isClosed && leases < terms.capacity }

  /// Lowest price first, then earliest.
  static func precedes(_ left: Bid, _ right: Bid) -> Bool {
    (left.terms.price, left.ordinal) < (right.terms.price, right.ordinal)
  }
}

/// One slice of one request that no bid has taken.
package struct Order: Sendable, Hashable {
  package let request: RequestID
  package let model: ModelID
  package let slice: Int
  package let backend: BackendID
  package let limitPrice: Price
  /// The request's order of arrival.
  package let ordinal: UInt64

  package init(
    request: RequestID, model: ModelID, slice: Int, backend: BackendID, limitPrice: Price,
    ordinal: UInt64
  ) {
    self.request = request
    self.model = model
    self.slice = slice
    self.backend = backend
    self.limitPrice = limitPrice
    self.ordinal = ordinal
  }

  /// Highest limit first, then earliest, then by slice.
  static func precedes(_ left: Order, _ right: Order) -> Bool {
    if left.limitPrice != right.limitPrice { return left.limitPrice > right.limitPrice }
    return (left.ordinal, left.slice) < (right.ordinal, right.slice)
  }
}

/// The bids and resting orders of all backends: who stands where, in price, then time. Whether a
/// bid may take an order is the market's to decide; the book only finds the first that it accepts.
///
/// There are two: `ReferenceBook`, obviously right, and `FastBook`. A market gives the same bytes
/// with either, and the tests drive both with the same commands.
package protocol OrderBook: Sendable {
  /// False, and nothing is changed, where a bid of that id stands in the book.
  @discardableResult mutating func insert(_ bid: Bid) -> Bool
  /// Nil where no bid of that id stands in the book; closed ones do while they have leases.
  func bid(_ id: BidID) -> Bid?
  /// Whether a bid of that id stands in the book.
  func holds(_ id: BidID) -> Bool
  /// The prover's bids, closed ones among them, by arrival.
  func bids(of prover: PublicKey) -> [Bid]
  /// The prover's bids that are offered and that the best order within their scope would pay for,
  /// cheapest first, then by arrival.
  func crossingBids(of prover: PublicKey) -> [BidID]
  /// Gives the bid another price and capacity. Capacity given back keeps the bid's place; anything
  /// else counts as arriving, with this ordinal. Returns the ordinal it has then; nil where no bid
  /// of that id is open.
  mutating func amendBid(
    _ id: BidID, price: Price, capacity: UInt32, arriving ordinal: UInt64
  ) -> UInt64?
  /// Counts a lease that the bid has taken or that has ended. A closed bid leaves the book with its
  /// last lease. False where the count would leave 0 to the bid's capacity, or no such bid stands.
  mutating func changeLeases(of id: BidID, taken: Bool) -> Bool
  mutating func removeBid(_ id: BidID)
  /// Whose bid it is; nil where no bid of that id is open.
  func owner(ofOpen id: BidID) -> PublicKey?
  /// Takes the bid out of the queue, and out of the book once it has no lease. Returns its prover;
  /// nil where no such bid is open.
  mutating func closeBid(_ id: BidID) -> PublicKey?

  /// Whether an order rests: where none does, no bid crosses one.
  var hasOrders: Bool { get }
  mutating func insert(_ order: Order)
  mutating func removeOrder(request: RequestID, slice: Int)

  /// The first bid, by price and then arrival, that has capacity left, covers the slice, asks at
  /// most `limit` and is accepted.
  func firstBid(
    on backend: BackendID, for model: ModelID, _ slice: Int, upTo limit: Price,
    where accepts: (Bid) -> Bool
  ) -> Bid?

  /// The first order, by limit and then arrival, that stands behind `last`, that the bid covers and
  /// asks no more than, and that is accepted. Nil where the bid has no capacity left or is closed.
  func firstOrder(
    for bid: BidID, after last: Order?, where accepts: (Bid, Order) -> Bool
  ) -> Order?

  /// Backends that have a bid or an order, by name.
  var backends: [BackendID] { get }

  /// The backend's bids that have capacity left and expire after `now`, by price, the lowest first;
  /// at most `limit` prices. With a model, only those whose scope has a part of it.
  func bidLevels(
    on backend: BackendID, of model: ModelID?, at now: Tick, limit: Int
  ) -> [DepthLevel]

  /// The backend's orders by price, the highest first; at most `limit` prices. With a model, only
  /// its slices.
  func orderLevels(on backend: BackendID, of model: ModelID?, limit: Int) -> [DepthLevel]

  /// All bids, closed ones among them, by arrival.
  var bids: [Bid] { get }
  /// All orders, by arrival and slice.
  var orders: [Order] { get }
}

extension OrderBook {
  /// The backend's bids in the order in which they are taken.
  package func bids(on backend: BackendID) -> [Bid] {
    bids.filter { $0.terms.backend == backend && !$0.isClosed }.sorted(by: Bid.precedes)
  }

  /// The backend's orders in the order in which they are taken.
  package func orders(on backend: BackendID) -> [Order] {
    orders.filter { $0.backend == backend }.sorted(by: Order.precedes)
  }
}
