package import Primitives

/// One price of one side of a backend's book.
package struct DepthLevel: Hashable, Sendable {
  package let price: Price
  /// Leases that it has room for: what the bids at this price can still take, or a slice for each
  /// order.
  package internal(set) var capacity: UInt64
  /// Bids, or orders.
  package internal(set) var count: UInt32

  package init(price: Price, capacity: UInt64, count: UInt32) {
    (self.price, self.capacity, self.count) = (price, capacity, count)
  }
}

extension DepthLevel {
  /// Adds another level of the same price.
  mutating func add(_ other: DepthLevel) {
    capacity += other.capacity
    count += other.count
  }
}

/// A backend's book by price, best first on both sides: the lowest bids, the highest orders.
package struct Depth: Hashable, Sendable {
  package let backend: BackendID
  package let bids: [DepthLevel]
  package let orders: [DepthLevel]

  package init(backend: BackendID, bids: [DepthLevel], orders: [DepthLevel]) {
    (self.backend, self.bids, self.orders) = (backend, bids, orders)
  }

  /// How far the best bid asks more than the best order pays; nil where a side is empty. Below zero
  /// where they cross and may not meet: a filter, a spread rule or a stake keeps them apart.
  package var spread: Int64? {
    guard let bid = bids.first?.price.ticks, let order = orders.first?.price.ticks else {
      return nil
    }
    return bid >= order ? Int64(clamping: bid - order) : -Int64(clamping: order - bid)
  }
}

extension Market {
  /// The books of one backend or of all, where there is anything in them, by backend; up to
  /// `levels` prices on each side. With a model, only what can meet in one of its slices.
  package func depth(
    on backend: BackendID?, of model: ModelID?, levels: Int
  ) -> [Depth] {
    (backend.map { [$0] } ?? book.backends).map { backend in
      Depth(
        backend: backend,
        bids: book.bidLevels(on: backend, of: model, at: now, limit: levels),
        orders: book.orderLevels(on: backend, of: model, limit: levels))
    }
  }
}

extension DepthLevel: CanonicalCodable {
  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(price)
    encoder.append(capacity)
    encoder.append(count)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    price = try decoder.record()
    capacity = try decoder.integer()
    count = try decoder.integer()
  }
}

extension Depth: CanonicalCodable {
  private static let levelLimit = 1 << 16

  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(backend)
    encoder.append(bids)
    encoder.append(orders)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    backend = try decoder.record()
    bids = try decoder.list(limit: Self.levelLimit, elementSize: 20)
    orders = try decoder.list(limit: Self.levelLimit, elementSize: 20)
  }
}

/// Collects levels in the order of their price.
struct LevelCount {
  private(set) var levels: [DepthLevel] = []
  let limit: Int

  init(limit: Int) { self.limit = limit }

  /// False once the price is one too many.
  mutating func add(_ price: Price, capacity: UInt64) -> Bool {
    if levels.last?.price == price {
      levels[levels.count - 1].capacity += capacity
      levels[levels.count - 1].count += 1
      return true
    }
    guard levels.count < limit else { return false }
    levels.append(DepthLevel(price: price, capacity: capacity, count: 1))
    return true
  }
}
