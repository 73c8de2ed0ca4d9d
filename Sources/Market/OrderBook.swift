package import Primitives

/// The bids and the resting orders of one backend: sorted arrays, obviously right.
package struct OrderBook: Sendable {
  package struct Bid: Sendable, Hashable {
    package let id: BidID
    package let prover: PublicKey
    package let terms: BidTerms
    /// Order of arrival; price first, then this.
    package let ordinal: UInt64
    /// Leases held now.
    package var leases: UInt32 = 0
  }

  /// One slice of one request that no bid has taken.
  package struct Order: Sendable, Hashable {
    package let request: RequestID
    package let slice: Int
    package let limitPrice: Price
    package let ordinal: UInt64
  }

  /// Lowest price first, then earliest.
  package private(set) var bids: [Bid] = []
  /// Highest limit first, then earliest, then by slice.
  package private(set) var orders: [Order] = []

  package mutating func insert(_ bid: Bid) {
    let index =
      bids.firstIndex { other in
        (bid.terms.price, bid.ordinal) < (other.terms.price, other.ordinal)
      } ?? bids.endIndex
    bids.insert(bid, at: index)
  }

  package mutating func removeBid(_ id: BidID) { bids.removeAll { $0.id == id } }

  package func bid(_ id: BidID) -> Bid? { bids.first { $0.id == id } }

  /// Does nothing where the bid has been closed meanwhile. False where the count would leave
  /// 0 to the bid's capacity.
  package mutating func changeLeases(of id: BidID, taken: Bool) -> Bool {
    guard let index = bids.firstIndex(where: { $0.id == id }) else { return true }
    if taken {
      guard bids[index].leases < bids[index].terms.capacity else { return false }
      bids[index].leases += 1
    } else {
      guard bids[index].leases > 0 else { return false }
      bids[index].leases -= 1
    }
    return true
  }

  package mutating func insert(_ order: Order) {
    let index =
      orders.firstIndex { other in
        if order.limitPrice != other.limitPrice { return order.limitPrice > other.limitPrice }
        return (order.ordinal, order.slice) < (other.ordinal, other.slice)
      } ?? orders.endIndex
    orders.insert(order, at: index)
  }

  package mutating func removeOrder(request: RequestID, slice: Int) {
    orders.removeAll { $0.request == request && $0.slice == slice }
  }
}
