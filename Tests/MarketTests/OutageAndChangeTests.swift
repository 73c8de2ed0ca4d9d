import Market
import Primitives
import Statements
import Testing

/// What the exchange itself does to those who trade on it: outages, pauses, other parameters.
struct OutageAndChangeTests {
  typealias F = MarketFixture

  private static let hour: UInt64 = 3_600_000

  // MARK: Outages

  @Test func resumeShiftsEveryOpenDeadlineButABidsExpiry() {
    var f = MarketFixture()
    _ = f.bid(F.paula, at: 50)
    let running = f.request(f.terms(begin: 5_000, final: 100_000))
    let lease = f.leaseID(running, 0)
    let resting = f.request(
      f.terms(limit: 10, timeInForce: .goodTill(Tick(milliseconds: f.now + 500))), by: F.bob)
    let expiring = f.bid(F.rita, at: 500, expiry: Tick(milliseconds: f.now + 1_000))
    let deadline = f.market.leases[lease]!.deadline
    f.now += 3_600_000
    #expect(f.send(.resume, by: F.broker).bodies == [.resumed(milliseconds: 3_600_000)])
    #expect(f.market.leases[lease]?.deadline == deadline.advanced(by: 3_600_000))
    f.pass(0)
    #expect(f.market.book.bid(expiring) == nil, "a bid expires when it said")
    #expect(f.state(resting) == .open)
    #expect(f.state(lease) == .begun)
    #expect(f.commit(lease).rejection == nil)
    f.pass(501)
    #expect(f.state(resting) == .unmatched)
    f.pass(100_000)
    #expect(f.state(running) == .failing)
  }

  @Test func rampGoesOnWhereTheOutageStoppedIt() {
    var f = MarketFixture()
    let ramp = PriceRamp(
      start: Price(ticks: 10), step: Price(ticks: 20), interval: 1_000,
      begins: Tick(milliseconds: f.now))
    let terms = f.terms()
    let request = f.request(
      RequestTerms(
        model: terms.model, inputs: terms.inputs, assurances: terms.assurances,
        limitPrice: terms.limitPrice, ramp: ramp, stakeMultiple: 1, spread: 0,
        disclosure: .parties, nonceCommitment: .zero, beginDeadline: terms.beginDeadline,
        finalDeadline: terms.finalDeadline, attemptsMax: 1, timeInForce: .goodTillCancelled))
    f.pass(1_000)
    #expect(f.market.requests[request]?.limit == Price(ticks: 30))
    f.now += 50_000
    f.send(.resume, by: F.broker)
    f.pass(0)
    #expect(f.market.requests[request]?.limit == Price(ticks: 30))
    f.pass(1_000)
    #expect(f.market.requests[request]?.limit == Price(ticks: 50))
  }

  @Test func refusesToResumeWithoutAnOutage() {
    var f = MarketFixture()
    f.now += 5_000
    #expect(f.send(.resume, by: F.broker).rejection == "no-outage")
    f.now += 5_001
    #expect(f.send(.resume, by: F.alice).rejection == "not-broker")
    #expect(f.send(.resume, by: F.broker).rejection == "no-outage", "a command has come since")
    f.now += 5_001
    #expect(f.send(.resume, by: F.broker).rejection == nil)
    #expect(f.send(.resume, by: F.broker).rejection == "no-outage")
  }

  // MARK: Pause

  @Test func pauseTakesEffectAfterItsNoticeAndLeavesLeasesAlone() {
    var f = MarketFixture()
    let bid = f.bid(F.paula, at: 50, capacity: 3)
    let request = f.request(f.terms(final: 2 * Self.hour))
    #expect(f.send(.pause(true), by: F.operatorKey).rejection == nil)
    #expect(f.send(.pause(true), by: F.operatorKey).rejection == "duplicate")
    // During the notice everything goes on, and whoever wants to can leave.
    let late = f.request(f.terms(limit: 40, begin: 2 * Self.hour, final: 2 * Self.hour), by: F.bob)
    f.commit(f.leaseID(request, 0))
    f.pass(Self.hour)
    #expect(!f.market.isPaused)
    f.pass(1)
    #expect(f.market.isPaused)
    let terms = BidTerms(backend: .reexec, scope: .any, price: Price(ticks: 1), capacity: 1)
    #expect(f.send(.placeBid(terms), by: F.quinn).rejection == "market-paused")
    let amendment = Command.amendBid(bid, price: Price(ticks: 20), capacity: 3)
    #expect(f.send(amendment, by: F.paula).rejection == "market-paused")
    #expect(f.send(.submitRequest(f.terms()), by: F.alice).rejection == "market-paused")
    #expect(f.send(.cancelBid(bid), by: F.paula).rejection == nil)
    #expect(f.send(.cancelRequest(late), by: F.bob).rejection == nil)
  }

