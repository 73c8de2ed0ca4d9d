import Market
import Primitives
import Statements
import Testing

/// Attested slices: whose nonces draw their audits, what a draw leads to, and challenges.
///
/// The chain at limit 100 and multiple 10: fees at the limit 100, 200, 300, of which a fifth each
/// is held for an audit; stakes 1000, 2000, 3000. Fees at price 50: 50, 100, 150.
struct AssuranceTests {
  typealias F = MarketFixture

  private static let all: Set<Int> = [0, 1, 2]

  /// Paula holds the chain's first slice, Quinn the rest, Rita waits at a higher price; the
  /// broker's nonce is committed unless told otherwise.
  private func chain(
    _ attested: Set<Int> = all, rate: UInt32 = 0, attempts: UInt32 = 3,
    disclosure: Disclosure = .parties, auditors: [SigningKey] = [], isBegun: Bool = true,
    _ change: (inout Parameters) -> Void = { _ in }
  ) -> (MarketFixture, RequestID, [LeaseID]) {
    var f = MarketFixture(change)
    _ = f.bid(F.paula, at: 50, scope: .slice(F.chain.id, 0))
    _ = f.bid(F.quinn, at: 50)
    let request = f.request(
      f.terms(
        attempts: attempts, attested: attested, rate: rate, disclosure: disclosure,
        auditors: auditors))
    let leases = (0..<3).map { f.leaseID(request, $0) }
    _ = f.bid(F.rita, at: 70)
    if isBegun { f.commitNonce(request) }
    return (f, request, leases)
  }

  /// All outputs committed, wrong ones at `lies`, and all receipts submitted.
  private func answered(
    _ attested: Set<Int> = all, rate: UInt32 = 0, attempts: UInt32 = 3,
    disclosure: Disclosure = .parties, auditors: [SigningKey] = [], lies: Set<Int> = [],
    _ change: (inout Parameters) -> Void = { _ in }
  ) -> (MarketFixture, RequestID, [LeaseID]) {
    var (f, request, leases) = chain(
      attested, rate: rate, attempts: attempts, disclosure: disclosure, auditors: auditors, change)
    for (slice, lease) in leases.enumerated() {
      f.commit(lease, lies.contains(slice) ? F.digest("lie") : nil)
    }
    f.submit(leases[0])
    f.submit(leases[1], leases[2])
    return (f, request, leases)
  }

  /// Does whatever is left to do on the request, honestly, until it has ended.
  private func finish(_ f: inout MarketFixture, _ request: RequestID) {
    for _ in 0..<20 {
      f.revealAll(request)
      let live = f.market.leases.filter { !$0.state.isFinal }
      if live.allSatisfy({ $0.isChallengeable || $0.state == .verified }) { f.pass(60_001) }
      for lease in live {
        if lease.verification != nil {
          f.rule(lease.id, .valid)
        } else if lease.state == .begun {
          f.commit(lease.id)
        } else if lease.state == .committed {
          f.submit(lease.id)
        }
      }
    }
    for key in F.everyone {
      for account in [
        Account.stakeHold(key.publicKey), .feeHold(key.publicKey), .challengeHold(key.publicKey),
      ] {
        #expect(f.balance(account) == 0)
      }
    }
    #expect(f.balance(.slashEscrow) == 0)
  }

  private func draws(_ f: MarketFixture, _ leases: [LeaseID]) -> [AuditDraw?] {
    leases.map { f.market.leases[$0]?.draw }
  }

  // MARK: The broker's nonce

  @Test func noLeaseBeginsBeforeTheBrokersNonceIsCommitted() {
    var (f, request, leases) = chain(isBegun: false)
    #expect(f.state(request) == .open)
    #expect(leases.map { f.state($0) } == [.leased, .leased, .leased])
    #expect(f.commitNonce(request).bodies.contains(.requestMatched(request)))
    #expect(leases.map { f.state($0) } == [.begun, .leased, .leased])
    #expect(f.commitNonce(request).rejection == "nonce-not-awaited")
  }

  @Test func brokerMayCommitBeforeAllSlicesAreLeased() {
    var f = MarketFixture()
    let request = f.request(f.terms(attested: [0]))
    #expect(f.commitNonce(request).rejection == nil)
    #expect(f.commitNonce(request).rejection == "duplicate")
    _ = f.bid(F.paula, at: 50)
    #expect(f.state(request) == .running)
  }

