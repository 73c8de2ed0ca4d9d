import Primitives

/// Stake that others put behind a prover: it widens what the prover can hold, shares its fees, and
/// is lost after all that the prover itself has.
extension Market {
  // MARK: Commands

  /// Nil takes no new delegations; what is delegated stays under the present rate.
  mutating func setCommission(_ rate: PartsPerMillion?, by author: PublicKey) throws(Refused) {
    let present = pools[author]?.commission
    let now = now
    let next: Commission
    if let rate {
      let held = present?.rate(at: now) ?? rate
      next = Commission(
        rate: min(rate, held),
        rise: rate > held
          ? Commission.Rise(rate: rate, from: now.advanced(by: parameters.unbondingPeriod)) : nil)
    } else {
      guard let present else { throw .notDelegable }
      next = Commission(rate: present.rate, rise: present.rise, isOpen: false)
    }
    guard next != present else { throw .duplicate }
    emit(.commissionSet(prover: author, next))
  }

  mutating func delegate(
    _ amount: Amount, to prover: PublicKey, by author: PublicKey
  ) throws(Refused) {
    guard author != prover else { throw .ownProver }
    guard let pool = pools[prover], pool.commission?.isOpen == true else { throw .notDelegable }
    try requireAvailable(amount, of: author)
    let position = pool.position(of: author)
    guard position != nil || pool.positions.count < DelegationPool.positionLimit else {
      throw .tooManyDelegators(limit: DelegationPool.positionLimit)
    }
    let least = parameters.minimumDelegation
    guard (position?.stake ?? .zero).adding(amount) ?? .maximum >= least else {
      throw .delegationTooSmall(minimum: least)
    }
    let most = bonded(by: prover).multiplied(by: UInt64(parameters.delegationMultiple)) ?? .maximum
    let room = most.saturatingSubtract(pool.active)
    guard amount <= room else { throw .delegationTooLarge(room: room) }
    emit(
      .delegated(prover: prover, holder: author, amount: amount),
      Posting.move(amount, from: .available(author), to: .delegated(prover)))
    freed.append(prover)
  }

  /// The stake earns nothing from here on, and can be slashed until it is paid: after the unbonding
  /// period, and once leases have given back what they hold of it.
  mutating func undelegate(
    _ amount: Amount, from prover: PublicKey, by author: PublicKey
  ) throws(Refused) {
    guard amount > .zero else { throw .zeroAmount }
    guard let position = pools[prover]?.position(of: author) else { throw .notDelegated }
    guard let rest = position.stake.subtracting(amount) else {
      throw .insufficientFunds(needed: amount, available: position.stake)
    }
    let least = parameters.minimumDelegation
    guard rest == .zero || rest >= least else { throw .delegationTooSmall(minimum: least) }
    guard position.leaving.count < Position.leavingLimit else {
      throw .tooManyUnbondings(limit: Position.leavingLimit)
    }
    emit(
      .undelegating(
        prover: prover, holder: author, amount: amount,
        until: now.advanced(by: parameters.unbondingPeriod)))
  }

  /// Pays the sums whose time is over, as far as the money is not behind leases; what is short is
  /// paid when it comes back.
  mutating func payLeaving(of prover: PublicKey) {
    guard let pool = pools[prover], pool.leaving > .zero else { return }
    let due = pool.positions.flatMap { position in
      position.leaving.filter { $0.until < now }.map { (holder: position.holder, sum: $0) }
    }
    for (holder, sum) in due.sorted(by: { ($0.sum.until, $0.holder) < ($1.sum.until, $1.holder) }) {
      guard sum.amount <= ledger.amount(.delegated(prover)) else { return }
      emit(
        .undelegated(prover: prover, holder: holder, amount: sum.amount, until: sum.until),
        Posting.move(sum.amount, from: .delegated(prover), to: .available(holder)))
    }
  }

  /// Own money that must stay while bids are open, for what is delegated.
  func bondNeeded(by prover: PublicKey) -> Amount {
    let active = pools[prover]?.active.microcredits ?? 0
    let multiple = UInt64(max(1, parameters.delegationMultiple))
    return Amount(microcredits: (active + multiple - 1) / multiple)
  }

  // MARK: Stakes

