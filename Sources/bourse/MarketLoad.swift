import Foundation
import Market
import Primitives
import Statements

/// What a busy exchange is asked, command by command, with a market of its own that decides them:
/// bids placed, amended and cancelled, and requests of three slices from submission to settlement.
/// Equal seeds give equal commands.
struct MarketLoad {
  struct Step: Sendable {
    let command: Command
    let author: PublicKey
    let digest: Digest
    /// Nil where nothing is signed.
    let envelope: Envelope?
    let tick: Tick
  }

  /// Commands from a request's submission to its settlement, with all of its leases.
  static let commandsPerRequest = 10

  let network: NetworkID
  let genesis: Genesis
  let brokerKey: SigningKey
  private let operatorKey: SigningKey
  private let provers: [SigningKey]
  private let proverOf: [PublicKey: SigningKey]
  private let requester: SigningKey
  private let manifest: Manifest
  private let model: ModelID
  /// Whether commands come as signed envelopes, as a journal needs them.
  private let isSigned: Bool
  private var random: SplitMix64
  private var now: UInt64 = 1_000
  private var bids: [(id: BidID, prover: Int)] = []

  private(set) var market: Market
  /// Commands so far, since they were last taken.
  private(set) var steps: [Step] = []
  private(set) var outcomes: [Outcome] = []

  init(seed: UInt64, provers count: Int, isSigned: Bool) throws {
    func key(_ number: Int) -> SigningKey {
      SigningKey(seed: Digest.of(Array("bench \(number)".utf8)).value)
    }
    guard let network = NetworkID("bench") else { throw LoadError.unusable("a name") }
    self.network = network
    operatorKey = key(0)
    brokerKey = key(1)
    requester = key(2)
    provers = (0..<count).map { key(3 + $0) }
    proverOf = Dictionary(uniqueKeysWithValues: provers.map { ($0.publicKey, $0) })
    genesis = Genesis(
      network: network, operator: operatorKey.publicKey, broker: brokerKey.publicKey)
    manifest = try Self.manifest()
    model = manifest.id
    self.isSigned = isSigned
    random = SplitMix64(state: seed)
    market = try Market(genesis: genesis)
    try open()
  }

  /// Three slices, one after another.
  private static func manifest() throws -> Manifest {
    func tensor(_ name: String) throws -> BoundarySpecification {
      guard
        let tensor = BoundarySpecification(
          name: name, elementType: .int16, shape: [1, 4], exponent: 8)
      else { throw LoadError.unusable("a tensor") }
      return tensor
    }
    return try Manifest(
      name: "bench", semantics: Market.semantics, inputs: [try tensor("input")],
      slices: try (0..<3).map { slice in
        Manifest.Slice(
          name: "slice-\(slice)", onnx: .zero, program: .zero,
          sources: [slice == 0 ? .input(0) : .slice(slice - 1, output: 0)],
          inputs: [try tensor("in")], outputs: [try tensor("out")],
          cost: Cost(units: UInt64(1_000 * (slice + 1))))
      },
      outputs: [.slice(2, output: 0)])
  }

  /// The model, its keys, and everybody's money.
  private mutating func open() throws {
    try perform(.publishModel(manifest), by: brokerKey)
    for slice in manifest.slices.indices {
      let record = KeyRecord(
        model: model, slice: slice, backend: .reexec, backendVersion: "1", plugin: .zero,
        verifierKey: .zero)
      try perform(.publishKey(record), by: brokerKey)
    }
    let sum = Amount(microcredits: 1 << 40)
    for key in provers + [requester] {
      try perform(.deposit(owner: key.publicKey, amount: sum), by: operatorKey)
    }
    for key in provers { try perform(.bond(amount: sum), by: key) }
  }

  // MARK: Commands

  /// Places a bid of random scope and price.
  mutating func place() throws {
    let prover = Int.random(in: 0..<provers.count, using: &random)
    let scope: Scope =
      switch Int.random(in: 0..<3, using: &random) {
      case 0: .model(model)
      case 1: .slice(model, Int.random(in: 0..<3, using: &random))
      default: .any
      }
    let terms = BidTerms(backend: .reexec, scope: scope, price: price(), capacity: 4)
    let id = try perform(.placeBid(terms), by: provers[prover])
    bids.append((id, prover))
  }

