import Broker
import Foundation
import Journal
import Logging
import Market
import Primitives
import Prover
import ProverHost
import Replay
import Requester
import ServiceLifecycle
import Statements
import Testing

@testable import Wire

let network = NetworkID("exchange-tests")!
let quiet = Logger(label: "exchange-tests") { _ in SwiftLogNoOpLogHandler() }

/// A whole exchange in this process, over real parts: a journal on disk, sockets on loopback, and
/// one prover host that all backends share.
final class Exchange {
  static let deposit: Int64 = 20_000_000
  static let bond: Int64 = 5_000_000

  let directory: String
  let brokerKey = SigningKey.random()
  let operatorKey = SigningKey.random()
  private(set) var card: BrokerCard
  private let curve = CurveKeyPair.random()
  private var broker: RunningService?
  private var sequencer: Sequencer?
  private var provers: [RunningService] = []
  private var clients: [WireClient] = []

  /// Runs `body` in an exchange of its own. Whatever it did, the journal must then replay to the
  /// balances that the live broker had.
  static func run(
    _ parameters: Parameters = Parameters(), _ body: (Exchange) async throws -> Void
  ) async throws {
    let exchange = try await Exchange(parameters)
    defer { try? FileManager.default.removeItem(atPath: exchange.directory) }
    do {
      try await body(exchange)
    } catch {
      try? await exchange.stopProvers()
      _ = try? await exchange.stopBroker()
      throw error
    }
    try await exchange.stopProvers()
    let balances = try await exchange.stopBroker()
    let replay = try await exchange.replay()
    #expect(replay.divergence == nil)
    #expect(Dictionary(replay.balances.map { ($0.account, $0.balance) }) { $1 } == balances)
    #expect(balances.values.reduce(0, +) == 0)
  }

  private init(_ parameters: Parameters) async throws {
    directory = NSTemporaryDirectory() + "bourse-exchange-\(UUID().uuidString)"
    card = BrokerCard(
      network: network, endpoint: "tcp://127.0.0.1:0", curveKey: curve.publicKey,
      brokerKey: brokerKey.publicKey, operatorKey: operatorKey.publicKey)
    let genesis = Genesis(
      network: network, operator: operatorKey.publicKey, broker: brokerKey.publicKey,
      parameters: parameters)
    try await start(try Journal.create(in: directory, genesis: genesis, key: brokerKey))
  }

  // MARK: Broker

  /// Starts again what `stopBroker` stopped, from the same directory and on the same port.
  func restartBroker() async throws {
    try await start(try await onceReleased { try Journal(directory: directory, key: brokerKey) })
  }

  private func start(_ journal: sending Journal) async throws {
    let backend = try await SharedBackend.reexec
    let market = try journal.recover()
    let sequencer = Sequencer(journal: journal, market: market, executor: PollExecutor())
    let blobs = try BlobStore(
      directory: directory, limits: BlobStore.Limits(chunk: Frame.chunkLimit))
    let (cards, ready) = AsyncStream.makeStream(of: BrokerCard.self)
    let service = BrokerService(
      network: network, key: brokerKey, operatorKey: operatorKey.publicKey,
      endpoint: card.endpoint, curveKeys: curve, sequencer: sequencer, blobs: blobs,
      backends: [ServedBackend(backend: backend, plugin: try SharedBackend.pluginDigest())],
      logger: quiet
    ) { ready.yield($0) }
    let running = RunningService(service) { ready.finish() }
    guard let card = await cards.first(where: { _ in true }) else {
      try await running.stop()
      throw FixtureError.neverReady
    }
    (self.card, self.sequencer, broker) = (card, sequencer, running)
  }

  /// Stops gracefully; the balances as the last state had them.
  @discardableResult
  func stopBroker() async throws -> [Account: Int64] {
    guard let broker else { return [:] }
    for client in clients where provers.isEmpty { await client.close() }
    try await broker.stop()
    let balances = await self.balances()
    (self.broker, sequencer) = (nil, nil)
    return balances
  }

  func balances() async -> [Account: Int64] {
    let balances = await sequencer?.read { $0.balances } ?? []
    return Dictionary(balances.map { ($0.account, $0.balance) }) { $1 }
  }

  func read<Value: Sendable>(_ body: @Sendable (Market) -> Value) async throws -> Value {
    try await #require(sequencer).read(body)
  }

  func replay() async throws -> ReplayReport {
    try await onceReleased { try Replay.run(path: directory) }
  }

