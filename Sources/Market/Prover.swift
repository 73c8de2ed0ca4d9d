package import Primitives

/// What the market keeps about a key that has placed a bid or taken money out of its bond.
package struct Prover: Sendable, Hashable {
  /// Sums on their way out of the bond, at a time.
  package static let unbondingLimit = 64

  /// A sum on its way out of the bond.
  package struct Unbonding: Sendable, Hashable {
    package let amount: Amount
    package var until: Tick
  }

  /// Bids that are not closed.
  package var openBids: UInt32 = 0
  package var lapsesInARow: UInt32 = 0
  /// The first tick at which it may bid again, after a slash.
  package var coolingUntil: Tick = .zero
  package var reputation = Reputation()
  /// In the order in which they were asked for.
  package var unbondings: [Unbonding] = []

  mutating func countSettled() {
    lapsesInARow = 0
    reputation.countSettled()
  }

  /// False where it has no bid open.
  mutating func countClosedBid() -> Bool {
    guard openBids > 0 else { return false }
    openBids -= 1
    return true
  }
}

/// A prover's record: what came of its leases, and how long it took. Shown to whoever asks, and a
/// request's filter; it never changes price and time among those who pass.
package struct Reputation: Sendable, Hashable, CanonicalCodable {
  /// Times kept: the latest so many.
  package static let sampleLimit = 64

  package private(set) var settled: UInt64 = 0
  package private(set) var lapsed: UInt64 = 0
  package private(set) var slashed: UInt64 = 0
  /// Stake lost to lapses and slashes.
  package private(set) var lost: Amount = .zero
  /// From begin to commitment, in microseconds per 1,000 cost units; the oldest is overwritten.
  private var times: [UInt32] = []
  private var nextTime = 0

  package init() {}

  mutating func countSettled() { settled += 1 }

  mutating func countLapsed(_ penalty: Amount) {
    lapsed += 1
    lost = lost.adding(penalty) ?? .maximum
  }

  mutating func countSlashed(_ stake: Amount) {
    slashed += 1
    lost = lost.adding(stake) ?? .maximum
  }

  mutating func countTime(_ milliseconds: UInt64, for cost: Cost) {
    let (scaled, overflow) = milliseconds.multipliedReportingOverflow(by: 1_000_000)
    let time = overflow ? UInt32.max : UInt32(clamping: scaled / max(1, cost.units))
    if times.count < Self.sampleLimit {
      times.append(time)
    } else {
      times[nextTime] = time
      nextTime = (nextTime + 1) % Self.sampleLimit
    }
  }

  /// Microseconds per 1,000 cost units within which this share of the latest commitments came: the
  /// smallest sample that at least so many are not above. Nil before the first.
  package func time(_ share: PartsPerMillion) -> UInt32? {
    guard !times.isEmpty else { return nil }
    let rank = (times.count * Int(share.parts) + 999_999) / 1_000_000
    return times.sorted()[max(1, rank) - 1]
  }

  /// Whether so large a share of the latest commitments came within this time; false before the
  /// first. What `time` would say, without sorting: matching asks for every bid it looks at.
  func came(_ share: PartsPerMillion, within time: UInt32) -> Bool {
    let rank = max(1, (times.count * Int(share.parts) + 999_999) / 1_000_000)
    return times.reduce(0) { $0 + ($1 <= time ? 1 : 0) } >= rank
  }

  /// Lapses and slashes among the leases that ended, rounded up; zero before any has.
  package var faults: PartsPerMillion {
    let failed = lapsed + slashed
    let ended = failed + settled
    guard ended > 0 else { return PartsPerMillion(clamping: 0) }
    let wide = failed.multipliedFullWidth(by: 1_000_000)
    guard wide.high < ended else { return .whole }
    let (quotient, remainder) = ended.dividingFullWidth(wide)
    return PartsPerMillion(clamping: UInt32(clamping: remainder == 0 ? quotient : quotient + 1))
  }

  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(settled)
    encoder.append(lapsed)
    encoder.append(slashed)
    encoder.append(lost)
    encoder.append(list: times)
    encoder.append(UInt32(nextTime))
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    settled = try decoder.integer()
    lapsed = try decoder.integer()
    slashed = try decoder.integer()
    lost = try decoder.record()
    times = try decoder.integers(limit: Self.sampleLimit)
    nextTime = Int(try decoder.integer(UInt32.self))
  }
}

/// Which provers a request takes.
package struct ReputationFilter: Hashable, Sendable, CanonicalCodable {
  /// Leases settled at least.
  package let settled: UInt32
  /// Lapses and slashes among all that ended, at most.
  package let faults: PartsPerMillion
  /// Microseconds per 1,000 cost units within which 19 of 20 commitments came, at most; 0 for any.
  package let time95: UInt32

  package init(settled: UInt32 = 0, faults: PartsPerMillion = .whole, time95: UInt32 = 0) {
    (self.settled, self.faults, self.time95) = (settled, faults, time95)
  }

  /// A prover without any commitment passes no bound on time.
  package func accepts(_ reputation: Reputation) -> Bool {
    guard reputation.settled >= UInt64(settled), reputation.faults <= faults else { return false }
    return time95 == 0 || reputation.came(PartsPerMillion(clamping: 950_000), within: time95)
  }

  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(settled)
    encoder.append(faults)
    encoder.append(time95)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    settled = try decoder.integer()
    faults = try decoder.record()
    time95 = try decoder.integer()
  }
}
