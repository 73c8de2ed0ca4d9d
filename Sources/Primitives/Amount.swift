/// Micro-credits: an unsigned count of the smallest unit of money.
///
/// There is no way to add or subtract that can trap: an operation that does not fit gives nil, and
/// the caller turns that into a rejection.
public struct Amount: Hashable, Comparable, Sendable, CanonicalCodable, CustomStringConvertible {
  public let microcredits: UInt64

  /// No balance and no sum of balances may exceed this: 2^62, so that signed postings and sums of
  /// two amounts always fit in 64 bits.
  public static let maximum = Amount(microcredits: 1 << 62)
  public static let zero = Amount(microcredits: 0)

  public init(microcredits: UInt64) { self.microcredits = microcredits }

  public static func < (left: Amount, right: Amount) -> Bool {
    left.microcredits < right.microcredits
  }

  public func adding(_ other: Amount) -> Amount? {
    let (sum, overflow) = microcredits.addingReportingOverflow(other.microcredits)
    return overflow || sum > Self.maximum.microcredits ? nil : Amount(microcredits: sum)
  }

  public func subtracting(_ other: Amount) -> Amount? {
    let (rest, overflow) = microcredits.subtractingReportingOverflow(other.microcredits)
    return overflow ? nil : Amount(microcredits: rest)
  }

  /// The rest after taking `other`, or zero where `other` is larger.
  public func saturatingSubtract(_ other: Amount) -> Amount { subtracting(other) ?? .zero }

  public func multiplied(by factor: UInt64) -> Amount? {
    let (product, overflow) = microcredits.multipliedReportingOverflow(by: factor)
    return overflow || product > Self.maximum.microcredits ? nil : Amount(microcredits: product)
  }

  /// floor(self × parts / 1,000,000). A share of at most one million parts never exceeds the whole.
  public func share(_ parts: PartsPerMillion) -> Amount {
    let wide = microcredits.multipliedFullWidth(by: UInt64(parts.parts))
    return Amount(microcredits: UInt64(1_000_000).dividingFullWidth(wide).quotient)
  }

  /// floor(self × part / whole); zero where the whole is. No part is more than the whole.
  public func portion(_ part: Amount, of whole: Amount) -> Amount {
    guard whole > .zero else { return .zero }
    let wide = microcredits.multipliedFullWidth(by: min(part, whole).microcredits)
    return Amount(microcredits: whole.microcredits.dividingFullWidth(wide).quotient)
  }

  public var description: String { "\(microcredits)" }

  public func encode(into encoder: inout CanonicalEncoder) { encoder.append(microcredits) }

  public init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    let start = decoder.offset
    microcredits = try decoder.integer()
    guard self <= Self.maximum else {
      throw decoder.failure(.invalid("an amount of \(microcredits) is above 2^62"), at: start)
    }
  }
}

/// A share in parts per million, at most the whole.
public struct PartsPerMillion: Hashable, Comparable, Sendable, CanonicalCodable {
  public let parts: UInt32

  public static let whole = PartsPerMillion(clamping: 1_000_000)

  public init(clamping parts: UInt32) { self.parts = min(parts, 1_000_000) }

  public static func < (left: PartsPerMillion, right: PartsPerMillion) -> Bool {
    left.parts < right.parts
  }

  public func encode(into encoder: inout CanonicalEncoder) { encoder.append(parts) }

  public init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    let start = decoder.offset
    parts = try decoder.integer()
    guard parts <= 1_000_000 else {
      throw decoder.failure(
        .invalid("\(parts) parts per million is more than the whole"), at: start)
    }
  }
}

/// Work, in cost units as the manifest states them (`docs/slicing.md` gives the formula).
public struct Cost: Hashable, Comparable, Sendable, CanonicalCodable, CustomStringConvertible {
  public let units: UInt64

  /// 2^40 units per slice: a bound far above any real slice that keeps fees within 64 bits.
  public static let maximum = Cost(units: 1 << 40)

  public init(units: UInt64) { self.units = units }
  public static func < (left: Cost, right: Cost) -> Bool { left.units < right.units }
  public var description: String { "\(units)" }

  public func encode(into encoder: inout CanonicalEncoder) { encoder.append(units) }

  public init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    let start = decoder.offset
    units = try decoder.integer()
    guard self <= Self.maximum else {
      throw decoder.failure(.invalid("a cost of \(units) units is above 2^40"), at: start)
    }
  }
}

/// Micro-credits per 1,000 cost units.
public struct Price: Hashable, Comparable, Sendable, CanonicalCodable, CustomStringConvertible {
  public let ticks: UInt64

  public init(ticks: UInt64) { self.ticks = ticks }
  public static func < (left: Price, right: Price) -> Bool { left.ticks < right.ticks }
  public var description: String { "\(ticks)" }

  /// ceil(price × cost / 1000), or nil where that is above the largest amount.
  public func fee(for cost: Cost) -> Amount? {
    let wide = ticks.multipliedFullWidth(by: cost.units)
    guard wide.high < 1000 else { return nil }
    let (quotient, remainder) = UInt64(1000).dividingFullWidth(wide)
    let fee = Amount(microcredits: quotient)
    return fee > .maximum ? nil : remainder == 0 ? fee : fee.adding(Amount(microcredits: 1))
  }

  public func encode(into encoder: inout CanonicalEncoder) { encoder.append(ticks) }

  public init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    ticks = try decoder.integer()
  }
}

/// Milliseconds since 1970-01-01T00:00Z as the sequencer stamps them; never decreasing.
public struct Tick: Hashable, Comparable, Sendable, CanonicalCodable, CustomStringConvertible {
  public let milliseconds: UInt64

  public static let zero = Tick(milliseconds: 0)
  public static let never = Tick(milliseconds: .max)

  public init(milliseconds: UInt64) { self.milliseconds = milliseconds }
  public static func < (left: Tick, right: Tick) -> Bool { left.milliseconds < right.milliseconds }
  public var description: String { "\(milliseconds)" }

  /// `never` where the sum does not fit.
  public func advanced(by milliseconds: UInt64) -> Tick {
    let (sum, overflow) = self.milliseconds.addingReportingOverflow(milliseconds)
    return overflow ? .never : Tick(milliseconds: sum)
  }

  public func encode(into encoder: inout CanonicalEncoder) { encoder.append(milliseconds) }

  public init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    milliseconds = try decoder.integer()
  }
}
