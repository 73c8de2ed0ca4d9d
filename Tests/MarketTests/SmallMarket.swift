@testable import Market
import MerkleLog
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
  private static let input = F.digest("input")

  /// What is asked for, how often a slice is tried, and how long a request lives.
  struct Kind: Sendable, CustomStringConvertible {
    /// One for each requester, in the order in which they may ask.
    let requests: [[Assurance]]
    var isAudited = false
    var provers = 3
    /// One for each request.
    var attempts: [UInt32]
    /// Lapses in a row that close a prover's bids.
    var lapses: UInt32 = 2
    /// Units from a request to its deadlines.
    var begin: UInt64 = 2
    var final: UInt64 = 5
    /// Whether any number of other requesters take, hold and give back bids as they like.
    var isAmongOthers = false

    var description: String {
      let requests = requests.map {
        $0.map { $0 == .proven ? "proven" : "attested" }.joined(separator: "+")
      }
      return "\(requests.joined(separator: " and "))\(isAmongOthers ? " among others" : ""), "
        + "audits \(isAudited ? "drawn" : "spared"), "
        + "\(provers) provers, \(attempts.map(String.init).joined(separator: " and ")) attempts, "
        + "\(lapses) lapses, "
        + "deadlines after \(begin) and \(final) units"
    }
  }

  let kind: Kind
  let requesters: [SigningKey]
  let provers: [SigningKey]
  var market: Market
  var now = Self.unit
  /// Whose parties alone act from here on.
  var part: ControlState.Part = .rest(without: [])
  private var commands: UInt64 = 0
  /// Bids that other requesters hold, or wait for.
  private var others: Set<BidID> = []

  init(_ kind: Kind) throws {
    self.kind = kind
    requesters = Array([F.alice, F.bob].prefix(kind.requests.count))
    provers = Array(F.provers.prefix(kind.provers))
    var parameters = Parameters()
    parameters.inconclusiveRetries = 0
    parameters.lapseLimit = kind.lapses
    parameters.executeWindow = Self.unit - 1
    parameters.proveWindow = Self.unit - 1
    parameters.verifyWindow = Self.unit - 1
    parameters.revealWindow = Self.unit - 1
    parameters.challengeWindow = Self.unit - 1
    market = try Market(
      genesis: Genesis(
        network: F.network, operator: F.operatorKey.publicKey, broker: F.broker.publicKey,
        parameters: parameters))
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

  /// False where the market refuses. Nobody may run out of money, since names leave it out.
  mutating func perform(_ command: Command, by key: SigningKey) -> Bool {
    commands += 1
    let digest = Digest(Bytes32(words: (commands, 0, 0, 0)))
    let outcome = market.execute(
      command, by: key.publicKey, digest: digest, at: Tick(milliseconds: now), isAuthentic: true)
    precondition(outcome.rejection != "insufficient-funds", "somebody has run out of money")
    return outcome.rejection == nil
  }

  var isEnded: Bool {
    market.requests.allSatisfy { $0.state.isFinal || isApart($0.id) }
      && market.leases.allSatisfy { $0.state.isFinal || isApart($0.terms.request) }
  }

  /// Whether what becomes of the request is not told here.
  private func isApart(_ request: RequestID) -> Bool {
    switch part {
    case .alone(let alone): alone != request
    case .rest(let apart): apart.contains(request)
    }
  }

  var isWhole: Bool { part == .rest(without: []) }

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

  /// What anyone could do now; the market refuses some of it. Of moves that differ in names only,
  /// one.
  func moves() -> [(Command, SigningKey)] {
    var moves: [(Command, SigningKey)] = []
    for request in market.requests where !request.state.isFinal && !isApart(request.id) {
      append(request, to: &moves)
    }
    for lease in market.leases
    where !lease.state.isFinal && !isApart(lease.terms.request) {
      append(lease, to: &moves)
    }
    guard case .rest = part else { return moves }
    let asked = market.requests.count
    if asked < kind.requests.count {
      moves.append((.submitRequest(terms(asked)), requesters[asked]))
    }
    for bid in market.book.bids where !bid.isClosed {
      moves.append((.cancelBid(bid.id), F.key(of: bid.prover)))
    }
    return moves
  }

  /// What other requesters could do, as far as these here can notice: take a bid that is free; wait
  /// for one that is held, so that it is theirs before it is anyone else's; and leave it again.
  /// What else befalls a bid in their hands is that it is closed, which its prover may do in any
  /// case.
  ///
  /// This is more than real ones can do, so what holds here holds among any number of them
  /// (Flanagan and Qadeer, 2003). Whatever a command gives them of the bids that it sets free, they
  /// may have waited for before it; what it makes them give back, they may have given back before
  /// it.
  func movesOfOthers() -> [SmallMarket] {
    guard kind.isAmongOthers, case .rest = part else { return [] }
    return market.book.bids.filter { !$0.isClosed }.map { bid in
      var (state, changed) = (self, bid)
      if state.others.remove(bid.id) == nil {
        state.others.insert(bid.id)
        changed.leases += 1
        state.market.book.removeBid(bid.id)
        state.market.book.insert(changed)
      } else {
        changed.leases -= 1
        state.market.book.removeBid(bid.id)
        state.market.book.insert(changed)
        state.market.freed = [bid.prover]
        state.market.matchAgain()
      }
      return state
    }
  }

  private func append(_ request: Request, to moves: inout [(Command, SigningKey)]) {
    let requester = F.key(of: request.requester)
    if request.state == .open {
      moves.append((.cancelRequest(request.id), requester))
      if request.terms.isAttested, request.brokerCommitment == nil {
        let nonce = Self.nonce(request.ordinal)
        moves.append((.commitNonce(request.id, nonce.commitment(by: F.broker.publicKey)), F.broker))
      }
    }
    // Which of the nonces is missing decides nothing, only how many are.
    guard let reveals = request.reveals, request.isRevealing else { return }
    if reveals.requester == nil {
      moves.append((.revealNonce(.requester(request.id), F.nonce(of: requester)), requester))
    } else if reveals.broker == nil {
      moves.append((.revealNonce(.broker(request.id), Self.nonce(request.ordinal)), F.broker))
    } else if let lease = reveals.leases.compactMap({ market.leases[$0] })
      .first(where: { $0.nonce == nil })
    {
      let nonce = Self.nonce(lease.id.ordinal)
      moves.append((.revealNonce(.lessee(lease.id), nonce), F.key(of: lease.terms.prover)))
    }
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
      for output in outputs(of: lease) {
        moves.append((.commitOutput(Self.commitment(lease, output)), key))
      }
      moves.append((.reportRangeFault(lease.id), key))
    } else if lease.state == .committed {
      for isFalse in [false, true] {
        moves.append((.submitBatch(batch(lease, isFalse: isFalse)), key))
      }
      moves.append((.declareUnprovable(lease.id), key))
    } else if lease.isChallengeable, let request = market.requests[lease.terms.request] {
      let challenger = F.key(of: request.requester)
      moves.append((.challenge(lease.id, deposit: lease.terms.fee), challenger))
    }
  }

  /// An output that nobody has seen, and the one that it will be compared with: what the next slice
  /// was begun with, or the answer. Which of them is right a verdict says, whatever they are.
  private func outputs(of lease: Lease) -> [Digest] {
    var outputs = [Digest(Bytes32(words: (.max, lease.id.ordinal, 0, 0)))]
    guard !lease.isOrphaned, let request = market.requests[lease.terms.request] else {
      return outputs
    }
    if lease.terms.slice == 0 {
      let next = request.slices[1].lease.flatMap { market.leases[$0] }
      outputs += next?.inputs ?? []
    } else {
      outputs += request.answer ?? []
    }
    return outputs
  }

  private func terms(_ index: Int) -> RequestTerms {
    let key = requesters[index]
    return RequestTerms(
      model: Self.pair.id, inputs: [Self.input],
      assurances: kind.requests[index].map { SliceAssurance($0, by: .reexec) },
      limitPrice: Price(ticks: 65), stakeMultiple: 1, spread: 1, disclosure: .parties,
      auditRate: kind.isAudited ? .whole : PartsPerMillion(clamping: 0),
      nonceCommitment: F.nonce(of: key).commitment(by: key.publicKey),
      beginDeadline: Tick(milliseconds: now + kind.begin * Self.unit - 1),
      finalDeadline: Tick(milliseconds: now + kind.final * Self.unit - 1),
      attemptsMax: kind.attempts[index], timeInForce: .goodTillCancelled)
  }

  private static func nonce(_ ordinal: UInt64) -> AuditNonce {
    AuditNonce(Bytes32(words: (ordinal, 0, 0, 0)))
  }

  // MARK: Signed words

  // Signatures are not what is walked, and to make one takes longer than all the rest: the market
  // is told that they hold, and only their decoders make values without one.

  private static func commitment(_ lease: Lease, _ output: Digest) -> OutputCommitment {
    var encoder = CanonicalEncoder()
    encoder.append(F.network)
    encoder.append(lease.id)
    encoder.append([output])
    encoder.append(nonce(lease.id.ordinal).commitment(by: lease.terms.prover))
    encoder.append(lease.terms.prover)
    encoder.append(fixed: [UInt8](repeating: 0, count: Signature.count))
    return unsigned(encoder)
  }

  /// A receipt over other inputs than the lease's is slashed at once.
  private func batch(_ lease: Lease, isFalse: Bool) -> Batch {
    var statement = market.statement(of: lease)
    if isFalse {
      statement = Statement(
        network: statement.network, request: statement.request, lease: statement.lease,
        model: statement.model, slice: statement.slice, inputs: [.zero],
        outputs: statement.outputs, backend: statement.backend, keyRecord: statement.keyRecord,
        prover: statement.prover)
    }
    let receipts = [Receipt(statement: statement, proof: .zero)]
    var encoder = CanonicalEncoder()
    encoder.append(F.network)
    encoder.append(lease.terms.prover)
    encoder.append(Batch.tree(receipts).root)
    encoder.append(UInt32(receipts.count))
    encoder.append(fixed: [UInt8](repeating: 0, count: Signature.count))
    return Batch(signedRoot: Self.unsigned(encoder), receipts: receipts)
  }

  private static func unsigned<Record: CanonicalCodable>(_ encoder: CanonicalEncoder) -> Record {
    do {
      return try Record(canonicalBytes: encoder.bytes)
    } catch {
      preconditionFailure("the fields are not in the record's order: \(error)")
    }
  }
}
