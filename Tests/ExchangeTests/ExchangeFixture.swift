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
import Slicing
import Statements
import Synchronization
import Testing

@testable import Wire

let network = NetworkID("exchange-tests")!
let quiet = Logger(label: "exchange-tests") { _ in SwiftLogNoOpLogHandler() }

/// A whole exchange in this process, over real parts: a journal on disk, sockets on loopback, and
/// one prover host for each backend, which all parties share.
final class Exchange {
  static let deposit: Int64 = 20_000_000
  static let bond: Int64 = 5_000_000

  let directory: String
  let brokerKey = SigningKey.random()
  let operatorKey = SigningKey.random()
  private(set) var card: BrokerCard
  private let genesis: Genesis
  private let backends: [BackendID]
  private let verification: VerificationOptions
  private let blobLimits: BlobStore.Limits
  private let quota: CommandQuota
  private let curve = CurveKeyPair.random()
  private var broker: RunningService?
  private var sequencer: Sequencer?
  private var provers: [RunningService] = []
  private var clients: [WireClient] = []

  /// Runs `body` in an exchange of its own, whose broker and provers have these backends. Whatever
  /// it did, the journal must then replay to the balances that the live broker had.
  static func run(
    _ parameters: Parameters = Parameters(), backends: [BackendID] = [.reexec],
    verification: VerificationOptions = VerificationOptions(),
    blobLimits: BlobStore.Limits = BlobStore.Limits(chunk: Frame.chunkLimit),
    quota: CommandQuota = CommandQuota(), _ body: (Exchange) async throws -> Void
  ) async throws {
    let exchange = try await Exchange(parameters, backends, verification, blobLimits, quota)
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

  private init(
    _ parameters: Parameters, _ backends: [BackendID], _ verification: VerificationOptions,
    _ blobLimits: BlobStore.Limits, _ quota: CommandQuota
  ) async throws {
    self.backends = backends
    self.verification = verification
    self.blobLimits = blobLimits
    self.quota = quota
    directory = NSTemporaryDirectory() + "bourse-exchange-\(UUID().uuidString)"
    card = BrokerCard(
      network: network, endpoint: "tcp://127.0.0.1:0", curveKey: curve.publicKey,
      brokerKey: brokerKey.publicKey, operatorKey: operatorKey.publicKey)
    genesis = Genesis(
      network: network, operator: operatorKey.publicKey, broker: brokerKey.publicKey,
      parameters: parameters)
    try await start(try Journal.create(in: directory, genesis: genesis, key: brokerKey))
  }

  // MARK: Broker

  /// Starts again what `stopBroker` stopped, from the same directory and on the same port.
  func restartBroker() async throws {
    try await start(try await onceReleased { try Journal(directory: directory, key: brokerKey) })
  }

  /// Stops and starts under everyone who is connected.
  ///
  /// - Parameter meanwhile: What happens to the directory in between.
  func restartKeepingClients(_ meanwhile: () throws -> Void = {}) async throws {
    try await broker?.stop()
    (broker, sequencer) = (nil, nil)
    try meanwhile()
    try await restartBroker()
  }

  /// The end of a journal that holds the genesis alone.
  var beginning: FeedHead {
    FeedHead(
      network: network, sequence: 0, hash: JournalChain.hash(ofGenesis: genesis.canonicalBytes),
      tick: .zero)
  }

  /// All entries, of a broker that has stopped.
  func storedEntries() async throws -> [StoredEntry] {
    try await onceReleased {
      let reader = try JournalReader(directory: directory)
      return try reader.entries(from: 1, limit: .max)
    }
  }

  private func start(_ journal: sending Journal) async throws {
    var served: [ServedBackend] = []
    for id in backends { served.append(try await SharedBackend.served(id)) }
    let market = try journal.recover()
    let sequencer = Sequencer(
      journal: journal, market: market, executor: PollExecutor(), quota: quota)
    let blobs = try BlobStore(directory: directory, limits: blobLimits, clock: { .now })
    let (cards, ready) = AsyncStream.makeStream(of: BrokerCard.self)
    let service = BrokerService(
      network: network, key: brokerKey, operatorKey: operatorKey.publicKey,
      endpoint: card.endpoint, feedEndpoint: card.feed ?? "tcp://127.0.0.1:0", curveKeys: curve,
      sequencer: sequencer, historyIndex: try HistoryIndex(directory: directory), blobs: blobs,
      backends: served, verification: verification, logger: quiet
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

  /// A copy of the broker's directory as it is now, for the caller to remove.
  func copy() throws -> String {
    let copy = NSTemporaryDirectory() + "bourse-copy-\(UUID().uuidString)"
    try FileManager.default.copyItem(atPath: directory, toPath: copy)
    return copy
  }

  /// The journal's file is free once the last task of the stopped broker has gone.
  private func onceReleased<Value>(_ body: () throws -> sending Value) async throws -> sending Value
  {
    let deadline = ContinuousClock.now + .seconds(60)
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

  func publish(_ sample: SampleModel) async throws { try await publish(sample.model) }

  func publish(_ model: SlicedModel) async throws {
    let publication = ModelPublication(client: client(operatorKey), key: operatorKey)
    let id = try await publication.publish(model)
    try await publication.awaitKeys(
      of: id, backend: .reexec, slices: model.manifest.slices.count, within: .seconds(60))
  }

  /// A prover whose bids, on each of the exchange's backends unless told, rest in the book on
  /// return.
  func prover(
    price: UInt64, capacity: UInt32 = 8, _ misbehaviour: Misbehaviour? = nil,
    on backends: [BackendID]? = nil
  ) async throws -> PublicKey {
    try await prover(
      try await party(), price: price, capacity: capacity, misbehaviour, on: backends)
  }

  @discardableResult
  func prover(
    _ key: SigningKey, price: UInt64, capacity: UInt32 = 8, _ misbehaviour: Misbehaviour? = nil,
    on backends: [BackendID]? = nil
  ) async throws -> PublicKey {
    var offered: [Backend] = []
    for id in backends ?? self.backends {
      offered.append(try await SharedBackend.served(id).backend)
    }
    return try await prover(
      key, price: price, capacity: capacity, misbehaviour, with: offered, logger: quiet)
  }

  @discardableResult
  func prover(
    _ key: SigningKey, price: UInt64, capacity: UInt32 = 8, _ misbehaviour: Misbehaviour? = nil,
    with backends: [Backend], logger: Logger
  ) async throws -> PublicKey {
    let (bids, ready) = AsyncStream.makeStream(of: [BidID].self)
    let service = ProverService(
      configuration: ProverService.Configuration(
        capacity: capacity, bond: Amount(microcredits: UInt64(Self.bond)),
        misbehaviour: misbehaviour),
      offers: backends.map { ProverService.Offer($0, at: Price(ticks: price)) },
      client: client(key), key: key, logger: logger
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

enum FixtureError: Error { case neverReady, notCompiled }

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

/// The tree's backends, each in one real host process, for the broker and all provers of all tests.
enum SharedBackend {
  static let installed = InstalledFiles(directory: buildDirectory)
  /// Of the template that plugin authors copy: it takes no slice but a Relu.
  static let exampleC = BackendID("example-c")!
  /// It copies its input, proves nothing, and verifies rightly once in the life of its process.
  static let fault = BackendID("fault")!
  private static let opening = Mutex<[BackendID: Task<ServedBackend, any Error>]>([:])

  static func served(_ id: BackendID) async throws -> ServedBackend {
    let task = opening.withLock { opening in
      let task = opening[id] ?? Task { try await open(id) }
      opening[id] = task
      return task
    }
    return try await task.value
  }

  private static func open(_ id: BackendID) async throws -> ServedBackend {
    let plugin = id == fault ? try compileFault() : installed.plugin(id.name)
    return try await open(id, of: plugin)
  }

  /// One that calls itself `reexec`, copies its input, and gives a wrong output from the second run
  /// in the life of its process on.
  static func forgetfulReexec() async throws -> Backend {
    let plugin = try compileFault("RUNS_RIGHTLY_ONCE", ["FAULT_ID=\"reexec\""])
    return try await open(.reexec, of: plugin).backend
  }

  /// A prover's own backend of the id `fault`, with a fault of `Fixtures/fault.c`.
  static func faulty(_ name: String) async throws -> Backend {
    try await open(fault, of: try compileFault(name)).backend
  }

  private static func open(_ id: BackendID, of plugin: String) async throws -> ServedBackend {
    let digest = Digest.of([UInt8](try Data(contentsOf: URL(filePath: plugin))))
    let backend = try await Backend(
      Backend.Configuration(
        host: installed.proverHost, plugin: plugin, digest: digest, backend: id))
    return ServedBackend(backend: backend, plugin: digest)
  }

  /// A plugin with a fault of `Fixtures/fault.c`; that of `NONE` has a semantics of its own.
  static func compileFault(
    _ fault: String = "TIRES", _ definitions: [String] = []
  ) throws -> String {
    let tests = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    let output = "\(installed.directory)/fault-\(fault)-exchange-\(getpid()).so"
    let compiler = Process()
    compiler.executableURL = URL(filePath: "/usr/bin/env")
    compiler.arguments =
      [
        "cc", "-shared", "-fPIC", "-DFAULT_\(fault)", "-I",
        tests.appending(path: "../Sources/CBourseProver/include").path(),
        tests.appending(path: "ProverHostTests/Fixtures/fault.c").path(), "-o", output,
      ] + definitions.map { "-D\($0)" }
    try compiler.run()
    compiler.waitUntilExit()
    guard compiler.terminationStatus == 0 else { throw FixtureError.notCompiled }
    return output
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

/// What a party logs.
final class Said: Sendable {
  private let lines = Mutex<[String]>([])

  var logger: Logger {
    var logger = Logger(label: "exchange-tests") { _ in Handler(said: self) }
    logger.logLevel = .debug
    return logger
  }

  func count(of text: String) -> Int {
    lines.withLock { $0.count { $0.contains(text) } }
  }

  /// Returns once a line holds the text.
  func awaitLine(_ text: String) async throws {
    try await within(.seconds(60)) {
      while self.count(of: text) == 0 { try await Task.sleep(for: .milliseconds(5)) }
    }
  }

  private struct Handler: LogHandler {
    let said: Said
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.debug

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
      get { metadata[key] }
      set { metadata[key] = newValue }
    }

    func log(event: LogEvent) { said.lines.withLock { $0.append("\(event.message)") } }
  }
}