  @Test func refusesCommitmentsToNoncesThatNobodyAsksFor() {
    var (f, request, _) = chain(isBegun: false)
    let plain = f.request(f.terms(), by: F.bob)
    #expect(f.commitNonce(plain).rejection == "nonce-not-awaited")
    #expect(f.commitNonce(.zero).rejection == "unknown-request")
    let commitment = F.nonce(of: request).commitment(by: F.alice.publicKey)
    #expect(f.send(.commitNonce(request, commitment), by: F.alice).rejection == "not-broker")
  }

  @Test func requestThatTheBrokerHoldsUpCanBeCancelledAndCostsNoReservation() {
    var (f, request, _) = chain(isBegun: false) {
      $0.reservationShare = PartsPerMillion(clamping: 100_000)
    }
    f.send(.cancelRequest(request), by: F.alice)
    #expect(f.state(request) == .cancelled)
    #expect(f.balance(.available(F.alice.publicKey)) == 10_000_000)
    let second = f.request(f.terms(attested: Self.all))
    f.pass(100_001)
    #expect(f.state(second) == .unmatched)
    #expect(f.balance(.available(F.alice.publicKey)) == 10_000_000)
  }

  // MARK: Terms

  @Test func refusesAttestedSlicesThatCouldNotBeAudited() {
    var f = MarketFixture()
    func refusal(_ terms: RequestTerms) -> String? {
      f.send(.submitRequest(terms), by: F.alice).rejection
    }
    func terms(
      _ backend: BackendID = .reexec, nonce: Digest = F.digest("nonce"), final: UInt64 = 1_000_000
    ) -> RequestTerms {
      let terms = f.terms(final: final)
      return RequestTerms(
        model: terms.model, inputs: terms.inputs,
        assurances: terms.assurances.map { _ in SliceAssurance(.attested, by: backend) },
        limitPrice: terms.limitPrice, stakeMultiple: 1, spread: 0, disclosure: .parties,
        nonceCommitment: nonce, beginDeadline: terms.beginDeadline,
        finalDeadline: terms.finalDeadline, attemptsMax: 1, timeInForce: .goodTillCancelled)
    }
    #expect(refusal(terms()) == nil)
    #expect(refusal(terms(F.sumcheck)) == "invalid-request")
    #expect(refusal(terms(nonce: .zero)) == "invalid-request")
    // Reveals and challenges need 90 seconds behind the begin deadline.
    #expect(refusal(terms(final: 189_999)) == "invalid-request")
    #expect(refusal(terms(final: 190_000)) == nil)
    let foreign = F.manifest("foreign", [(10, [.input(0)])], semantics: "float/1")
    f.send(.publishModel(foreign), by: F.broker)
    f.send(.publishKey(F.keyRecord(foreign, 0, .reexec)), by: F.broker)
    #expect(refusal(f.terms(foreign, attested: [0])) == "invalid-request")
  }

  @Test func auditsAreHeldForWithTheFeesAndReturnWhereNoneIsDrawn() {
    var (f, request, _) = answered([0, 2])
    #expect(f.balance(.feeHold(F.alice.publicKey)) == 600 + 20 + 60)
    finish(&f, request)
    #expect(f.state(request) == .final)
    #expect(f.balance(.available(F.alice.publicKey)) == 10_000_000 - 300)
  }

  @Test func lesseesOfSuchARequestMustCommitToNonces() {
    var (f, request, _) = chain([2])
    let lease = f.lease(request, 0)!
    let commitment = OutputCommitment(
      network: F.network, lease: lease.id, outputs: [.zero], nonceCommitment: .zero,
      signedBy: F.paula)
    #expect(f.send(.commitOutput(commitment), by: F.paula).rejection == "invalid-commitment")
  }

  // MARK: Reveals

  @Test func noncesAreAskedForOnceEveryOutputIsCommitted() {
    var (f, request, leases) = chain()
    #expect(f.reveal(.requester(request)).rejection == "nonce-not-awaited")
    f.commit(leases[0])
    f.commit(leases[1])
    #expect(f.reveal(.lessee(leases[0])).rejection == "nonce-not-awaited")
    let outcome = f.commit(leases[2])
    let deadline = Tick(milliseconds: f.now + 30_000)
    #expect(outcome.bodies.contains(.revealsWanted(request, leases, deadline: deadline)))
  }

