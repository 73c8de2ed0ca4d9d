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
    var escrow: UInt64 = 0
    for lease in sortedLeases where !lease.state.isFinal {
      stakes[lease.terms.prover, default: 0] += lease.terms.stake.microcredits
      escrow += lease.compensation.microcredits
      let requestEnds = requests[lease.terms.request].map { !$0.state.isFinal } ?? false
      if lease.deadline == .never && !requestEnds {
        violations.append("lease \(lease.id) has no way to an end")
      }
    }
    for request in sortedRequests {
      fees[request.requester, default: 0] += request.held.microcredits
      escrow += request.slices.reduce(0) { $0 + $1.bonus.microcredits }
    }
    for (account, _) in balances {
      guard let owner = account.owner else { continue }
      let held = ledger.amount(account).microcredits
      if account.purpose == .stakeHold, held != stakes[owner, default: 0] {
        violations.append("the stake hold of \(owner.short) is not that of its leases")
      }
      if account.purpose == .feeHold, held != fees[owner, default: 0] {
        violations.append("the fee hold of \(owner.short) is not that of its requests")
      }
    }
    if ledger.amount(.slashEscrow).microcredits != escrow {
      violations.append("the slash escrow is not what is owed from it")
    }
  }

  private func checkBooks(_ violations: inout [String]) {
    for backend in books.keys.sorted() {
      for order in books[backend]?.orders ?? [] {
        guard let request = requests[order.request] else {
          violations.append("an order rests for no request")
          continue
        }
        if request.slices[order.slice].lease != nil {
          violations.append("a leased slice rests in the book")
        }
        if bestBid(for: request, order.slice) != nil {
          violations.append("the book of \(backend) is crossed")
        }
      }
    }
  }

  /// By id.
  package var sortedLeases: [Lease] { leases.values.sorted { $0.id < $1.id } }
  /// By arrival.
  package var sortedRequests: [Request] { requests.values.sorted { $0.ordinal < $1.ordinal } }

  /// One digest over balances, requests, leases and books: equal states, equal digests.
  package var stateDigest: Digest {
    var encoder = CanonicalEncoder()
    for (account, balance) in balances {
      encoder.append(account)
      encoder.append(balance)
    }
    for request in sortedRequests {
      encoder.append(request.id)
      encoder.append(request.state.rawValue)
      encoder.append(request.held)
      for slice in request.slices {
        encoder.append(slice.lease)
        encoder.append(slice.failures)
        encoder.append(slice.bonus)
      }
    }
    for lease in sortedLeases {
      encoder.append(lease.terms)
      encoder.append(lease.state.rawValue)
      encoder.append(lease.deadline)
      encoder.append(lease.attempt)
      encoder.append(lease.compensation)
      encoder.append(lease.receipt)
    }
    for backend in books.keys.sorted() {
      for bid in books[backend]?.bids ?? [] {
        encoder.append(bid.id)
        encoder.append(bid.leases)
      }
      for order in books[backend]?.orders ?? [] {
        encoder.append(order.request)
        encoder.append(UInt32(order.slice))
      }
    }
    return Digest.of(encoder.bytes)
  }
}
