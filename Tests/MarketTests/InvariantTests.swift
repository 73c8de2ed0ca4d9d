import Market
import Primitives
import Statements
import Testing

/// Canaries: broken histories that the checks must notice, so that the checks can fail.
struct InvariantTests {
  typealias F = MarketFixture

  private func running() -> (MarketFixture, RequestID) {
    var f = MarketFixture()
    _ = f.bid(F.paula, at: 50)
    let request = f.request(f.terms())
    return (f, request)
  }

  @Test func noticesAStakeReturnedWithoutItsLeaseEnding() throws {
    let (f, _) = running()
    var market = f.market
    let paula = F.paula.publicKey
    try market.evolve(
      Event(
        .deposited(owner: paula, amount: Amount(1)),
        Posting.move(Amount(1), from: .stakeHold(paula), to: .available(paula))))
    #expect(!market.invariantViolations().isEmpty)
  }

  @Test func noticesALeaseThatEndsWithoutItsPostings() throws {
    let (f, request) = running()
    var market = f.market
    try market.evolve(Event(.leaseSlashed(f.leaseID(request, 0), .invalidReceipt, bonus: .zero)))
    #expect(!market.invariantViolations().isEmpty)
  }

  @Test func noticesAFeePaidTwice() throws {
    let (f, _) = running()
    var market = f.market
    try market.evolve(
      Event(
        .bonded(prover: F.paula.publicKey, amount: Amount(50)),
        Posting.move(
          Amount(50), from: .feeHold(F.alice.publicKey), to: .available(F.paula.publicKey))))
    #expect(!market.invariantViolations().isEmpty)
  }

  @Test func noticesABonusThatNobodySetAside() throws {
    let (f, request) = running()
    var market = f.market
    let hold = Account.stakeHold(F.paula.publicKey)
    try market.evolve(
      Event(
        .leaseSlashed(f.leaseID(request, 0), .invalidReceipt, bonus: Amount(100)),
        Posting.move(Amount(1_000), from: hold, to: .burned)))
    #expect(!market.invariantViolations().isEmpty)
  }

  @Test func noticesACrossedBook() throws {
    var f = MarketFixture()
    _ = f.request(f.terms())
    var market = f.market
    let terms = BidTerms(backend: .reexec, scope: .any, price: Price(ticks: 1), capacity: 1)
    try market.evolve(Event(.bidPlaced(.zero, prover: F.paula.publicKey, terms)))
    #expect(!market.invariantViolations().isEmpty)
  }

  @Test func noticesALeaseWithoutAWayToItsEnd() throws {
    let (f, request) = running()
    var market = f.market
    try market.evolve(Event(.leaseBegun(f.leaseID(request, 0), inputs: [.zero], deadline: .never)))
    #expect(!market.invariantViolations().isEmpty)

    market = f.market
    try market.evolve(
      Event(
        .requestClosed(request, .failed, Coverage(), jobRoot: nil),
        Posting.move(
          Amount(600), from: .feeHold(F.alice.publicKey), to: .available(F.alice.publicKey))))
    #expect(!market.invariantViolations().isEmpty)
  }

  @Test func noticesDelegatedStakeThatIsNobodys() throws {
    let (f, _) = running()
    var market = f.market
    let (paula, bob) = (F.paula.publicKey, F.bob.publicKey)
    try market.evolve(
      Event(
        .commissionSet(prover: paula, Commission(rate: .whole)),
        Posting.move(Amount(7), from: .available(bob), to: .delegated(paula))))
    #expect(!market.invariantViolations().isEmpty)

    market = f.market
    try market.evolve(Event(.commissionSet(prover: paula, Commission(rate: .whole))))
    try market.evolve(Event(.delegated(prover: paula, holder: bob, amount: Amount(7))))
    #expect(!market.invariantViolations().isEmpty)
  }

  // MARK: Postings

  @Test func refusesPostingsThatDoNotSumToZero() {
    var ledger = Ledger()
    let alice = Account.available(F.alice.publicKey)
    #expect(throws: MarketError.unbalancedPostings) {
      try ledger.apply([Posting(account: alice, delta: 1)])
    }
    // A sum that wraps around to zero is no sum of zero.
    let wrapping = [Int64.min, Int64.min].map { Posting(account: .external, delta: $0) }
    #expect(throws: MarketError.unbalancedPostings) { try ledger.apply(wrapping) }
  }

  @Test func refusesPostingsThatDriveABalanceOutOfRange() {
    var ledger = Ledger()
    let alice = Account.available(F.alice.publicKey)
    #expect(throws: MarketError.impossibleBalance(alice)) {
      try ledger.apply(Posting.move(Amount(1), from: alice, to: .treasury))
    }
    let most = Int64(Amount.maximum.microcredits) + 1
    #expect(throws: MarketError.impossibleBalance(.external)) {
      try ledger.apply([
        Posting(account: .external, delta: -most), Posting(account: alice, delta: most),
      ])
    }
    #expect(throws: MarketError.impossibleBalance(.treasury)) {
      try ledger.apply([
        Posting(account: alice, delta: 5), Posting(account: .treasury, delta: -5),
      ])
    }
    #expect(ledger.balance(alice) == 0, "all postings or none")
  }
}