  mutating func amend() throws {
    let (id, prover) = bids[Int.random(in: 0..<bids.count, using: &random)]
    try perform(.amendBid(id, price: price(), capacity: 5), by: provers[prover])
  }

  mutating func cancel() throws {
    bids.swapAt(Int.random(in: 0..<bids.count, using: &random), bids.count - 1)
    let (id, prover) = bids.removeLast()
    try perform(.cancelBid(id), by: provers[prover])
  }

  private mutating func price() -> Price {
    Price(ticks: UInt64.random(in: 1_000..<51_000, using: &random))
  }

  /// A request that is matched at once, and all that follows until it is settled.
  mutating func settleRequest() throws {
    let tick = Tick(milliseconds: now)
    let terms = RequestTerms(
      model: model, inputs: [.zero],
      assurances: manifest.slices.map { _ in SliceAssurance(.proven, by: .reexec) },
      limitPrice: Price(ticks: 60_000), stakeMultiple: 2, spread: 0, disclosure: .parties,
      nonceCommitment: .zero, beginDeadline: tick.advanced(by: 60_000),
      finalDeadline: tick.advanced(by: 600_000), attemptsMax: 1,
      timeInForce: .goodTillCancelled)
    let id = try perform(.submitRequest(terms), by: requester)
    for slice in manifest.slices.indices {
      let (lease, lessee) = try lease(id, slice)
      let commitment = OutputCommitment(
        network: network, lease: lease.id, outputs: [Digest(Bytes32(words: words()))],
        nonceCommitment: .zero, signedBy: lessee)
      try perform(.commitOutput(commitment), by: lessee)
    }
    for slice in manifest.slices.indices {
      let (lease, lessee) = try lease(id, slice)
      let receipt = Receipt(statement: market.statement(of: lease), proof: .zero)
      try perform(
        .submitBatch(Batch(network: network, receipts: [receipt], signedBy: lessee)),
        by: lessee)
      let verdict = VerdictRecord(
        lease: lease.id, attempt: 1, verdict: .valid, evidence: .zero)
      try perform(.recordVerdict(verdict), by: brokerKey)
    }
    guard market.requests[id]?.state == .final else { throw LoadError.unusable("a request") }
  }

  private func lease(_ request: RequestID, _ slice: Int) throws -> (Lease, SigningKey) {
    guard let lease = market.requests[request]?.slices[slice].lease.flatMap({ market.leases[$0] }),
      let lessee = proverOf[lease.terms.prover]
    else { throw LoadError.unusable("a lease") }
    return (lease, lessee)
  }

  /// The commands since the last call, with what came of them.
  mutating func take() -> (steps: [Step], outcomes: [Outcome]) {
    defer { (steps, outcomes) = ([], []) }
    return (steps, outcomes)
  }

  private mutating func words() -> (UInt64, UInt64, UInt64, UInt64) {
    (random.next(), random.next(), random.next(), random.next())
  }

  @discardableResult
  private mutating func perform(_ command: Command, by key: SigningKey) throws -> Digest {
    now += 1
    let envelope: Envelope? =
      isSigned
      ? Envelope(
        network: network, nonce: Nonce(high: random.next(), low: random.next()),
        expiry: .never, body: command.canonicalBytes, signedBy: key) : nil
    let step = Step(
      command: command, author: key.publicKey,
      digest: envelope?.digest ?? Digest(Bytes32(words: words())), envelope: envelope,
      tick: Tick(milliseconds: now))
    let outcome = market.execute(
      command, by: step.author, digest: step.digest, at: step.tick, isAuthentic: true)
    if case .rejected(let rejection) = outcome { throw rejection }
    steps.append(step)
    outcomes.append(outcome)
    return step.digest
  }
}

enum LoadError: CodedError {
  case unusable(String)

  var code: String { "bench-load-unusable" }
  var sentence: String {
    switch self {
    case .unusable(let what):
      "The benchmark's own load failed at \(what); report this with the command you ran."
    }
  }
}
