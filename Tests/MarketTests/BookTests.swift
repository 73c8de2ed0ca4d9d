import Market
import Primitives
import Statements
import Testing

/// Bids, requests, and how they meet.
struct BookTests {
  typealias F = MarketFixture

  // MARK: Price, then time

  @Test func requestTakesTheCheapestBidAtTheBidsPrice() {
    var f = MarketFixture()
    _ = f.bid(F.paula, at: 60)
    _ = f.bid(F.quinn, at: 50)
    let request = f.request(f.terms(limit: 100))
    for slice in 0..<3 {
      #expect(f.lease(request, slice)?.terms.prover == F.quinn.publicKey)
      #expect(f.lease(request, slice)?.terms.price == Price(ticks: 50))
    }
    #expect(f.lease(request, 1)?.terms.fee == Amount(100))
  }

  @Test func earlierOfEqualBidsGoesFirst() {
    var f = MarketFixture()
    let first = f.bid(F.quinn, at: 50, capacity: 2)
    let second = f.bid(F.paula, at: 50)
    let request = f.request(f.terms())
    #expect((0..<3).map { f.lease(request, $0)!.terms.bid } == [first, first, second])
  }

  @Test func arrivingBidTakesRestingOrdersAtTheirLimit() {
    var f = MarketFixture()
    let low = f.request(f.terms(limit: 80))
    let high = f.request(f.terms(limit: 90), by: F.bob)
    _ = f.bid(F.paula, at: 50, capacity: 4)
    // Best limit first, then time, then slice: three of the high request, one of the low.
    #expect(f.lease(high, 2)?.terms.price == Price(ticks: 90))
    #expect(f.lease(low, 0)?.terms.price == Price(ticks: 80))
    #expect(f.lease(low, 1) == nil)
    #expect(f.state(high) == .running)
    #expect(f.state(low) == .open)
  }

  @Test func bidAboveTheLimitIsNotTaken() {
    var f = MarketFixture()
    _ = f.bid(F.paula, at: 101)
    let request = f.request(f.terms(limit: 100))
    #expect(f.lease(request, 0) == nil)
    #expect(f.state(request) == .open)
    _ = f.bid(F.quinn, at: 100)
    #expect(f.state(request) == .running)
  }

  // MARK: Holds on both sides

  @Test func feesAndStakesAreHeldTogether() {
    var f = MarketFixture()
    _ = f.bid(F.paula, at: 50)
    _ = f.request(f.terms(limit: 100, multiple: 10))
    #expect(f.balance(.feeHold(F.alice.publicKey)) == 600)
    #expect(f.balance(.available(F.alice.publicKey)) == 10_000_000 - 600)
    #expect(f.balance(.stakeHold(F.paula.publicKey)) == 1_000 + 2_000 + 3_000)
    #expect(f.balance(.bond(F.paula.publicKey)) == 1_000_000 - 6_000)
  }

  @Test func stakeIsAtLeastTheMinimum() {
    var f = MarketFixture()
    _ = f.bid(F.paula, at: 1)
    let request = f.request(f.terms(limit: 1, multiple: 1))
    #expect(f.lease(request, 0)?.terms.stake == Amount(1_000))
  }

  @Test func bidWithoutStakeHeadroomIsSkippedAndTriedAgainOnceThereIs() {
    var f = MarketFixture()
    _ = f.bid(F.paula, at: 50)
    // Slice a needs 10 x 100,000 of stake: all of the bond.
    let request = f.request(f.terms(limit: 100_000, multiple: 10))
    #expect(f.lease(request, 0) != nil)
    #expect(f.lease(request, 1) == nil)
    f.fund(F.paula, 10_000_000)
    f.send(.bond(amount: Amount(10_000_000)), by: F.paula)
    #expect(f.state(request) == .running)
    // The bid rests as well by now: its price counts.
    #expect(f.lease(request, 1)?.terms.price == Price(ticks: 50))
  }

  // MARK: Eligibility

