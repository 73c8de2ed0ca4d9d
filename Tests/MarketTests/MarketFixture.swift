import Market
import MerkleLog
import Primitives
import Statements
import Testing

/// A market with known keys, two published models and helpers that read as a scenario.
///
/// Every command goes through `send`, which checks what must hold after each of them.
struct MarketFixture {
  static let network = NetworkID("test")!
  static let sumcheck = BackendID("sumcheck")!

  static let operatorKey = key(1)
  static let broker = key(2)
  static let alice = key(10)
  static let bob = key(11)
  /// Provers.
  static let paula = key(20)
  static let quinn = key(21)
  static let rita = key(22)

  /// input -> a -> b -> c, costs 1000, 2000, 3000.
  static let chain = manifest(
    "chain", [(1000, [.input(0)]), (2000, [.slice(0, output: 0)]), (3000, [.slice(1, output: 0)])])
  /// input -> a -> b, c -> d, costs 1000 each.
  static let diamond = manifest(
    "diamond",
    [
      (1000, [.input(0)]), (1000, [.slice(0, output: 0)]), (1000, [.slice(0, output: 0)]),
      (1000, [.slice(1, output: 0), .slice(2, output: 0)]),
    ])

  var market: Market
  var now: UInt64 = 1_000
  private var commands: UInt64 = 0

  init(_ change: (inout Parameters) -> Void = { _ in }) {
    var parameters = Parameters()
    // So that what is held for a request is its fees, except where a test says otherwise.
    parameters.reservationShare = PartsPerMillion(clamping: 0)
    change(&parameters)
    market = try! Market(
      genesis: Genesis(
        network: Self.network, operator: Self.operatorKey.publicKey,
        broker: Self.broker.publicKey, parameters: parameters))
    market.watchesMoney = true
    for manifest in [Self.chain, Self.diamond] {
      send(.publishModel(manifest), by: Self.broker)
      for slice in manifest.slices.indices {
        for backend in [BackendID.reexec, Self.sumcheck] {
          send(.publishKey(Self.keyRecord(manifest, slice, backend)), by: Self.broker)
        }
      }
    }
    for key in [Self.alice, Self.bob] { fund(key, 10_000_000) }
    for key in [Self.paula, Self.quinn, Self.rita] {
      fund(key, 2_000_000)
      send(.bond(amount: Amount(1_000_000)), by: key)
    }
  }

  static func key(_ number: UInt8) -> SigningKey {
    SigningKey(seed: Bytes32([UInt8](repeating: number, count: 32))!)
  }

  static func digest(_ text: String) -> Digest { Digest.of(Array(text.utf8)) }

  static func manifest(
    _ name: String, _ slices: [(cost: UInt64, sources: [Manifest.Source])],
    semantics: String = "fixed16/1"
  ) -> Manifest {
    func tensor(_ name: String) -> BoundarySpecification {
      BoundarySpecification(name: name, elementType: .int16, shape: [1, 4], exponent: 8)!
    }
    return try! Manifest(
      name: name, semantics: semantics, inputs: [tensor("input")],
      slices: slices.enumerated().map { index, slice in
        Manifest.Slice(
          name: "\(name)-\(index)", onnx: digest("\(name) onnx \(index)"),
          program: digest("\(name) program \(index)"), sources: slice.sources,
          inputs: slice.sources.indices.map { tensor("in\($0)") }, outputs: [tensor("out")],
          cost: Cost(units: slice.cost))
      },
      outputs: [.slice(slices.count - 1, output: 0)])
  }

  static func keyRecord(_ manifest: Manifest, _ slice: Int, _ backend: BackendID) -> KeyRecord {
    KeyRecord(
      model: manifest.id, slice: slice, backend: backend, backendVersion: "1",
      plugin: digest("plugin \(backend)"), verifierKey: digest("key \(slice) \(backend)"))
  }

  // MARK: Commands

