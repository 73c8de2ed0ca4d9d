import ArgumentParser
import Broker
import Logging
import Primitives
import ProverHost
import VerifierWorker
import Wire

struct VerifierCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "verifier", abstract: "Find verdicts for a broker, on a machine of your own.",
    subcommands: [Run.self])

  struct Run: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Take verifications from a broker that has named your key, and sign the verdicts.",
      discussion: """
        The operator names you by your public key: `bourse broker run --verifier KEY`. You are \
        given one job for each worker, and may read the tensors and proofs of these jobs while you \
        hold them. The broker finds some of your verdicts again, and each that is not 'valid'; one \
        that it contradicts ends your work. Ctrl-C stops; what you hold goes to others.

        EXAMPLES
          bourse keys new verifier.key
          bourse verifier run --key verifier.key --broker broker.json
          bourse verifier run --key verifier.key --workers 8 --plugin ./libmine.so --verbose
        """)

    @OptionGroup var key: KeyOption
    @OptionGroup var brokerOptions: BrokerOptions
    @Option(name: .long, help: "Verifications at a time, up to 64.")
    var workers: UInt32 = 2
    @OptionGroup var backends: BackendOptions
    @Flag(name: .shortAndLong, help: "Log every verdict to standard error.")
    var verbose = false

    func validate() throws {
      guard 1...64 ~= workers else {
        throw ValidationError("--workers takes 1 to 64; give another number.")
      }
    }

    func run() async throws {
      let logger = Logger(label: "bourse.verifier", level: verbose ? .debug : .notice)
      let key = try key.load()
      let client = WireClient(
        card: try brokerOptions.card(), identity: key,
        logger: Logger(label: "bourse.wire", level: .error))
      let opened = try await backends.open(nil, logger).map(\.backend)
      let service = VerifierService(
        client: client, key: key, backends: opened, workers: workers, logger: logger
      ) {
        logger.notice(
          "verifier \(key.publicKey.short) takes \(workers) verifications at a time by \(opened.map(\.descriptor.id.name).joined(separator: ", "))"
        )
      }
      try await runUntilSignalled(service, logger)
      for backend in opened { await backend.close() }
    }
  }
}
