import Market
import Primitives
import Statements
import Testing

/// Bytes from outside: decoded to exactly one record or refused; never a trap.
struct HostileBytesTests {
  typealias F = MarketFixture

  private static func commands(_ f: MarketFixture, _ lease: Lease) -> [Command] {
    let bid = BidTerms(
      backend: .reexec, scope: .slice(F.chain.id, 1), price: Price(ticks: 5), capacity: 3,
      expiry: Tick(milliseconds: 9))
    let record = VerdictRecord(lease: lease.id, attempt: 1, verdict: .valid, evidence: .zero)
    let batch = Batch(network: F.network, receipts: [f.receipt(lease)], signedBy: F.paula)
    return [
      .deposit(owner: F.alice.publicKey, amount: Amount(1)), .withdraw(amount: .maximum),
      .bond(amount: Amount(7)), .publishModel(F.diamond),
      .publishKey(F.keyRecord(F.chain, 0, .reexec)), .placeBid(bid), .cancelBid(.zero),
      .amendBid(.zero, price: Price(ticks: 3), capacity: 2),
      .submitRequest(f.terms(timeInForce: .goodTill(Tick(milliseconds: 8)))),
      .cancelRequest(.zero), .cancelLease(lease.id), .commitOutput(f.commitment(lease)),
      .submitBatch(batch),
      .reportRangeFault(lease.id), .recordVerdict(record), .tick,
      .declareUnprovable(lease.id), .resume, .setParameters(Parameters(), rulesVersion: 1),
      .pause(true), .unbond(amount: Amount(3)), .commitNonce(.zero, .zero),
      .revealNonce(.requester(.zero), F.nonce(of: F.alice)),
      .revealNonce(.broker(.zero), F.nonce(of: F.alice)),
      .revealNonce(.lessee(lease.id), F.nonce(of: lease)),
      .challenge(lease.id, deposit: Amount(50)),
      .delegate(F.paula.publicKey, amount: Amount(10_000)),
      .undelegate(F.paula.publicKey, amount: Amount(1)),
      .setCommission(PartsPerMillion(clamping: 5)), .setCommission(nil),
      .liftHalt(Market.KeySubject(model: F.chain.id, slice: 1, backend: .reexec)),
    ]
  }

  private static func mutated(
    _ bytes: [UInt8], _ generator: inout SeededGenerator
  ) -> [UInt8] {
    var bytes = bytes
    for _ in 0...generator.below(3) where !bytes.isEmpty {
      let index = generator.below(bytes.count)
      switch generator.below(6) {
      case 0: bytes[index] = UInt8(truncatingIfNeeded: generator.next())
      case 1: bytes[index] ^= 1 << UInt8(generator.below(8))
      case 2: bytes.remove(at: index)
      case 3: bytes.insert(UInt8(truncatingIfNeeded: generator.next()), at: index)
      case 4: bytes.removeLast(generator.below(bytes.count) + 1)
      default: bytes[index] = generator.pick([0, 1, 0x7F, 0x80, 0xFF])
      }
    }
    return bytes
  }

  private static func flipped(_ bytes: [UInt8], _ generator: inout SeededGenerator) -> [UInt8] {
    var bytes = bytes
    bytes[generator.below(bytes.count)] ^= 1 << UInt8(generator.below(8))
    return bytes
  }

  @Test func mutatedCommandsAreRefusedOrAreAnotherCommandExactly() throws {
    var f = MarketFixture()
    _ = f.bid(F.paula, at: 50)
    let request = f.request(f.terms())
    f.commit(f.leaseID(request, 0))
    var generator = SeededGenerator(seed: 7)
    var decoded = 0
    for command in Self.commands(f, f.lease(request, 0)!) {
      let bytes = command.canonicalBytes
      #expect(try Command(canonicalBytes: bytes) == command)
      #expect(throws: CanonicalError.self) { try Command(canonicalBytes: bytes + [0]) }
      for _ in 0..<400 {
        let hostile = Self.mutated(bytes, &generator)
        guard let other = try? Command(canonicalBytes: hostile) else { continue }
        decoded += 1
        #expect(other.canonicalBytes == hostile)
        var market = f.market
        let outcome = market.execute(
          other, by: F.everyone[generator.below(F.everyone.count)].publicKey,
          digest: F.digest("hostile"), at: Tick(milliseconds: f.now))
        #expect(try Outcome(canonicalBytes: outcome.canonicalBytes) == outcome)
        #expect(market.invariantViolations() == [])
      }
    }
    #expect(decoded > 100, "mutations that still decode are what reaches the market")
  }

