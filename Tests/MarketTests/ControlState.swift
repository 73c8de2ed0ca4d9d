import Market
import Primitives
import Statements

/// What decides a market's next steps, without what does not: the one name of all states that
/// differ in names, in the time that has passed, or in amounts.
///
/// - Provers are called by their place in the book, and those without a bid by what is known of
///   them; requests by their arrival; leases by request, slice and age; digests by where they are
///   first met. Ticks are told from now.
/// - Left out are balances, fees, stakes and what follows from them, which decide nothing while
///   nobody runs out of money; reputation, which only a request's filter reads; until when a
///   slashed prover cools down, for here nobody bids again; slashes under a key, for those that
///   would stop its leases leave nobody to take them; and leases and requests that have ended and
///   that nothing names any more.
struct ControlState {
  private let market: Market
  private let now: UInt64
  private var bytes: [UInt8] = []
  private var digests: [Digest: UInt8] = [:]
  private var provers: [PublicKey: UInt8] = [:]
  private var requests: [RequestID: UInt8] = [:]
  private var leases: [LeaseID: UInt8] = [:]

  /// - Parameter keys: All provers there are.
  static func bytes(of market: Market, at now: UInt64, provers keys: [PublicKey]) -> [UInt8] {
    var state = ControlState(market, now)
    state.name(keys)
    state.append(keys)
    return state.bytes
  }

  private init(_ market: Market, _ now: UInt64) {
    (self.market, self.now) = (market, now)
  }

  private mutating func name(_ keys: [PublicKey]) {
    let live = market.sortedRequests.filter { !$0.state.isFinal }
    for request in live { requests[request.id] = UInt8(requests.count) }
    var kept: Set<LeaseID> = []
    for request in live {
      kept.formUnion(request.slices.compactMap(\.lease))
      kept.formUnion(request.reveals?.leases ?? [])
    }
    for lease in market.sortedLeases where kept.contains(lease.id) || !lease.state.isFinal {
      leases[lease.id] = UInt8(leases.count)
    }
    let queue = market.book.bids.filter { !$0.isClosed }.sorted {
      ($0.terms.price, $0.ordinal) < ($1.terms.price, $1.ordinal)
    }
    for bid in queue where provers[bid.prover] == nil { provers[bid.prover] = UInt8(provers.count) }
    let rest = keys.filter { provers[$0] == nil }
      .map { (key: $0, known: known(of: $0)) }
      .sorted { $0.known.lexicographicallyPrecedes($1.known) }
    for (key, _) in rest { provers[key] = UInt8(provers.count) }
  }

  /// Where a prover without an open bid still matters.
  private func known(of key: PublicKey) -> [UInt8] {
    var known = [UInt8(clamping: market.provers[key]?.lapsesInARow ?? 0)]
    for lease in market.sortedLeases where lease.terms.prover == key {
      if let name = leases[lease.id] { known.append(name) }
    }
    for request in market.sortedRequests where !request.state.isFinal {
      for slice in request.slices { known.append(slice.ineligible.contains(key) ? 1 : 0) }
    }
    return known
  }

  private mutating func append(_ keys: [PublicKey]) {
    for key in keys.sorted(by: { provers[$0] ?? 0 < provers[$1] ?? 0 }) {
      bytes.append(UInt8(clamping: market.provers[key]?.lapsesInARow ?? 0))
      for bid in market.book.bids(of: key) {
        bytes += [bid.isClosed ? 1 : 0, UInt8(clamping: bid.leases), UInt8(bid.terms.capacity)]
      }
      bytes.append(255)
    }
    // How many have not asked yet.
    bytes.append(UInt8(market.requests.count))
    for request in market.sortedRequests where !request.state.isFinal { append(request) }
    for lease in market.sortedLeases where leases[lease.id] != nil { append(lease) }
    for order in market.book.orders {
      bytes += [requests[order.request] ?? 255, UInt8(order.slice)]
    }
  }

  private mutating func append(_ request: Request) {
    bytes += [request.state.rawValue, request.isBeginOver ? 1 : 0, request.isDrawn ? 1 : 0]
    for assurance in request.terms.assurances { bytes.append(assurance.assurance.rawValue) }
    bytes.append(request.terms.auditRate == .whole ? 1 : 0)
    append(request.beginDeadline)
    append(request.finalDeadline)
    bytes.append(request.brokerCommitment == nil ? 0 : 1)
    bytes.append(request.reveals == nil ? 0 : 1)
    if let reveals = request.reveals {
      append(reveals.deadline)
      bytes += [reveals.requester == nil ? 0 : 1, reveals.broker == nil ? 0 : 1]
      for lease in reveals.leases { bytes.append(leases[lease] ?? 255) }
    }
    append(request.answer ?? [])
    for slice in request.slices {
      bytes += [slice.lease.flatMap { leases[$0] } ?? 255, UInt8(clamping: slice.failures)]
      bytes += slice.ineligible.compactMap { provers[$0] }.sorted() + [255]
    }
  }

  private mutating func append(_ lease: Lease) {
    bytes += [
      lease.state.rawValue, requests[lease.terms.request] ?? 255, UInt8(lease.terms.slice),
      lease.nonce == nil ? 0 : 1,
    ]
    append(lease.commitment?.outputs ?? [])
    guard !lease.state.isFinal else { return }
    append(lease.inputs)
    append(lease.deadline)
    bytes += [
      provers[lease.terms.prover] ?? 255, lease.receipt == nil ? 0 : 1,
      lease.verification?.rawValue ?? 0, UInt8(clamping: lease.attempt),
      lease.isFaulted ? 1 : 0, lease.isOrphaned ? 1 : 0, lease.draw?.rawValue ?? 0,
      lease.challenge == nil ? 0 : 1, lease.isAudited ? 1 : 0,
    ]
  }

  private mutating func append(_ list: [Digest]) {
    bytes.append(UInt8(list.count))
    for digest in list {
      let name = digests[digest] ?? UInt8(digests.count)
      digests[digest] = name
      bytes.append(name)
    }
  }

  /// From now on; 255 where it is over or never.
  private mutating func append(_ tick: Tick) {
    guard tick < .never, tick.milliseconds >= now else { return bytes.append(255) }
    bytes.append(UInt8(clamping: (tick.milliseconds - now) / SmallMarket.unit))
  }
}
