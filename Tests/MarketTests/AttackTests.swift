import Market
import Primitives
import Statements
import Testing

/// What somebody would try who wants money, or harm, more than answers: each attack that the rules
/// must refuse, or make dearer than what it gains.
///
/// The chain at limit 100 and multiple 10: fees at the limit 100, 200, 300; stakes ten times that.
struct AttackTests {
  typealias F = MarketFixture

  // MARK: A ring that wants to stop the exchange

  /// Paula and Quinn answer, Rita waits; all of it is attested, and the draw spares all.
  private func spared() -> (MarketFixture, RequestID, [LeaseID]) {
    var f = MarketFixture()
    _ = f.bid(F.paula, at: 50, scope: .slice(F.chain.id, 0))
    _ = f.bid(F.quinn, at: 50)
    let request = f.request(f.terms(attested: [0, 1, 2], disclosure: .everyone))
    let leases = (0..<3).map { f.leaseID(request, $0) }
    _ = f.bid(F.rita, at: 70)
    f.commitNonce(request)
    leases.forEach { f.commit($0) }
    f.submit(leases[0])
    f.submit(leases[1], leases[2])
    f.revealAll(request)
    return (f, request, leases)
  }

  @Test(arguments: [Verdict.valid, .invalid, .inconclusive])
  func challengedLeaseWhoseInputIsFoundInvalidLosesOrReturnsItsDepositOnce(verdict: Verdict) {
    var (f, _, leases) = spared()
    f.send(.challenge(leases[1], deposit: Amount(100)), by: F.bob)
    f.send(.challenge(leases[0], deposit: Amount(50)), by: F.bob)
    f.rule(leases[0], .invalid)
    #expect(f.market.leases[leases[1]]?.isOrphaned == true)
    for _ in 0..<4 { f.rule(leases[1], verdict) }
    #expect(f.market.leases[leases[1]]?.state.isFinal == true)
    // Of the first, a tenth of the stake; the second's deposit is lost where its lessee was right.
    let gained: Int64 = verdict == .invalid ? 100 + 200 : verdict == .valid ? 100 - 100 : 100
    #expect(f.balance(.available(F.bob.publicKey)) == 10_000_000 + gained)
    #expect(f.balance(.challengeHold(F.bob.publicKey)) == 0)
  }

  // MARK: Provers who want fees without work

  /// Fees at price 50: 50, 100, 150; a tenth of each is the reservation.
  private func reserving() -> MarketFixture {
    MarketFixture { $0.reservationShare = PartsPerMillion(clamping: 100_000) }
  }

  @Test func nobodyIsPaidForWaitingForItsOwnOutput() {
    var f = reserving()
    let request = f.request(f.terms(begin: 20_000))
    f.pass(19_999)
    // Just before the deadline one key takes the whole chain, and is in no hurry.
    _ = f.bid(F.paula, at: 50)
    #expect(f.state(request) == .running)
    f.pass(2)
    #expect(f.market.requests[request]?.isBeginOver == true)
    #expect(f.balance(.available(F.paula.publicKey)) == 1_000_000)
  }

  // MARK: Whoever ties up others

  /// A requester that asks for what nobody completes, with the largest stakes and for a year.
  @Test func lesseeLeavesARequestThatNobodyCompletes() {
    var f = MarketFixture()
    let bid = f.bid(F.paula, at: 50, capacity: 2)
    let request = f.request(f.terms(multiple: 1_000, begin: 30_000_000_000, final: 31_000_000_000))
    #expect(f.balance(.stakeHold(F.paula.publicKey)) == 300_000)
    let leases = [f.leaseID(request, 0), f.leaseID(request, 1)]
    #expect(f.send(.cancelLease(leases[0]), by: F.quinn).rejection == "not-yours")
    #expect(f.send(.cancelLease(leases[0]), by: F.paula).rejection == nil)
    // The slice that she has left she does not get again; there is another.
    #expect(f.lease(request, 2)?.terms.prover == F.paula.publicKey)
    f.send(.cancelBid(bid), by: F.paula)
    for slice in 1...2 { f.send(.cancelLease(f.leaseID(request, slice)), by: F.paula) }
    #expect(f.balance(.stakeHold(F.paula.publicKey)) == 0)
    #expect(f.state(request) == .open)
    #expect(f.market.requests[request]?.slices.map(\.failures) == [0, 0, 0])
  }