  @Test(arguments: [UInt64(1), 2, 3])
  func mutatedEventsThrowOrApplyButNeverTrap(seed: UInt64) throws {
    var simulator = Simulator(seed: seed, checks: false)
    for _ in 0..<200 { try simulator.step() }
    let history = simulator.history
    var generator = SeededGenerator(seed: seed)
    var market = try Market(genesis: simulator.live.genesis)
    var (applied, thrown) = (0, 0)
    for event in history {
      let body = event.body.canonicalBytes
      let postings = event.canonicalBytes.dropFirst(body.count)
      for round in 0..<16 {
        // Half of them with their true postings, so that the ledger does not stop the lie.
        let hostile =
          round < 8
          ? Self.mutated(body + postings, &generator) : Self.flipped(body, &generator) + postings
        guard let other = try? Event(canonicalBytes: hostile) else { continue }
        #expect(other.canonicalBytes == hostile)
        // Onto the state where the true event belongs, then some true events after the lie.
        var victim = market
        do throws(MarketError) {
          try victim.evolve(other)
          applied += 1
          for later in history.suffix(6) { try victim.evolve(later) }
        } catch {
          thrown += 1
          #expect(error.code == "impossible-event")
        }
        _ = victim.invariantViolations()
        _ = victim.stateDigest
      }
      try market.evolve(event)
    }
    #expect(applied > 50, "\(applied)")
    #expect(thrown > 50, "\(thrown)")
  }

  @Test func trueEventsInAnyOrderThrowOrApplyButNeverTrap() throws {
    var simulator = Simulator(seed: 4, checks: false)
    for _ in 0..<200 { try simulator.step() }
    var generator = SeededGenerator(seed: 4)
    for _ in 0..<60 {
      var market = simulator.live
      for _ in 0..<20 {
        // An event that threw may have been applied in part; it must not trap what follows.
        try? market.evolve(generator.pick(simulator.history))
      }
      _ = market.invariantViolations()
    }
  }

