import Market
import Primitives
import Statements

/// A market so small that all its states can be walked: requesters who ask once each, provers with
/// one bid each, all at one price, and a model of two slices, one after the other. Time moves in
/// units, and every window ends just before one, so that ticks fall together.
struct SmallMarket {
  typealias F = MarketFixture

  static let unit: UInt64 = 1_000
  private static let pair = F.manifest(
    "pair", [(1000, [.input(0)]), (1000, [.slice(0, output: 0)])])

  /// What is asked for, and how often a slice is tried.
  struct Kind: Sendable, CustomStringConvertible {
    /// One for each requester, in the order in which they may ask.
    let requests: [[Assurance]]
    var isAudited = false
    var provers = 3
    var attempts: UInt32 = 2

    var description: String {
      let requests = requests.map {
        $0.map { $0 == .proven ? "proven" : "attested" }.joined(separator: "+")
      }
      return "\(requests.joined(separator: " and ")), audits \(isAudited ? "drawn" : "spared"), "
        + "\(provers) provers, \(attempts) attempts"
    }
  }

  let kind: Kind
  let requesters: [SigningKey]
  let provers: [SigningKey]
  var market: Market
  var now = Self.unit
  private var commands: UInt64 = 0

  init(_ kind: Kind) throws {
    self.kind = kind
    requesters = Array([F.alice, F.bob].prefix(kind.requests.count))
    provers = Array(F.provers.prefix(kind.provers))
    var parameters = Parameters()
    parameters.inconclusiveRetries = 0
    parameters.lapseLimit = 2
    parameters.executeWindow = Self.unit - 1
    parameters.proveWindow = Self.unit - 1
    parameters.verifyWindow = Self.unit - 1
    parameters.revealWindow = Self.unit - 1
    parameters.challengeWindow = Self.unit - 1
    market = try Market(
      genesis: Genesis(
        network: F.network, operator: F.operatorKey.publicKey, broker: F.broker.publicKey,
        parameters: parameters))
    market.watchesMoney = true
    try must(.publishModel(Self.pair), by: F.broker)
    for slice in 0..<2 {
      try must(.publishKey(F.keyRecord(Self.pair, slice, .reexec)), by: F.broker)
    }
    for key in requesters + provers {
      try must(.deposit(owner: key.publicKey, amount: Amount(10_000_000)), by: F.operatorKey)
    }
    for key in provers {
      try must(.bond(amount: Amount(10_000_000)), by: key)
      let terms = BidTerms(backend: .reexec, scope: .any, price: Price(ticks: 50), capacity: 1)
      try must(.placeBid(terms), by: key)
    }
  }

  private struct Refused: Error {}

  private mutating func must(_ command: Command, by key: SigningKey) throws {
    guard perform(command, by: key) else { throw Refused() }
  }

  /// What the state shares with all that go on like it.
  var name: [UInt8] {
    ControlState.bytes(of: market, at: now, provers: provers.map(\.publicKey))
  }

  /// False where the market refuses. Nobody may run out of money, since names leave it out.
  mutating func perform(_ command: Command, by key: SigningKey) -> Bool {
    commands += 1
    let digest = Digest(Bytes32(words: (commands, UInt64(command.canonicalBytes[0]), now, 0)))
    let outcome = market.execute(
      command, by: key.publicKey, digest: digest, at: Tick(milliseconds: now), isAuthentic: true)
    precondition(outcome.rejection != "insufficient-funds", "somebody has run out of money")
    return outcome.rejection == nil
  }

  var isEnded: Bool {
    market.requests.values.allSatisfy { $0.state.isFinal }
      && market.leases.values.allSatisfy { $0.state.isFinal }
  }

  /// Nothing is held any more, and nothing rests.
  var isEmpty: Bool {
    market.book.orders.isEmpty
      && market.balances.allSatisfy { account, balance in
        balance == 0
          || ![Purpose.feeHold, .stakeHold, .slashEscrow, .challengeHold, .delegatedHold]
            .contains(account.purpose)
      }
  }