  @Test func lesseeLeavesARunningRequestOnlyWhileASliceOfItHasNoLessee() {
    var f = MarketFixture()
    _ = f.bid(F.paula, at: 50, capacity: 1, scope: .slice(F.chain.id, 0))
    _ = f.bid(F.quinn, at: 60, scope: .slice(F.chain.id, 1))
    _ = f.bid(F.rita, at: 60, scope: .slice(F.chain.id, 2))
    let request = f.request(f.terms())
    let waiting = f.leaseID(request, 1)
    let refused = f.send(.cancelLease(waiting), by: F.quinn)
    #expect(refused.rejection == "lease-not-in-state")
    #expect(f.send(.cancelLease(f.leaseID(request, 0)), by: F.paula).rejection != nil)
    // Paula, who may be the requester, lets it lapse, and nobody else bids for that slice.
    f.pass(10_001)
    #expect(f.send(.cancelLease(waiting), by: F.quinn).rejection == nil)
    #expect(f.state(waiting) == .released)
    #expect(f.send(.cancelLease(waiting), by: F.quinn).rejection == "lease-not-in-state")
  }

  // MARK: Whoever makes every command slow

  @Test func refusesRampsThatStepFasterThanAnybodyLooks() {
    var f = MarketFixture()
    func ramp(_ interval: UInt64) -> String? {
      let terms = f.terms()
      return f.send(
        .submitRequest(
          RequestTerms(
            model: terms.model, inputs: terms.inputs, assurances: terms.assurances,
            limitPrice: terms.limitPrice,
            ramp: PriceRamp(
              start: Price(ticks: 1), step: Price(ticks: 1), interval: interval,
              begins: Tick(milliseconds: f.now)),
            stakeMultiple: 1, spread: 0, disclosure: .parties, nonceCommitment: .zero,
            beginDeadline: terms.beginDeadline, finalDeadline: terms.finalDeadline, attemptsMax: 1,
            timeInForce: .goodTillCancelled)), by: F.alice
      ).rejection
    }
    #expect(ramp(499) == "invalid-request")
    #expect(ramp(500) == nil)
  }

  /// An order costs nothing while it rests, and every bid that is freed may have to pass it by.
  @Test func openSlicesOfOneKeyAreBounded() {
    var f = MarketFixture()
    let wide = F.manifest("wide", (0..<4_096).map { _ in (1, [.input(0)]) })
    let id = wide.id
    var commands: UInt64 = 0
    func execute(_ command: Command, by author: SigningKey) -> String? {
      commands += 1
      // Without the invariants, which look at every slice.
      return f.market.execute(
        command, by: author.publicKey, digest: F.digest("wide \(commands)"),
        at: Tick(milliseconds: f.now)
      ).rejection
    }
    _ = execute(.publishModel(wide), by: F.broker)
    for slice in wide.slices.indices {
      let record = KeyRecord(
        model: id, slice: slice, backend: .reexec, backendVersion: "1", plugin: .zero,
        verifierKey: .zero)
      _ = execute(.publishKey(record), by: F.broker)
    }
    let request = Command.submitRequest(f.terms(wide, limit: 0))
    #expect(execute(request, by: F.alice) == nil)
    let first = F.digest("wide \(commands)")
    #expect(execute(request, by: F.alice) == nil)
    #expect(execute(request, by: F.alice) == "too-many-slices")
    #expect(execute(request, by: F.bob) == nil)
    #expect(execute(.cancelRequest(first), by: F.alice) == nil)
    #expect(execute(request, by: F.alice) == nil)
  }
}
