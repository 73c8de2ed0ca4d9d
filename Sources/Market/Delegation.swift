package import Primitives

/// A stake, or what is lost of one, by whose money it is.
package struct StakeParts: Sendable, Hashable, CanonicalCodable {
  /// The prover's own.
  package var own: Amount
  /// Its delegators'.
  package var delegated: Amount

  package init(own: Amount = .zero, delegated: Amount = .zero) {
    (self.own, self.delegated) = (own, delegated)
  }

  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(own)
    encoder.append(delegated)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    own = try decoder.record()
    delegated = try decoder.record()
  }
}

/// What a prover keeps of the fees that its delegators' stake earns with it.
package struct Commission: Sendable, Hashable, CanonicalCodable {
  /// A rise that delegators have been told of.
  package struct Rise: Sendable, Hashable, CanonicalCodable {
    package let rate: PartsPerMillion
    /// The first tick at which it holds.
    package var from: Tick

    package func encode(into encoder: inout CanonicalEncoder) {
      encoder.append(rate)
      encoder.append(from)
    }

    package init(rate: PartsPerMillion, from: Tick) { (self.rate, self.from) = (rate, from) }

    package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
      rate = try decoder.record()
      from = try decoder.record()
    }
  }

  /// Until the rise, where there is one.
  package let rate: PartsPerMillion
  package var rise: Rise?
  /// Whether new delegations are taken.
  package let isOpen: Bool

  package init(rate: PartsPerMillion, rise: Rise? = nil, isOpen: Bool = true) {
    (self.rate, self.rise, self.isOpen) = (rate, rise, isOpen)
  }

  package func rate(at tick: Tick) -> PartsPerMillion {
    if let rise, rise.from <= tick { rise.rate } else { rate }
  }

  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(rate)
    encoder.append(rise)
    encoder.append(isOpen)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    rate = try decoder.record()
    rise = try decoder.optional()
    isOpen = try decoder.bool()
  }
}

/// One holder's money behind a prover.
package struct Position: Sendable, Hashable, CanonicalCodable {
  /// Sums on their way out, at a time.
  package static let leavingLimit = 8

  package let holder: PublicKey
  /// What stands behind the prover's bids and leases.
  package fileprivate(set) var stake: Amount = .zero
  /// The leases that had been made when the stake last grew: it earns with later ones.
  package fileprivate(set) var since: UInt64 = 0
  /// In the order in which they were asked for. They earn nothing, and can be slashed until they
  /// are paid.
  package fileprivate(set) var leaving: [Prover.Unbonding] = []

  package var leavingSum: Amount {
    // A pool's sum is bounded, and this is a part of it.
    Amount(microcredits: leaving.reduce(0) { $0 &+ $1.amount.microcredits })
  }

  fileprivate init(holder: PublicKey) { self.holder = holder }

  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(holder)
    encoder.append(stake)
    encoder.append(since)
    encoder.append(leaving)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    holder = try decoder.record()
    stake = try decoder.record()
    since = try decoder.integer()
    leaving = try decoder.list(limit: Self.leavingLimit, elementSize: 16)
  }
}

/// What a delegator loses of its stake, and of its sums on their way out.
package struct DelegatorLoss: Sendable, Hashable, CanonicalCodable {
  package let holder: PublicKey
  package let stake: Amount
  package let leaving: Amount

  package init(holder: PublicKey, stake: Amount, leaving: Amount) {
    (self.holder, self.stake, self.leaving) = (holder, stake, leaving)
  }

  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(holder)
    encoder.append(stake)
    encoder.append(leaving)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    holder = try decoder.record()
    stake = try decoder.record()
    leaving = try decoder.record()
  }
}

/// What a unit of delegated stake has earned and lost on one day, in 10^-12 of itself.
package struct YieldDay: Sendable, Hashable, CanonicalCodable {
  package static let length: UInt64 = 86_400_000

  /// Days since 1970.
  package let day: UInt64
  package fileprivate(set) var earned: UInt64 = 0
  package fileprivate(set) var lost: UInt64 = 0

  fileprivate init(day: UInt64) { self.day = day }

  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(day)
    encoder.append(earned)
    encoder.append(lost)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    day = try decoder.integer()
    earned = try decoder.integer()
    lost = try decoder.integer()
  }
}

