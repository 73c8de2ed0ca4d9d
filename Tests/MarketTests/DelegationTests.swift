import Market
import Primitives
import Statements
import Testing

/// Stake that others put behind a prover: what it carries, earns and loses.
///
/// Paula has 100,000 of her own and, unless a test says otherwise, 300,000 of Bob's, of whose fees
/// she keeps a fifth. Stakes in the chain at limit 100 and multiple 500: 50,000, 100,000, 150,000,
/// a quarter of each her own. Fees at price 50: 50, 100, 150.
struct DelegationTests {
  typealias F = MarketFixture

  private static let day: UInt64 = 86_400_000
  private let paula = F.paula.publicKey
  private let bob = F.bob.publicKey
  private let rita = F.rita.publicKey

  private func fixture(
    own: UInt64 = 100_000, _ delegations: [(SigningKey, UInt64)] = [(F.bob, 300_000)],
    _ change: (inout Parameters) -> Void = { _ in }
  ) -> MarketFixture {
    var f = MarketFixture(change)
    f.send(.unbond(amount: Amount(1_000_000 - own)), by: F.paula)
    f.pass(Self.day + 1)
    f.send(.setCommission(PartsPerMillion(clamping: 200_000)), by: F.paula)
    for (holder, amount) in delegations {
      #expect(f.send(.delegate(paula, amount: Amount(amount)), by: holder).rejection == nil)
    }
    return f
  }

  /// Paula holds the whole chain.
  private func leased(
    _ f: inout MarketFixture, multiple: UInt32 = 500, begin: UInt64 = 100_000
  ) -> (RequestID, [LeaseID]) {
    _ = f.bid(F.paula, at: 50)
    let request = f.request(f.terms(multiple: multiple, begin: begin))
    return (request, (0..<3).map { f.leaseID(request, $0) })
  }

  private func position(_ f: MarketFixture, _ holder: PublicKey) -> Position? {
    f.market.pools[paula]?.position(of: holder)
  }

  // MARK: Stakes

  @Test func delegatedStakeWidensWhatAProverCanHold() {
    var f = fixture([])
    _ = f.bid(F.paula, at: 50)
    let request = f.request(f.terms(multiple: 500))
    #expect(f.lease(request, 1) == nil, "100,000 carry the first slice only")
    #expect(f.send(.delegate(paula, amount: Amount(300_000)), by: F.bob).rejection == nil)
    #expect(f.state(request) == .running, "what rests is tried with the new stake")
  }