  @discardableResult
  mutating func send(
    _ command: Command, by author: SigningKey, digest: Digest? = nil
  ) -> Outcome {
    commands += 1
    let digest = digest ?? Self.digest("command \(commands)")
    let outcome = market.execute(
      command, by: author.publicKey, digest: digest, at: Tick(milliseconds: now))
    #expect(market.invariantViolations() == [])
    return outcome
  }

  mutating func fund(_ key: SigningKey, _ amount: UInt64) {
    send(.deposit(owner: key.publicKey, amount: Amount(amount)), by: Self.operatorKey)
  }

  mutating func bid(
    _ prover: SigningKey, at price: UInt64, capacity: UInt32 = 10, backend: BackendID = .reexec,
    scope: Scope = .any, largestSlice: Cost = .maximum, expiry: Tick = .never
  ) -> BidID {
    let id = Self.digest("command \(commands + 1)")
    let outcome = send(
      .placeBid(
        BidTerms(
          backend: backend, scope: scope, price: Price(ticks: price), capacity: capacity,
          largestSlice: largestSlice, expiry: expiry)), by: prover)
    #expect(outcome.rejection == nil)
    return id
  }

  func terms(
    _ manifest: Manifest = chain, limit: UInt64 = 100, backend: BackendID = .reexec,
    multiple: UInt32 = 10, spread: UInt32 = 0, attempts: UInt32 = 3,
    timeInForce: TimeInForce = .goodTillCancelled, begin: UInt64 = 100_000,
    final: UInt64 = 1_000_000, attested: Set<Int> = [], rate: UInt32 = 0,
    disclosure: Disclosure = .parties, auditors: [SigningKey] = [], requester: SigningKey = alice
  ) -> RequestTerms {
    RequestTerms(
      model: manifest.id, inputs: [Self.digest("input")],
      assurances: manifest.slices.indices.map {
        attested.contains($0)
          ? SliceAssurance(.attested, by: .reexec) : SliceAssurance(.proven, by: backend)
      },
      limitPrice: Price(ticks: limit), stakeMultiple: multiple, spread: spread,
      disclosure: disclosure, auditors: auditors.map(\.publicKey),
      auditRate: PartsPerMillion(clamping: rate),
      nonceCommitment: Self.nonce(of: requester).commitment(by: requester.publicKey),
      beginDeadline: Tick(milliseconds: now + begin),
      finalDeadline: Tick(milliseconds: now + final), attemptsMax: attempts,
      timeInForce: timeInForce)
  }

  mutating func request(_ terms: RequestTerms, by requester: SigningKey = alice) -> RequestID {
    let id = Self.digest("command \(commands + 1)")
    #expect(send(.submitRequest(terms), by: requester).rejection == nil)
    return id
  }

  /// The output that an honest lessee commits to, as a function of what it was given.
  static func honest(_ lease: Lease) -> Digest {
    digest("\(lease.terms.model) \(lease.terms.slice) \(lease.inputs)")
  }

  func commitment(_ lease: Lease, _ output: Digest? = nil) -> OutputCommitment {
    OutputCommitment(
      network: Self.network, lease: lease.id, outputs: [output ?? Self.honest(lease)],
      nonceCommitment: Self.nonce(of: lease).commitment(by: lease.terms.prover),
      signedBy: Self.key(of: lease.terms.prover))
  }

  // MARK: Nonces

  /// A requester's, the same in all its requests.
  static func nonce(of requester: SigningKey) -> AuditNonce {
    AuditNonce(for: digest("requester"), from: requester)
  }

  static func nonce(of request: RequestID) -> AuditNonce {
    AuditNonce(for: request, from: broker)
  }

  static func nonce(of lease: Lease) -> AuditNonce {
    AuditNonce(for: digest("lease \(lease.id)"), from: key(of: lease.terms.prover))
  }

