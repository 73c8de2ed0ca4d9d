import Primitives
import Testing

struct AmountTests {
  private func amount(_ microcredits: UInt64) -> Amount { Amount(microcredits: microcredits) }

  @Test func addsUpToTheMaximumAndNoFurther() {
    #expect(amount(2).adding(amount(3)) == amount(5))
    #expect(Amount.maximum.adding(.zero) == .maximum)
    #expect(Amount.maximum.adding(amount(1)) == nil)
    #expect(amount(.max).adding(amount(1)) == nil)
    #expect(Amount.maximum.adding(.maximum) == nil)
  }

  @Test func neverGoesBelowZero() {
    #expect(amount(5).subtracting(amount(5)) == .zero)
    #expect(amount(5).subtracting(amount(6)) == nil)
    #expect(amount(5).saturatingSubtract(amount(6)) == .zero)
    #expect(amount(6).saturatingSubtract(amount(5)) == amount(1))
  }

  @Test func multipliesUpToTheMaximumAndNoFurther() {
    #expect(amount(1 << 61).multiplied(by: 2) == .maximum)
    #expect(amount(1 << 61).multiplied(by: 3) == nil)
    #expect(amount(.max).multiplied(by: .max) == nil)
    #expect(amount(.max).multiplied(by: 0) == .zero)
  }

  @Test func sharesRoundDownAndNeverExceedTheWhole() {
    #expect(amount(999_999).share(PartsPerMillion(clamping: 1)) == .zero)
    #expect(amount(1_000_000).share(PartsPerMillion(clamping: 1)) == amount(1))
    #expect(amount(7).share(PartsPerMillion(clamping: 500_000)) == amount(3))
    for whole: UInt64 in [0, 1, 999, 1 << 62, .max] {
      #expect(amount(whole).share(.whole) == amount(whole))
      #expect(amount(whole).share(PartsPerMillion(clamping: 999_999)) <= amount(whole))
    }
    #expect(PartsPerMillion(clamping: .max) == .whole)
  }

  @Test func feesRoundUp() {
    let fee = { (price: UInt64, cost: UInt64) in Price(ticks: price).fee(for: Cost(units: cost)) }
    #expect(fee(1, 1) == amount(1))
    #expect(fee(1, 1000) == amount(1))
    #expect(fee(1, 1001) == amount(2))
    #expect(fee(3, 999) == amount(3))
    #expect(fee(0, 1000) == .zero)
    #expect(fee(1000, 0) == .zero)
  }

  @Test func feesAboveTheMaximumAreNone() {
    let cost = Cost.maximum
    // 2^62 × 1000 / 2^40 is the last price whose fee for the largest cost still fits.
    let last = UInt64(1000) << 22
    #expect(Price(ticks: last).fee(for: cost) == .maximum)
    #expect(Price(ticks: last + 1).fee(for: cost) == nil)
    #expect(Price(ticks: .max).fee(for: cost) == nil)
    #expect(Price(ticks: .max).fee(for: Cost(units: .max)) == nil)
    #expect(Price(ticks: 1000 << 31).fee(for: Cost(units: 1 << 31)) == .maximum)
    // The quotient is the maximum, and rounding up takes it above.
    #expect(Price(ticks: (1 << 62) * 2 + 1).fee(for: Cost(units: 500)) == nil)
  }

  @Test func timeStopsAtNever() {
    #expect(Tick(milliseconds: 5).advanced(by: 6) == Tick(milliseconds: 11))
    #expect(Tick(milliseconds: 5).advanced(by: .max) == .never)
    #expect(Tick.never.advanced(by: 1) == .never)
  }
}