  @Test func capacityBoundsLeasesAtATime() {
    var f = MarketFixture()
    let bid = f.bid(F.paula, at: 50, capacity: 2)
    let request = f.request(f.terms())
    #expect((0..<3).map { f.lease(request, $0) != nil } == [true, true, false])
    #expect(f.market.book.bid(bid)?.leases == 2)
    f.send(.cancelRequest(request), by: F.alice)
    #expect(f.market.book.bid(bid)?.leases == 0)
  }

  @Test func spreadBoundsSlicesPerKey() {
    var f = MarketFixture()
    _ = f.bid(F.paula, at: 50)
    _ = f.bid(F.quinn, at: 60)
    let request = f.request(f.terms(spread: 1))
    let provers = (0..<3).map { f.lease(request, $0)?.terms.prover }
    #expect(provers == [F.paula.publicKey, F.quinn.publicKey, nil])
    _ = f.bid(F.quinn, at: 40)
    #expect(f.lease(request, 2) == nil)
    _ = f.bid(F.rita, at: 40)
    #expect(f.state(request) == .running)
  }

  @Test func nobodyTradesWithItself() {
    var f = MarketFixture()
    _ = f.bid(F.paula, at: 50)
    let request = f.request(f.terms(), by: F.paula)
    #expect(f.lease(request, 0) == nil)
    _ = f.bid(F.paula, at: 10)
    #expect(f.lease(request, 0) == nil)
    _ = f.bid(F.quinn, at: 50)
    #expect(f.state(request) == .running)
  }

  @Test func scopesCompeteInOneBook() {
    var f = MarketFixture()
    let any = f.bid(F.paula, at: 50)
    let model = f.bid(F.quinn, at: 40, scope: .model(F.diamond.id))
    let slice = f.bid(F.rita, at: 30, scope: .slice(F.diamond.id, 2))
    let diamond = f.request(f.terms(F.diamond))
    #expect((0..<4).map { f.lease(diamond, $0)!.terms.bid } == [model, model, slice, model])
    let chain = f.request(f.terms(F.chain))
    #expect((0..<3).map { f.lease(chain, $0)!.terms.bid } == [any, any, any])
  }

  @Test func largestSliceAndBackendBoundABid() {
    var f = MarketFixture()
    _ = f.bid(F.paula, at: 10, largestSlice: Cost(units: 2_000))
    _ = f.bid(F.quinn, at: 20, backend: F.sumcheck)
    _ = f.bid(F.rita, at: 30)
    let request = f.request(f.terms())
    let provers = (0..<3).map { f.lease(request, $0)?.terms.prover }
    #expect(provers == [F.paula.publicKey, F.paula.publicKey, F.rita.publicKey])
  }

  @Test func expiredBidIsNotTakenAndCloses() {
    var f = MarketFixture()
    let bid = f.bid(F.paula, at: 50, expiry: Tick(milliseconds: f.now + 100))
    f.now += 100
    let request = f.request(f.terms())
    #expect(f.lease(request, 0) == nil)
    #expect(f.pass(1).bodies.contains(.bidClosed(bid, .expired)))
    #expect(f.send(.cancelBid(bid), by: F.paula).rejection == "unknown-bid")
  }

  @Test func leaseOutlivesItsCancelledBid() {
    var f = MarketFixture()
    let bid = f.bid(F.paula, at: 50)
    let request = f.request(f.terms())
    f.send(.cancelBid(bid), by: F.paula)
    #expect(f.state(f.leaseID(request, 0)) == .begun)
    f.commit(f.leaseID(request, 0))
    #expect(f.state(f.leaseID(request, 0)) == .committed)
  }

  // MARK: Time in force

  @Test(arguments: [TimeInForce.fillOrKill, .immediateOrCancel])
  func requestThatDoesNotFillAtOnceEnds(timeInForce: TimeInForce) {
    var f = MarketFixture()
    _ = f.bid(F.paula, at: 50, capacity: 2)
    let partial = f.request(f.terms(timeInForce: timeInForce))
    #expect(f.state(partial) == .unmatched)
    #expect(f.market.leases.isEmpty)
    #expect(f.balance(.available(F.alice.publicKey)) == 10_000_000)
    _ = f.bid(F.quinn, at: 50)
    let full = f.request(f.terms(timeInForce: timeInForce))
    #expect(f.state(full) == .running)
  }

