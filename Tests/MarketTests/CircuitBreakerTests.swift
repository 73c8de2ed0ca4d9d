import Market
import Primitives
import Statements
import Testing

/// What a slash stops: the prover for a while, and a slice's leases where many provers were wrong.
struct CircuitBreakerTests {
  typealias F = MarketFixture

  private static let single = F.manifest("single", [(1000, [.input(0)])])
  private static let key = Market.KeySubject(model: single.id, slice: 0, backend: .reexec)

  private func fixture(_ change: (inout Parameters) -> Void = { _ in }) -> MarketFixture {
    var f = MarketFixture(change)
    f.send(.publishModel(Self.single), by: F.broker)
    f.send(.publishKey(F.keyRecord(Self.single, 0, .reexec)), by: F.broker)
    return f
  }

  /// The prover takes a request and is found wrong.
  @discardableResult
  private func slash(_ f: inout MarketFixture, _ prover: SigningKey) -> Outcome {
    _ = f.bid(prover, at: 50)
    let request = f.request(f.terms(Self.single, attempts: 1))
    let lease = f.leaseID(request, 0)
    f.commit(lease)
    f.submit(lease)
    return f.rule(lease, .invalid)
  }

  @Test func slashedProverCoolsDownBeforeItBidsAgain() {
    var f = fixture()
    let outcome = slash(&f, F.paula)
    let until = Tick(milliseconds: f.now + 600_000)
    #expect(
      outcome.bodies.contains(
        .proverCooling(
          LeaseID(ordinal: 1), at: Tick(milliseconds: f.now), until: until)))
    let terms = BidTerms(backend: .reexec, scope: .any, price: Price(ticks: 50), capacity: 1)
    #expect(f.send(.placeBid(terms), by: F.paula).rejection == "cooling-down")
    #expect(f.send(.placeBid(terms), by: F.quinn).rejection == nil)
    f.now += 599_999
    #expect(f.send(.placeBid(terms), by: F.paula).rejection == "cooling-down")
    f.now += 1
    #expect(f.send(.placeBid(terms), by: F.paula).rejection == nil)
  }

  @Test func slashesOfSeveralProversUnderOneKeyStopItsLeases() {
    var f = fixture()
    slash(&f, F.paula)
    slash(&f, F.quinn)
    #expect(f.market.halts == [])
    let outcome = slash(&f, F.rita)
    #expect(outcome.bodies.contains(.changed(.halt(Self.key))))
    f.now += 600_001
    _ = f.bid(F.paula, at: 50)
    let request = f.request(f.terms(Self.single))
    #expect(f.state(request) == .open, "the request rests, and nobody is led into it")
    #expect(f.market.candidates(request, 0).map(\.ineligibility) == [.halted])
    // Another model, and another backend of the same slice, go on.
    let chain = f.request(f.terms())
    #expect(f.state(chain) == .running)
    f.send(.publishKey(F.keyRecord(Self.single, 0, F.sumcheck)), by: F.broker)
    _ = f.bid(F.paula, at: 50, backend: F.sumcheck)
    let other = f.request(f.terms(Self.single, backend: F.sumcheck))
    #expect(f.state(other) == .running)

    #expect(f.send(.liftHalt(Self.key), by: F.alice).rejection == "not-operator")
    let lifted = f.send(.liftHalt(Self.key), by: F.operatorKey)
    #expect(lifted.bodies.first == .changed(.liftHalt(Self.key)))
    #expect(f.state(request) == .running, "what rests is tried at once")
    #expect(f.send(.liftHalt(Self.key), by: F.operatorKey).rejection == "not-halted")
    // It begins to count anew.
    f.now += 600_001
    slash(&f, F.quinn)
    #expect(f.market.halts == [])
  }

  @Test func leasesThatAreMadeGoOnThroughAHalt() {
    var f = fixture { $0.breakerSlashes = 1 }
    _ = f.bid(F.quinn, at: 40, capacity: 1)
    let made = f.request(f.terms(Self.single))
    slash(&f, F.paula)
    #expect(f.market.halts == [Self.key])
    let lease = f.leaseID(made, 0)
    f.commit(lease)
    f.submit(lease)
    f.rule(lease, .valid)
    #expect(f.state(made) == .final)
  }

  @Test func oneProverOrALongTimeStopsNothing() {
    var f = fixture { $0.coolDown = 0 }
    for _ in 0..<4 {
      slash(&f, F.paula)
      f.now += 1
    }
    #expect(f.market.halts == [], "one prover is wrong, not the backend")
    slash(&f, F.quinn)
    f.now += 3_600_001
    slash(&f, F.rita)
    #expect(f.market.halts == [], "the first two were an hour ago")
  }

  @Test func operatorMayTurnItOff() {
    var f = fixture { $0.breakerSlashes = 0 }
    for prover in F.provers { slash(&f, prover) }
    #expect(f.market.halts == [])
  }
}