  /// Whose money a stake of the prover would be now, after what is drawn already: own and delegated
  /// in the proportion in which both are free, of the delegated at most a multiple of the own. So
  /// the own part is never less than that of the whole. Nil where both together are too little.
  func parts(
    of stake: Amount, by prover: PublicKey, after drawn: StakeParts = StakeParts()
  ) -> StakeParts? {
    let own = ledger.amount(.bond(prover)).saturatingSubtract(drawn.own)
    guard let pool = pools[prover], pool.active > .zero else {
      return stake <= own ? StakeParts(own: stake) : nil
    }
    let unused = ledger.amount(.delegated(prover)).saturatingSubtract(pool.leaving)
      .saturatingSubtract(drawn.delegated)
    let most = own.multiplied(by: UInt64(parameters.delegationMultiple)) ?? .maximum
    let usable = min(unused, most)
    guard let room = own.adding(usable), stake <= room else { return nil }
    let delegated = stake.portion(usable, of: room)
    return StakeParts(own: stake.saturatingSubtract(delegated), delegated: delegated)
  }

  /// What gives back a lease's stake, less what is lost of it.
  func stakeReturn(_ lease: Lease, less lost: StakeParts = StakeParts()) -> [Posting] {
    let prover = lease.terms.prover
    return Posting.move(
      lease.parts.own.saturatingSubtract(lost.own), from: .stakeHold(prover), to: .bond(prover))
      + Posting.move(
        lease.parts.delegated.saturatingSubtract(lost.delegated), from: .delegatedHold(prover),
        to: .delegated(prover))
  }

  /// What takes a loss out of a lease's stake.
  func stakeLoss(_ lease: Lease, _ lost: StakeParts, to account: Account) -> [Posting] {
    Posting.move(lost.own, from: .stakeHold(lease.terms.prover), to: account)
      + Posting.move(lost.delegated, from: .delegatedHold(lease.terms.prover), to: account)
  }

  /// Settles whose money the loss of a lease's stake is: the lease's own part first; then the
  /// prover's free bond and its sums on their way out, which take the place of delegated stake in
  /// the lease; then the delegators'. The lease's parts may have changed afterwards.
  mutating func bear(_ loss: Amount, of lease: Lease) -> StakeParts {
    let missing = loss.saturatingSubtract(lease.parts.own)
    guard missing > .zero else { return StakeParts(own: loss) }
    let prover = lease.terms.prover
    let bond = min(missing, ledger.amount(.bond(prover)))
    let unbonding = min(missing.saturatingSubtract(bond), ledger.amount(.unbonding(prover)))
    let delegated = missing.saturatingSubtract(bond).saturatingSubtract(unbonding)
    if delegated < missing {
      emit(
        .firstLossTaken(lease.id, bond: bond, unbonding: unbonding),
        Posting.move(bond, from: .bond(prover), to: .stakeHold(prover))
          + Posting.move(unbonding, from: .unbonding(prover), to: .stakeHold(prover))
          + Posting.move(
            missing.saturatingSubtract(delegated), from: .delegatedHold(prover),
            to: .delegated(prover)))
    }
    if delegated > .zero {
      emit(.delegatorsLost(lease.id, pools[prover]?.losses(delegated) ?? [], at: now))
    }
    return StakeParts(own: loss.saturatingSubtract(delegated), delegated: delegated)
  }

  // MARK: Fees

  /// Pays the delegators their part of a settled lease's fee, of which the exchange's share is
  /// taken already; the rest is the prover's, but for what rounding leaves over.
  mutating func payDelegators(
    of lease: Lease, _ fee: Amount, by requester: PublicKey
  ) -> (prover: Amount, leftOver: Amount) {
    let prover = lease.terms.prover
    guard lease.terms.delegated > .zero, let pool = pools[prover] else { return (fee, .zero) }
    let commission = pool.commission?.rate(at: now) ?? .whole
    let divided = fee.saturatingSubtract(fee.share(commission))
    let part = divided.portion(lease.terms.delegated, of: lease.terms.stake)
    let shares = pool.shares(part, with: lease.id)
    let paid = shares.reduce(Amount.zero) { $0.adding($1.amount) ?? $0 }
    if paid > .zero {
      var postings = [
        Posting(account: .feeHold(requester), delta: -Int64(paid.microcredits))
      ]
      for share in shares {
        postings.append(
          Posting(account: .available(share.holder), delta: Int64(share.amount.microcredits)))
      }
      emit(.delegatorsPaid(lease.id, paid: paid, at: now), postings)
    }
    return (fee.saturatingSubtract(part), part.saturatingSubtract(paid))
  }
}
