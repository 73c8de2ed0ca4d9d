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
      case .lease(let id): passLeaseDeadline(id)
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

  private mutating func passLeaseDeadline(_ id: LeaseID) {
    guard let lease = leases[id], !lease.state.isFinal, lease.deadline < now else { return }
    if let purpose = lease.verification {
      inconclusive(lease, purpose)
    } else if lease.state == .begun {
      lapse(lease)
    } else if lease.state == .committed {
      want(.late, id)
    }
  }

  /// The next tick at which something is due, for a shell that sleeps until then.
  package var nextDeadline: Tick? { deadlines.min?.tick }
}
