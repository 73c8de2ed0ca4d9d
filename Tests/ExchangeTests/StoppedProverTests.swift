import Broker
import Market
import Primitives
import Prover
import Testing
import Wire

extension ExchangeTests {
  /// Provers that have to wait, or must not.
  @Suite(.serialized) struct StoppedProverTests {}
}

extension ExchangeTests.StoppedProverTests {
  private enum Moment: Equatable {
    case coolingDown(until: Tick)
    case ready(bids: Int)
  }

  /// An honest prover of the key, and what it says of its bids.
  private func start(
    _ key: SigningKey, _ exchange: Exchange
  ) async throws -> (RunningService, AsyncStream<Moment>) {
    let (moments, said) = AsyncStream.makeStream(of: Moment.self)
    let backend = try await SharedBackend.served(.reexec).backend
    let service = ProverService(
      configuration: ProverService.Configuration(
        capacity: 1, bond: Amount(microcredits: UInt64(Exchange.bond))),
      offers: [ProverService.Offer(backend, at: Price(ticks: 700))],
      client: WireClient(card: exchange.card, identity: key, logger: quiet), key: key,
      logger: quiet,
      onReady: { said.yield(.ready(bids: $0.count)) },
      onCoolDown: { said.yield(.coolingDown(until: $0)) })
    return (RunningService(service) { said.finish() }, moments)
  }

  /// Runs `body` once the key has been slashed, with the tick until which it cools down.
  private func afterASlash(
    coolDown: UInt64, _ body: (Exchange, SigningKey, Tick) async throws -> Void
  ) async throws {
    let sample = try SampleModel.mlp.get()
    var parameters = Parameters()
    parameters.coolDown = coolDown
    try await Exchange.run(parameters) { exchange in
      try await exchange.publish(sample)
      let key = try await exchange.party()
      try await exchange.prover(key, price: 700, capacity: 1, .wrongOutput)
      _ = try await exchange.prover(price: 1_000)
      let asked = try await exchange.ask(sample, try sample.input())
      let client = exchange.client(nil)
      let until = try await within(.seconds(60)) {
        while true {
          if let until = try await client.stake(of: key.publicKey).isCoolingUntil { return until }
          try await Task.sleep(for: .milliseconds(5))
        }
      }
      try await body(exchange, key, until)
      #expect(try await asked.end().state == .final)
    }
  }

  @Test func slashedProverSaysUntilWhenItWaitsAndThenPlacesItsBids() async throws {
    try await afterASlash(coolDown: 5_000) { exchange, key, until in
      let (prover, moments) = try await start(key, exchange)
      var told = moments.makeAsyncIterator()
      #expect(await told.next() == .coolingDown(until: until))
      #expect(await told.next() == .ready(bids: 1))
      #expect(try await exchange.client(nil).bids(of: key.publicKey).count == 1)
      try await prover.stop()
      #expect(try await exchange.client(nil).bids(of: key.publicKey).isEmpty)
    }
  }

  @Test func stopEndsTheWaitOfASlashedProver() async throws {
    try await afterASlash(coolDown: 3_600_000) { exchange, key, until in
      let (prover, moments) = try await start(key, exchange)
      var told = moments.makeAsyncIterator()
      #expect(await told.next() == .coolingDown(until: until))
      try await within(.seconds(60)) { try await prover.stop() }
      #expect(await told.next() == nil, "it placed no bid")
    }
  }

  /// A question to a broker otherwise waits for half a minute.
  @Test func stoppedProverDoesNotWaitForABrokerThatIsGone() async throws {
    try await Exchange.run { exchange in
      let (prover, moments) = try await start(try await exchange.party(), exchange)
      var told = moments.makeAsyncIterator()
      #expect(await told.next() == .ready(bids: 1))
      try await exchange.stopBroker()
      try await within(.seconds(20)) { try await prover.stop() }
      try await exchange.restartBroker()
    }
  }
}
