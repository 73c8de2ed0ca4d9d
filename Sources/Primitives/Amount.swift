/// Micro-credits: an unsigned count of the smallest unit of money.
///
/// There is no way to add or subtract that can trap: an operation that does not fit gives nil, and
/// the caller turns that into a rejection.
package struct Amount: Hashable, Comparable, Sendable, CanonicalCodable, CustomStringConvertible {
  package let microcredits: UInt64

  /// No balance and no sum of balances may exceed this: 2^62, so that signed postings and sums of
  /// two amounts always fit in 64 bits.
  package static let maximum = Amount(microcredits: 1 << 62)
  package static let zero = Amount(microcredits: 0)

  package init(microcredits: UInt64) { self.microcredits = microcredits }

  package static func < (left: Amount, right: Amount) -> Bool {
    left.microcredits < right.microcredits
  }

  package func adding(_ other: Amount) -> Amount? {
    let (sum, overflow) = microcredits.addingReportingOverflow(other.microcredits)
    return overflow || sum > Self.maximum.microcredits ? nil : Amount(microcredits: sum)
  }

  package func subtracting(_ other: Amount) -> Amount? {
    let (rest, overflow) = microcredits.subtractingReportingOverflow(other.microcredits)
    return overflow ? nil : Amount(microcredits: rest)
  }

  /// The rest after taking `other`, or zero where `other` is larger.
  package func saturatingSubtract(_ other: Amount) -> Amount { subtracting(other) ?? .zero }

  package func multiplied(by factor: UInt64) -> Amount? {
    let (product, overflow) = microcredits.multipliedReportingOverflow(by: factor)
    return overflow || product > Self.maximum.microcredits ? nil : Amount(microcredits: product)
  }

  /// floor(self × parts / 1,000,000). A share of at most one million parts never exceeds the whole.
  package func share(_ parts: PartsPerMillion) -> Amount {
    let wide = microcredits.multipliedFullWidth(by: UInt64(parts.parts))
    return Amount(microcredits: UInt64(1_000_000).dividingFullWidth(wide).quotient)
  }

  /// floor(self × part / whole); zero where the whole is. No part is more than the whole.
  package func portion(_ part: Amount, of whole: Amount) -> Amount {
    guard whole > .zero else { return .zero }
    let wide = microcredits.multipliedFullWidth(by: min(part, whole).microcredits)
    return Amount(microcredits: whole.microcredits.dividingFullWidth(wide).quotient)
  }

  package var description: String { "\(microcredits)" }

  package func encode(into encoder: inout CanonicalEncoder) { encoder.append(microcredits) }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    let start = decoder
    microcredits = try decoder.integer()
    guard self <= Self.maximum else {
      throw start.failure(.invalid("an amount of \(microcredits) is above 2^62"))
    }
  }
}

/// A share in parts per million, at most the whole.
package struct PartsPerMillion: Hashable, Comparable, Sendable, CanonicalCodable {
  package let parts: UInt32

  package static let whole = PartsPerMillion(clamping: 1_000_000)

  package init(clamping parts: UInt32) { self.parts = min(parts, 1_000_000) }

  package static func < (left: PartsPerMillion, right: PartsPerMillion) -> Bool {
    left.parts < right.parts
  }

  package func encode(into encoder: inout CanonicalEncoder) { encoder.append(parts) }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    let start = decoder
    parts = try decoder.integer()
    guard parts <= 1_000_000 else {
      throw start.failure(.invalid("\(parts) parts per million is more than the whole"))
    }
  }
}

/// Work, in cost units as the manifest states them (`docs/slicing.md` gives the formula).
package struct Cost: Hashable, Comparable, Sendable, CanonicalCodable, CustomStringConvertible {
  package let units: UInt64

  /// 2^40 units per slice: a bound far above any real slice that keeps fees within 64 bits.
  package static let maximum = Cost(units: 1 << 40)

  package init(units: UInt64) { self.units = units }
  package static func < (left: Cost, right: Cost) -> Bool { left.units < right.units }
  package var description: String { "\(units)" }

  package func encode(into encoder: inout CanonicalEncoder) { encoder.append(units) }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    let start = decoder
    units = try decoder.integer()
    guard self <= Self.maximum else {
      throw start.failure(.invalid("a cost of \(units) units is above 2^40"))
    }
  }
}

/// Micro-credits per 1,000 cost units.
package struct Price: Hashable, Comparable, Sendable, CanonicalCodable, CustomStringConvertible {
  package let ticks: UInt64

  package init(ticks: UInt64) { self.ticks = ticks }
  package static func < (left: Price, right: Price) -> Bool { left.ticks < right.ticks }
  package var description: String { "\(ticks)" }

  /// ceil(price × cost / 1000), or nil where that is above the largest amount.
  package func fee(for cost: Cost) -> Amount? {
    let wide = ticks.multipliedFullWidth(by: cost.units)
    guard wide.high < 1000 else { return nil }
    let (quotient, remainder) = UInt64(1000).dividingFullWidth(wide)
    let fee = Amount(microcredits: quotient)
    return fee > .maximum ? nil : remainder == 0 ? fee : fee.adding(Amount(microcredits: 1))
  }

  package func encode(into encoder: inout CanonicalEncoder) { encoder.append(ticks) }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    ticks = try decoder.integer()
  }
}

/// Milliseconds since 1970-01-01T00:00Z as the sequencer stamps them; never decreasing.
package struct Tick: Hashable, Comparable, Sendable, CanonicalCodable, CustomStringConvertible {
  package let milliseconds: UInt64

  package static let zero = Tick(milliseconds: 0)
  package static let never = Tick(milliseconds: .max)

  package init(milliseconds: UInt64) { self.milliseconds = milliseconds }
  package static func < (left: Tick, right: Tick) -> Bool { left.milliseconds < right.milliseconds }
  package var description: String { "\(milliseconds)" }

  /// `never` where the sum does not fit.
  package func advanced(by milliseconds: UInt64) -> Tick {
    let (sum, overflow) = self.milliseconds.addingReportingOverflow(milliseconds)
    return overflow ? .never : Tick(milliseconds: sum)
  }

  package func encode(into encoder: inout CanonicalEncoder) { encoder.append(milliseconds) }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    milliseconds = try decoder.integer()
  }
}
