import Primitives
import Statements

/// What must hold, after every event and after every command; tests and audits ask.
extension Market {
  /// Sentences about what does not hold after a command, and what did not hold after one of the
  /// events while the market watched its money; empty where all is well.
  package func invariantViolations() -> [String] {
    var violations = [violation].compactMap { $0 } + moneyViolations()
    checkFees(&violations)
    checkEnds(&violations)
    checkBooks(&violations)
    checkIndexes(&violations)
    return violations
  }

  /// Those that hold after every event too. Within a command the book may be crossed and deadlines
  /// may be missing; a slash sets aside what the events behind it share out, and delegators get
  /// their part of a fee before its lease is settled.
  package func moneyViolations() -> [String] {
    var violations: [String] = []
    let balances = balances
    if balances.reduce(0, { $0 + $1.balance }) != 0 {
      violations.append("money is not conserved")
    }
    for (account, balance) in balances where balance < 0 && account.purpose != .external {
      violations.append("\(account.purpose) of \(account.owner?.short ?? "-") is negative")
    }
    checkHolds(&violations)
    return violations
  }

  private func checkEnds(_ violations: inout [String]) {
    for lease in leases where !lease.state.isFinal {
      if lease.deadline == .never, !endsWithItsRequest(lease) {
        violations.append("lease \(lease.id) has no way to an end")
      }
    }
    for request in requests {
      if request.isRevealing, request.reveals?.deadline == .never {
        violations.append("the nonces of request \(request.id.short) have no deadline")
      }
    }
  }

  /// What is held of lessees and challengers is what their leases say.
  private func checkHolds(_ violations: inout [String]) {
    var stakes: [PublicKey: UInt64] = [:]
    var delegated: [PublicKey: UInt64] = [:]
    var deposits: [PublicKey: UInt64] = [:]
    for lease in leases where !lease.state.isFinal {
      // Wrapping sums: amounts of a hostile journal must not trap, and cannot hide, here.
      stakes[lease.terms.prover, default: 0] &+= lease.parts.own.microcredits
      delegated[lease.terms.prover, default: 0] &+= lease.parts.delegated.microcredits
      if let challenge = lease.challenge {
        deposits[challenge.challenger, default: 0] &+= challenge.deposit.microcredits
      }
    }
    for (account, _) in balances {
      guard let owner = account.owner else { continue }
      let held = ledger.amount(account).microcredits
      if account.purpose == .stakeHold, held != stakes[owner, default: 0] {
        violations.append("the stake hold of \(owner.short) is not that of its leases")
      }
      if account.purpose == .delegatedHold, held != delegated[owner, default: 0] {
        violations.append("the delegated hold of \(owner.short) is not that of its leases")
      }
      let unbonding = provers[owner]?.unbondings.reduce(0) { $0 &+ $1.amount.microcredits } ?? 0
      if account.purpose == .unbonding, held != unbonding {
        violations.append("what \(owner.short) unbonds is not what is on its way")
      }
      if account.purpose == .challengeHold, held != deposits[owner, default: 0] {
        violations.append("the challenge hold of \(owner.short) is not that of its challenges")
      }
    }
  }

  /// What is held for requests, and set aside of slashes, is what their states say.
  private func checkFees(_ violations: inout [String]) {
    var fees: [PublicKey: UInt64] = [:]
    var escrow: UInt64 = 0
    for lease in leases where !lease.state.isFinal {
      escrow &+= lease.compensation.microcredits
    }
    for request in requests {
      fees[request.requester, default: 0] &+= request.held.microcredits
      escrow = request.slices.reduce(escrow) { $0 &+ $1.bonus.microcredits }
    }
    for (account, _) in balances {
      guard let owner = account.owner else { continue }
      let held = ledger.amount(account).microcredits
      if account.purpose == .feeHold, held != fees[owner, default: 0] {
        violations.append("the fee hold of \(owner.short) is not that of its requests")
      }
      if account.purpose == .delegated, held > 0, pools[owner] == nil {
        violations.append("what is delegated to \(owner.short) is nobody's")
      }
    }
    for prover in pools.keys.sorted() { checkPool(of: prover, &violations) }
    if ledger.amount(.slashEscrow).microcredits != escrow {
      violations.append("the slash escrow is not what is owed from it")
    }
  }

  /// What delegators have behind a prover, and what of it is leaving, is what is in its accounts.
  private func checkPool(of prover: PublicKey, _ violations: inout [String]) {
    let pool = pools[prover] ?? DelegationPool()
    var (active, leaving): (UInt64, UInt64) = (0, 0)
    for position in pool.positions {
      active &+= position.stake.microcredits
      leaving &+= position.leavingSum.microcredits
    }
    let inside =
      ledger.amount(.delegated(prover)).microcredits
      + ledger.amount(.delegatedHold(prover)).microcredits
    if active &+ leaving != inside || active != pool.active.microcredits
      || leaving != pool.leaving.microcredits
    {
      violations.append("what is delegated to \(prover.short) is not its delegators'")
    }
  }

  /// What is kept so that nothing need be searched for.
  private func checkIndexes(_ violations: inout [String]) {
    var open: [PublicKey: Int] = [:]
    for request in requests where !request.state.isFinal {
      open[request.requester, default: 0] += request.slices.count
    }
    if open != openSlices { violations.append("open slices are not counted rightly") }
    if keySubjects.values.reduce(0, { $0 + $1.count }) != keyRecords.count {
      violations.append("the keys are not listed rightly")
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
}