  @Test func refusesRevealsThatAreFalseForeignLateOrSecond() {
    var (f, request, leases) = answered()
    let false1 = Command.revealNonce(.requester(request), F.nonce(of: F.bob))
    #expect(f.send(false1, by: F.alice).rejection == "false-nonce")
    let own = Command.revealNonce(.requester(request), F.nonce(of: F.alice))
    #expect(f.send(own, by: F.bob).rejection == "not-yours")
    let broker = Command.revealNonce(.broker(request), F.nonce(of: request))
    #expect(f.send(broker, by: F.paula).rejection == "not-broker")
    let lessee = Command.revealNonce(.lessee(leases[0]), F.nonce(of: f.market.leases[leases[0]]!))
    #expect(f.send(lessee, by: F.quinn).rejection == "not-yours")
    let nobody = Command.revealNonce(.lessee(LeaseID(ordinal: 99)), F.nonce(of: F.alice))
    #expect(f.send(nobody, by: F.alice).rejection == "unknown-lease")
    let nothing = Command.revealNonce(.broker(.zero), F.nonce(of: F.alice))
    #expect(f.send(nothing, by: F.broker).rejection == "unknown-request")
    #expect(f.reveal(.lessee(leases[1])).rejection == nil)
    #expect(f.reveal(.lessee(leases[1])).rejection == "duplicate")
    f.now += 30_001
    #expect(f.reveal(.lessee(leases[0])).rejection == "nonce-not-awaited")
  }

  /// A commitment holds for its author, so one that is copied cannot be opened.
  @Test func copiedCommitmentCannotBeOpened() {
    var (f, _, leases) = chain([0])
    let copied = F.nonce(of: F.alice).commitment(by: F.alice.publicKey)
    let commitment = OutputCommitment(
      network: F.network, lease: leases[0], outputs: [F.digest("a")], nonceCommitment: copied,
      signedBy: F.paula)
    f.send(.commitOutput(commitment), by: F.paula)
    f.commit(leases[1])
    f.commit(leases[2])
    let reveal = Command.revealNonce(.lessee(leases[0]), F.nonce(of: F.alice))
    #expect(f.send(reveal, by: F.paula).rejection == "false-nonce")
  }

  @Test func seedIsOfAllNoncesAndDrawsEachSliceByItself() {
    for rate: UInt32 in [200_000, 500_000, 800_000] {
      var (f, request, leases) = answered(rate: rate)
      f.revealAll(request)
      let seed = AuditSeed(
        request: request, requester: F.nonce(of: F.alice), broker: F.nonce(of: request),
        lessees: leases.map { F.nonce(of: f.market.leases[$0]!) })
      #expect(f.market.requests[request]?.seed == seed.digest)
      let drawn = (0..<3).map { seed.draws(slice: $0, at: PartsPerMillion(clamping: rate)) }
      #expect(draws(f, leases) == drawn.map { $0 ? .audited : .spared })
    }
  }

  @Test func nothingSettlesBeforeTheDraw() {
    var (f, request, leases) = answered([2])
    f.rule(leases[0], .valid)
    f.rule(leases[1], .valid)
    #expect(leases.map { f.state($0) } == [.verified, .verified, .submitted])
    let drawn = f.revealAll(request)
    #expect(drawn?.bodies.contains(.leaseSettled(leases[1], bonus: .zero)) == true)
    #expect(leases.map { f.state($0) } == [.settled, .settled, .submitted])
  }

  @Test func drawWaitsForTheReceipt() {
    for (rate, isAudited) in [(UInt32(1_000_000), true), (0, false)] {
      var (f, request, leases) = chain(rate: rate)
      leases.forEach { f.commit($0) }
      f.revealAll(request)
      #expect(f.market.leases[leases[0]]?.verification == nil)
      f.submit(leases[0])
      #expect((f.market.leases[leases[0]]?.verification == .audit) == isAudited)
      #expect(f.market.leases[leases[0]]?.isChallengeable == !isAudited)
      finish(&f, request)
      #expect(f.state(request) == .final)
    }
  }