/// All that is delegated to one prover. Every change keeps `active` and `leaving` the sums over the
/// positions, and throws where an event does not fit.
package struct DelegationPool: Sendable, Hashable, CanonicalCodable {
  /// Holders at a time, those whose last sums are on their way out among them.
  package static let positionLimit = 256
  /// Days of which the yield is kept: the latest on which there was one.
  package static let dayLimit = 32

  package var commission: Commission?
  /// By holder.
  package private(set) var positions: [Position] = []
  package private(set) var active: Amount = .zero
  package private(set) var leaving: Amount = .zero
  package private(set) var days: [YieldDay] = []

  package init() {}

  package func position(of holder: PublicKey) -> Position? {
    let place = place(of: holder)
    return place.isFound ? positions[place.index] : nil
  }

  private func place(of holder: PublicKey) -> (index: Int, isFound: Bool) {
    var (low, high) = (0, positions.count)
    while low < high {
      let middle = (low + high) / 2
      if positions[middle].holder < holder { low = middle + 1 } else { high = middle }
    }
    return (low, low < positions.count && positions[low].holder == holder)
  }

  // MARK: Changes

  package mutating func add(
    _ amount: Amount, of holder: PublicKey, since: UInt64
  ) throws(MarketError) {
    let place = place(of: holder)
    guard let sum = active.adding(amount), sum.adding(leaving) != nil,
      place.isFound || positions.count < Self.positionLimit
    else { throw .impossibleEvent("what \(holder.short) delegates does not fit") }
    if !place.isFound { positions.insert(Position(holder: holder), at: place.index) }
    positions[place.index].stake =
      positions[place.index].stake.adding(amount) ?? positions[place.index].stake
    positions[place.index].since = since
    active = sum
  }

  mutating func leave(
    _ amount: Amount, of holder: PublicKey, until: Tick
  ) throws(MarketError) {
    let place = place(of: holder)
    guard place.isFound, let rest = positions[place.index].stake.subtracting(amount),
      positions[place.index].leaving.count < Position.leavingLimit,
      let left = active.subtracting(amount), let sum = leaving.adding(amount)
    else { throw .impossibleEvent("\(holder.short) has not delegated so much") }
    positions[place.index].stake = rest
    positions[place.index].leaving.append(Prover.Unbonding(amount: amount, until: until))
    (active, leaving) = (left, sum)
  }

  mutating func pay(_ sum: Prover.Unbonding, of holder: PublicKey) throws(MarketError) {
    let place = place(of: holder)
    guard place.isFound,
      let index = positions[place.index].leaving.firstIndex(of: sum),
      let rest = leaving.subtracting(sum.amount)
    else { throw .impossibleEvent("\(holder.short) has no such sum on its way out") }
    positions[place.index].leaving.remove(at: index)
    leaving = rest
    removeIfEmpty(place.index)
  }

  mutating func lose(_ losses: [DelegatorLoss], at tick: Tick) throws(MarketError) {
    let before = active.adding(leaving) ?? .maximum
    var total = Amount.zero
    for loss in losses {
      let place = place(of: loss.holder)
      guard place.isFound, let rest = positions[place.index].stake.subtracting(loss.stake),
        let activeRest = active.subtracting(loss.stake),
        let leavingRest = leaving.subtracting(loss.leaving),
        positions[place.index].leaving.take(loss.leaving),
        let sum = total.adding(loss.stake)?.adding(loss.leaving)
      else { throw .impossibleEvent("\(loss.holder.short) has not so much to lose") }
      positions[place.index].stake = rest
      (active, leaving, total) = (activeRest, leavingRest, sum)
      removeIfEmpty(place.index)
    }
    count(at: tick) { $0.lost = Self.sum($0.lost, Self.perUnit(total, of: before)) }
  }

  /// Counts what a lease has paid to the positions that earn with it.
  mutating func earn(_ paid: Amount, with lease: LeaseID, at tick: Tick) {
    let stake = earningStake(with: lease)
    count(at: tick) { $0.earned = Self.sum($0.earned, Self.perUnit(paid, of: stake)) }
  }

  mutating func shift(by milliseconds: UInt64) {
    for index in positions.indices {
      for sum in positions[index].leaving.indices {
        positions[index].leaving[sum].until =
          positions[index].leaving[sum].until.advanced(by: milliseconds)
      }
    }
    if let from = commission?.rise?.from {
      commission?.rise?.from = from.advanced(by: milliseconds)
    }
  }

  private mutating func removeIfEmpty(_ index: Int) {
    if positions[index].stake == .zero, positions[index].leaving.isEmpty {
      positions.remove(at: index)
    }
  }

  // MARK: Shares

  /// Who bears a loss, in proportion to all that it has here: the sum over the first so many
  /// positions is exact but for a unit, so that the whole is exact and nobody bears a unit more or
  /// less than its proportion.
  package func losses(_ loss: Amount) -> [DelegatorLoss] {
    let total = active.adding(leaving) ?? .maximum
    var (sum, borne) = (Amount.zero, Amount.zero)
    func next(_ part: Amount) -> Amount {
      sum = sum.adding(part) ?? total
      let upTo = loss.portion(sum, of: total)
      defer { borne = upTo }
      return upTo.saturatingSubtract(borne)
    }
    return positions.compactMap { position in
      let (stake, leaving) = (next(position.stake), next(position.leavingSum))
      guard stake > .zero || leaving > .zero else { return nil }
      return DelegatorLoss(holder: position.holder, stake: stake, leaving: leaving)
    }
  }

  /// What each position that earns with the lease gets of a fee: its proportion, rounded down.
  package func shares(_ fee: Amount, with lease: LeaseID) -> [(holder: PublicKey, amount: Amount)] {
    let stake = earningStake(with: lease)
    return positions.compactMap { position in
      guard position.since < lease.ordinal else { return nil }
      let share = fee.portion(position.stake, of: stake)
      return share == .zero ? nil : (position.holder, share)
    }
  }

  private func earningStake(with lease: LeaseID) -> Amount {
    Amount(
      microcredits: positions.reduce(0) {
        $1.since < lease.ordinal ? $0 &+ $1.stake.microcredits : $0
      })
  }

  // MARK: Yield

  /// Latest days first; those on which nothing was earned or lost are left out.
  package func days(_ count: UInt64, until tick: Tick) -> [YieldDay] {
    let today = tick.milliseconds / YieldDay.length
    return days.reversed().filter { $0.day <= today && today - $0.day < count }
  }

  private mutating func count(at tick: Tick, _ body: (inout YieldDay) -> Void) {
    let day = tick.milliseconds / YieldDay.length
    if days.last?.day != day {
      if days.count == Self.dayLimit { days.removeFirst() }
      days.append(YieldDay(day: day))
    }
    body(&days[days.count - 1])
  }

  /// 10^12 × amount / stake, rounded down; the largest number where that is above it.
  private static func perUnit(_ amount: Amount, of stake: Amount) -> UInt64 {
    let wide = amount.microcredits.multipliedFullWidth(by: 1_000_000_000_000)
    guard wide.high < stake.microcredits else { return stake == .zero ? 0 : .max }
    return stake.microcredits.dividingFullWidth(wide).quotient
  }

  private static func sum(_ left: UInt64, _ right: UInt64) -> UInt64 {
    let (sum, overflow) = left.addingReportingOverflow(right)
    return overflow ? .max : sum
  }

  // MARK: Codec

  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(commission)
    encoder.append(positions)
    encoder.append(days)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    let start = decoder.offset
    commission = try decoder.optional()
    positions = try decoder.list(limit: Self.positionLimit, elementSize: 52)
    days = try decoder.list(limit: Self.dayLimit, elementSize: 24)
    for (index, position) in positions.enumerated() {
      guard index == 0 || positions[index - 1].holder < position.holder,
        let active = active.adding(position.stake),
        let leaving = position.leaving.reduce(leaving, { $0?.adding($1.amount) })
      else {
        throw decoder.failure(.invalid("the positions are not in order or too large"), at: start)
      }
      (self.active, self.leaving) = (active, leaving)
    }
  }
}

extension [Prover.Unbonding] {
  /// Takes so much from the sums, the earliest first; false, and nothing taken, where they have
  /// less.
  mutating func take(_ amount: Amount) -> Bool {
    var (left, sums) = (amount, self)
    while left > .zero {
      guard let first = sums.first else { return false }
      if let rest = left.subtracting(first.amount) {
        left = rest
        sums.removeFirst()
      } else {
        sums[0] = Prover.Unbonding(
          amount: first.amount.saturatingSubtract(left), until: first.until)
        left = .zero
      }
    }
    self = sums
    return true
  }
}
