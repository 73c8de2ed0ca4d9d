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