  // MARK: What a draw leads to

  @Test func wholeRateAuditsEverySliceForItsFee() {
    var (f, request, leases) = answered(rate: 1_000_000)
    let drawn = f.revealAll(request)
    #expect(leases.allSatisfy { f.market.leases[$0]?.verification == .audit })
    #expect(drawn?.events.first { $0.body.canonicalBytes[0] == 37 }?.postings.count == 2)
    #expect(f.balance(.treasury) == 20 + 40 + 60)
    leases.forEach { f.rule($0, .valid) }
    #expect(f.state(request) == .final)
    var coverage = Coverage()
    (coverage.audited, coverage.auditedCost) = (3, Cost(units: 6_000))
    #expect(f.market.requests[request]?.coverage == coverage)
    #expect(f.balance(.available(F.alice.publicKey)) == 10_000_000 - 300 - 120)
  }

  @Test func sparedSlicesSettleAsAttestedWhenTheirWindowIsOver() {
    var (f, request, leases) = answered([0, 1])
    f.rule(leases[2], .valid)
    f.revealAll(request)
    #expect(leases.prefix(2).allSatisfy { f.market.leases[$0]!.isChallengeable })
    f.pass(60_000)
    #expect(f.state(leases[0]) == .submitted)
    let over = f.pass(1)
    #expect(over.bodies.contains(.leaseAttested(leases[0])))
    #expect(f.state(request) == .final)
    var coverage = Coverage()
    (coverage.attested, coverage.attestedCost) = (2, Cost(units: 3_000))
    (coverage.reexecuted, coverage.reexecutedCost) = (1, Cost(units: 3_000))
    #expect(f.market.requests[request]?.coverage == coverage)
  }

  @Test func wrongOutputIsSlashedByItsAuditAndItsReplacementIsAuditedInAnyCase() {
    var (f, request, leases) = answered([0, 1, 2], rate: 1_000_000, lies: [2])
    f.revealAll(request)
    f.rule(leases[2], .invalid)
    #expect(f.state(leases[2]) == .slashed)
    #expect(f.state(request) == .running)
    let replacement = f.leaseID(request, 2)
    #expect(f.lease(request, 2)?.terms.prover == F.rita.publicKey)
    let committed = f.commit(replacement)
    // Its audit is paid for already.
    #expect(committed.bodies.contains(.auditDue(replacement, fee: .zero)))
    f.submit(replacement)
    #expect(f.market.leases[replacement]?.verification == .audit)
    finish(&f, request)
    #expect(f.state(request) == .final)
    #expect(f.market.requests[request]?.coverage?.audited == 3)
  }

  @Test func lesseeThatCommitsAfterTheNoncesWereAskedForIsAuditedWhateverTheRate() {
    var (f, request, leases) = chain()
    leases.forEach { f.commit($0) }
    f.submit(leases[0])
    f.submit(leases[1])
    f.revealAll(request)
    // The last slice's lessee never sends its receipt: late, and right.
    f.pass(60_001)
    f.rule(leases[2], .valid)
    #expect(f.state(leases[2]) == .lapsed)
    let replacement = f.leaseID(request, 2)
    let outcome = f.commit(replacement)
    #expect(outcome.bodies.contains(.auditDue(replacement, fee: Amount(60))))
    finish(&f, request)
    var coverage = Coverage()
    (coverage.attested, coverage.attestedCost) = (2, Cost(units: 3_000))
    (coverage.audited, coverage.auditedCost) = (1, Cost(units: 3_000))
    #expect(f.market.requests[request]?.coverage == coverage)
  }

  @Test func inconclusiveAuditIsRetriedThenReleasesTheLease() {
    var (f, request, leases) = answered(rate: 1_000_000)
    f.revealAll(request)
    for _ in 0..<3 {
      #expect(f.market.leases[leases[0]]?.verification == .audit)
      f.rule(leases[0], .inconclusive)
    }
    #expect(f.state(leases[0]) == .released)
    #expect(f.balance(.bond(F.paula.publicKey)) == 1_000_000)
    finish(&f, request)
    #expect(f.state(request) == .final)
  }

  // MARK: Nonces that are missing

