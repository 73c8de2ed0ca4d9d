package import Primitives

/// What time will do about a request, a lease or a bid unless somebody acts before; or what it
/// waits for.
package struct Upcoming: Hashable, Sendable {
  package enum Action: UInt8, Sendable, Hashable {
    // What a tick does.
    case unmatched = 1
    case limitRises = 2
    /// Leases that have not begun are let go, for the reservation fee.
    case notBegunReleased = 3
    case requestFails = 4
    /// All attested slices are audited, at the cost of whoever did not reveal.
    case revealMissed = 5
    case lapses = 6
    /// It has committed and cannot be run again: the whole stake.
    case forfeits = 7
    /// It has committed: its output is run again, which tells wrong from late.
    case rerunAsLate = 8
    /// The verification that is outstanding counts as inconclusive.
    case inconclusive = 9
    /// Nobody has challenged it: it is paid.
    case attested = 10
    case bidExpires = 11
    // What it waits for, until one of the others' deadlines.
    case waitsForBids = 20
    case waitsForBrokerNonce = 21
    case waitsForInputs = 22
    case waitsForDraw = 23
    case waitsForUpstream = 24
    /// A bid that never expires.
    case rests = 25
  }

  package let action: Action
  /// The last tick at which it can still be averted; `never` for a wait.
  package let tick: Tick
  /// Nil where it is about the request, or the bid.
  package let lease: LeaseID?
  /// What it would cost now: a penalty, or the reservation fee.
  package let amount: Amount

  init(
    _ action: Action, at tick: Tick = .never, lease: LeaseID? = nil, amount: Amount = .zero
  ) {
    self.action = action
    self.tick = tick
    self.lease = lease
    self.amount = amount
  }
}

extension Market {
  /// What comes next for a request and those of its leases that live, soonest first.
  ///
  /// - Parameter leases: Leases of the request; its current ones need not be named.
  package func upcoming(for id: RequestID, leases named: [LeaseID] = []) -> [Upcoming] {
    guard let request = requests[id] else { return [] }
    var upcoming = upcoming(for: request)
    let all = Set(request.slices.compactMap(\.lease) + named)
    for lease in all.sorted().compactMap({ leases[$0] }) where lease.terms.request == id {
      if let next = self.upcoming(for: lease, in: request) { upcoming.append(next) }
    }
    return upcoming.enumerated().sorted {
      ($0.element.tick, $0.offset) < ($1.element.tick, $1.offset)
    }
    .map(\.element)
  }

  package func upcoming(forBid id: BidID) -> [Upcoming] {
    guard let bid = book.bid(id), !bid.isClosed else { return [] }
    let expiry = bid.terms.expiry
    return [expiry == .never ? Upcoming(.rests) : Upcoming(.bidExpires, at: expiry)]
  }

  private func upcoming(for request: Request) -> [Upcoming] {
    var upcoming: [Upcoming] = []
    switch request.state {
    case .open:
      upcoming.append(Upcoming(.unmatched, at: request.restsUntil))
      if let step = request.rampDeadline { upcoming.append(Upcoming(.limitRises, at: step)) }
      if request.slices.contains(where: { $0.lease == nil }) {
        upcoming.append(Upcoming(.waitsForBids))
      } else if request.terms.isAttested, request.brokerCommitment == nil {
        upcoming.append(Upcoming(.waitsForBrokerNonce))
      }
    case .running, .answered:
      if request.slices.contains(where: { $0.lease == nil }) {
        upcoming.append(Upcoming(.waitsForBids))
      }
      upcoming.append(Upcoming(.requestFails, at: request.finalDeadline))
      if request.isRevealing, let deadline = request.reveals?.deadline {
        let costs = request.slices.reduce(UInt64(0)) { $0 + $1.auditFee.microcredits }
        upcoming.append(
          Upcoming(.revealMissed, at: deadline, amount: Amount(microcredits: costs)))
      }
    case .failing, .final, .unmatched, .cancelled, .failed: break
    }
    return upcoming
  }

  private func upcoming(for lease: Lease, in request: Request) -> Upcoming? {
    if lease.state.isFinal { return nil }
    if lease.verification != nil {
      return Upcoming(.inconclusive, at: lease.deadline, lease: lease.id)
    }
    switch lease.state {
    case .leased where request.state != .open && !request.isBeginOver:
      return Upcoming(
        .notBegunReleased, at: request.beginDeadline, lease: lease.id,
        amount: lease.terms.fee.share(request.reservationShare))
    case .leased: return Upcoming(.waitsForInputs, lease: lease.id)
    case .begun:
      return Upcoming(
        .lapses, at: lease.deadline, lease: lease.id, amount: latenessPenalty(lease))
    case .committed where !isReexecutable(lease):
      return Upcoming(.forfeits, at: lease.deadline, lease: lease.id, amount: lease.stake)
    case .committed: return Upcoming(.rerunAsLate, at: lease.deadline, lease: lease.id)
    case .submitted where lease.isChallengeable:
      return Upcoming(.attested, at: lease.deadline, lease: lease.id)
    case .submitted: return Upcoming(.waitsForDraw, lease: lease.id)
    case .verified where request.terms.isAttested && !request.isDrawn:
      return Upcoming(.waitsForDraw, lease: lease.id)
    default: return Upcoming(.waitsForUpstream, lease: lease.id)
    }
  }
}

extension Upcoming: CanonicalCodable {
  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(action.rawValue)
    encoder.append(tick)
    encoder.append(lease)
    encoder.append(amount)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    action = try decoder.choice()
    tick = try decoder.record()
    lease = try decoder.optional()
    amount = try decoder.record()
  }
}