  @Test func goodTillTimeLeavesTheBookAfterIt() {
    var f = MarketFixture()
    _ = f.bid(F.paula, at: 50, capacity: 1)
    let request = f.request(f.terms(timeInForce: .goodTill(Tick(milliseconds: f.now + 50))))
    let lease = f.leaseID(request, 0)
    f.pass(50)
    #expect(f.state(request) == .open)
    f.pass(1)
    #expect(f.state(request) == .unmatched)
    #expect(f.state(lease) == .released)
    #expect(f.balance(.stakeHold(F.paula.publicKey)) == 0)
    #expect(f.balance(.available(F.alice.publicKey)) == 10_000_000)
  }

  @Test func goodTillCancelledRestsUntilTheBeginDeadline() {
    var f = MarketFixture()
    let request = f.request(f.terms(begin: 500))
    f.pass(500)
    #expect(f.state(request) == .open)
    f.pass(1)
    #expect(f.state(request) == .unmatched)
  }

  /// A bug once: between a deadline and the tick that acts on it, a bid could still take the order.
  @Test func orderWhoseTimeIsOverIsNotTakenHoweverLateTheTick() {
    var f = MarketFixture()
    let request = f.request(f.terms(timeInForce: .goodTill(Tick(milliseconds: f.now + 50))))
    f.now += 51
    _ = f.bid(F.paula, at: 50)
    #expect(f.lease(request, 0) == nil)
    f.pass(0)
    #expect(f.state(request) == .unmatched)
  }

  // MARK: Refusals

  @Test func refusesUnusableBids() {
    var f = MarketFixture()
    func terms(
      price: UInt64 = 1, capacity: UInt32 = 1, largest: UInt64 = 1, expiry: UInt64 = .max,
      scope: Scope = .any
    ) -> Command {
      .placeBid(
        BidTerms(
          backend: .reexec, scope: scope, price: Price(ticks: price), capacity: capacity,
          largestSlice: Cost(units: largest), expiry: Tick(milliseconds: expiry)))
    }
    #expect(f.send(terms(capacity: 0), by: F.paula).rejection == "invalid-bid")
    #expect(f.send(terms(capacity: .max), by: F.paula).rejection == "invalid-bid")
    #expect(f.send(terms(largest: 0), by: F.paula).rejection == "invalid-bid")
    #expect(f.send(terms(expiry: f.now), by: F.paula).rejection == "invalid-bid")
    #expect(f.send(terms(price: .max), by: F.paula).rejection == "invalid-bid")
    #expect(f.send(terms(scope: .model(.zero)), by: F.paula).rejection == "unknown-model")
    #expect(f.send(terms(scope: .slice(.zero, 0)), by: F.paula).rejection == "unknown-model")
    let outside = terms(scope: .slice(F.chain.id, 3))
    #expect(f.send(outside, by: F.paula).rejection == "unknown-slice")
    #expect(f.send(terms(), by: F.alice).rejection == "bond-too-small")
  }

  @Test func refusesToCancelWhatIsNotOnesOwn() {
    var f = MarketFixture()
    let bid = f.bid(F.paula, at: 50, capacity: 1)
    #expect(f.send(.cancelBid(bid), by: F.quinn).rejection == "not-yours")
    #expect(f.send(.cancelBid(.zero), by: F.quinn).rejection == "unknown-bid")
    let request = f.request(f.terms())
    #expect(f.send(.cancelRequest(request), by: F.bob).rejection == "not-yours")
    #expect(f.send(.cancelRequest(.zero), by: F.bob).rejection == "unknown-request")
  }

