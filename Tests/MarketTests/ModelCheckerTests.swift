import Foundation
import Market
import Primitives
import Statements
import Testing

/// Walks the states that a small market can reach, two requesters, three provers and a model of two
/// slices, and finds none from which time alone does not lead to an end. Alice has her first slice
/// attested, Bob both.
///
/// `BOURSE_MODEL_STATES` bounds the walk; a release build with a large bound is the full run.
struct ModelCheckerTests {
  typealias F = MarketFixture

  private static let limit: Int = {
    let asked = ProcessInfo.processInfo.environment["BOURSE_MODEL_STATES"]
    return asked.flatMap { Int($0) } ?? 150
  }()

  private struct State {
    var market: Market
    var now: UInt64
    var depth: UInt64
  }

  private static let pair = F.manifest(
    "pair", [(1000, [.input(0)]), (1000, [.slice(0, output: 0)])])

  private static func start() throws -> State {
    var parameters = Parameters()
    parameters.inconclusiveRetries = 0
    parameters.lapseLimit = 2
    parameters.revealWindow = 5_000
    parameters.challengeWindow = 8_000
    var state = State(
      market: try Market(
        genesis: Genesis(
          network: F.network, operator: F.operatorKey.publicKey, broker: F.broker.publicKey,
          parameters: parameters)), now: 1_000, depth: 0)
    func execute(_ command: Command, by key: SigningKey) {
      let outcome = perform(command, by: key, in: &state)
      #expect(outcome.rejection == nil)
    }
    execute(.publishModel(pair), by: F.broker)
    for slice in 0..<2 { execute(.publishKey(F.keyRecord(pair, slice, .reexec)), by: F.broker) }
    for key in [F.alice, F.bob] + F.provers {
      execute(.deposit(owner: key.publicKey, amount: Amount(100_000)), by: F.operatorKey)
    }
    for key in F.provers { execute(.bond(amount: Amount(20_000)), by: key) }
    // Quinn's leases are carried by Alice and Bob too.
    execute(.setCommission(PartsPerMillion(clamping: 100_000)), by: F.quinn)
    for key in [F.alice, F.bob] {
      execute(.delegate(F.quinn.publicKey, amount: Amount(30_000)), by: key)
    }
    for (key, price) in zip(F.provers, [50, 60, 70] as [UInt64]) {
      execute(
        .placeBid(
          BidTerms(backend: .reexec, scope: .any, price: Price(ticks: price), capacity: 1)),
        by: key)
    }
    return state
  }

  private static func perform(
    _ command: Command, by key: SigningKey, in state: inout State
  ) -> Outcome {
    state.depth += 1
    return state.market.execute(
      command, by: key.publicKey, digest: F.digest("model \(state.depth) \(command.name)"),
      at: Tick(milliseconds: state.now))
  }

  /// What anyone could do now that would change something.
  private static func moves(_ market: Market, _ now: UInt64) -> [(Command, SigningKey)] {
    var moves: [(Command, SigningKey)] = []
    for key in [F.alice, F.bob]
    where !market.requests.values.contains(where: { $0.requester == key.publicKey }) {
      let terms = RequestTerms(
        model: pair.id, inputs: [F.digest("input")],
        assurances: pair.slices.indices.map {
          SliceAssurance(
            $0 == 0 || key.publicKey == F.bob.publicKey ? .attested : .proven, by: .reexec)
        },
        limitPrice: Price(ticks: 65), stakeMultiple: 1, spread: 1, disclosure: .parties,
        auditRate: PartsPerMillion(clamping: 400_000),
        nonceCommitment: F.nonce(of: key).commitment(by: key.publicKey),
        beginDeadline: Tick(milliseconds: 30_000),
        finalDeadline: Tick(milliseconds: 200_000), attemptsMax: 2,
        timeInForce: .goodTillCancelled)
      if now < 30_000 { moves.append((.submitRequest(terms), key)) }
    }
    for request in market.sortedRequests where request.state == .open {
      moves.append((.cancelRequest(request.id), F.key(of: request.requester)))
      moves.append(
        (
          .commitNonce(
            request.id, F.nonce(of: request.id).commitment(by: F.broker.publicKey)), F.broker
        ))
    }
    for request in market.sortedRequests where request.isRevealing {
      let requester = F.key(of: request.requester)
      moves.append((.revealNonce(.requester(request.id), F.nonce(of: requester)), requester))
      moves.append((.revealNonce(.broker(request.id), F.nonce(of: request.id)), F.broker))
      for lease in request.reveals?.leases.compactMap({ market.leases[$0] }) ?? [] {
        moves.append(
          (.revealNonce(.lessee(lease.id), F.nonce(of: lease)), F.key(of: lease.terms.prover)))
      }
    }
    for lease in market.sortedLeases where !lease.state.isFinal {
      let key = F.key(of: lease.terms.prover)
      if lease.verification != nil {
        for verdict in [Verdict.valid, .invalid, .inconclusive] {
          let record = VerdictRecord(
            lease: lease.id, attempt: lease.attempt, verdict: verdict, evidence: .zero)
          moves.append((.recordVerdict(record), F.broker))
        }
      } else if lease.state == .begun {
        for output in [F.honest(lease), F.digest("lie")] {
          moves.append(
            (
              .commitOutput(
                OutputCommitment(
                  network: F.network, lease: lease.id, outputs: [output],
                  nonceCommitment: F.nonce(of: lease).commitment(by: key.publicKey),
                  signedBy: key)), key
            ))
        }
        moves.append((.reportRangeFault(lease.id), key))
      } else if lease.state == .committed {
        let receipt = Receipt(statement: market.statement(of: lease), proof: .zero)
        moves.append(
          (.submitBatch(Batch(network: F.network, receipts: [receipt], signedBy: key)), key))
        moves.append((.declareUnprovable(lease.id), key))
      } else if lease.isChallengeable, let request = market.requests[lease.terms.request] {
        moves.append(
          (.challenge(lease.id, deposit: lease.terms.fee), F.key(of: request.requester)))
      }
    }
    if let stake = market.pools[F.quinn.publicKey]?.position(of: F.bob.publicKey)?.stake,
      stake > .zero
    {
      moves.append((.undelegate(F.quinn.publicKey, amount: stake), F.bob))
    }
    for bid in market.book.bids where !bid.isClosed {
      moves.append((.cancelBid(bid.id), F.key(of: bid.prover)))
    }
    return moves
  }