  /// The journal's file is free once the last task of the stopped broker has gone.
  private func onceReleased<Value>(_ body: () throws -> sending Value) async throws -> sending Value
  {
    let deadline = ContinuousClock.now + .seconds(10)
    while true {
      do {
        return try body()
      } catch let error as JournalError where ContinuousClock.now < deadline {
        guard error.code == "journal-in-use" else { throw error }
        try await Task.sleep(for: .milliseconds(10))
      }
    }
  }

  // MARK: Parties

  /// Nil connects as nobody. Closed with the exchange.
  func client(_ key: SigningKey?) -> WireClient {
    let client = WireClient(card: card, identity: key, logger: quiet)
    clients.append(client)
    return client
  }

  /// A key with credits.
  func party(_ amount: Int64 = deposit) async throws -> SigningKey {
    let key = SigningKey.random()
    try await client(operatorKey).perform(
      .deposit(owner: key.publicKey, amount: Amount(microcredits: UInt64(amount))),
      signedBy: operatorKey)
    return key
  }

  func publish(_ sample: SampleModel) async throws {
    let publication = ModelPublication(client: client(operatorKey), key: operatorKey)
    let id = try await publication.publish(sample.model)
    try await publication.awaitKeys(
      of: id, backend: .reexec, slices: sample.manifest.slices.count, within: .seconds(20))
  }

  /// A prover whose bid rests in the book on return.
  func prover(
    price: UInt64, capacity: UInt32 = 8, _ misbehaviour: Misbehaviour? = nil
  ) async throws -> PublicKey {
    let key = try await party()
    let (bids, ready) = AsyncStream.makeStream(of: BidID.self)
    let service = ProverService(
      configuration: ProverService.Configuration(
        price: Price(ticks: price), capacity: capacity,
        bond: Amount(microcredits: UInt64(Self.bond)), misbehaviour: misbehaviour),
      client: client(key), backend: try await SharedBackend.reexec, key: key, logger: quiet
    ) { ready.yield($0) }
    let running = RunningService(service) { ready.finish() }
    provers.append(running)
    guard await bids.first(where: { _ in true }) != nil else {
      try await running.stop()
      throw FixtureError.neverReady
    }
    return key.publicKey
  }

  func stopProvers() async throws {
    let stopping = provers
    provers = []
    for prover in stopping { try await prover.stop() }
  }
}

enum FixtureError: Error { case neverReady }

/// A service under a group of its own, as a process has it.
struct RunningService {
  private let group: ServiceGroup
  private let task: Task<Void, any Error>

  init(_ service: some Service, onEnd: @escaping @Sendable () -> Void) {
    let group = ServiceGroup(
      configuration: ServiceGroupConfiguration(
        services: [
          .init(
            service: service, successTerminationBehavior: .gracefullyShutdownGroup,
            failureTerminationBehavior: .gracefullyShutdownGroup)
        ], logger: quiet))
    self.group = group
    task = Task {
      defer { onEnd() }
      try await group.run()
    }
  }

  /// Throws what the service failed with.
  func stop() async throws {
    await group.triggerGracefulShutdown()
    try await task.value
  }
}

/// One `reexec` in one real host process, for the broker and all provers of all tests.
enum SharedBackend {
  static let installed = InstalledFiles(directory: buildDirectory)
  private static let opening = Task {
    try await Backend(
      Backend.Configuration(
        host: installed.proverHost, plugin: installed.plugin("reexec"), digest: pluginDigest(),
        backend: .reexec))
  }

  static var reexec: Backend { get async throws { try await opening.value } }

  static func pluginDigest() throws -> Digest {
    Digest.of([UInt8](try Data(contentsOf: URL(filePath: installed.plugin("reexec")))))
  }

  /// The directory of the test executable, where the build puts programs and plugins.
  private static var buildDirectory: String {
    // `swift test` runs the tests in its own helper process; the bundle is among its arguments.
    let bundle = CommandLine.arguments.first { $0.hasSuffix(".xctest") }
    guard let slash = bundle?.lastIndex(of: "/"), let bundle else {
      return InstalledFiles().directory
    }
    return String(bundle[..<slash])
  }
}

/// SplitMix64 (Steele, Lea, Flood 2014): the same seed gives the same choices.
struct Seeded: RandomNumberGenerator {
  var state: UInt64
  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
    return mixed ^ (mixed >> 31)
  }
}
