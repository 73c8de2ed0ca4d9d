import Market
import Primitives

/// Which leases are a request's, and which a prover must still act on, so that no question walks
/// all leases that there ever were.
struct LeaseIndex {
  private var ofRequest: [RequestID: [LeaseID]] = [:]
  /// Those that live, and those whose request does: their lessees may owe it a nonce.
  private var ofProver: [PublicKey: Set<LeaseID>] = [:]

  /// As it is after recovery.
  init(of market: Market) {
    for lease in market.leases {
      ofRequest[lease.terms.request, default: []].append(lease.id)
      if market.isOpen(lease) { ofProver[lease.terms.prover, default: []].insert(lease.id) }
    }
  }

  /// In the order they were made.
  func leases(of request: RequestID) -> [LeaseID] { ofRequest[request] ?? [] }

  /// In the order they were made.
  func openLeases(of prover: PublicKey) -> [LeaseID] { ofProver[prover]?.sorted() ?? [] }

  /// `market` is the state after the event's whole group.
  mutating func note(_ event: Event, in market: Market) {
    switch event.body {
    case .leased(let terms):
      ofRequest[terms.request, default: []].append(terms.id)
      ofProver[terms.prover, default: []].insert(terms.id)
      // A later event of the same group may have been its end.
      drop(terms.id, in: market)
    case .requestClosed(let id, _, _, _):
      for lease in leases(of: id) { drop(lease, in: market) }
    default:
      if event.body.endsLease, case .lease(let id) = event.body.subject { drop(id, in: market) }
    }
  }

  private mutating func drop(_ id: LeaseID, in market: Market) {
    guard let lease = market.leases[id], !market.isOpen(lease) else { return }
    ofProver[lease.terms.prover]?.remove(id)
    if ofProver[lease.terms.prover]?.isEmpty == true { ofProver[lease.terms.prover] = nil }
  }
}

extension Market {
  fileprivate func isOpen(_ lease: Lease) -> Bool {
    !lease.state.isFinal || requests[lease.terms.request]?.state.isFinal == false
  }
}