  @Test func everyReachableStateHasAWayToAnEnd() throws {
    var frontier = [try Self.start()]
    var seen = Set([frontier[0].market.stateDigest])
    var generator = SeededGenerator(seed: 11)
    var (ended, visited) = (0, 0)
    while visited < Self.limit, !frontier.isEmpty {
      // Anywhere in the frontier, so that a bounded walk sees deep states as well as shallow ones.
      frontier.swapAt(generator.below(frontier.count), frontier.count - 1)
      let state = frontier.removeLast()
      visited += 1
      #expect(state.market.invariantViolations() == [])
      if endsByTimeAlone(state) { ended += 1 }
      for (command, key) in Self.moves(state.market, state.now) {
        var next = state
        guard Self.perform(command, by: key, in: &next).rejection == nil else { continue }
        if seen.insert(next.market.stateDigest).inserted { frontier.append(next) }
      }
      if let deadline = state.market.nextDeadline {
        var next = state
        next.now = max(next.now, deadline.milliseconds)
        _ = Self.perform(.tick, by: F.broker, in: &next)
        if seen.insert(next.market.stateDigest).inserted { frontier.append(next) }
      }
    }
    #expect(ended == visited, "\(visited - ended) of \(visited) states have no way to an end")
    #expect(visited == Self.limit || frontier.isEmpty)
  }

  /// Nobody does anything any more: the broker's ticks must end every request and every lease, and
  /// give every hold back.
  private func endsByTimeAlone(_ start: State) -> Bool {
    var state = start
    for _ in 0..<60 {
      guard let deadline = state.market.nextDeadline else { break }
      state.now = max(state.now, deadline.milliseconds)
      _ = Self.perform(.tick, by: F.broker, in: &state)
    }
    return state.market.nextDeadline == nil
      && state.market.requests.values.allSatisfy { $0.state.isFinal }
      && state.market.leases.values.allSatisfy { $0.state.isFinal }
      && state.market.balances.allSatisfy { account, balance in
        balance == 0
          || ![Purpose.feeHold, .stakeHold, .slashEscrow, .challengeHold, .delegatedHold]
            .contains(account.purpose)
      }
      && state.market.book.orders.isEmpty
  }

  /// The canary: a lease that no deadline reaches is noticed.
  @Test func noticesAStateWithoutAnEnd() throws {
    var state = try Self.start()
    let (command, key) = try #require(
      Self.moves(state.market, state.now).first { $0.0.name == "submitRequest" })
    _ = Self.perform(command, by: key, in: &state)
    let lease = try #require(state.market.sortedLeases.first)
    try state.market.evolve(Event(.leaseOrphaned(lease.id, compensation: .zero)))
    try state.market.evolve(Event(.leaseBegun(lease.id, inputs: [.zero], deadline: .never)))
    #expect(!endsByTimeAlone(state))
  }
}