  @discardableResult
  mutating func commitNonce(_ request: RequestID) -> Outcome {
    send(
      .commitNonce(request, Self.nonce(of: request).commitment(by: Self.broker.publicKey)),
      by: Self.broker)
  }

  @discardableResult
  mutating func reveal(_ owner: NonceOwner) -> Outcome {
    switch owner {
    case .requester(let id):
      let requester = Self.key(of: market.requests[id]!.requester)
      return send(.revealNonce(owner, Self.nonce(of: requester)), by: requester)
    case .broker(let id):
      return send(.revealNonce(owner, Self.nonce(of: id)), by: Self.broker)
    case .lessee(let id):
      let lease = market.leases[id]!
      return send(
        .revealNonce(owner, Self.nonce(of: lease)), by: Self.key(of: lease.terms.prover))
    }
  }

  /// Reveals every nonce that is missing; the last one draws.
  @discardableResult
  mutating func revealAll(_ request: RequestID) -> Outcome? {
    guard let reveals = market.requests[request]?.reveals else { return nil }
    var last: Outcome?
    if reveals.requester == nil { last = reveal(.requester(request)) }
    if reveals.broker == nil { last = reveal(.broker(request)) }
    for lease in reveals.leases where market.leases[lease]?.nonce == nil {
      last = reveal(.lessee(lease))
    }
    return last
  }

  func receipt(_ lease: Lease) -> Receipt {
    Receipt(statement: market.statement(of: lease), proof: Self.digest("proof"))
  }

  @discardableResult
  mutating func commit(_ lease: LeaseID, _ output: Digest? = nil) -> Outcome {
    let lease = market.leases[lease]!
    return send(.commitOutput(commitment(lease, output)), by: Self.key(of: lease.terms.prover))
  }

  @discardableResult
  mutating func submit(_ leases: LeaseID...) -> Outcome {
    let leases = leases.map { market.leases[$0]! }
    let key = Self.key(of: leases[0].terms.prover)
    return send(
      .submitBatch(
        Batch(network: Self.network, receipts: leases.map { receipt($0) }, signedBy: key)),
      by: key)
  }

  @discardableResult
  mutating func rule(_ lease: LeaseID, _ verdict: Verdict) -> Outcome {
    send(
      .recordVerdict(
        VerdictRecord(
          lease: lease, attempt: market.leases[lease]?.attempt ?? 0, verdict: verdict,
          evidence: .zero)), by: Self.broker)
  }

  /// Lets time pass, then ticks.
  @discardableResult
  mutating func pass(_ milliseconds: UInt64) -> Outcome {
    now += milliseconds
    return send(.tick, by: Self.broker)
  }

  // MARK: What came of it

  func lease(_ request: RequestID, _ slice: Int) -> Lease? {
    market.requests[request]?.slices[slice].lease.flatMap { market.leases[$0] }
  }

  /// The slice's lease, which the scenario takes to exist.
  func leaseID(_ request: RequestID, _ slice: Int) -> LeaseID { lease(request, slice)!.id }

  func state(_ request: RequestID) -> RequestState? { market.requests[request]?.state }
  func state(_ lease: LeaseID) -> LeaseState? { market.leases[lease]?.state }
  func balance(_ account: Account) -> Int64 { market.balance(account) }

  static let provers = [paula, quinn, rita]
  static let everyone = [operatorKey, broker, alice, bob] + provers

  static func key(of publicKey: PublicKey) -> SigningKey {
    everyone.first { $0.publicKey == publicKey }!
  }
}

extension Amount {
  init(_ microcredits: UInt64) { self.init(microcredits: microcredits) }
}

extension Outcome {
  var events: [Event] {
    if case .accepted(let events) = self { events } else { [] }
  }
  var bodies: [Event.Body] { events.map(\.body) }
  /// The rejection's code, or nil where the command was accepted.
  var rejection: String? {
    if case .rejected(let rejection) = self { rejection.code } else { nil }
  }
}