  @Test func requesterThatDoesNotRevealPaysForTheAuditOfEverySlice() {
    var (f, request, leases) = answered()
    f.reveal(.broker(request))
    leases.forEach { f.reveal(.lessee($0)) }
    f.pass(30_001)
    #expect(draws(f, leases) == [.audited, .audited, .audited])
    #expect(f.balance(.treasury) == 120)
    finish(&f, request)
    #expect(f.balance(.available(F.alice.publicKey)) == 10_000_000 - 300 - 120)
  }

  @Test func lesseesThatDoNotRevealPayForTheAuditsOutOfTheirStakes() {
    var (f, request, leases) = answered()
    f.reveal(.broker(request))
    f.reveal(.requester(request))
    f.reveal(.lessee(leases[1]))
    let outcome = f.pass(30_001)
    #expect(outcome.bodies.contains(.revealMissed(leases[0], penalty: Amount(60))))
    #expect(outcome.bodies.contains(.revealMissed(leases[2], penalty: Amount(60))))
    #expect(draws(f, leases) == [.audited, .audited, .audited])
    #expect(f.balance(.treasury) == 120)
    #expect(f.balance(.stakeHold(F.paula.publicKey)) == 940)
    finish(&f, request)
    #expect(f.state(request) == .final)
    #expect(f.balance(.bond(F.paula.publicKey)) == 999_940)
    #expect(f.balance(.available(F.alice.publicKey)) == 10_000_000 - 300)
  }

  @Test func whatIsForfeitedIsNotSlashedASecondTime() {
    var (f, request, leases) = answered(lies: [0])
    f.reveal(.broker(request))
    f.reveal(.requester(request))
    f.reveal(.lessee(leases[1]))
    f.reveal(.lessee(leases[2]))
    f.pass(30_001)
    f.rule(leases[0], .invalid)
    #expect(f.balance(.bond(F.paula.publicKey)) == 999_000)
    #expect(f.balance(.stakeHold(F.paula.publicKey)) == 0)
    finish(&f, request)
  }

  @Test func whatTheBrokerDoesNotRevealCostsNobody() {
    var (f, request, leases) = answered()
    f.reveal(.requester(request))
    leases.forEach { f.reveal(.lessee($0)) }
    f.pass(30_001)
    #expect(draws(f, leases) == [.audited, .audited, .audited])
    #expect(f.balance(.treasury) == 0)
    finish(&f, request)
    #expect(f.balance(.available(F.alice.publicKey)) == 10_000_000 - 300)
  }

  @Test func outageShiftsTheRevealDeadlineAndTheChallengeWindow() {
    var (f, request, leases) = answered()
    f.now += 20_000
    f.send(.resume, by: F.broker)
    f.pass(29_000)
    #expect(f.market.requests[request]?.isDrawn == false)
    f.revealAll(request)
    f.now += 50_000
    f.send(.resume, by: F.broker)
    f.pass(59_000)
    #expect(f.state(leases[0]) == .submitted)
    f.pass(1_001)
    #expect(f.state(request) == .final)
  }

  /// Nobody can try another seed: whose nonces make it is settled when they are asked for.
  @Test func withdrawnAnswerKeepsTheRevealsThatWereAskedFor() {
    var (f, request, leases) = answered([1])
    f.reveal(.requester(request))
    f.rule(leases[0], .invalid)
    #expect(f.state(request) == .running)
    #expect(f.market.requests[request]?.reveals?.leases == leases)
    f.reveal(.broker(request))
    // Even the slashed one's counts.
    f.reveal(.lessee(leases[0]))
    f.reveal(.lessee(leases[1]))
    f.reveal(.lessee(leases[2]))
    #expect(f.market.requests[request]?.seed != nil)
    finish(&f, request)
    #expect(f.state(request) == .final)
    #expect(f.market.requests[request]?.coverage?.audited == 1)
  }

  // MARK: Requests that fail

  @Test func failingRequestAuditsWhatHasCommitted() {
    var (f, request, leases) = chain(attempts: 1)
    f.commit(leases[0])
    f.submit(leases[0])
    f.pass(10_001)
    #expect(f.state(request) == .failing)
    #expect(f.market.leases[leases[0]]?.verification == .audit)
    f.rule(leases[0], .valid)
    #expect(f.state(request) == .failed)
    #expect(f.state(leases[0]) == .settled)
    // Its fee, and its audit.
    #expect(f.balance(.available(F.alice.publicKey)) == 10_000_000 - 50 - 20)
  }

