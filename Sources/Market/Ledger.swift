package import Primitives

/// What money in an account is for.
package enum Purpose: UInt8, Sendable, Hashable, CaseIterable, Comparable, CustomStringConvertible {
  /// Free to spend, bond or withdraw.
  case available = 1
  /// A requester's fees, held until its request is final.
  case feeHold = 2
  /// A prover's own bond: the head-room from which stakes are held.
  case bond = 3
  /// A prover's own stake behind its live leases.
  case stakeHold = 4
  /// Slashed money set aside for compensation and replacement until the payee is known.
  case slashEscrow = 5
  case treasury = 6
  case burned = 7
  /// The world outside: minus everything inside. The one account that may be negative.
  case external = 8
  /// Taken out of the bond, and not free yet.
  case unbonding = 9
  /// A challenger's deposits, held until their challenges are decided.
  case challengeHold = 10
  /// What is delegated to a prover and not behind a lease, its delegators' sums on their way out
  /// included.
  case delegated = 11
  /// The delegated part of a prover's stakes behind its live leases.
  case delegatedHold = 12

  package static func < (left: Purpose, right: Purpose) -> Bool { left.rawValue < right.rawValue }

  package var description: String {
    switch self {
    case .available: "available"
    case .feeHold: "fee hold"
    case .bond: "bond"
    case .stakeHold: "stake hold"
    case .slashEscrow: "slash escrow"
    case .treasury: "treasury"
    case .burned: "burned"
    case .external: "external"
    case .unbonding: "unbonding"
    case .challengeHold: "challenge hold"
    case .delegated: "delegated"
    case .delegatedHold: "delegated hold"
    }
  }
}

/// Whose money, and for what. The exchange's own accounts have no owner.
package struct Account: Hashable, Comparable, Sendable, CanonicalCodable {
  package let owner: PublicKey?
  package let purpose: Purpose

  package init(owner: PublicKey?, purpose: Purpose) {
    (self.owner, self.purpose) = (owner, purpose)
  }

  /// The owner's hash is as good as random already, so that the purpose needs no round of its own.
  package func hash(into hasher: inout Hasher) {
    hasher.combine((owner?.value.keyedHash ?? 0) &+ UInt64(purpose.rawValue))
  }

  package func _rawHashValue(seed: Int) -> Int {
    (owner?._rawHashValue(seed: seed) ?? seed) &+ Int(purpose.rawValue)
  }

  package static func available(_ owner: PublicKey) -> Account {
    Account(owner: owner, purpose: .available)
  }
  package static func feeHold(_ owner: PublicKey) -> Account {
    Account(owner: owner, purpose: .feeHold)
  }
  package static func bond(_ owner: PublicKey) -> Account { Account(owner: owner, purpose: .bond) }
  package static func stakeHold(_ owner: PublicKey) -> Account {
    Account(owner: owner, purpose: .stakeHold)
  }
  package static func unbonding(_ owner: PublicKey) -> Account {
    Account(owner: owner, purpose: .unbonding)
  }
  package static func challengeHold(_ owner: PublicKey) -> Account {
    Account(owner: owner, purpose: .challengeHold)
  }
  /// Of the prover to which it is delegated.
  package static func delegated(_ prover: PublicKey) -> Account {
    Account(owner: prover, purpose: .delegated)
  }
  package static func delegatedHold(_ prover: PublicKey) -> Account {
    Account(owner: prover, purpose: .delegatedHold)
  }
  package static let slashEscrow = Account(owner: nil, purpose: .slashEscrow)
  package static let treasury = Account(owner: nil, purpose: .treasury)
  package static let burned = Account(owner: nil, purpose: .burned)
  package static let external = Account(owner: nil, purpose: .external)

  package static func < (left: Account, right: Account) -> Bool {
    switch (left.owner, right.owner) {
    case (nil, nil): left.purpose < right.purpose
    case (nil, _): true
    case (_, nil): false
    case (let leftOwner?, let rightOwner?):
      leftOwner == rightOwner ? left.purpose < right.purpose : leftOwner < rightOwner
    }
  }

  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(owner)
    encoder.append(purpose.rawValue)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    let start = decoder.offset
    owner = try decoder.optional()
    let tag = try decoder.integer(UInt8.self)
    guard let purpose = Purpose(rawValue: tag) else {
      throw decoder.failure(.unknownTag(tag, of: "Purpose"), at: start)
    }
    self.purpose = purpose
  }
}

