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
      abstract: "Keep a bid in the book of each backend and work the leases they are given.",
      discussion: """
        The bond is topped up from your available credits at the start. Ctrl-C withdraws the bids. \
        After a slash they are placed once the cool-down is over. Without --backend it bids with \
        every backend it has: sumcheck, reexec, and those of the plugins that --plugin adds.

        EXAMPLES
          bourse prover run --key prover.key --price 1000 --capacity 16 --bond 8c
          bourse prover run --key prover.key --price 1000 --price sumcheck=2500
          bourse prover run --key prover.key --backend reexec --largest 500000000
          bourse prover run --key cheat.key --price 500 --misbehave wrong-output   (loses stake)
        """)

    @OptionGroup var key: KeyOption
    @OptionGroup var brokerOptions: BrokerOptions
    @Option(
      name: .customLong("backend"),
      help: "A backend to bid with; all where none is named. Repeatable.")
    var wanted: [String] = []
    @Option(
      name: .customLong("price"),
      help: ArgumentHelp(
        "Micro-credits per 1000 cost units (1000), or backend=price for one backend. Repeatable.",
        valueName: "price"))
    var prices: [PriceSetting] = []
    @Option(name: .long, help: "Leases at a time, of each backend.")
    var capacity: UInt32 = 16
    @Option(
      name: .long,
      help: "The largest slice to take, in cost units; what you cannot run in time costs stake.")
    var largest: UInt64?
    @Option(
      name: .long, help: "The bond to have: micro-credits, or credits with a 'c'.",
      transform: parseAmount)
    var bond: Amount = Amount(microcredits: 5_000_000)
    @Option(
      name: .long,
      help:
        "CHEAT ON PURPOSE, for demonstrations: \(Misbehaviour.allCases.map(\.rawValue).joined(separator: ", "))."
    )
    var misbehave: Misbehaviour?
    @OptionGroup var backends: BackendOptions
    @Flag(name: .shortAndLong, help: "Log every step to standard error.")
    var verbose = false

    func validate() throws { _ = try wantedBackends() }

    func run() async throws {
      let logger = Logger(label: "bourse.prover", level: verbose ? .debug : .notice)
      let key = try key.load()
      let client = WireClient(
        card: try brokerOptions.card(), identity: key,
        logger: Logger(label: "bourse.wire", level: .error))
      let opened = try await backends.open(try wantedBackends(), logger).map(\.backend)
      for id in prices.compactMap(\.backend)
      where !opened.contains(where: { $0.descriptor.id == id }) {
        throw BackendChoiceError.notOffered(id)
      }
      let service = ProverService(
        configuration: ProverService.Configuration(
          capacity: capacity,
          largestSlice: largest.map { Cost(units: min($0, Cost.maximum.units)) } ?? .maximum,
          bond: bond, misbehaviour: misbehave),
        offers: opened.map { ProverService.Offer($0, at: price(of: $0.descriptor.id)) },
        client: client, key: key, logger: logger,
        onReady: { bids in
          for (bid, backend) in zip(bids, opened) {
            logger.notice(
              "bid \(bid.short) of \(key.publicKey.short) on \(backend.descriptor.id) rests in the book"
            )
          }
        },
        onCoolDown: { until in
          logger.notice(
            "\(key.publicKey.short) was slashed and places no bid until \(describe(until)); waiting until then. Find out why meanwhile (docs/prover.md), or end it with Ctrl-C"
          )
        })
      try await runUntilSignalled(service, logger)
      for backend in opened { await backend.close() }
    }

    private func wantedBackends() throws -> Set<BackendID>? {
      wanted.isEmpty ? nil : Set(try wanted.map(backendID))
    }

    /// The backend's own price, else that of all, else 1000. The last of equal settings counts.
    private func price(of backend: BackendID) -> Price {
      let setting =
        prices.last { $0.backend == backend } ?? prices.last { $0.backend == nil }
      return setting?.price ?? Price(ticks: 1_000)
    }
  }
}

/// `1000` for all backends, or `sumcheck=2500` for one.
struct PriceSetting: ExpressibleByArgument {
  let backend: BackendID?
  let price: Price

  init?(argument: String) {
    let parts = argument.split(separator: "=", omittingEmptySubsequences: false).map(String.init)
    guard parts.count <= 2, let ticks = UInt64(parts[parts.count - 1]) else { return nil }
    backend = parts.count == 2 ? BackendID(parts[0]) : nil
    guard parts.count == 1 || backend != nil else { return nil }
    price = Price(ticks: ticks)
  }
}

func backendID(_ name: String) throws -> BackendID {
  guard let id = BackendID(name) else {
    throw ValidationError("'\(name)' is no backend's name; use a name such as sumcheck.")
  }
  return id
}
