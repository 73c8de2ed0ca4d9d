import ArgumentParser
import Market
import Primitives
import Wire

struct BidCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bid",
    abstract: "List, place, amend and cancel a prover's bids, and leave their leases.",
    discussion: """
      `bourse prover run` places a bid of its own; these are for the others, and for changing a \
      price while leases go on. A lower capacity keeps the bid's place in the queue; another \
      price, or more capacity, sends it to the end.
      """,
    subcommands: [List.self, Place.self, Amend.self, Cancel.self, Leave.self])

  /// A bid as the broker shows it.
  struct Shown: Encodable {
    let id: String
    let backend: String
    let scope: String
    let price: UInt64
    let leases: UInt32
    let capacity: UInt32
    let expiry: UInt64?

    init(_ bid: OpenBid) {
      id = bid.id.description
      backend = bid.terms.backend.name
      scope =
        switch bid.terms.scope {
        case .any: "any"
        case .model(let model): model.description
        case .slice(let model, let slice): "\(model).\(slice)"
        }
      price = bid.terms.price.ticks
      leases = bid.leases
      capacity = bid.terms.capacity
      expiry = bid.terms.expiry == .never ? nil : bid.terms.expiry.milliseconds
    }
  }

  static func show(_ owner: PublicKey, _ client: WireClient, json: Bool) async throws {
    let bids = try await client.bids(of: owner).map(Shown.init)
    if json {
      struct List: Encodable {
        let prover: String
        let bids: [Shown]
      }
      return try printJSON(List(prover: owner.description, bids: bids))
    }
    var table = Table([
      ("bid", .left), ("backend", .left), ("scope", .left), ("price", .right),
      ("leases", .right), ("capacity", .right),
    ])
    for bid in bids {
      let scope = bid.scope.count > 8 ? "\(bid.scope.prefix(8))…" : bid.scope
      table.append([
        bid.id, bid.backend, scope, "\(bid.price)", "\(bid.leases)", "\(bid.capacity)",
      ])
    }
    print(table.text)
  }

  static func id(_ text: String) throws -> BidID {
    guard let id = BidID(hexadecimal: text) else {
      throw ValidationError(
        "'\(text)' is no bid's id: 64 hexadecimal digits, see `bourse bid list`.")
    }
    return id
  }

  struct List: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "List a prover's open bids.",
      discussion: "EXAMPLE\n  bourse bid list prover.key")

    @Argument(help: "A public key, or a key file.")
    var prover: String
    @OptionGroup var brokerOptions: BrokerOptions
    @OptionGroup var output: JSONOption

    func run() async throws {
      let client = try await brokerOptions.connect(as: nil)
      try await BidCommand.show(try publicKey(prover), client, json: output.json)
      await client.close()
    }
  }

  struct Place: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Place a bid, for a prover that runs elsewhere with the same key.",
      discussion: """
        EXAMPLES
          bourse bid place 900 --capacity 4 --key prover.key
          bourse bid place 700 --model 8f31… --slice 2 --minutes 60 --key prover.key
        """)

    @Argument(help: "Micro-credits per 1000 cost units.")
    var price: UInt64
    @Option(name: .long, help: "Leases at a time.")
    var capacity: UInt32 = 1
    @Option(name: .long, help: "Which proving backend.")
    var backend = BackendID.reexec.name
    @Option(name: .long, help: "Only this model: its whole id.")
    var model: String?
    @Option(name: .long, help: "Only this slice of the model, counted from 0.")
    var slice: Int?
    @Option(name: .long, help: "The largest slice to take, in cost units.")
    var largest: UInt64?
    @Option(
      name: .long, help: "Minutes until the bid expires; without it, it rests until cancelled.")
    var minutes: UInt64?
    @OptionGroup var change: Change

    func validate() throws {
      if slice != nil, model == nil { throw ValidationError("--slice needs --model.") }
      if let slice, slice < 0 || slice > Int(UInt32.max) {
        throw ValidationError("--slice counts from 0.")
      }
    }

    func run() async throws {
      let backend = try backendID(backend)
      var scope = Scope.any
      if let model {
        guard let id = ModelID(hexadecimal: model) else {
          throw ValidationError("'\(model)' is no model's id: 64 hexadecimal digits.")
        }
        scope = slice.map { .slice(id, $0) } ?? .model(id)
      }
      let terms = BidTerms(
        backend: backend, scope: scope, price: Price(ticks: price), capacity: capacity,
        largestSlice: largest.map { Cost(units: min($0, Cost.maximum.units)) } ?? .maximum,
        expiry: minutes.map { Tick.now.advanced(by: $0.multipliedReportingOverflow(by: 60_000).0) }
          ?? .never)
      try await change.perform(.placeBid(terms))
    }
  }

  struct Amend: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Change a bid's price and capacity.",
      discussion: "EXAMPLE\n  bourse bid amend 5e2c… 850 4 --key prover.key")

    @Argument(help: "The bid's id.")
    var bid: String
    @Argument(help: "Micro-credits per 1000 cost units.")
    var price: UInt64
    @Argument(help: "Leases at a time.")
    var capacity: UInt32
    @OptionGroup var change: Change

    func run() async throws {
      try await change.perform(
        .amendBid(try BidCommand.id(bid), price: Price(ticks: price), capacity: capacity))
    }
  }

  struct Cancel: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Take a bid out of the book; leases it has go on.",
      discussion: "EXAMPLE\n  bourse bid cancel 5e2c… --key prover.key")

    @Argument(help: "The bid's id.")
    var bid: String
    @OptionGroup var change: Change

    func run() async throws { try await change.perform(.cancelBid(try BidCommand.id(bid))) }
  }

  struct Leave: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Give back a lease that has not begun.",
      discussion: """
        A lease waits, with its stake, until every slice of its request has a lessee and its \
        inputs exist. While its request is open, or a slice of it has no lessee, it can be left \
        without fault; the slice goes to another key. Cancel the bid first where you want no \
        other lease.

        EXAMPLE
          bourse bid leave 17 --key prover.key
        """)

    @Argument(help: "The lease's number.")
    var lease: UInt64
    @OptionGroup var change: Change

    func run() async throws { try await change.perform(.cancelLease(LeaseID(ordinal: lease))) }
  }

  /// What it takes to change one's own bids.
  struct Change: ParsableArguments {
    @OptionGroup var key: KeyOption
    @OptionGroup var brokerOptions: BrokerOptions
    @OptionGroup var output: JSONOption

    /// Signs and sends the command, and shows the bids after it.
    func perform(_ command: Command) async throws {
      let key = try key.load()
      let client = try await brokerOptions.connect(as: key)
      try await client.perform(command, signedBy: key)
      try await BidCommand.show(key.publicKey, client, json: output.json)
      await client.close()
    }
  }
}