  /// The state one unit of time later.
  mutating func pass() {
    now += Self.unit
    _ = perform(.tick, by: F.broker)
  }

  // MARK: Moves

  /// What anyone could do now; the market refuses some of it.
  func moves() -> [(Command, SigningKey)] {
    var moves: [(Command, SigningKey)] = []
    let asked = market.requests.count
    if asked < kind.requests.count {
      moves.append((.submitRequest(terms(asked)), requesters[asked]))
    }
    for request in market.sortedRequests where request.state == .open {
      moves.append((.cancelRequest(request.id), F.key(of: request.requester)))
      let commitment = F.nonce(of: request.id).commitment(by: F.broker.publicKey)
      moves.append((.commitNonce(request.id, commitment), F.broker))
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
    for lease in market.sortedLeases where !lease.state.isFinal { append(lease, to: &moves) }
    for bid in market.book.bids where !bid.isClosed {
      moves.append((.cancelBid(bid.id), F.key(of: bid.prover)))
    }
    return moves
  }

  private func append(_ lease: Lease, to moves: inout [(Command, SigningKey)]) {
    let key = F.key(of: lease.terms.prover)
    if lease.verification != nil {
      for verdict in [Verdict.valid, .invalid, .inconclusive] {
        let record = VerdictRecord(
          lease: lease.id, attempt: lease.attempt, verdict: verdict, evidence: .zero)
        moves.append((.recordVerdict(record), F.broker))
      }
    } else if lease.state == .leased {
      moves.append((.cancelLease(lease.id), key))
    } else if lease.state == .begun {
      for output in [F.honest(lease), F.digest("lie")] {
        moves.append((.commitOutput(Signed.commitment(lease, output, by: key)), key))
      }
      moves.append((.reportRangeFault(lease.id), key))
    } else if lease.state == .committed {
      for proof in [Digest.zero, F.digest("false statement")] {
        // A receipt over other inputs than the lease's is slashed at once.
        var statement = market.statement(of: lease)
        if proof != .zero {
          statement = Statement(
            network: statement.network, request: statement.request, lease: statement.lease,
            model: statement.model, slice: statement.slice, inputs: [proof],
            outputs: statement.outputs, backend: statement.backend,
            keyRecord: statement.keyRecord, prover: statement.prover)
        }
        let receipt = Receipt(statement: statement, proof: .zero)
        moves.append((.submitBatch(Signed.batch(receipt, by: key)), key))
      }
      moves.append((.declareUnprovable(lease.id), key))
    } else if lease.isChallengeable, let request = market.requests[lease.terms.request] {
      let challenger = F.key(of: request.requester)
      moves.append((.challenge(lease.id, deposit: lease.terms.fee), challenger))
    }
  }

  private func terms(_ index: Int) -> RequestTerms {
    let key = requesters[index]
    return RequestTerms(
      model: Self.pair.id, inputs: [F.digest("input")],
      assurances: kind.requests[index].map { SliceAssurance($0, by: .reexec) },
      limitPrice: Price(ticks: 65), stakeMultiple: 1, spread: 1, disclosure: .parties,
      auditRate: kind.isAudited ? .whole : PartsPerMillion(clamping: 0),
      nonceCommitment: F.nonce(of: key).commitment(by: key.publicKey),
      beginDeadline: Tick(milliseconds: now + 2 * Self.unit - 1),
      finalDeadline: Tick(milliseconds: now + 5 * Self.unit - 1), attemptsMax: kind.attempts,
      timeInForce: .goodTillCancelled)
  }

  /// Signatures are not what is walked: the market is told that they hold.
  private enum Signed {
    static func commitment(_ lease: Lease, _ output: Digest, by key: SigningKey) -> OutputCommitment
    {
      OutputCommitment(
        network: F.network, lease: lease.id, outputs: [output],
        nonceCommitment: F.nonce(of: lease).commitment(by: key.publicKey), signedBy: key)
    }

    static func batch(_ receipt: Receipt, by key: SigningKey) -> Batch {
      Batch(network: F.network, receipts: [receipt], signedBy: key)
    }
  }
}
