import ArgumentParser
import Broker
import Logging
import Market
import Primitives
import Prover
import ProverHost
import Wire

extension Misbehaviour: ExpressibleByArgument {}

struct ProverCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "prover", abstract: "Earn by working slices.", subcommands: [Run.self])

  struct Run: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Keep a bid in the book and work the leases it is given.",
      discussion: """
        The bond is topped up from your available credits at the start. Ctrl-C withdraws the bid.

        EXAMPLES
          bourse prover run --key prover.key --price 1000 --capacity 16 --bond 8c
          bourse prover run --key cheat.key --price 500 --misbehave wrong-output   (loses stake)
        """)

    @OptionGroup var key: KeyOption
    @OptionGroup var brokerOptions: BrokerOptions
    @Option(name: .long, help: "Micro-credits per 1000 cost units.")
    var price: UInt64 = 1_000
    @Option(name: .long, help: "Leases at a time.")
    var capacity: UInt32 = 16
    @Option(
      name: .long, help: "The bond to have: micro-credits, or credits with a 'c'.",
      transform: parseAmount)
    var bond: Amount = Amount(microcredits: 5_000_000)
    @Option(
      name: .long,
      help: "CHEAT ON PURPOSE, for demonstrations: wrong-output, bad-root, late or silent.")
    var misbehave: Misbehaviour?
    @OptionGroup var backends: BackendOptions
    @Flag(name: .shortAndLong, help: "Log every step to standard error.")
    var verbose = false

    func run() async throws {
      let logger = Logger(label: "bourse.prover", level: verbose ? .debug : .notice)
      let key = try key.load()
      let client = WireClient(
        card: try brokerOptions.card(), identity: key,
        logger: Logger(label: "bourse.wire", level: .error))
      let backend = try await backends.open().backend
      let service = ProverService(
        configuration: ProverService.Configuration(
          price: Price(ticks: price), capacity: capacity, bond: bond, misbehaviour: misbehave),
        client: client, backend: backend, key: key, logger: logger
      ) { bid in
        logger.notice("bid \(bid.short) of \(key.publicKey.short) rests in the book")
      }
      try await runUntilSignalled(service, logger)
      await backend.close()
    }
  }
}
