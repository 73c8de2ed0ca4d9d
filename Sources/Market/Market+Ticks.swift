import HeapModule
package import Primitives

/// What time does: every state that is not an end has a deadline, and a tick acts on it.
extension Market {
  mutating func passTime(by author: PublicKey) throws(Refused) {
    guard author == genesis.broker else { throw .notBroker }
    while let next = deadlines.min, next.tick < now {
      deadlines.removeMin()
      switch next.subject {
      case .bid(let id):
        if let backend = bidBackends[id], let bid = books[backend]?.bid(id),
          bid.terms.expiry < now
        {
          emit(.bidClosed(id, .expired))
        }
      case .requestBegin(let id):
        if requests[id]?.state == .open { close(id, as: .unmatched) }
      case .requestFinal(let id): passFinalDeadline(id)
      case .lease(let id): passLeaseDeadline(id, at: next.tick)
      }
    }
  }

  private mutating func passFinalDeadline(_ id: RequestID) {
    switch requests[id]?.state {
    case .open: close(id, as: .unmatched)
    case .running, .answered: fail(id, .finalDeadline)
    default: break
    }
  }

  /// An entry whose tick is not the lease's present deadline is stale. It must not act in the place
  /// of the later entry: a market recovered from events still has entries that a live one has
  /// removed, and both must act on leases in one order.
  private mutating func passLeaseDeadline(_ id: LeaseID, at tick: Tick) {
    guard let lease = leases[id], !lease.state.isFinal, lease.deadline == tick else { return }
    if let purpose = lease.verification {
      inconclusive(lease, purpose)
    } else if lease.state == .begun {
      lapse(lease)
    } else if lease.state == .committed {
      want(.late, id)
    }
  }

  /// The next tick at which something is due, for a shell that sleeps until then: one past the
  /// earliest deadline, which is still in time itself.
  package var nextDeadline: Tick? { deadlines.min?.tick.advanced(by: 1) }
}