/// One line of a double entry: `delta` micro-credits enter (or, negative, leave) the account.
package struct Posting: Hashable, Sendable, CanonicalCodable {
  package let account: Account
  package let delta: Int64

  package init(account: Account, delta: Int64) { (self.account, self.delta) = (account, delta) }

  /// The two lines that move `amount`; none where there is nothing to move.
  package static func move(_ amount: Amount, from source: Account, to target: Account) -> [Posting]
  {
    guard amount > .zero else { return [] }
    let delta = Int64(amount.microcredits)
    return [Posting(account: source, delta: -delta), Posting(account: target, delta: delta)]
  }

  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(account)
    encoder.append(delta)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    account = try decoder.record()
    delta = try decoder.integer()
  }
}

extension [Posting] {
  /// Appends what `Posting.move` gives: for events with many lines.
  mutating func move(_ amount: Amount, from source: Account, to target: Account) {
    guard amount > .zero else { return }
    let delta = Int64(amount.microcredits)
    append(Posting(account: source, delta: -delta))
    append(Posting(account: target, delta: delta))
  }
}

/// Balances as the projection of all postings so far.
package struct Ledger: Sendable {
  private var balances: [Account: Int64] = [:]

  package init() {}

  package func balance(_ account: Account) -> Int64 { balances[account] ?? 0 }

  /// Of an account that cannot be negative.
  package func amount(_ account: Account) -> Amount {
    Amount(microcredits: UInt64(max(0, balance(account))))
  }

  /// Every account ever posted to, in account order.
  package var sorted: [(account: Account, balance: Int64)] {
    balances.map { ($0.key, $0.value) }.sorted { $0.0 < $1.0 }
  }

  /// Applies all postings or none.
  package mutating func apply(_ postings: [Posting]) throws(MarketError) {
    var sum: Int64 = 0
    for posting in postings {
      let (next, overflow) = sum.addingReportingOverflow(posting.delta)
      guard !overflow else { throw MarketError.unbalancedPostings }
      sum = next
    }
    guard sum == 0 else { throw MarketError.unbalancedPostings }
    for (index, posting) in postings.enumerated() {
      let (balance, overflow) = balance(posting.account).addingReportingOverflow(posting.delta)
      let limit = Int64(Amount.maximum.microcredits)
      guard !overflow, balance <= limit, balance >= -limit,
        balance >= 0 || posting.account == .external
      else {
        for undone in postings[..<index] { balances[undone.account, default: 0] -= undone.delta }
        throw MarketError.impossibleBalance(posting.account)
      }
      balances[posting.account] = balance
    }
  }
}

/// An event that cannot follow from the state it is applied to: the journal is not one of this
/// market's.
package enum MarketError: CodedError, Equatable {
  case unbalancedPostings
  case impossibleBalance(Account)
  case impossibleEvent(String)
  case unknownRules(UInt32)

  package var code: String {
    switch self {
    case .unbalancedPostings, .impossibleBalance, .impossibleEvent: "impossible-event"
    case .unknownRules: "unknown-rules"
    }
  }

  package var sentence: String {
    switch self {
    case .unbalancedPostings:
      "An event's postings do not sum to zero; restore the journal from a copy and replay it."
    case .impossibleBalance(let account):
      "An event would drive \(account.purpose) of \(account.owner?.short ?? "the exchange") out of range; restore the journal from a copy and replay it."
    case .impossibleEvent(let what):
      "An event does not fit the state before it (\(what)); restore the journal from a copy and replay it."
    case .unknownRules(let version):
      "The journal is kept under rules version \(version), which this build does not have; use a build that does."
    }
  }
}
