package import Primitives
import Statements

/// What must hold after every command; tests and audits ask.
extension Market {
  /// Sentences about what does not hold; empty where all is well.
  package func invariantViolations() -> [String] {
    var violations: [String] = []
    let balances = balances
    if balances.reduce(0, { $0 + $1.balance }) != 0 {
      violations.append("money is not conserved")
    }
    for (account, balance) in balances where balance < 0 && account.purpose != .external {
      violations.append("\(account.purpose) of \(account.owner?.short ?? "-") is negative")
    }
    checkHolds(&violations)
    checkBooks(&violations)
    return violations
  }

  private func checkHolds(_ violations: inout [String]) {
    var stakes: [PublicKey: UInt64] = [:]
    var fees: [PublicKey: UInt64] = [:]
    var deposits: [PublicKey: UInt64] = [:]
    var escrow: UInt64 = 0
    for lease in sortedLeases where !lease.state.isFinal {
      // Wrapping sums: amounts of a hostile journal must not trap, and cannot hide, here.
      stakes[lease.terms.prover, default: 0] &+= lease.stake.microcredits
      if let challenge = lease.challenge {
        deposits[challenge.challenger, default: 0] &+= challenge.deposit.microcredits
      }
      escrow &+= lease.compensation.microcredits
      if lease.deadline == .never, !endsWithItsRequest(lease) {
        violations.append("lease \(lease.id) has no way to an end")
      }
    }
    for request in sortedRequests {
      fees[request.requester, default: 0] &+= request.held.microcredits
      escrow = request.slices.reduce(escrow) { $0 &+ $1.bonus.microcredits }
      if request.isRevealing, request.reveals?.deadline == .never {
        violations.append("the nonces of request \(request.id.short) have no deadline")
      }
    }
    for (account, _) in balances {
      guard let owner = account.owner else { continue }
      let held = ledger.amount(account).microcredits
      if account.purpose == .stakeHold, held != stakes[owner, default: 0] {
        violations.append("the stake hold of \(owner.short) is not that of its leases")
      }
      let unbonding = provers[owner]?.unbondings.reduce(0) { $0 &+ $1.amount.microcredits } ?? 0
      if account.purpose == .unbonding, held != unbonding {
        violations.append("what \(owner.short) unbonds is not what is on its way")
      }
      if account.purpose == .challengeHold, held != deposits[owner, default: 0] {
        violations.append("the challenge hold of \(owner.short) is not that of its challenges")
      }
      if account.purpose == .feeHold, held != fees[owner, default: 0] {
        violations.append("the fee hold of \(owner.short) is not that of its requests")
      }
    }
    if ledger.amount(.slashEscrow).microcredits != escrow {
      violations.append("the slash escrow is not what is owed from it")
    }
  }

  /// Whether the request's own deadlines bring the lease to an end. An orphan has its own only.
  private func endsWithItsRequest(_ lease: Lease) -> Bool {
    switch requests[lease.terms.request]?.state {
    case .open, .running, .answered:
      !lease.isOrphaned
        && (lease.state == .leased || lease.state == .verified
          // An attested lease that waits for its draw.
          || (lease.state == .submitted && lease.draw == nil))
    // It waits for leases of its request that have deadlines.
    case .failing: !lease.isOrphaned && lease.state == .verified
    case .final, .unmatched, .cancelled, .failed, nil: false
    }
  }

  private func checkBooks(_ violations: inout [String]) {
    for order in book.orders {
      guard let request = requests[order.request] else {
        violations.append("an order rests for no request")
        continue
      }
      if request.slices[order.slice].lease != nil {
        violations.append("a leased slice rests in the book")
      }
      if order.limitPrice != request.limit {
        violations.append("an order rests at another price than its request's")
      }
      if bestBid(for: request, order.slice) != nil {
        violations.append("the book of \(order.backend) is crossed")
      }
    }
    var open: [PublicKey: UInt32] = [:]
    for bid in book.bids where !bid.isClosed { open[bid.prover, default: 0] += 1 }
    for prover in provers.keys.sorted()
    where provers[prover]?.openBids != open[prover, default: 0] {
      violations.append("the bids of \(prover.short) are not counted rightly")
    }
  }

