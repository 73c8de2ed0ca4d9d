import Market
import Primitives
import Statements
import Testing

/// Money in and out, models, keys.
struct AccountTests {
  typealias F = MarketFixture

  @Test func depositComesFromOutsideAndWithdrawalGoesBack() {
    var f = MarketFixture()
    let before = f.balance(.external)
    f.fund(F.alice, 500)
    #expect(f.balance(.external) == before - 500)
    #expect(f.balance(.available(F.alice.publicKey)) == 10_000_500)
    #expect(f.send(.withdraw(amount: Amount(10_000_500)), by: F.alice).rejection == nil)
    #expect(f.balance(.available(F.alice.publicKey)) == 0)
    #expect(f.balance(.external) == before + 10_000_000)
  }

  @Test func bondMovesAvailableMoneyBehindBids() {
    var f = MarketFixture()
    f.send(.bond(amount: Amount(400_000)), by: F.paula)
    #expect(f.balance(.available(F.paula.publicKey)) == 600_000)
    #expect(f.balance(.bond(F.paula.publicKey)) == 1_400_000)
  }

  @Test func unbondedMoneyIsFreeAfterItsPeriodAndNotBefore() {
    var f = MarketFixture()
    let paula = F.paula.publicKey
    let until = Tick(milliseconds: f.now + 86_400_000)
    let outcome = f.send(.unbond(amount: Amount(400_000)), by: F.paula)
    #expect(outcome.bodies == [.unbonding(prover: paula, amount: Amount(400_000), until: until)])
    #expect(f.balance(.bond(paula)) == 600_000)
    #expect(f.balance(.unbonding(paula)) == 400_000)
    f.send(.unbond(amount: Amount(100_000)), by: F.paula)
    f.pass(86_400_000)
    #expect(f.balance(.available(paula)) == 1_000_000)
    f.pass(1)
    #expect(f.balance(.available(paula)) == 1_500_000)
    #expect(f.balance(.unbonding(paula)) == 0)
  }

  @Test func unbondingLeavesTheStakesOfLiveLeases() {
    var f = MarketFixture()
    let bid = f.bid(F.paula, at: 50)
    let request = f.request(f.terms())
    f.send(.cancelBid(bid), by: F.paula)
    let free = UInt64(f.balance(.bond(F.paula.publicKey)))
    let more = Command.unbond(amount: Amount(free + 1))
    #expect(f.send(more, by: F.paula).rejection == "insufficient-funds")
    #expect(f.send(.unbond(amount: Amount(free)), by: F.paula).rejection == nil)
    f.commit(f.leaseID(request, 0))
    f.submit(f.leaseID(request, 0))
    f.rule(f.leaseID(request, 0), .invalid)
    #expect(f.balance(.burned) > 0, "what is being unbonded does not shield the stake")
  }

  @Test func unbondingWaitsThroughAnOutage() {
    var f = MarketFixture()
    f.send(.unbond(amount: Amount(400_000)), by: F.paula)
    f.now += 86_400_000
    f.send(.resume, by: F.broker)
    f.pass(86_400_000)
    #expect(f.balance(.unbonding(F.paula.publicKey)) == 400_000)
    f.pass(1)
    #expect(f.balance(.unbonding(F.paula.publicKey)) == 0)
  }

  @Test func refusesUnbondingThatLeavesOpenBidsWithoutABond() {
    var f = MarketFixture()
    _ = f.bid(F.paula, at: 50)
    #expect(f.send(.unbond(amount: .zero), by: F.paula).rejection == "zero-amount")
    let most = Command.unbond(amount: Amount(990_000))
    let more = Command.unbond(amount: Amount(990_001))
    #expect(f.send(more, by: F.paula).rejection == "bids-open")
    #expect(f.send(most, by: F.paula).rejection == nil)
  }

  @Test func refusesASixtyFifthSumOnItsWay() {
    var f = MarketFixture()
    for _ in 0..<64 { #expect(f.send(.unbond(amount: Amount(1)), by: F.paula).rejection == nil) }
    let outcome = f.send(.unbond(amount: Amount(1)), by: F.paula)
    #expect(outcome.rejection == "too-many-unbondings")
  }

  @Test func refusesDepositByAnotherThanTheOperator() {
    var f = MarketFixture()
    let outcome = f.send(.deposit(owner: F.alice.publicKey, amount: Amount(1)), by: F.alice)
    #expect(outcome.rejection == "not-operator")
  }

  @Test func refusesZeroAmounts() {
    var f = MarketFixture()
    let deposit = Command.deposit(owner: F.alice.publicKey, amount: .zero)
    #expect(f.send(deposit, by: F.operatorKey).rejection == "zero-amount")
    #expect(f.send(.withdraw(amount: .zero), by: F.alice).rejection == "zero-amount")
    #expect(f.send(.bond(amount: .zero), by: F.alice).rejection == "zero-amount")
  }

  @Test func refusesMoneyAboveTheLargestAmount() {
    var f = MarketFixture()
    for amount in [Amount.maximum, Amount(.max)] {
      let deposit = Command.deposit(owner: F.bob.publicKey, amount: amount)
      #expect(f.send(deposit, by: F.operatorKey).rejection == "amount-too-large")
    }
    // Exactly what still fits is taken.
    let inside = UInt64(-f.balance(.external))
    let rest = Amount(Amount.maximum.microcredits - inside)
    let deposit = Command.deposit(owner: F.bob.publicKey, amount: rest)
    #expect(f.send(deposit, by: F.operatorKey).rejection == nil)
    let one = Command.deposit(owner: F.bob.publicKey, amount: Amount(1))
    #expect(f.send(one, by: F.operatorKey).rejection == "amount-too-large")
  }

  @Test func refusesToSpendWhatIsNotThere() {
    var f = MarketFixture()
    for amount in [Amount(1_000_001), .maximum, Amount(.max)] {
      #expect(f.send(.withdraw(amount: amount), by: F.paula).rejection == "insufficient-funds")
      #expect(f.send(.bond(amount: amount), by: F.paula).rejection == "insufficient-funds")
    }
  }

  @Test func refusesToPublishAModelTwice() {
    var f = MarketFixture()
    #expect(f.send(.publishModel(F.chain), by: F.alice).rejection == "model-known")
  }

  @Test func refusesKeysThatNoOneCouldUse() {
    var f = MarketFixture()
    let record = F.keyRecord(F.chain, 0, .reexec)
    #expect(f.send(.publishKey(record), by: F.alice).rejection == "not-broker")
    #expect(f.send(.publishKey(record), by: F.broker).rejection == "key-known")
    let unpublished = F.manifest("unpublished", [(1, [.input(0)])])
    let foreign = F.keyRecord(unpublished, 0, .reexec)
    #expect(f.send(.publishKey(foreign), by: F.broker).rejection == "unknown-model")
    let outside = F.keyRecord(F.chain, 3, .reexec)
    #expect(f.send(.publishKey(outside), by: F.broker).rejection == "unknown-slice")
  }

  @Test func refusesAGenesisUnderRulesItDoesNotHave() {
    let genesis = Genesis(
      network: F.network, operator: F.operatorKey.publicKey, broker: F.broker.publicKey,
      rulesVersion: 2)
    #expect(throws: MarketError.unknownRules(2)) { try Market(genesis: genesis) }
  }

  @Test func rejectedCommandChangesNothing() {
    var f = MarketFixture()
    let before = f.market.stateDigest
    f.send(.withdraw(amount: .maximum), by: F.alice)
    f.send(.tick, by: F.alice)
    f.send(.cancelBid(.zero), by: F.alice)
    #expect(f.market.stateDigest == before)
  }
}
