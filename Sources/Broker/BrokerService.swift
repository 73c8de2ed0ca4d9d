package import Journal
package import Logging
import Market
package import Primitives
package import ProverHost
import ServiceLifecycle
import Statements
package import Wire

/// A backend that the broker verifies with, and the digest of the plugin's file it came from.
package struct ServedBackend: Sendable {
  package let backend: Backend
  package let plugin: Digest

  package init(backend: Backend, plugin: Digest) {
    (self.backend, self.plugin) = (backend, plugin)
  }
}

/// The broker: one sequencer, the wire before it, verification workers and a clock beside it.
package struct BrokerService: Service {
  /// How often the clock looks for a passed deadline.
  private static let tickInterval = Duration.milliseconds(50)
  /// Entries after which a running broker writes a snapshot; what a start after a crash applies
  /// anew at most.
  private static let snapshotInterval: UInt64 = 250_000
  /// Entries that a start applies anew rather than that a stop writes a snapshot for them.
  private static let snapshotThreshold: UInt64 = 10_000
  /// How often old blobs that no command names are looked for.
  private static let blobInterval = Duration.seconds(600)

  private let network: NetworkID
  private let key: SigningKey
  private let sequencer: Sequencer
  private let server: WireServer
  private let feedServer: FeedServer
  private let feed: JournalFeed
  private let history: History
  private let blobs: BlobStore
  private let desk: VerificationDesk
  private let keyPublisher: KeyPublisher
  private let nonceKeeper: NonceKeeper
  private let logger: Logger
  private let onReady: @Sendable (BrokerCard) -> Void

  /// - Parameters:
  ///   - sequencer: Recovered from the journal.
  ///   - feedEndpoint: Where the journal is published.
  ///   - historyIndex: Beside the journal.
  ///   - curveKeys: The broker's CURVE identity, which clients know from its card.
  ///   - backends: By which leases can be verified, in the order in which a model's keys are
  ///     published; `reexec` decides in every doubt.
  ///   - verification: Who verifies.
  ///   - onReady: Called with the card that clients need, once they can connect.
  package init(
    network: NetworkID, key: SigningKey, operatorKey: PublicKey, endpoint: String,
    feedEndpoint: String, curveKeys: CurveKeyPair, sequencer: Sequencer,
    historyIndex: HistoryIndex, blobs: BlobStore,
    backends: [ServedBackend], verification: VerificationOptions = VerificationOptions(),
    logger: Logger,
    onReady: @escaping @Sendable (BrokerCard) -> Void
  ) {
    self.network = network
    self.key = key
    self.sequencer = sequencer
    self.blobs = blobs
    self.logger = logger
    self.onReady = onReady
    feedServer = FeedServer(endpoint: feedEndpoint, curve: curveKeys, logger: logger)
    feed = JournalFeed(sequencer: sequencer, server: feedServer)
    history = History(sequencer: sequencer, index: historyIndex, logger: logger)
    desk = VerificationDesk(
      network: network, sequencer: sequencer, blobs: blobs, backends: backends.map(\.backend),
      options: verification, key: key, logger: logger)
    let handler = BrokerHandler(
      admission: CommandAdmission(network: network, sequencer: sequencer, blobs: blobs),
      sequencer: sequencer, feed: feed, history: history, blobs: blobs, desk: desk, logger: logger)
    server = WireServer(
      endpoint: endpoint, curve: curveKeys, network: network, brokerKey: key.publicKey,
      operatorKey: operatorKey, logger: logger, handler: handler)
    keyPublisher = KeyPublisher(
      network: network, sequencer: sequencer, blobs: blobs, backends: backends, key: key,
      logger: logger)
    nonceKeeper = NonceKeeper(network: network, sequencer: sequencer, key: key, logger: logger)
  }

  package func run() async throws {
    let commits = await sequencer.commits()
    let published = await feed.start()
    // While the broker was away nobody could meet a deadline, so they move before anyone is let in.
    if await sequencer.wasAway(at: .now) {
      await sequencer.perform(.resume, network: network, signedBy: key, logger)
    }
    let card = try await server.start(feed: try await feedServer.start())
    logger.info("serving network '\(network)' at \(card.endpoint)")
    onReady(card)
    let (models, modelQueue) = AsyncStream.makeStream(of: ModelID.self)
    let (nonces, nonceQueue) = AsyncStream.makeStream(of: RequestID.self)
    await cancelWhenGracefulShutdown {
      await withTaskGroup(of: Void.self) { group in
        group.addTask {
          await route(commits, models: modelQueue, nonces: nonceQueue)
        }
        group.addTask { await feed.follow(published) }
        group.addTask { await history.follow() }
        group.addTask { await keepTime() }
        group.addTask { await keepSnapshots() }
        group.addTask { await clearBlobs() }
        group.addTask {
          await keyPublisher.publishMissing()
          for await model in models { await keyPublisher.publish(model) }
        }
        group.addTask {
          await nonceKeeper.catchUp()
          for await request in nonces { await nonceKeeper.act(on: request) }
        }
        group.addTask { await desk.run() }
        // Any part that ends, ends the broker.
        await group.next()
        group.cancelAll()
        modelQueue.finish()
        nonceQueue.finish()
      }
    }
    logger.info("closing")
    await server.shutdown()
    await feedServer.shutdown()
    await writeSnapshot(ifBehind: Self.snapshotThreshold)
    if let failure = await sequencer.failureIfAny() { throw failure }
  }

  /// Turns committed events into verification jobs, keys to publish, nonces to commit to or reveal,
  /// and hints to clients.
  private func route(
    _ commits: AsyncStream<Sequencer.Committed>,
    models: AsyncStream<ModelID>.Continuation, nonces: AsyncStream<RequestID>.Continuation
  ) async {
    for await group in commits {
      var provers: Set<PublicKey> = []
      var requests: Set<RequestID> = []
      var isVerifying = false
      for event in group.events {
        switch event.body {
        case .modelPublished(_, let manifest): models.yield(manifest.id)
        case .verificationWanted(let lease, _, let attempt, _):
          await desk.want(lease, attempt: attempt)
          isVerifying = true
        case .requestOpened(let id, _, let terms): if terms.isAttested { nonces.yield(id) }
        case .revealsWanted(let id, let leases, _):
          nonces.yield(id)
          requests.insert(id)
          let lessees = await sequencer.read { market in
            leases.compactMap { market.leases[$0]?.terms.prover }
          }
          provers.formUnion(lessees)
        case .leaseBegun(let lease, _, _):
          if let terms = await sequencer.read({ $0.leases[lease]?.terms }) {
            provers.insert(terms.prover)
            requests.insert(terms.request)
          }
        case .requestMatched(let id), .requestAnswered(let id, _), .answerWithdrawn(let id),
          .requestFailing(let id, _), .requestClosed(let id, _, _, _):
          requests.insert(id)
        default: break
        }
      }
      for prover in provers { await server.notify(prover, .work) }
      if isVerifying { await notifyVerifiers() }
      for id in requests {
        if let requester = await sequencer.read({ $0.requests[id]?.requester }) {
          await server.notify(requester, .request(id))
        }
      }
    }
  }

  private func keepTime() async {
    while !Task.isCancelled {
      try? await Task.sleep(for: Self.tickInterval)
      if await sequencer.isTickDue() {
        await sequencer.perform(.tick, network: network, signedBy: key, logger)
      }
      if await desk.pool.reassignOverdue() { await notifyVerifiers() }
    }
  }

  private func keepSnapshots() async {
    while !Task.isCancelled {
      try? await Task.sleep(for: .seconds(1))
      await writeSnapshot(ifBehind: Self.snapshotInterval)
    }
  }

  private func clearBlobs() async {
    while !Task.isCancelled {
      let freed = await blobs.removeUnnamed(sequencer)
      if freed > 0 { logger.info("removed \(freed) bytes of blobs that no command has named") }
      try? await Task.sleep(for: Self.blobInterval)
    }
  }

  private func writeSnapshot(ifBehind entries: UInt64) async {
    guard let snapshot = await sequencer.snapshot(ifBehind: entries) else { return }
    do {
      try snapshot.write()
      logger.info("wrote a snapshot of entry \(snapshot.count - 1)")
    } catch {
      logger.warning("\(error)")
    }
  }

  private func notifyVerifiers() async {
    for verifier in desk.options.verifiers { await server.notify(verifier, .work) }
  }
}