  /// By id.
  package var sortedLeases: [Lease] { leases.values.sorted { $0.id < $1.id } }
  /// By arrival.
  package var sortedRequests: [Request] { requests.values.sorted { $0.ordinal < $1.ordinal } }

  /// One digest over all that decides what comes next: equal states, equal digests. Left out are
  /// the latest tick and the queue of deadlines, which differ after a recovery without consequence.
  package var stateDigest: Digest {
    var encoder = CanonicalEncoder()
    encoder.append(arrivals)
    encoder.append(leaseCount)
    for (account, balance) in balances {
      encoder.append(account)
      encoder.append(balance)
    }
    for parameters in parameterSets { encoder.append(parameters) }
    for (change, effective) in announced {
      encoder.append(change)
      encoder.append(effective)
    }
    encoder.append(isPaused)
    for model in models.keys.sorted() { encoder.append(model) }
    for record in keyRecords.values.map(\.digest).sorted() { encoder.append(record) }
    for prover in provers.keys.sorted() {
      encoder.append(prover)
      encoder.append(provers[prover]?.lapsesInARow ?? 0)
      provers[prover]?.reputation.encode(into: &encoder)
      for unbonding in provers[prover]?.unbondings ?? [] {
        encoder.append(unbonding.amount)
        encoder.append(unbonding.until)
      }
    }
    for request in sortedRequests {
      encoder.append(request.id)
      encoder.append(request.state.rawValue)
      encoder.append(request.delay)
      encoder.append(request.isBeginOver)
      encoder.append(request.reservationShare)
      encoder.append(request.held)
      encoder.append(request.limit)
      encoder.append(request.terms)
      encoder.append(request.answer ?? [])
      encoder.append(request.coverage)
      encoder.append(request.jobRoot)
      encoder.append(request.brokerCommitment)
      encoder.append(request.revealWindow)
      encoder.append(request.reveals?.leases ?? [])
      encoder.append(request.reveals?.deadline)
      encoder.append(request.reveals?.requester)
      encoder.append(request.reveals?.broker)
      encoder.append(request.isDrawn)
      encoder.append(request.seed)
      for slice in request.slices {
        encoder.append(slice.lease)
        encoder.append(slice.failures)
        encoder.append(slice.ineligible)
        encoder.append(slice.bonus)
        encoder.append(slice.auditFee)
      }
    }
    for lease in sortedLeases {
      encoder.append(lease.terms)
      encoder.append(lease.state.rawValue)
      encoder.append(lease.deadline)
      encoder.append(lease.attempt)
      encoder.append(lease.compensation)
      encoder.append(lease.inputs)
      encoder.append(lease.commitment)
      encoder.append(lease.receipt)
      encoder.append(lease.batchRoot)
      encoder.append(lease.inclusion)
      encoder.append(lease.verification?.rawValue ?? 0)
      encoder.append(lease.verdict?.rawValue ?? 0)
      encoder.append(lease.isReexecuted)
      encoder.append(lease.isFaulted)
      encoder.append(lease.isOrphaned)
      encoder.append(lease.nonce)
      encoder.append(lease.draw?.rawValue ?? 0)
      encoder.append(lease.challenge)
      encoder.append(lease.isAudited)
      encoder.append(lease.forfeited)
    }
    for bid in book.bids {
      encoder.append(bid.id)
      encoder.append(bid.prover)
      encoder.append(bid.terms)
      encoder.append(bid.ordinal)
      encoder.append(bid.leases)
      encoder.append(bid.isClosed)
    }
    for order in book.orders {
      encoder.append(order.request)
      encoder.append(UInt32(order.slice))
      encoder.append(order.limitPrice)
    }
    return Digest.of(encoder.bytes)
  }
}