  @Test func finalDeadlineWithinTheWindowsStillPaysWhatIsValid() {
    var (f, request, leases) = answered()
    f.now += 985_000
    f.send(.tick, by: F.alice)
    var later = f
    later.pass(20_000)
    #expect(later.market.requests[request]?.state.isFinal == false)
    finish(&later, request)
    #expect(later.state(request) == .failed)
    #expect(leases.allSatisfy { later.state($0) == .settled })
  }

  @Test func rangeFaultEndsARequestWhoseNoncesWillNeverBeAskedFor() {
    var (f, request, leases) = chain()
    f.commit(leases[0])
    f.submit(leases[0])
    f.send(.reportRangeFault(leases[1]), by: F.quinn)
    f.rule(leases[1], .valid)
    #expect(f.market.leases[leases[0]]?.verification == .audit)
    f.rule(leases[0], .valid)
    #expect(f.state(request) == .failed)
    #expect(f.state(leases[1]) == .settled)
  }

  // MARK: Upstream

  @Test func leaseInItsWindowIsAuditedWhereItsInputWasInvalid() {
    var (f, request, leases) = answered([1, 2])
    f.revealAll(request)
    #expect(f.market.leases[leases[1]]!.isChallengeable)
    f.rule(leases[0], .invalid)
    #expect(f.market.leases[leases[1]]?.isOrphaned == true)
    #expect(f.market.leases[leases[1]]?.verification == .audit)
    f.rule(leases[1], .valid)
    #expect(f.state(leases[1]) == .released)
    // Its fee, out of the half of the slash that is given away.
    #expect(f.balance(.available(F.quinn.publicKey)) == 1_000_000 + 100)
    f.rule(leases[2], .valid)
    finish(&f, request)
    #expect(f.state(request) == .final)
  }

  @Test func leaseThatHasNotSubmittedIsAuditedWhereItsInputWasInvalid() {
    var (f, request, leases) = chain([1])
    leases.forEach { f.commit($0) }
    f.submit(leases[0])
    f.rule(leases[0], .invalid)
    #expect(f.market.leases[leases[1]]?.draw == .audited)
    f.submit(leases[1])
    #expect(f.market.leases[leases[1]]?.verification == .audit)
    f.rule(leases[1], .invalid)
    #expect(f.state(leases[1]) == .slashed)
    f.submit(leases[2])
    f.rule(leases[2], .valid)
    finish(&f, request)
  }

  // MARK: Challenges

  @Test func rightOutputCostsTheChallengerItsDepositAndCountsAsAudited() {
    var (f, request, leases) = answered()
    f.revealAll(request)
    let outcome = f.send(.challenge(leases[0], deposit: Amount(50)), by: F.alice)
    let challenge = Challenge(challenger: F.alice.publicKey, deposit: Amount(50))
    #expect(outcome.bodies.contains(.challenged(leases[0], challenge)))
    #expect(f.balance(.challengeHold(F.alice.publicKey)) == 50)
    #expect(f.market.leases[leases[0]]?.verification == .challenge)
    f.rule(leases[0], .valid)
    #expect(f.balance(.treasury) == 50)
    finish(&f, request)
    var coverage = Coverage()
    (coverage.audited, coverage.auditedCost) = (1, Cost(units: 1_000))
    (coverage.attested, coverage.attestedCost) = (2, Cost(units: 5_000))
    #expect(f.market.requests[request]?.coverage == coverage)
  }

  /// A slash of 3000: 300 for the challenger, 300 for the replacement, 750 to the treasury.
  @Test func wrongOutputPaysTheChallengerOutOfTheSlash() {
    var (f, request, leases) = answered(auditors: [F.bob], lies: [2])
    f.revealAll(request)
    f.send(.challenge(leases[2], deposit: Amount(200)), by: F.bob)
    f.rule(leases[2], .invalid)
    #expect(f.state(leases[2]) == .slashed)
    #expect(f.balance(.available(F.bob.publicKey)) == 10_000_000 + 300)
    #expect(f.balance(.slashEscrow) == 300)
    #expect(f.balance(.treasury) == 750)
    #expect(f.balance(.burned) == 1_650)
    finish(&f, request)
    #expect(f.state(request) == .final)
  }

