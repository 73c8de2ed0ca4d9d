import ArgumentParser
import Broker
import Foundation
import Journal
import Logging
import Market
import Primitives
import ProverHost
import ServiceLifecycle
import UnixSignals
import Wire

struct BrokerCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "broker", abstract: "Run an exchange.", subcommands: [Run.self])

  struct Run: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Run a broker; the first start makes its keys and its journal.",
      discussion: """
        The data directory holds the journal, the blobs, the keys, and broker.json: the card that \
        clients need. Stop it with Ctrl-C; what was acknowledged is on the disk. Copy the \
        directory while it is stopped to back it up.

        Slices are verified by reexec and sumcheck, and by the plugins that --plugin adds, here \
        and by the verifiers that --verifier names (`bourse verifier run`).

        EXAMPLES
          bourse broker run --data ./broker
          bourse broker run --data ./broker --plugin ./libmine.so
          bourse broker run --data ./broker --endpoint tcp://127.0.0.1:7400 --network test
          bourse broker run --data ./broker --endpoint tcp://0.0.0.0:7400 --feed tcp://0.0.0.0:7500
          bourse broker run --data ./broker --verifier 5c0d… --local-workers 0 --cross-check 50000
        """)

    @Option(name: .long, help: "The broker's directory; made where it is missing.")
    var data = "bourse-data"
    @Option(name: .long, help: "The network's name, fixed by the first start (a-z, 0-9, - and .).")
    var network = "local"
    @Option(name: .long, help: "Where to listen; port 0 takes a free one.")
    var endpoint = "tcp://127.0.0.1:7400"
    @Option(
      name: .long,
      help: "Where to publish the feed; the port after that of --endpoint where not told.")
    var feed: String?
    @Option(
      name: .long, help: "Milliseconds from a lease's begin to its output (first start only).")
    var executeWindow: UInt64?
    @Option(name: .long, help: "Milliseconds from an output to its receipt (first start only).")
    var proveWindow: UInt64?
    @Option(
      name: .long,
      help: "Milliseconds in which nonces of attested slices are revealed (first start only).")
    var revealWindow: UInt64?
    @Option(
      name: .customLong("verifier"),
      help: ArgumentHelp(
        "The public key, or key file, of a verifier elsewhere whose verdicts count. Repeatable.",
        valueName: "key"))
    var verifiers: [String] = []
    @Option(
      name: .long,
      help: "Verifications at a time in this process; 0 leaves them to the verifiers.")
    var localWorkers = 2
    @Option(
      name: .long,
      help: ArgumentHelp(
        "How many of a verifier's verdicts 'valid' are found again here, drawn at random; others always are.",
        valueName: "ppm"))
    var crossCheck: UInt32 = 100_000
    @OptionGroup var backends: BackendOptions
    @Flag(name: .shortAndLong, help: "Log every step to standard error.")
    var verbose = false

    func validate() throws {
      guard 0...64 ~= localWorkers else {
        throw ValidationError("--local-workers takes 0 to 64; give another number.")
      }
      guard localWorkers > 0 || !verifiers.isEmpty else {
        throw ValidationError(
          "Nobody would verify; name a --verifier, or leave out --local-workers 0.")
      }
      guard crossCheck <= 1_000_000 else {
        throw ValidationError("--cross-check takes parts per million, up to 1000000.")
      }
    }

    func run() async throws {
      let logger = Logger(label: "bourse.broker", level: verbose ? .debug : .notice)
      guard let network = NetworkID(network) else {
        throw ValidationError(
          "'\(network)' is no network's name; use 1 to 64 of a-z, 0-9, '-' and '.'.")
      }
      let verification = try verification()
      try FileManager.default.createDirectory(
        atPath: data, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
      let key = try KeyFile.readOrCreate(data + "/broker.key")
      // The CURVE key has its own seed: one key, one use.
      let curve = CurveKeyPair(secretKey: try KeyFile.readOrCreate(data + "/curve.key").seed)
      let blobs = try BlobStore(
        directory: data, limits: BlobStore.Limits(chunk: Frame.chunkLimit), clock: { .now })
      let backends = try await servedBackends(logger)
      let cardPath = data + "/broker.json"
      let journal: Journal
      if Journal.exists(in: data) {
        journal = try Self.open(data, key, logger)
      } else {
        journal = try Journal.create(
          in: data,
          genesis: Genesis(
            network: network,
            // Wanted for the genesis alone: afterwards the operator may keep it elsewhere.
            operator: try KeyFile.readOrCreate(data + "/operator.key").publicKey,
            broker: key.publicKey, parameters: parameters()),
          key: key)
      }
      let start = ContinuousClock.now
      let market = try journal.recover()
      logger.info(
        "recovered \(journal.count) entries, \(journal.snapshotted) of them from the snapshot, in \(ContinuousClock.now - start)"
      )
      let sequencer = Sequencer(journal: journal, market: market, executor: PollExecutor())
      let service = BrokerService(
        network: market.genesis.network, key: key, operatorKey: market.genesis.operator,
        endpoint: endpoint, feedEndpoint: try feed ?? Self.nextPort(after: endpoint),
        curveKeys: curve, sequencer: sequencer,
        historyIndex: try HistoryIndex(directory: data), blobs: blobs,
        backends: backends, verification: verification, logger: logger
      ) { card in
        do {
          try card.write(to: cardPath)
          logger.notice("network '\(card.network)' at \(card.endpoint); card in \(cardPath)")
        } catch {
          logger.critical("\(error)")
        }
      }
      try await runUntilSignalled(service, logger)
      for served in backends { await served.backend.close() }
    }

    /// Says what it waits for where the journal has an earlier schema: a long one takes minutes.
    private static func open(
      _ directory: String, _ key: SigningKey, _ logger: Logger
    ) throws -> Journal {
      let progress = Progress(isShown: true)
      var isTold = false
      let journal = try Journal(directory: directory, key: key) { upgrade in
        guard upgrade.elapsed > .seconds(1) else { return }
        if !isTold {
          logger.notice(
            "the journal is brought from schema \(upgrade.from) to \(upgrade.to), once; Ctrl-C leaves it as it was"
          )
          isTold = true
        }
        progress.show(
          "schema \(upgrade.step) of \(upgrade.to): \(upgrade.elapsed.components.seconds) s")
      }
      progress.finish()
      if isTold { logger.notice("the journal has its new schema; recovering") }
      return journal
    }

    /// The same address at the next port, or at a free one where the endpoint takes a free one.
    private static func nextPort(after endpoint: String) throws -> String {
      guard let colon = endpoint.lastIndex(of: ":"),
        let port = UInt16(endpoint[endpoint.index(after: colon)...]), port < UInt16.max
      else {
        throw ValidationError(
          "'\(endpoint)' is no endpoint with a port behind which one is free; name --feed as well.")
      }
      return "\(endpoint[..<colon]):\(port == 0 ? 0 : port + 1)"
    }

    /// `reexec` alone may run slices again: the market counts what it did apart. All must mean the
    /// same by a slice as the program that decides in every doubt.
    private func servedBackends(_ logger: Logger) async throws -> [ServedBackend] {
      let served = try await backends.open(nil, logger)
      for descriptor in served.map(\.backend.descriptor)
      where descriptor.traits.contains(.reexecutes) && descriptor.id != .reexec {
        throw BackendChoiceError.reexecutes(descriptor.id)
      }
      for descriptor in served.map(\.backend.descriptor)
      where descriptor.semantics != Market.semantics {
        throw BackendChoiceError.foreignSemantics(descriptor.id, descriptor.semantics)
      }
      return served
    }

    private func verification() throws -> VerificationOptions {
      var options = VerificationOptions()
      options.localWorkers = localWorkers
      options.verifiers = Set(try verifiers.map { try publicKey($0) })
      options.crossChecked = PartsPerMillion(clamping: crossCheck)
      return options
    }

    private func parameters() -> Parameters {
      var parameters = Parameters()
      if let executeWindow { parameters.executeWindow = executeWindow }
      if let proveWindow { parameters.proveWindow = proveWindow }
      if let revealWindow { parameters.revealWindow = revealWindow }
      return parameters
    }
  }
}

/// Runs a service until it ends, or until Ctrl-C or SIGTERM asks it to.
func runUntilSignalled(_ service: some Service, _ logger: Logger) async throws {
  let group = ServiceGroup(
    configuration: ServiceGroupConfiguration(
      services: [
        .init(
          service: service, successTerminationBehavior: .gracefullyShutdownGroup,
          failureTerminationBehavior: .gracefullyShutdownGroup)
      ],
      gracefulShutdownSignals: [.sigterm, .sigint], logger: logger))
  try await group.run()
}
