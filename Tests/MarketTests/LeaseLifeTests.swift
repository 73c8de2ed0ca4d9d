import Market
import MerkleLog
import Primitives
import Statements
import Testing

/// The way of a request and its leases where nobody cheats, and what is refused on it.
struct LeaseLifeTests {
  typealias F = MarketFixture

  @Test func honestWorkIsAnsweredThenPaidThenFinal() {
    var f = MarketFixture()
    _ = f.bid(F.paula, at: 50)
    let request = f.request(f.terms(limit: 100))
    let leases = (0..<3).map { f.leaseID(request, $0) }
    #expect(leases.map { f.state($0) } == [.begun, .leased, .leased])
    f.commit(leases[0])
    #expect(leases.map { f.state($0) } == [.committed, .begun, .leased])
    f.commit(leases[1])
    let answered = f.commit(leases[2])
    let answer = F.honest(f.market.leases[leases[2]]!)
    #expect(answered.bodies.contains(.requestAnswered(request, answer: [answer])))
    #expect(f.state(request) == .answered)

    let submitted = f.submit(leases[0], leases[1], leases[2])
    let wanted = submitted.bodies.filter {
      if case .verificationWanted(_, .receipt, 1, _) = $0 { true } else { false }
    }
    #expect(wanted.count == 3)
    // Downstream first: it waits for its upstream to settle.
    f.rule(leases[2], .valid)
    f.rule(leases[1], .valid)
    #expect(leases.map { f.state($0) } == [.submitted, .verified, .verified])
    f.rule(leases[0], .valid)
    #expect(leases.map { f.state($0) } == [.settled, .settled, .settled])
    #expect(f.state(request) == .final)

    // Fees 50, 100, 150, of which one percent (rounded down) stays with the exchange.
    #expect(f.balance(.treasury) == 0 + 1 + 1)
    #expect(f.balance(.available(F.paula.publicKey)) == 1_000_000 + 300 - 2)
    #expect(f.balance(.bond(F.paula.publicKey)) == 1_000_000)
    #expect(f.balance(.stakeHold(F.paula.publicKey)) == 0)
    #expect(f.balance(.feeHold(F.alice.publicKey)) == 0)
    #expect(f.balance(.available(F.alice.publicKey)) == 10_000_000 - 300)
    let final = f.market.requests[request]
    #expect(final?.answer == [answer])
    let receipts = leases.map { f.market.leases[$0]!.receipt!.canonicalBytes }
    #expect(final?.jobRoot == MerkleTree(leaves: receipts).root)
  }