  @Test func rejectsEventsWhoseSlicesInputsOrOutputsDoNotExist() throws {
    var f = MarketFixture()
    _ = f.bid(F.paula, at: 50)
    let request = f.request(f.terms())
    let lease = f.lease(request, 0)!
    let none = OutputCommitment(
      network: F.network, lease: lease.id, outputs: [], nonceCommitment: .zero, signedBy: F.paula)
    let bodies: [Event.Body] = [
      .outputCommitted(none, deadline: .never),
      .leased(f.market.leases[lease.id]!.terms),
      .requestOpened(request, requester: F.alice.publicKey, f.terms()),
      .bidClosed(.zero, .cancelled),
      .leaseSettled(LeaseID(ordinal: 99), bonus: .zero),
      .requestMatched(.zero),
    ]
    for body in bodies {
      var market = f.market
      #expect(throws: MarketError.self) { try market.evolve(Event(body)) }
    }
    // Ending one lease twice would count its bid's capacity below zero.
    var market = f.market
    try market.evolve(Event(.leaseLapsed(lease.id, penalty: .zero)))
    #expect(throws: MarketError.self) {
      try market.evolve(Event(.leaseLapsed(lease.id, penalty: .zero)))
    }
  }

  /// An id is a place in the list: leases that are out of order would answer for one another.
  @Test func refusesLeasesThatAreNotInTheirPlaces() throws {
    var f = MarketFixture()
    _ = f.bid(F.paula, at: 50)
    let request = f.request(f.terms())
    let leases = try (0..<3).map { try #require(f.lease(request, $0)) }
    func list(_ leases: [Lease]) -> [UInt8] {
      var encoder = CanonicalEncoder()
      encoder.append(leases)
      return encoder.finish()
    }
    #expect(try LeaseList(canonicalBytes: list(leases)).map(\.id) == f.market.leases.map(\.id))
    for other in [Array(leases.reversed()), Array(leases.dropFirst()), leases + [leases[0]]] {
      #expect(throws: CanonicalError.self) { try LeaseList(canonicalBytes: list(other)) }
    }
    #expect(f.market.leases[LeaseID(ordinal: 0)] == nil)
    #expect(f.market.leases[LeaseID(ordinal: .max)] == nil)
  }

  /// Requests stand in the order of their arrival, and two of one id would hide one of them.
  @Test func refusesRequestsThatAreOutOfOrderOrThereTwice() throws {
    var f = MarketFixture()
    let ids = (0..<3).map { _ in f.request(f.terms()) }
    let requests = Array(f.market.requests)
    #expect(requests.map(\.id) == ids)
    #expect(ids.allSatisfy { f.market.requests[$0]?.id == $0 })
    func list(_ requests: [Request]) -> [UInt8] {
      var encoder = CanonicalEncoder()
      encoder.append(requests)
      return encoder.finish()
    }
    #expect(try RequestList(canonicalBytes: list(requests)).map(\.id) == ids)
    for other in [Array(requests.reversed()), requests + [requests[2]], requests + [requests[0]]] {
      #expect(throws: CanonicalError.self) { try RequestList(canonicalBytes: list(other)) }
    }
    #expect(f.market.requests[.zero] == nil)
  }

  @Test func refusesALeaseWhoseReceiptIsWithoutItsBatch() throws {
    var f = MarketFixture()
    _ = f.bid(F.paula, at: 50)
    let request = f.request(f.terms())
    let id = try #require(f.lease(request, 0)?.id)
    f.commit(id)
    f.submit(id)
    let lease = try #require(f.lease(request, 0))
    let bytes = lease.canonicalBytes
    #expect(try Lease(canonicalBytes: bytes).inclusion == lease.inclusion)
    #expect(lease.inclusion != nil)
    var before = CanonicalEncoder()
    before.append(lease.terms)
    before.append(lease.state.rawValue)
    before.append(lease.inputs)
    before.append(lease.commitment)
    before.append(lease.receipt)
    var batch = CanonicalEncoder()
    batch.append(lease.batchRoot)
    batch.append(lease.inclusion)
    let after = before.count + batch.count
    #expect(bytes[before.count..<after].elementsEqual(batch.bytes))
    let without = bytes[..<before.count] + [0, 0] + bytes[after...]
    #expect(throws: CanonicalError.self) { try Lease(canonicalBytes: without) }
  }

  /// A bug once: a command may cause more events than its outcome could be read back with.
  @Test func outcomeOfManyEventsCanBeReadBack() throws {
    let event = Event(.requestMatched(.zero))
    let outcome = Outcome.accepted([Event](repeating: event, count: 70_000))
    #expect(try Outcome(canonicalBytes: outcome.canonicalBytes) == outcome)
  }

  /// A bug once: the codec took the smallest receipt for ten bytes larger than it is.
  @Test func smallestReceiptCanBeReadBack() throws {
    let statement = Statement(
      network: NetworkID("n")!, request: .zero, lease: LeaseID(ordinal: 1), model: .zero,
      slice: 0, inputs: [], outputs: [], backend: BackendID("b")!, keyRecord: .zero,
      prover: F.paula.publicKey)
    let batch = Batch(
      network: F.network, receipts: [Receipt(statement: statement, proof: .zero)],
      signedBy: F.paula)
    #expect(try Batch(canonicalBytes: batch.canonicalBytes) == batch)
  }
}