  @Test func stakeIsOwnAndDelegatedInTheProportionInWhichBothAreFree() {
    var f = fixture()
    let (_, leases) = leased(&f)
    #expect(
      leases.map { f.market.leases[$0]?.parts } == [
        StakeParts(own: Amount(12_500), delegated: Amount(37_500)),
        StakeParts(own: Amount(25_000), delegated: Amount(75_000)),
        StakeParts(own: Amount(37_500), delegated: Amount(112_500)),
      ])
    #expect(f.balance(.bond(paula)) == 25_000)
    #expect(f.balance(.stakeHold(paula)) == 75_000)
    #expect(f.balance(.delegated(paula)) == 75_000)
    #expect(f.balance(.delegatedHold(paula)) == 225_000)
  }

  @Test func noLeaseHasMoreDelegatedStakeThanTheMultipleOfItsOwn() {
    // The bond is spent down to 10,000 before Bob comes: then 40,000 of his are of use.
    var f = fixture([])
    _ = f.bid(F.paula, at: 50, scope: .slice(F.chain.id, 0))
    let first = f.request(f.terms(multiple: 900))
    #expect(f.lease(first, 0)?.parts == StakeParts(own: Amount(90_000)))
    f.send(.delegate(paula, amount: Amount(300_000)), by: F.bob)
    let small = f.request(f.terms(multiple: 500))
    #expect(
      f.lease(small, 0)?.parts == StakeParts(own: Amount(10_000), delegated: Amount(40_000)))
    let next = f.request(f.terms(multiple: 10))
    #expect(f.lease(next, 0) == nil)
    #expect(f.market.candidates(next, 0).map(\.ineligibility) == [.stakeTooSmall])
  }

  @Test func planDrawsAsTheLeasesWill() {
    // Odd sums, so that every part is rounded: what is planned must be there when it is leased.
    for own in stride(from: UInt64(100_001), to: 100_060, by: 7) {
      var f = fixture(own: own, [(F.bob, 3 * own + 1)]) { $0.minimumDelegation = Amount(1) }
      _ = f.bid(F.paula, at: 50)
      let request = f.request(f.terms(multiple: 666, timeInForce: .fillOrKill))
      #expect(f.state(request) == .running)
    }
  }

  @Test func quoteCountsOnlyTheProversOwnPartAsDeterrence() throws {
    var f = fixture()
    _ = f.bid(F.paula, at: 50)
    let quote = try f.market.quote(f.terms(multiple: 500), by: F.alice.publicKey)
    // Of 12,500 a half may be given away, and a quarter is the treasury's.
    #expect(quote.slices[0].deterred == Amount(3_125))
    #expect(quote.slices[0].stake == Amount(50_000))
  }

  // MARK: Fees

  @Test func feesAreSharedAfterTheExchangesShareAndTheCommission() {
    var f = fixture([(F.bob, 200_000), (F.rita, 100_000)])
    let (request, leases) = leased(&f)
    let before = [F.bob, F.rita, F.paula].map { f.balance(.available($0.publicKey)) }
    leases.forEach { f.commit($0) }
    f.submit(leases[0])
    let outcome = f.rule(leases[0], .valid)
    // 50, nothing for the treasury; 10 are the commission; of 40 three quarters go by 2 to 1.
    #expect(
      outcome.bodies.contains(
        .delegatorsPaid(leases[0], paid: Amount(30), at: Tick(milliseconds: f.now))))
    #expect(f.balance(.available(bob)) == before[0] + 20)
    #expect(f.balance(.available(rita)) == before[1] + 10)
    #expect(f.balance(.available(paula)) == before[2] + 20)
    f.submit(leases[1], leases[2])
    f.rule(leases[1], .valid)
    f.rule(leases[2], .valid)
    #expect(f.state(request) == .final)
    // 99: 19 commission, 60 of 80 shared. 149: 29 commission, 90 of 120 shared.
    #expect(f.balance(.available(bob)) == before[0] + 20 + 40 + 60)
    #expect(f.balance(.available(rita)) == before[1] + 10 + 20 + 30)
    #expect(f.balance(.available(paula)) == before[2] + 20 + 39 + 59)
    #expect(f.balance(.treasury) == 2)
    #expect(f.balance(.delegatedHold(paula)) == 0)
    #expect(f.balance(.delegated(paula)) == 300_000)
  }

  @Test func whatRoundingLeavesOverIsTheTreasurys() {
    var f = fixture([(F.bob, 200_000), (F.rita, 99_999)])
    let (_, leases) = leased(&f)
    leases.forEach { f.commit($0) }
    f.submit(leases[0])
    f.rule(leases[0], .valid)
    // 29 of 40 for 299,999 of 399,999: 19 and 9.
    #expect(f.balance(.treasury) == 1)
  }

  @Test func delegatingJustBeforeASettlementEarnsNothingOfIt() {
    var f = fixture([(F.bob, 100_000), (F.rita, 100_000)])
    let (_, leases) = leased(&f, multiple: 400)
    leases.forEach { f.commit($0) }
    f.submit(leases[0])
    // Quinn comes, and Bob puts more on top.
    f.send(.delegate(paula, amount: Amount(150_000)), by: F.quinn)
    f.send(.delegate(paula, amount: Amount(50_000)), by: F.bob)
    let before = [F.quinn, F.bob, F.rita].map { f.balance(.available($0.publicKey)) }
    f.rule(leases[0], .valid)
    let after = [F.quinn, F.bob, F.rita].map { f.balance(.available($0.publicKey)) }
    #expect(after[0] == before[0])
    #expect(after[1] == before[1])
    #expect(after[2] > before[2], "Rita's is what stood behind the lease from its first event")
  }

  @Test func whatLeavesEarnsNothing() {
    var f = fixture([(F.bob, 150_000), (F.rita, 150_000)])
    let (_, leases) = leased(&f)
    f.send(.undelegate(paula, amount: Amount(150_000)), by: F.rita)
    leases.forEach { f.commit($0) }
    f.submit(leases[0])
    let before = [F.bob, F.rita].map { f.balance(.available($0.publicKey)) }
    f.rule(leases[0], .valid)
    #expect(f.balance(.available(bob)) == before[0] + 30)
    #expect(f.balance(.available(rita)) == before[1])
  }

  @Test func riseOfTheCommissionWaitsAndAFallDoesNot() {
    var f = fixture()
    func rate() -> UInt32? {
      f.market.pools[paula]?.commission?.rate(at: Tick(milliseconds: f.now)).parts
    }
    f.send(.setCommission(PartsPerMillion(clamping: 900_000)), by: F.paula)
    #expect(rate() == 200_000)
    f.now += Self.day - 1
    #expect(rate() == 200_000)
    f.now += 1
    #expect(rate() == 900_000)
    f.send(.setCommission(PartsPerMillion(clamping: 100_000)), by: F.paula)
    #expect(rate() == 100_000)
    f.now += 2 * Self.day
    #expect(rate() == 100_000)
    // A fall takes an announced rise back; an outage gives delegators as much longer.
    f.send(.setCommission(PartsPerMillion(clamping: 300_000)), by: F.paula)
    f.now += 10_000
    f.send(.resume, by: F.broker)
    f.now += Self.day - 1
    #expect(rate() == 100_000)
    f.now += 1
    #expect(rate() == 300_000)
  }

  // MARK: Losses

  @Test func proversOwnMoneyIsLostBeforeItsDelegators() {
    var f = fixture()
    let (request, leases) = leased(&f)
    f.commit(leases[0])
    f.submit(leases[0])
    let outcome = f.rule(leases[0], .invalid)
    // 12,500 of the stake are Paula's, and 25,000 are left in her bond.
    #expect(
      outcome.bodies.contains(.firstLossTaken(leases[0], bond: Amount(25_000), unbonding: .zero)))
    #expect(
      outcome.bodies.contains(
        .delegatorsLost(
          leases[0], [DelegatorLoss(holder: bob, stake: Amount(12_500), leaving: .zero)],
          at: Tick(milliseconds: f.now))))
    // What Paula has left is what the second lease, now without its input, gave back.
    #expect(f.balance(.bond(paula)) == 25_000)
    #expect(position(f, bob)?.stake == Amount(287_500))
    // The replacement's 5,000 and the treasury's quarter of each part; the rest is burned.
    #expect(f.balance(.slashEscrow) == 5_000)
    #expect(f.balance(.treasury) == 9_375 + 3_125)
    #expect(f.balance(.burned) == 23_125 + 9_375)
    #expect(f.lease(request, 0) == nil)
  }

  @Test func bondThatSufficesLeavesTheDelegatorsUntouched() {
    var f = fixture()
    let (_, leases) = leased(&f, multiple: 100)
    f.commit(leases[0])
    f.submit(leases[0])
    let outcome = f.rule(leases[0], .invalid)
    #expect(
      outcome.bodies.contains(.firstLossTaken(leases[0], bond: Amount(7_500), unbonding: .zero)))
    #expect(position(f, bob)?.stake == Amount(300_000))
    #expect(f.balance(.delegated(paula)) == 300_000 - 22_500)
  }

  @Test func whatTheProverUnbondsIsLostBeforeItsDelegators() {
    var f = fixture()
    let (_, leases) = leased(&f)
    for bid in f.market.book.bids { f.send(.cancelBid(bid.id), by: F.paula) }
    f.send(.unbond(amount: Amount(10_000)), by: F.paula)
    f.send(.unbond(amount: Amount(15_000)), by: F.paula)
    f.commit(leases[0])
    f.submit(leases[0])
    let outcome = f.rule(leases[0], .invalid)
    #expect(
      outcome.bodies.contains(.firstLossTaken(leases[0], bond: .zero, unbonding: Amount(25_000))))
    #expect(f.balance(.unbonding(paula)) == 0)
    #expect(f.market.provers[paula]?.unbondings == [])
    #expect(position(f, bob)?.stake == Amount(287_500))
  }

  @Test func leavingBeforeASlashSavesNothing() {
    var f = fixture([(F.bob, 150_000), (F.rita, 150_000)])
    let (_, leases) = leased(&f)
    f.send(.undelegate(paula, amount: Amount(50_000)), by: F.rita)
    f.send(.undelegate(paula, amount: Amount(100_000)), by: F.rita)
    f.commit(leases[0])
    f.submit(leases[0])
    f.rule(leases[0], .invalid)
    #expect(position(f, bob)?.stake == Amount(143_750))
    #expect(position(f, rita)?.leavingSum == Amount(143_750))
    let before = f.balance(.available(rita))
    // The request fails, what it holds comes back, and the day is over.
    f.pass(1_000_001)
    f.pass(Self.day)
    #expect(f.balance(.available(rita)) == before + 143_750)
    #expect(position(f, rita) == nil)
  }

  @Test func newcomersBearALossOfALeaseThatWasMadeBefore() {
    // Otherwise a stake put on top would escape what it stood for already.
    var f = fixture([(F.bob, 300_000)])
    let (_, leases) = leased(&f)
    f.send(.delegate(paula, amount: Amount(100_000)), by: F.rita)
    f.commit(leases[0])
    f.submit(leases[0])
    f.rule(leases[0], .invalid)
    #expect(position(f, bob)?.stake == Amount(300_000 - 9_375))
    #expect(position(f, rita)?.stake == Amount(100_000 - 3_125))
  }

  @Test func selfSlashCostsHalfOfTheProversOwnWhateverTheAccomplicesGet() {
    var f = fixture { $0.replacementShare = .whole }
    let (_, leases) = leased(&f)
    f.commit(leases[0])
    f.submit(leases[0])
    f.rule(leases[0], .invalid)
    #expect(f.balance(.slashEscrow) == 18_750, "half of the 37,500 that were Paula's")
    #expect(position(f, bob)?.stake == Amount(287_500))
  }

  @Test func latenessIsPaidByTheProverFirst() {
    var f = fixture()
    let (_, leases) = leased(&f)
    // A tenth of 50,000 is within Paula's part.
    #expect(f.pass(10_001).bodies.contains(.leaseLapsed(leases[0], penalty: Amount(5_000))))
    #expect(f.balance(.bond(paula)) == 25_000 + 7_500)
    #expect(f.balance(.delegated(paula)) == 75_000 + 37_500)
    #expect(position(f, bob)?.stake == Amount(300_000))
  }

  @Test func latenessBeyondTheProversOwnReachesItsDelegators() {
    var f = fixture { $0.latenessShare = .whole }
    let (_, leases) = leased(&f)
    let outcome = f.pass(10_001)
    #expect(outcome.bodies.contains(.leaseLapsed(leases[0], penalty: Amount(50_000))))
    #expect(f.balance(.burned) == 50_000)
    #expect(position(f, bob)?.stake == Amount(287_500))
  }

  @Test(arguments: UInt64(1)...20)
  func lossesAreExactAndNobodyBearsAUnitBeyondItsProportion(seed: UInt64) throws {
    var generator = SeededGenerator(seed: seed)
    var pool = DelegationPool()
    for holder in 1...UInt8(1 + generator.below(40)) {
      let amount = generator.chance(30) ? 1 : UInt64(1 + generator.below(1 << 40))
      try pool.add(Amount(amount), of: F.key(holder).publicKey, since: 0)
    }
    let total = pool.active.microcredits
    for loss in [1, total / 3, total - 1, total] where loss > 0 {
      let losses = pool.losses(Amount(loss))
      #expect(losses.reduce(0) { $0 + $1.stake.microcredits } == loss)
      for part in losses {
        let stake = try #require(pool.position(of: part.holder)).stake
        let floor = stake.portion(Amount(loss), of: Amount(total)).microcredits
        #expect((floor...floor + 1).contains(part.stake.microcredits))
        #expect(part.stake <= stake)
      }
    }
  }

  // MARK: Leaving

  @Test func undelegatedMoneyIsFreeAfterItsPeriodAndNotBefore() {
    var f = fixture()
    let before = f.balance(.available(bob))
    let until = Tick(milliseconds: f.now + Self.day)
    let outcome = f.send(.undelegate(paula, amount: Amount(100_000)), by: F.bob)
    #expect(
      outcome.bodies == [
        .undelegating(prover: paula, holder: bob, amount: Amount(100_000), until: until)
      ])
    f.pass(Self.day)
    #expect(f.balance(.available(bob)) == before)
    f.pass(1)
    #expect(f.balance(.available(bob)) == before + 100_000)
    #expect(position(f, bob)?.stake == Amount(200_000))
  }

  @Test func stakeBehindLeasesCanLeaveAndIsPaidOnceItComesBack() {
    var f = fixture()
    _ = f.bid(F.paula, at: 50, scope: .slice(F.chain.id, 2))
    // Nobody takes the other slices, so the lease waits until the begin deadline.
    let request = f.request(f.terms(multiple: 1_000, begin: 3 * Self.day, final: 4 * Self.day))
    #expect(f.lease(request, 2)?.parts.delegated == Amount(225_000))
    #expect(f.send(.undelegate(paula, amount: Amount(300_000)), by: F.bob).rejection == nil)
    let before = f.balance(.available(bob))
    f.pass(Self.day + 1)
    #expect(f.balance(.available(bob)) == before, "75,000 are there, and the sum is 300,000")
    #expect(f.lease(request, 1) == nil)
    f.send(.cancelRequest(request), by: F.alice)
    #expect(f.balance(.available(bob)) == before + 300_000)
    #expect(f.market.pools[paula]?.positions == [])
  }

  @Test func whatIsLeavingCarriesNoNewLease() {
    var f = fixture()
    f.send(.undelegate(paula, amount: Amount(300_000)), by: F.bob)
    _ = f.bid(F.paula, at: 50)
    let request = f.request(f.terms(multiple: 500))
    #expect(f.lease(request, 0)?.parts == StakeParts(own: Amount(50_000)))
    #expect(f.lease(request, 1) == nil)
  }

  @Test func leavingWaitsThroughAnOutage() {
    var f = fixture()
    let before = f.balance(.available(bob))
    f.send(.undelegate(paula, amount: Amount(300_000)), by: F.bob)
    f.now += Self.day
    f.send(.resume, by: F.broker)
    f.pass(Self.day)
    #expect(f.balance(.available(bob)) == before)
    f.pass(1)
    #expect(f.balance(.available(bob)) == before + 300_000)
  }

  // MARK: Refusals

  @Test func refusesDelegationsThatNobodyOfferedOrThatHaveNoRoom() {
    var f = fixture([])
    func refusal(_ amount: UInt64, _ prover: PublicKey, by key: SigningKey = F.bob) -> String? {
      f.send(.delegate(prover, amount: Amount(amount)), by: key).rejection
    }
    #expect(refusal(10_000, F.quinn.publicKey) == "not-delegable")
    #expect(refusal(10_000, paula, by: F.paula) == "own-prover")
    #expect(refusal(0, paula) == "zero-amount")
    #expect(refusal(20_000_000, paula) == "insufficient-funds")
    #expect(refusal(9_999, paula) == "delegation-too-small")
    #expect(refusal(400_001, paula) == "delegation-too-large")
    #expect(refusal(400_000, paula) == nil)
    #expect(refusal(10_000, paula) == "delegation-too-large")
    f.send(.setCommission(nil), by: F.paula)
    #expect(refusal(10_000, paula, by: F.rita) == "not-delegable")
    #expect(f.send(.setCommission(nil), by: F.quinn).rejection == "not-delegable")
    #expect(f.send(.setCommission(nil), by: F.paula).rejection == "duplicate")
  }

  @Test func refusesToUndelegateWhatIsNotThereOrToLeaveDust() {
    var f = fixture()
    func refusal(_ amount: UInt64, by key: SigningKey = F.bob) -> String? {
      f.send(.undelegate(paula, amount: Amount(amount)), by: key).rejection
    }
    #expect(refusal(1, by: F.rita) == "not-delegated")
    #expect(refusal(0) == "zero-amount")
    #expect(refusal(300_001) == "insufficient-funds")
    #expect(refusal(290_001) == "delegation-too-small")
    for _ in 0..<8 { #expect(refusal(1) == nil) }
    #expect(refusal(1) == "too-many-unbondings")
  }

  @Test func refusesToUnbondUnderWhatIsDelegatedWhileBidsAreOpen() {
    var f = fixture()
    let bid = f.bid(F.paula, at: 50)
    let more = Command.unbond(amount: Amount(25_001))
    #expect(f.send(more, by: F.paula).rejection == "bond-behind-delegation")
    #expect(f.send(.unbond(amount: Amount(25_000)), by: F.paula).rejection == nil)
    f.send(.cancelBid(bid), by: F.paula)
    // Who stops working may go.
    #expect(f.send(.unbond(amount: Amount(75_000)), by: F.paula).rejection == nil)
  }

  @Test func refusesTheTwoHundredAndFiftySeventhDelegator() {
    var f = fixture(own: 1_000_000 - 1, []) { $0.minimumDelegation = Amount(1) }
    for number in 0..<256 {
      let holder = SigningKey(seed: Bytes32(Digest.of(Array("holder \(number)".utf8)).bytes)!)
      f.fund(holder, 10)
      let outcome = f.send(.delegate(paula, amount: Amount(1)), by: holder)
      #expect(outcome.rejection == nil)
    }
    let outcome = f.send(.delegate(paula, amount: Amount(1)), by: F.bob)
    #expect(outcome.rejection == "too-many-delegators")
    #expect(f.market.pools[paula]?.positions.count == 256)
  }

  // MARK: Yield

  @Test func yieldCountsWhatAUnitEarnedAndLostEachDay() {
    var f = fixture()
    let (_, leases) = leased(&f)
    leases.forEach { f.commit($0) }
    f.submit(leases[0])
    f.rule(leases[0], .valid)
    f.submit(leases[1])
    f.rule(leases[1], .invalid)
    let days = f.market.pools[paula]?.days(1, until: Tick(milliseconds: f.now)) ?? []
    // 30 on 300,000; and of 100,000 the first 37,500 and then 25,000 and 12,500 were Paula's.
    #expect(days.map(\.earned) == [100_000_000])
    let lost = 300_000 - (position(f, bob)?.stake.microcredits ?? 0)
    #expect(lost > 0)
    #expect(days.map(\.lost) == [lost * 1_000_000_000_000 / 300_000])
    #expect(f.market.pools[paula]?.days(1, until: Tick(milliseconds: f.now + Self.day)) == [])
    #expect(f.market.pools[paula]?.days(2, until: Tick(milliseconds: f.now + Self.day)) == days)
  }
}
