import ArgumentParser
import Market
import Primitives
import Wire

struct TradesCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "trades", abstract: "Show the latest leases made.",
    discussion: """
      A trade is a lease: a slice of a request that a bid has taken. The latest come first; \
      --before goes on where an earlier list ended.

      EXAMPLES
        bourse trades
        bourse trades --limit 100 --json
        bourse trades --before 1200
      """)

  struct Shown: Encodable {
    let lease: UInt64
    let sequence: UInt64
    let tick: UInt64
    let model: String
    let slice: Int
    let backend: String
    let price: UInt64
    let feeMicrocredits: UInt64
    let stakeMicrocredits: UInt64
    let prover: String
    let request: String
    let bid: String

    init(_ trade: Trade) {
      lease = trade.terms.id.ordinal
      sequence = trade.sequence
      tick = trade.tick.milliseconds
      model = trade.terms.model.description
      slice = trade.terms.slice
      backend = trade.terms.assurance.backend.name
      price = trade.terms.price.ticks
      feeMicrocredits = trade.terms.fee.microcredits
      stakeMicrocredits = trade.terms.stake.microcredits
      prover = trade.terms.prover.description
      request = trade.terms.request.description
      bid = trade.terms.bid.description
    }
  }

  @Option(name: .long, help: "How many, up to 1000.")
  var limit: UInt32 = 20
  @Option(name: .long, help: "Only leases with a number below this one.")
  var before: UInt64?
  @OptionGroup var brokerOptions: BrokerOptions
  @OptionGroup var output: JSONOption

  func validate() throws {
    guard (1...1_000).contains(limit) else { throw ValidationError("--limit is 1 to 1000.") }
  }

  func run() async throws {
    let client = try await brokerOptions.connect(as: nil)
    let trades = try await client.trades(
      before: LeaseID(ordinal: before ?? .max), limit: limit
    ).map(Shown.init)
    await client.close()
    if output.json { return try printJSON(["trades": trades]) }
    var table = Table([
      ("time", .left), ("lease", .right), ("model", .left), ("slice", .right),
      ("backend", .left), ("price", .right), ("fee", .right), ("stake", .right),
      ("prover", .left), ("request", .left),
    ])
    for trade in trades {
      table.append([
        describe(Tick(milliseconds: trade.tick)), "\(trade.lease)",
        String(trade.model.prefix(8)), "\(trade.slice)", trade.backend, "\(trade.price)",
        "\(trade.feeMicrocredits)", "\(trade.stakeMicrocredits)",
        String(trade.prover.prefix(8)), String(trade.request.prefix(8)),
      ])
    }
    print(table.text)
  }
}