  @Test func requestersShareIsNoMoreThanItsFee() {
    var (f, request, leases) = answered(lies: [2]) {
      $0.challengerShare = PartsPerMillion(clamping: 400_000)
    }
    f.revealAll(request)
    let before = f.balance(.available(F.alice.publicKey))
    f.send(.challenge(leases[2], deposit: Amount(150)), by: F.alice)
    f.rule(leases[2], .invalid)
    #expect(f.balance(.available(F.alice.publicKey)) == before + 150)
  }

  /// Of 1000: the consumers' 100 and 150 first, then the challenger up to the half.
  @Test func compensationComesBeforeTheChallengersShare() {
    var (f, request, leases) = answered(auditors: [F.bob], lies: [0]) {
      $0.challengerShare = .whole
    }
    f.revealAll(request)
    f.send(.challenge(leases[0], deposit: Amount(50)), by: F.bob)
    f.rule(leases[0], .invalid)
    #expect(f.market.leases[leases[1]]?.compensation == Amount(100))
    #expect(f.market.leases[leases[2]]?.compensation == Amount(150))
    #expect(f.balance(.available(F.bob.publicKey)) == 10_000_000 + 250)
    #expect(f.market.requests[request]?.slices[0].bonus == .zero)
    f.rule(leases[1], .valid)
    f.rule(leases[2], .valid)
    finish(&f, request)
  }

  @Test func inconclusiveChallengeReturnsTheDeposit() {
    var (f, request, leases) = answered()
    f.revealAll(request)
    f.send(.challenge(leases[0], deposit: Amount(50)), by: F.alice)
    let before = f.balance(.available(F.alice.publicKey))
    for _ in 0..<3 { f.rule(leases[0], .inconclusive) }
    #expect(f.state(leases[0]) == .released)
    #expect(f.balance(.available(F.alice.publicKey)) == before + 50)
    finish(&f, request)
  }

  @Test func partiesAloneMayChallengeWhatIsNotDisclosed() {
    var (f, request, leases) = answered(auditors: [F.rita])
    f.revealAll(request)
    func refusal(_ key: SigningKey, _ lease: Int = 0) -> String? {
      f.send(.challenge(leases[lease], deposit: Amount(200)), by: key).rejection
    }
    #expect(refusal(F.bob) == "may-not-challenge")
    #expect(refusal(F.quinn) == "may-not-challenge")
    #expect(refusal(F.rita) == nil)
    #expect(refusal(F.alice, 1) == nil)
  }

  @Test func anyoneButTheLesseeMayChallengeWhatIsDisclosed() {
    var (f, request, leases) = answered(disclosure: .everyone)
    f.revealAll(request)
    let challenge = Command.challenge(leases[0], deposit: Amount(50))
    #expect(f.send(challenge, by: F.paula).rejection == "may-not-challenge")
    #expect(f.send(challenge, by: F.quinn).rejection == nil)
  }

  @Test func refusesChallengesOutOfPlace() {
    var (f, request, leases) = answered()
    func refusal(_ lease: LeaseID, _ deposit: UInt64 = 50) -> String? {
      f.send(.challenge(lease, deposit: Amount(deposit)), by: F.alice).rejection
    }
    #expect(refusal(leases[0]) == "not-challengeable", "nothing is drawn yet")
    f.revealAll(request)
    #expect(refusal(LeaseID(ordinal: 99)) == "unknown-lease")
    #expect(refusal(leases[0], 0) == "zero-amount")
    #expect(refusal(leases[0], 49) == "deposit-too-small")
    #expect(refusal(leases[0], 20_000_000) == "insufficient-funds")
    #expect(refusal(leases[0]) == nil)
    #expect(refusal(leases[0]) == "not-challengeable", "it is challenged")
    f.now += 60_001
    #expect(refusal(leases[1], 100) == "not-challengeable", "its window is over")
    let (g, drawn, audited) = answered(rate: 1_000_000)
    f = g
    f.revealAll(drawn)
    #expect(refusal(audited[0]) == "not-challengeable", "it is audited")
  }
}
