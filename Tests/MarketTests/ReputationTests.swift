import Market
import Primitives
import Statements
import Testing

/// A prover's record, and requests that ask for one.
struct ReputationTests {
  typealias F = MarketFixture

  private let single = F.manifest("single", [(1000, [.input(0)])])

  private func fixture() -> MarketFixture {
    var f = MarketFixture()
    f.send(.publishModel(single), by: F.broker)
    f.send(.publishKey(F.keyRecord(single, 0, .reexec)), by: F.broker)
    return f
  }

  private func record(_ f: MarketFixture, _ key: SigningKey = F.paula) -> Reputation? {
    f.market.provers[key.publicKey]?.reputation
  }

  /// One request of one slice, taken by the best bid, that ends as asked.
  private func work(_ f: inout MarketFixture, _ milliseconds: UInt64, _ verdict: Verdict) {
    let request = f.request(f.terms(single))
    let lease = f.leaseID(request, 0)
    f.now += milliseconds
    f.commit(lease)
    f.submit(lease)
    f.rule(lease, verdict)
  }

  @Test func recordCountsEndsAndMoneyLost() {
    var f = fixture()
    _ = f.bid(F.paula, at: 50, capacity: 1)
    work(&f, 10, .valid)
    work(&f, 30, .valid)
    _ = f.request(f.terms(single))
    f.pass(10_001)
    #expect(record(f)?.settled == 2)
    #expect(record(f)?.lapsed == 1)
    #expect(record(f)?.lost == Amount(100))
    #expect(record(f)?.faults == PartsPerMillion(clamping: 333_334))
    work(&f, 20, .invalid)
    #expect(record(f)?.slashed == 1)
    #expect(record(f)?.lost == Amount(1_100))
    #expect(record(f)?.faults == PartsPerMillion(clamping: 500_000))
    #expect(f.market.provers[F.paula.publicKey]?.openBids == 0)
  }

  @Test func timesAreFromBeginToCommitment() {
    var f = fixture()
    _ = f.bid(F.paula, at: 50, capacity: 1)
    #expect(record(f)?.time(.whole) == nil)
    for milliseconds in UInt64(1)...20 { work(&f, milliseconds * 10, .valid) }
    // 1,000 units: milliseconds times a thousand. Ten of twenty are within 100 ms, 19 within 190.
    #expect(record(f)?.time(PartsPerMillion(clamping: 500_000)) == 100_000)
    #expect(record(f)?.time(PartsPerMillion(clamping: 950_000)) == 190_000)
    #expect(record(f)?.time(.whole) == 200_000)
  }

  @Test func anOutageIsNobodysSlowness() {
    var f = fixture()
    _ = f.bid(F.paula, at: 50)
    let request = f.request(f.terms(single))
    let lease = f.leaseID(request, 0)
    f.now += 50_000
    f.send(.resume, by: F.broker)
    f.now += 40
    f.commit(lease)
    #expect(record(f)?.time(.whole) == 40_000)
  }

  @Test func oldTimesAreForgotten() {
    var f = fixture()
    _ = f.bid(F.paula, at: 50)
    work(&f, 5_000, .valid)
    for _ in 0..<Reputation.sampleLimit { work(&f, 10, .valid) }
    #expect(record(f)?.time(.whole) == 10_000)
  }

  @Test func filterAdmitsARecordAndKeepsPriceAndTimeAmongThem() {
    var f = fixture()
    _ = f.bid(F.paula, at: 60, capacity: 1)
    work(&f, 10, .valid)
    _ = f.bid(F.quinn, at: 50)
    let filter = ReputationFilter(
      settled: 1, faults: PartsPerMillion(clamping: 0), time95: 10_000)
    let request = f.request(terms(f, filter))
    #expect(f.lease(request, 0)?.terms.prover == F.paula.publicKey)
    let stricter = ReputationFilter(settled: 1, faults: .whole, time95: 9_999)
    let refused = f.request(terms(f, stricter))
    #expect(f.state(refused) == .open)
  }

  @Test func restingRequestIsTakenOnceTheRecordIsEarned() {
    var f = fixture()
    _ = f.bid(F.paula, at: 60)
    let choosy = f.request(terms(f, ReputationFilter(settled: 1)), by: F.bob)
    let fast = f.request(terms(f, ReputationFilter(time95: 20_000)), by: F.bob)
    #expect(f.state(choosy) == .open)
    let request = f.request(f.terms(single))
    let lease = f.leaseID(request, 0)
    f.now += 10
    f.commit(lease)
    #expect(f.state(fast) == .running, "its time is known from the commitment on")
    #expect(f.state(choosy) == .open)
    f.submit(lease)
    f.rule(lease, .valid)
    #expect(f.state(choosy) == .running)
  }

  private func terms(_ f: MarketFixture, _ filter: ReputationFilter) -> RequestTerms {
    let terms = f.terms(single)
    return RequestTerms(
      model: terms.model, inputs: terms.inputs, assurances: terms.assurances,
      limitPrice: terms.limitPrice, stakeMultiple: terms.stakeMultiple, spread: terms.spread,
      reputation: filter, disclosure: terms.disclosure, nonceCommitment: terms.nonceCommitment,
      beginDeadline: terms.beginDeadline, finalDeadline: terms.finalDeadline,
      attemptsMax: terms.attemptsMax, timeInForce: terms.timeInForce)
  }
}