  @Test func unpausingTriesEverythingThatRests() {
    var f = MarketFixture { $0.noticePeriod = 0 }
    f.send(.pause(true), by: F.operatorKey)
    let request = f.request(f.terms(limit: 60))
    _ = f.bid(F.paula, at: 70)
    f.pass(1)
    #expect(f.market.isPaused)
    f.fund(F.quinn, 1)
    #expect(f.send(.pause(false), by: F.alice).rejection == "not-operator")
    #expect(f.send(.pause(false), by: F.operatorKey).rejection == nil)
    #expect(f.state(request) == .open)
    _ = f.bid(F.quinn, at: 55)
    #expect(f.state(request) == .running)
  }

  // MARK: Parameters

  @Test func leasesKeepTheParametersTheyWereMadeUnder() {
    var f = MarketFixture { $0.noticePeriod = 1_000 }
    _ = f.bid(F.paula, at: 50, capacity: 1)
    let single = F.manifest("single", [(1000, [.input(0)])])
    f.send(.publishModel(single), by: F.broker)
    f.send(.publishKey(F.keyRecord(single, 0, .reexec)), by: F.broker)
    let old = f.request(f.terms(single))
    var parameters = f.market.parameters
    parameters.feeShare = PartsPerMillion(clamping: 500_000)
    parameters.minimumStake = Amount(7_777)
    let set = Command.setParameters(parameters, rulesVersion: 1)
    #expect(f.send(set, by: F.operatorKey).rejection == nil)
    f.pass(1_001)
    #expect(f.market.parameters == parameters)
    _ = f.bid(F.quinn, at: 50, capacity: 1)
    let new = f.request(f.terms(single))
    #expect(f.lease(new, 0)?.terms.stake == Amount(7_777))
    for request in [old, new] {
      let lease = f.leaseID(request, 0)
      f.commit(lease)
      f.submit(lease)
      f.rule(lease, .valid)
      #expect(f.state(request) == .final)
    }
    // One percent of 50 rounds down to nothing; one half is 25.
    #expect(f.balance(.available(F.paula.publicKey)) == 1_000_050)
    #expect(f.balance(.available(F.quinn.publicKey)) == 1_000_025)
  }

  @Test func smallerStakesLetRestingOrdersMatch() {
    var f = MarketFixture {
      $0.noticePeriod = 0
      $0.minimumStake = Amount(2_000_000)
    }
    _ = f.bid(F.paula, at: 50)
    let request = f.request(f.terms())
    #expect(f.state(request) == .open)
    var parameters = f.market.parameters
    parameters.minimumStake = Amount(10)
    f.send(.setParameters(parameters, rulesVersion: 1), by: F.operatorKey)
    f.pass(1)
    #expect(f.state(request) == .running)
  }

  @Test func refusesParametersThatNoOneCouldKeep() {
    var f = MarketFixture()
    func refusal(_ version: UInt32 = 1, _ change: (inout Parameters) -> Void) -> String? {
      var parameters = Parameters()
      change(&parameters)
      return f.send(.setParameters(parameters, rulesVersion: version), by: F.operatorKey).rejection
    }
    #expect(refusal(2) { _ in } == "unknown-rules")
    #expect(refusal { $0.executeWindow = 0 } == "invalid-parameters")
    #expect(refusal { $0.verifyWindow = .max } == "invalid-parameters")
    #expect(refusal { $0.noticePeriod = .max } == "invalid-parameters")
    #expect(refusal { $0.minimumStake = .zero } == "invalid-parameters")
    #expect(refusal { $0.lapseLimit = 0 } == "invalid-parameters")
    #expect(refusal { $0.inconclusiveRetries = 101 } == "invalid-parameters")
    let byAlice = Command.setParameters(Parameters(), rulesVersion: 1)
    #expect(f.send(byAlice, by: F.alice).rejection == "not-operator")
  }
}
