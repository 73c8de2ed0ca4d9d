import Market
import Primitives
import Statements

/// A seeded stream of bids, amendments, requests, ticks and faults: what moves a book, and nothing
/// that needs a signature, so that millions of commands pass in a minute.
struct OrderFlow {
  typealias F = MarketFixture

  private var generator: SeededGenerator
  private var now: UInt64 = 1_000
  private var commands: UInt64 = 0
  private var bids: [BidID] = []
  private var requests: [RequestID] = []
  private let provers: [SigningKey]
  private let requesters: [SigningKey]

  init(seed: UInt64) {
    generator = SeededGenerator(seed: seed)
    provers = (20..<28).map { F.key($0) }
    // A prover that asks meets its own bids.
    requesters = [F.alice, F.bob, provers[0]]
  }

  static let genesis = Genesis(
    network: F.network, operator: F.operatorKey.publicKey, broker: F.broker.publicKey)

  struct Step {
    let command: Command
    let author: PublicKey
    let digest: Digest
    let tick: Tick
  }

  /// What comes before the first bid.
  mutating func opening() -> [Step] {
    var steps: [Step] = []
    for manifest in [F.chain, F.diamond] {
      steps.append(step(.publishModel(manifest), by: F.broker))
      for slice in manifest.slices.indices {
        for backend in [BackendID.reexec, F.sumcheck] {
          steps.append(step(.publishKey(F.keyRecord(manifest, slice, backend)), by: F.broker))
        }
      }
    }
    for (index, key) in (provers + requesters).enumerated() {
      let amount = Amount(UInt64(index + 1) * 1_000_000)
      steps.append(
        step(.deposit(owner: key.publicKey, amount: amount), by: F.operatorKey))
    }
    // Bonds so small that stakes run short, so that head-room matters.
    for (index, key) in provers.enumerated() {
      steps.append(step(.bond(amount: Amount(UInt64(10_000 + index * 8_000))), by: key))
    }
    return steps
  }

  mutating func next(_ market: Market) -> Step {
    if generator.chance(30) { now += UInt64(generator.below(800)) }
    switch generator.below(100) {
    // A full book is emptied, so that the reference book's searches stay short.
    case 0..<30: return bids.count > 60 ? cancel(market) : place()
    case 30..<44:
      let (command, author) = amendment(market)
      return step(command, by: author)
    case 44..<56:
      return bids.isEmpty ? place() : cancel(market)
    case 56..<76: return submit()
    case 76..<80:
      guard !requests.isEmpty else { return submit() }
      let id = requests.remove(at: generator.below(requests.count))
      let requester = market.requests[id]?.requester ?? F.alice.publicKey
      return step(.cancelRequest(id), by: requester)
    case 80..<84:
      let lease = LeaseID(ordinal: 1 + generator.next() % UInt64(max(1, market.leases.count)))
      let prover = market.leases[lease]?.terms.prover ?? F.paula.publicKey
      return step(.reportRangeFault(lease), by: prover)
    case 84..<88:
      let count = UInt64(max(1, market.leases.count))
      let lease = LeaseID(ordinal: count - min(count, generator.next() % 8))
      let verdict: Verdict = generator.chance(20) ? .invalid : .valid
      let record = VerdictRecord(
        lease: lease, attempt: market.leases[lease]?.attempt ?? 0, verdict: verdict,
        evidence: .zero)
      return step(.recordVerdict(record), by: F.broker)
    case 88..<90:
      return step(
        .bond(amount: Amount(UInt64(generator.below(2_000)))), by: generator.pick(provers))
    default:
      if generator.chance(10) { now += 12_000 }
      return step(.tick, by: F.broker)
    }
  }

  private mutating func step(_ command: Command, by author: SigningKey) -> Step {
    step(command, by: author.publicKey)
  }

  private mutating func step(_ command: Command, by author: PublicKey) -> Step {
    commands += 1
    return Step(
      command: command, author: author,
      digest: Digest(Bytes32(words: (commands, commands &* 0x9E37_79B9_7F4A_7C15, 0, 0))),
      tick: Tick(milliseconds: now))
  }

  private mutating func backend() -> BackendID { generator.chance(80) ? .reexec : F.sumcheck }

  private mutating func cancel(_ market: Market) -> Step {
    let id = bids.remove(at: generator.below(bids.count))
    return step(.cancelBid(id), by: market.book.bid(id)?.prover ?? provers[0].publicKey)
  }

  private mutating func place() -> Step {
    let model = generator.pick([F.chain, F.diamond])
    let scope: Scope =
      switch generator.below(4) {
      case 0: .model(model.id)
      case 1: .slice(model.id, generator.below(model.slices.count))
      default: .any
      }
    let terms = BidTerms(
      backend: backend(), scope: scope, price: Price(ticks: UInt64(20 + generator.below(60))),
      capacity: UInt32(1 + generator.below(3)),
      largestSlice: generator.chance(20) ? Cost(units: 1_500) : .maximum,
      expiry: generator.chance(70)
        ? .never : Tick(milliseconds: now + 1 + UInt64(generator.below(9_000))))
    let placed = step(.placeBid(terms), by: generator.pick(provers))
    bids.append(placed.digest)
    return placed
  }

  private mutating func amendment(_ market: Market) -> (Command, PublicKey) {
    guard !bids.isEmpty else { return (.tick, F.broker.publicKey) }
    let id = generator.pick(bids)
    let bid = market.book.bid(id)
    let price = Price(ticks: UInt64(20 + generator.below(60)))
    return (
      .amendBid(
        id, price: generator.chance(40) ? price : bid?.terms.price ?? price,
        capacity: UInt32(1 + generator.below(4))),
      bid?.prover ?? provers[0].publicKey
    )
  }

  private mutating func submit() -> Step {
    let model = generator.pick([F.chain, F.diamond])
    let limit = Price(ticks: UInt64(30 + generator.below(60)))
    let inForce: TimeInForce =
      switch generator.below(8) {
      case 0: .fillOrKill
      case 1: .immediateOrCancel
      case 2: .goodTill(Tick(milliseconds: now + 1 + UInt64(generator.below(3_000))))
      default: .goodTillCancelled
      }
    let ramp = PriceRamp(
      start: Price(ticks: 10), step: Price(ticks: 7), interval: 500,
      begins: Tick(milliseconds: now))
    let backend = backend()
    let terms = RequestTerms(
      model: model.id, inputs: [.zero],
      assurances: model.slices.map { _ in SliceAssurance(.proven, by: backend) },
      limitPrice: limit, ramp: generator.chance(20) ? ramp : nil,
      stakeMultiple: UInt32(1 + generator.below(30)), spread: UInt32(generator.below(3)),
      disclosure: .parties, nonceCommitment: .zero,
      beginDeadline: Tick(milliseconds: now + 1 + UInt64(generator.below(20_000))),
      finalDeadline: Tick(milliseconds: now + 20_001 + UInt64(generator.below(20_000))),
      attemptsMax: UInt32(1 + generator.below(3)), timeInForce: inForce)
    let submitted = step(.submitRequest(terms), by: generator.pick(requesters))
    requests.append(submitted.digest)
    return submitted
  }
}
