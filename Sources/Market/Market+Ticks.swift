import HeapModule
package import Primitives
import Statements

/// When a tick must look at a lease, a request or a bid again. Stale entries are ignored when they
/// come up: the subject's own deadline decides.
struct Deadline: Comparable, Sendable {
  enum Subject: Sendable, Equatable {
    case bid(BidID)
    case requestBegin(RequestID)
    case requestFinal(RequestID)
    case ramp(RequestID)
    case reveal(RequestID)
    case lease(LeaseID)
    case change
    case unbonding(PublicKey)
    /// Sums that leave the stake delegated to a prover.
    case undelegating(PublicKey)
  }

  let tick: Tick
  /// Of equal ticks, ramps come last, and the earlier request's first: an order that begins to
  /// cross a bid arrives then, and ties go by original time.
  let isRamp: Bool
  /// The order in which deadlines were set; a ramp's is its request's.
  let ordinal: UInt64
  let subject: Subject

  static func < (left: Deadline, right: Deadline) -> Bool {
    if left.tick != right.tick { return left.tick < right.tick }
    if left.isRamp != right.isRamp { return right.isRamp }
    return left.ordinal < right.ordinal
  }
}

/// What time does: every state that is not an end has a deadline, and a tick acts on it.
extension Market {
  /// Deadlines that one tick acts on. What is left stays due, so that the next tick goes on, and no
  /// tick holds the sequencer for long.
  package static let deadlinesPerTick = 4_096

  mutating func passTime(by author: PublicKey) throws(Refused) {
    guard author == genesis.broker else { throw .notBroker }
    var acted = 0
    while acted < Self.deadlinesPerTick, let next = deadlines.min, next.tick < now {
      deadlines.removeMin()
      // Stale entries do not count: a market recovered from events has some that a live one has
      // removed, and both must stop at one place.
      if pass(next) { acted += 1 }
    }
  }

  /// False where the entry is stale: its tick is not the subject's present deadline, or the subject
  /// has none. It must not act in the place of the later entry: a market recovered from events
  /// still has entries that a live one has removed, and both must act in one order.
  private mutating func pass(_ deadline: Deadline) -> Bool {
    switch deadline.subject {
    case .bid(let id):
      guard let bid = book.bid(id), !bid.isClosed, bid.terms.expiry == deadline.tick else {
        return false
      }
      emit(.bidClosed(id, .expired))
    case .requestBegin(let id): return passBeginDeadline(id, at: deadline.tick)
    case .requestFinal(let id):
      guard let request = requests[id], request.finalDeadline == deadline.tick else {
        return false
      }
      switch request.state {
      case .running, .answered: fail(id, .finalDeadline)
      default: return false
      }
    case .unbonding(let prover):
      guard provers[prover]?.unbondings.first?.until == deadline.tick else { return false }
      freeUnbonded(prover)
    case .undelegating(let prover):
      let isDue = pools[prover]?.positions.contains { position in
        position.leaving.contains { $0.until == deadline.tick }
      }
      guard isDue == true else { return false }
      payLeaving(of: prover)
    case .change:
      guard announced.first?.effective == deadline.tick else { return false }
      makeAnnouncedChanges()
    case .ramp(let id):
      guard let request = requests[id], request.state == .open,
        request.rampDeadline == deadline.tick
      else { return false }
      raiseLimit(of: request)
    case .reveal(let id): return passRevealDeadline(id, at: deadline.tick)
    case .lease(let id): return passLeaseDeadline(id, at: deadline.tick)
    }
    return true
  }

  /// An open request is unmatched; in a running one, whoever could not begin in time is let go.
  private mutating func passBeginDeadline(_ id: RequestID, at tick: Tick) -> Bool {
    guard let request = requests[id] else { return false }
    switch request.state {
    case .open:
      guard request.restsUntil == tick else { return false }
      if request.beginDeadline < now { releaseNotBegun(request) }
      close(id, as: .unmatched)
      return true
    case .running, .answered:
      guard request.beginDeadline == tick, !request.isBeginOver else { return false }
      emit(.beginDeadlinePassed(id))
      releaseNotBegun(request)
      return true
    default: return false
    }
  }

  /// Releases the leases that have not begun; each for a reservation fee from the requester where
  /// its order has never been complete. In a running request they wait for other lessees, whom
  /// their own key might have chosen to be, or for the broker's nonce: nobody shall live off that.
  private mutating func releaseNotBegun(_ request: Request) {
    let isIncomplete = request.slices.contains { $0.lease == nil }
    let share =
      request.state == .open && isIncomplete
      ? request.reservationShare : PartsPerMillion(clamping: 0)
    for slice in request.slices.indices {
      guard let lease = currentLease(request.id, slice), lease.state == .leased else { continue }
      release(lease, .notBegun, reservation: lease.terms.fee.share(share))
    }
  }

  /// Shifts every open deadline by the time for which no command came. Bids expire when they said.
  mutating func resume(by author: PublicKey) throws(Refused) {
    guard author == genesis.broker else { throw .notBroker }
    let gap = now.milliseconds - lastNow.milliseconds
    guard lastNow > .zero, gap > parameters.outageBound else {
      throw .noOutage(bound: parameters.outageBound)
    }
    emit(.resumed(milliseconds: gap))
  }

  private mutating func passLeaseDeadline(_ id: LeaseID, at tick: Tick) -> Bool {
    guard let lease = leases[id], !lease.state.isFinal, lease.deadline == tick else { return false }
    if let purpose = lease.verification {
      inconclusive(lease, purpose)
    } else if lease.state == .begun {
      lapse(lease)
    } else if lease.state == .committed, !isReexecutable(lease) {
      // A signed answer must be stood by: what nobody can run again forfeits its whole stake.
      lapse(lease, penalty: lease.stake)
    } else if lease.state == .committed {
      want(.late, id)
    } else if lease.isChallengeable {
      emit(.leaseAttested(id))
      settle(lease.terms.request)
    } else {
      return false
    }
    return true
  }

  /// The next tick at which something is due, for a shell that sleeps until then: one past the
  /// earliest deadline, which is still in time itself.
  package var nextDeadline: Tick? { deadlines.min?.tick.advanced(by: 1) }
}
