package import Primitives

/// What the operator may change while the exchange runs.
package enum RuleChange: Hashable, Sendable, CanonicalCodable {
  case parameters(Parameters, rulesVersion: UInt32)
  /// No lease is made, and no bid or request is taken, until it is undone.
  case pause
  case unpause
  /// No lease is made under the key until the operator lifts it: too many provers were slashed.
  case halt(Market.KeySubject)
  case liftHalt(Market.KeySubject)

  package func encode(into encoder: inout CanonicalEncoder) {
    switch self {
    case .parameters(let parameters, let rulesVersion):
      encoder.append(UInt8(1))
      encoder.append(parameters)
      encoder.append(rulesVersion)
    case .pause: encoder.append(UInt8(2))
    case .unpause: encoder.append(UInt8(3))
    case .halt(let key):
      encoder.append(UInt8(4))
      encoder.append(key)
    case .liftHalt(let key):
      encoder.append(UInt8(5))
      encoder.append(key)
    }
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    let start = decoder.offset
    switch try decoder.integer(UInt8.self) {
    case 1: self = .parameters(try decoder.record(), rulesVersion: try decoder.integer())
    case 2: self = .pause
    case 3: self = .unpause
    case 4: self = .halt(try decoder.record())
    case 5: self = .liftHalt(try decoder.record())
    case let tag: throw decoder.failure(.unknownTag(tag, of: "RuleChange"), at: start)
    }
  }
}

/// A change of which notice was given.
package struct Announcement: Hashable, Sendable, CanonicalCodable {
  package let change: RuleChange
  /// The last tick before it is made.
  package let effective: Tick

  init(change: RuleChange, effective: Tick) { (self.change, self.effective) = (change, effective) }

  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(change)
    encoder.append(effective)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    change = try decoder.record()
    effective = try decoder.record()
  }
}

extension Parameters {
  /// What makes these numbers unusable, or nil. Every window has an end that a tick can reach, and
  /// nothing is free of risk for those who lie.
  var fault: String? {
    let month: UInt64 = 31 * 86_400_000
    for (name, window) in [
      ("executeWindow", executeWindow), ("proveWindow", proveWindow),
      ("verifyWindow", verifyWindow), ("outageBound", outageBound),
      ("revealWindow", revealWindow), ("challengeWindow", challengeWindow),
    ] where !(1...month).contains(window) {
      return "\(name) is \(window) ms and must be 1 ms to 31 days"
    }
    for (name, period) in [
      ("noticePeriod", noticePeriod), ("coolDown", coolDown), ("breakerWindow", breakerWindow),
    ] where period > month {
      return "\(name) is \(period) ms and must be at most 31 days"
    }
    if breakerSlashes > UInt32(SlashRecord.limit) {
      return "breakerSlashes is above \(SlashRecord.limit)"
    }
    if inconclusiveRetries > 100 { return "inconclusiveRetries is above 100" }
    // Longer than any lease lives from its begin to its last verdict.
    let life =
      executeWindow + proveWindow + revealWindow + challengeWindow
      + verifyWindow * UInt64(inconclusiveRetries + 2)
    if unbondingPeriod < life || unbondingPeriod > 12 * month {
      return "unbondingPeriod is \(unbondingPeriod) ms and must be \(life) ms to 372 days"
    }
    if minimumStake == .zero { return "minimumStake is zero" }
    if lapseLimit == 0 { return "lapseLimit is 0" }
    if delegationMultiple > 100 { return "delegationMultiple is above 100" }
    return nil
  }
}

/// The operator's changes: announced, and in effect a notice period later.
extension Market {
  mutating func setParameters(
    _ parameters: Parameters, rulesVersion: UInt32, by author: PublicKey
  ) throws(Refused) {
    guard author == genesis.operator else { throw .notOperator }
    guard rulesVersion == Genesis.rulesVersion else { throw .unknownRules(rulesVersion) }
    if let fault = parameters.fault { throw .invalidParameters(fault) }
    announce(.parameters(parameters, rulesVersion: rulesVersion))
  }

  /// Undoing a pause needs no notice: it takes nothing from anyone.
  mutating func pause(_ isPaused: Bool, by author: PublicKey) throws(Refused) {
    guard author == genesis.operator else { throw .notOperator }
    guard isPaused != self.isPaused,
      !isPaused || !announced.contains(where: { $0.change == .pause })
    else { throw .duplicate }
    if isPaused { announce(.pause) } else { make(.unpause) }
  }

  /// What stopped the key's leases is looked into, and over.
  mutating func liftHalt(of key: KeySubject, by author: PublicKey) throws(Refused) {
    guard author == genesis.operator else { throw .notOperator }
    guard halts.contains(key) else { throw .notHalted }
    make(.liftHalt(key))
  }

  private mutating func announce(_ change: RuleChange) {
    emit(.changeAnnounced(change, effective: now.advanced(by: parameters.noticePeriod)))
  }

  /// Puts the announced changes whose notice is over into effect, in the order in which they were
  /// announced.
  mutating func makeAnnouncedChanges() {
    while let next = announced.first, next.effective < now { make(next.change) }
  }

  /// What rests is tried under the new rules, in the order of arrival.
  private mutating func make(_ change: RuleChange) {
    emit(.changed(change))
    for order in book.orders { returned.append(order.request) }
  }
}