  @Test func diamondJoinsOnceBothArmsHaveCommitted() {
    var f = MarketFixture()
    _ = f.bid(F.paula, at: 50)
    let request = f.request(f.terms(F.diamond))
    let leases = (0..<4).map { f.leaseID(request, $0) }
    f.commit(leases[0])
    #expect(leases.map { f.state($0) } == [.committed, .begun, .begun, .leased])
    f.commit(leases[2])
    #expect(f.state(leases[3]) == .leased)
    f.commit(leases[1])
    #expect(f.state(leases[3]) == .begun)
    #expect(
      f.market.leases[leases[3]]?.inputs
        == [leases[1], leases[2]].map {
          F.honest(f.market.leases[$0]!)
        })
  }

  @Test func noLeaseBeginsBeforeAllSlicesAreLeased() {
    var f = MarketFixture()
    _ = f.bid(F.paula, at: 50, capacity: 2)
    let request = f.request(f.terms())
    #expect(f.state(f.leaseID(request, 0)) == .leased)
    #expect(f.commit(f.leaseID(request, 0)).rejection == "lease-not-in-state")
    _ = f.bid(F.quinn, at: 60)
    #expect(f.state(f.leaseID(request, 0)) == .begun)
  }

  @Test func reexecutedWorkIsNeverCountedAsProven() {
    for backend in [BackendID.reexec, F.sumcheck] {
      var f = MarketFixture()
      _ = f.bid(F.paula, at: 50, backend: backend)
      let request = f.request(f.terms(backend: backend))
      for slice in 0..<3 { f.commit(f.leaseID(request, slice)) }
      f.submit(f.leaseID(request, 0), f.leaseID(request, 1), f.leaseID(request, 2))
      for slice in 0..<3 { f.rule(f.leaseID(request, slice), .valid) }
      var coverage = Coverage()
      if backend == .reexec {
        (coverage.reexecuted, coverage.reexecutedCost) = (3, Cost(units: 6_000))
      } else {
        (coverage.proven, coverage.provenCost) = (3, Cost(units: 6_000))
      }
      #expect(f.market.requests[request]?.coverage == coverage)
    }
  }

  // MARK: Cancelling

  @Test func cancellingBeforeTheFirstBeginReturnsEverything() {
    var f = MarketFixture()
    _ = f.bid(F.paula, at: 50, capacity: 2)
    let request = f.request(f.terms())
    let lease = f.leaseID(request, 0)
    #expect(f.send(.cancelRequest(request), by: F.alice).rejection == nil)
    #expect(f.state(request) == .cancelled)
    #expect(f.state(lease) == .released)
    #expect(f.balance(.available(F.alice.publicKey)) == 10_000_000)
    #expect(f.balance(.bond(F.paula.publicKey)) == 1_000_000)
    #expect(f.market.book.orders.isEmpty)
  }

  @Test func refusesToCancelOnceWorkHasBegun() {
    var f = MarketFixture()
    _ = f.bid(F.paula, at: 50)
    let request = f.request(f.terms())
    #expect(f.send(.cancelRequest(request), by: F.alice).rejection == "cancel-too-late")
  }

  // MARK: Refused commitments and batches

  @Test func refusesCommitmentsThatAreNotTheLessees() {
    var f = MarketFixture()
    _ = f.bid(F.paula, at: 50)
    let request = f.request(f.terms())
    let lease = f.lease(request, 0)!
    let commitment = f.commitment(lease)
    #expect(f.send(.commitOutput(commitment), by: F.quinn).rejection == "not-yours")
    let stolen = OutputCommitment(
      network: F.network, lease: lease.id, outputs: [.zero], nonceCommitment: .zero,
      signedBy: F.quinn)
    #expect(f.send(.commitOutput(stolen), by: F.paula).rejection == "invalid-commitment")
    let foreign = OutputCommitment(
      network: NetworkID("other")!, lease: lease.id, outputs: [.zero], nonceCommitment: .zero,
      signedBy: F.paula)
    #expect(f.send(.commitOutput(foreign), by: F.paula).rejection == "invalid-commitment")
    let double = OutputCommitment(
      network: F.network, lease: lease.id, outputs: [.zero, .zero], nonceCommitment: .zero,
      signedBy: F.paula)
    #expect(f.send(.commitOutput(double), by: F.paula).rejection == "invalid-commitment")
    var bytes = commitment.canonicalBytes
    bytes[bytes.count - 1] ^= 1
    let forged = try! OutputCommitment(canonicalBytes: bytes)
    #expect(f.send(.commitOutput(forged), by: F.paula).rejection == "invalid-commitment")
    let unknown = OutputCommitment(
      network: F.network, lease: LeaseID(ordinal: .max), outputs: [.zero],
      nonceCommitment: .zero, signedBy: F.paula)
    #expect(f.send(.commitOutput(unknown), by: F.paula).rejection == "unknown-lease")
    #expect(f.commit(lease.id).rejection == nil)
    #expect(f.commit(lease.id).rejection == "lease-not-in-state")
  }

  @Test func refusesCommitmentAfterItsDeadlineEvenBeforeTheTick() {
    var f = MarketFixture()
    _ = f.bid(F.paula, at: 50)
    let request = f.request(f.terms())
    let lease = f.leaseID(request, 0)
    f.now += 10_001
    #expect(f.commit(lease).rejection == "lease-late")
    #expect(f.send(.reportRangeFault(lease), by: F.paula).rejection == "lease-late")
    f.now -= 10_001
    #expect(f.commit(lease).rejection == "lease-late", "time does not run backwards")
  }

  @Test func commitmentAtItsDeadlineIsInTime() {
    var f = MarketFixture()
    _ = f.bid(F.paula, at: 50)
    let request = f.request(f.terms())
    f.pass(10_000)
    #expect(f.commit(f.leaseID(request, 0)).rejection == nil)
  }

  @Test func refusesBatchesThatAreNotTheLesseesOwnWords() {
    var f = MarketFixture()
    _ = f.bid(F.paula, at: 50)
    let request = f.request(f.terms())
    let lease = f.leaseID(request, 0)
    #expect(f.submit(lease).rejection == "lease-not-in-state")
    f.commit(lease)
    let receipt = f.receipt(f.lease(request, 0)!)
    func refusal(_ batch: Batch, by author: SigningKey = F.paula) -> String? {
      f.send(.submitBatch(batch), by: author).rejection
    }
    func batch(_ receipts: [Receipt], _ key: SigningKey = F.paula) -> Batch {
      Batch(network: F.network, receipts: receipts, signedBy: key)
    }
    #expect(refusal(batch([])) == "invalid-batch")
    #expect(refusal(batch([receipt, receipt])) == "invalid-batch")
    #expect(refusal(batch([receipt], F.quinn)) == "invalid-batch")
    #expect(refusal(batch([receipt], F.quinn), by: F.quinn) == "not-yours")
    let elsewhere = NetworkID("other")!
    #expect(
      refusal(Batch(network: elsewhere, receipts: [receipt], signedBy: F.paula))
        == "invalid-batch")
    var bytes = batch([receipt]).signedRoot.canonicalBytes
    bytes[bytes.count - 1] ^= 1
    let forged = Batch(
      signedRoot: try! BatchRoot(canonicalBytes: bytes), receipts: [receipt])
    #expect(refusal(forged) == "invalid-batch")
    let s = receipt.statement
    let unknown = Statement(
      network: s.network, request: s.request, lease: LeaseID(ordinal: 99), model: s.model,
      slice: s.slice, inputs: s.inputs, outputs: s.outputs, backend: s.backend,
      keyRecord: s.keyRecord, prover: s.prover)
    #expect(
      refusal(batch([receipt, Receipt(statement: unknown, proof: .zero)])) == "unknown-lease")
    #expect(f.state(lease) == .committed)
    #expect(f.submit(lease).rejection == nil)
  }

  @Test func refusesBatchAfterItsDeadline() {
    var f = MarketFixture()
    _ = f.bid(F.paula, at: 50)
    let request = f.request(f.terms())
    f.commit(f.leaseID(request, 0))
    f.now += 60_001
    #expect(f.submit(f.leaseID(request, 0)).rejection == "lease-late")
  }

  @Test func refusesVerdictsThatNobodyAwaits() {
    var f = MarketFixture()
    _ = f.bid(F.paula, at: 50)
    let request = f.request(f.terms())
    let lease = f.leaseID(request, 0)
    #expect(f.rule(LeaseID(ordinal: 77), .invalid).rejection == "unknown-lease")
    #expect(f.rule(lease, .invalid).rejection == "verdict-not-awaited")
    f.commit(lease)
    f.submit(lease)
    for attempt: UInt32 in [0, 2, .max] {
      let record = VerdictRecord(lease: lease, attempt: attempt, verdict: .invalid, evidence: .zero)
      #expect(f.send(.recordVerdict(record), by: F.broker).rejection == "verdict-not-awaited")
    }
    let record = VerdictRecord(lease: lease, attempt: 1, verdict: .invalid, evidence: .zero)
    #expect(f.send(.recordVerdict(record), by: F.paula).rejection == "not-broker")
    f.rule(lease, .valid)
    #expect(f.rule(lease, .invalid).rejection == "verdict-not-awaited")
  }

  @Test func refusesATickByAnotherThanTheBroker() {
    var f = MarketFixture()
    #expect(f.send(.tick, by: F.alice).rejection == "not-broker")
  }

  @Test func refusesRangeFaultReportsOutOfPlace() {
    var f = MarketFixture()
    _ = f.bid(F.paula, at: 50)
    let request = f.request(f.terms())
    let report = { (slice: Int) in Command.reportRangeFault(f.leaseID(request, slice)) }
    let first = report(0)
    let second = report(1)
    #expect(f.send(second, by: F.paula).rejection == "lease-not-in-state")
    #expect(f.send(first, by: F.quinn).rejection == "not-yours")
    #expect(f.send(first, by: F.paula).rejection == nil)
    #expect(f.send(first, by: F.paula).rejection == "lease-not-in-state")
    #expect(f.commit(f.leaseID(request, 0)).rejection == "lease-not-in-state")
  }

  // MARK: Deadlines

  /// A bug once: a shell that slept until `nextDeadline` found nothing due and span.
  @Test func aTickAtTheNextDeadlineActs() {
    var f = MarketFixture()
    _ = f.bid(F.paula, at: 50)
    let request = f.request(f.terms())
    let lease = f.leaseID(request, 0)
    f.now = f.market.nextDeadline!.milliseconds
    f.pass(0)
    #expect(f.state(lease) == .lapsed)
  }

  /// A bug once: an outdated deadline acted in the place of the later one, so a live market and one
  /// recovered from its events acted in different orders.
  @Test func recoveredMarketActsOnDeadlinesInTheOrderOfALiveOne() throws {
    var f = MarketFixture()
    _ = f.bid(F.paula, at: 50)
    _ = f.bid(F.quinn, at: 60)
    let first = f.request(f.terms())
    f.now += 5_000
    let second = f.request(f.terms())
    f.commit(f.leaseID(first, 0))
    let committed = f.leaseID(first, 0)
    let begun = [f.leaseID(first, 1), f.leaseID(second, 0)]
    // The live market forgets the first lease's begin deadline here; a recovered one keeps it.
    let remembering = f.market
    f.pass(5_001)
    var recovered = remembering
    recovered.now = f.market.now
    let tick = Tick(milliseconds: f.now + 100_000)
    let live = f.market.execute(.tick, by: F.broker.publicKey, digest: .zero, at: tick)
    let after = recovered.execute(.tick, by: F.broker.publicKey, digest: .zero, at: tick)
    #expect(live.canonicalBytes == after.canonicalBytes)
    #expect(begun.allSatisfy { f.state($0) == .lapsed })
    #expect(f.market.leases[committed]?.verification == .late)
  }
}