  /// A bug once: a second bid of one id broke the capacity count, a second request lost the holds.
  @Test func refusesASecondBidOrRequestOfOneDigest() {
    var f = MarketFixture()
    let bid = f.bid(F.paula, at: 500)
    let again = Command.placeBid(
      BidTerms(backend: .reexec, scope: .any, price: Price(ticks: 9), capacity: 1))
    #expect(f.send(again, by: F.paula, digest: bid).rejection == "duplicate")
    let request = f.request(f.terms())
    let outcome = f.send(.submitRequest(f.terms()), by: F.alice, digest: request)
    #expect(outcome.rejection == "duplicate")
  }

  /// A bug once, found by the simulator: a lease that outlived its bid ended on the bid's namesake.
  @Test func refusesABidOfADigestWhoseBidIsClosed() {
    var f = MarketFixture()
    let bid = f.bid(F.paula, at: 50)
    let request = f.request(f.terms())
    f.send(.cancelBid(bid), by: F.paula)
    let again = Command.placeBid(
      BidTerms(backend: .reexec, scope: .any, price: Price(ticks: 9), capacity: 1))
    #expect(f.send(again, by: F.paula, digest: bid).rejection == "duplicate")
    f.pass(10_001)
    #expect(f.state(request) == .running)
  }

  @Test func refusesUnusableRequests() {
    var f = MarketFixture()
    func refusal(_ change: (inout Variant) -> Void) -> String? {
      var variant = Variant(f.terms())
      change(&variant)
      return f.send(.submitRequest(variant.terms), by: F.alice).rejection
    }
    let proven = SliceAssurance(.proven, by: .reexec)
    #expect(refusal { _ in } == nil)
    #expect(refusal { $0.model = .zero } == "unknown-model")
    #expect(refusal { $0.inputs = [] } == "invalid-request")
    #expect(refusal { $0.inputs = [.zero, .zero] } == "invalid-request")
    #expect(refusal { $0.assurances = [proven] } == "invalid-request")
    #expect(refusal { $0.stakeMultiple = 0 } == "invalid-request")
    #expect(refusal { $0.stakeMultiple = .max } == "invalid-request")
    #expect(refusal { $0.attemptsMax = 0 } == "invalid-request")
    #expect(refusal { $0.attemptsMax = .max } == "invalid-request")
    #expect(refusal { $0.beginDeadline = .zero } == "invalid-request")
    #expect(refusal { $0.finalDeadline = .zero } == "invalid-request")
    #expect(refusal { $0.finalDeadline = .never } == "invalid-request")
    #expect(refusal { $0.timeInForce = .goodTill(.zero) } == "invalid-request")
    #expect(refusal { $0.limitPrice = Price(ticks: .max) } == "amount-too-large")
    #expect(refusal { $0.limitPrice = Price(ticks: 1_000_000_000) } == "insufficient-funds")
    let attested = SliceAssurance(.attested, by: .reexec)
    #expect(refusal { $0.assurances = [proven, attested, proven] } == "invalid-request")
    let keyless = SliceAssurance(.proven, by: BackendID("ezkl")!)
    #expect(refusal { $0.assurances = [proven, proven, keyless] } == "no-key")
  }

  /// Terms whose fields a refusal changes one at a time.
  struct Variant {
    var model: ModelID
    var inputs: [Digest]
    var assurances: [SliceAssurance]
    var limitPrice: Price
    var stakeMultiple: UInt32
    var beginDeadline: Tick
    var finalDeadline: Tick
    var attemptsMax: UInt32
    var timeInForce: TimeInForce

    init(_ terms: RequestTerms) {
      model = terms.model
      inputs = terms.inputs
      assurances = terms.assurances
      limitPrice = terms.limitPrice
      stakeMultiple = terms.stakeMultiple
      beginDeadline = terms.beginDeadline
      finalDeadline = terms.finalDeadline
      attemptsMax = terms.attemptsMax
      timeInForce = terms.timeInForce
    }

    var terms: RequestTerms {
      RequestTerms(
        model: model, inputs: inputs, assurances: assurances, limitPrice: limitPrice,
        stakeMultiple: stakeMultiple, spread: 0, disclosure: .everyone, nonceCommitment: .zero,
        beginDeadline: beginDeadline, finalDeadline: finalDeadline, attemptsMax: attemptsMax,
        timeInForce: timeInForce)
    }
  }
}
