import Broker
import Logging
import Market
import Primitives
import Prover
import ProverHost
import Requester
import Slicing
import Statements
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
    _ key: SigningKey, _ exchange: Exchange, with broken: Backend? = nil, logger: Logger = quiet
  ) async throws -> (RunningService, AsyncStream<Moment>) {
    let (moments, said) = AsyncStream.makeStream(of: Moment.self)
    let served = try await SharedBackend.served(.reexec).backend
    let backend = broken ?? served
    let service = ProverService(
      configuration: ProverService.Configuration(
        capacity: 2, bond: Amount(microcredits: UInt64(Exchange.bond))),
      offers: [ProverService.Offer(backend, at: Price(ticks: 700))],
      client: WireClient(card: exchange.card, identity: key, logger: quiet), key: key,
      logger: logger,
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

  /// Runs `body` with a prover that a wrong plugin has had slashed, what it said of its bids since
  /// the first rested, and what it logged.
  private func runningIntoASlash(
    _ parameters: Parameters,
    _ body: (Exchange, SigningKey, inout AsyncStream<Moment>.Iterator, Said) async throws -> Void
  ) async throws {
    let model = try SampleModel.rectifierAndSoftmax()
    try await Exchange.run(parameters) { exchange in
      try await exchange.publish(model)
      let (key, said) = (try await exchange.party(), Said())
      let broken = try await SharedBackend.forgetfulReexec()
      let (prover, moments) = try await start(key, exchange, with: broken, logger: said.logger)
      var told = moments.makeAsyncIterator()
      #expect(await told.next() == .ready(bids: 1))
      _ = try await exchange.prover(price: 1_000)
      let requester = try await exchange.party()
      let session = RequestSession(client: exchange.client(requester), key: requester)
      var order = RequestSession.Order()
      order.auditRate = PartsPerMillion(clamping: 1_000_000)
      let performed = try await session.submit(
        model: model.manifest.id, manifest: model.manifest,
        inputs: [[UInt8](repeating: 3, count: 16)], order: order)
      // Reveals the nonce that draws the audits.
      let following = Task { try await session.follow(performed.envelope.digest) { _ in } }
      defer { following.cancel() }
      try await said.awaitLine("this prover was slashed")
      try await body(exchange, key, &told, said)
      try await prover.stop()
    }
  }

  @Test func proverThatIsSlashedWhileItRunsSaysSoAndBidsAgainAfterTheCoolDown() async throws {
    var parameters = Parameters()
    parameters.coolDown = 12_000
    try await runningIntoASlash(parameters) { exchange, key, told, said in
      let until = try await exchange.client(nil).stake(of: key.publicKey).coolingUntil
      #expect(await told.next() == .coolingDown(until: until))
      #expect(await told.next() == .ready(bids: 1))
      #expect(try await exchange.client(nil).bids(of: key.publicKey).count == 1)
      #expect(said.count(of: "carries fewer leases") == 1)
    }
  }

  @Test func proverWhoseBondASlashMadeTooSmallSaysWhatToBondAndThenBidsAgain() async throws {
    var parameters = Parameters()
    parameters.coolDown = 1
    parameters.minimumBond = Amount(microcredits: UInt64(Exchange.bond))
    try await runningIntoASlash(parameters) { exchange, key, told, said in
      try await said.awaitLine("too small for any bid")
      let client = exchange.client(key)
      let bond = try await client.stake(of: key.publicKey).bond
      let missing = Amount(microcredits: UInt64(Exchange.bond)).saturatingSubtract(bond)
      #expect(said.count(of: "bourse account bond \(missing) ") == 1)
      #expect(try await client.bids(of: key.publicKey).isEmpty)
      try await client.perform(.bond(amount: missing), signedBy: key)
      #expect(await told.next() == .ready(bids: 1))
      #expect(said.count(of: "too small for any bid") == 1)
    }
  }

  @Test func bidThatIsCancelledBesideItsProverIsToldOfAndNotPlacedAgain() async throws {
    try await Exchange.run { exchange in
      let (key, said) = (try await exchange.party(), Said())
      let (prover, moments) = try await start(key, exchange, logger: said.logger)
      var told = moments.makeAsyncIterator()
      #expect(await told.next() == .ready(bids: 1))
      let client = exchange.client(key)
      for bid in try await client.bids(of: key.publicKey) {
        try await client.perform(.cancelBid(bid.id), signedBy: key)
      }
      try await said.awaitLine("it was cancelled")
      #expect(try await client.bids(of: key.publicKey).isEmpty)
      try await prover.stop()
      #expect(await told.next() == nil, "it placed no other")
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
