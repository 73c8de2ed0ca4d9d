import ArgumentParser
import Market
import Primitives
import Wire

struct BookCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "book", abstract: "Show the order book by price.",
    discussion: """
      Each backend has a book. To the left the provers' bids, the lowest price first, with the \
      leases that they still have room for; to the right the slices that wait, the highest limit \
      first. A spread below zero means that bids and orders cross and may not meet: \
      `bourse explain` of the request says why.

      EXAMPLES
        bourse book
        bourse book --backend sumcheck --depth 3
        bourse book --model 8f31… --json
      """)

  struct Shown: Encodable {
    struct Bids: Encodable {
      let price: UInt64
      let capacity: UInt64
      let bids: UInt32
    }

    struct Orders: Encodable {
      let price: UInt64
      let slices: UInt32
    }

    struct Book: Encodable {
      let backend: String
      let bestBid: OrNull<UInt64>
      let bestOrder: OrNull<UInt64>
      let spread: OrNull<Int64>
      let bids: [Bids]
      let orders: [Orders]

      init(_ depth: Depth) {
        backend = depth.backend.name
        bestBid = OrNull(value: depth.bids.first?.price.ticks)
        bestOrder = OrNull(value: depth.orders.first?.price.ticks)
        spread = OrNull(value: depth.spread)
        bids = depth.bids.map {
          Bids(price: $0.price.ticks, capacity: $0.capacity, bids: $0.count)
        }
        orders = depth.orders.map { Orders(price: $0.price.ticks, slices: $0.count) }
      }

      /// Both sides beside each other.
      var text: String {
        var table = Table([
          ("capacity", .right), ("bids", .right), ("price", .right), ("limit", .right),
          ("slices", .right),
        ])
        for row in 0..<max(bids.count, orders.count) {
          let bid = row < bids.count ? bids[row] : nil
          let order = row < orders.count ? orders[row] : nil
          table.append([
            bid.map { "\($0.capacity)" } ?? "", bid.map { "\($0.bids)" } ?? "",
            bid.map { "\($0.price)" } ?? "", order.map { "\($0.price)" } ?? "",
            order.map { "\($0.slices)" } ?? "",
          ])
        }
        func text(_ value: (some BinaryInteger)?) -> String { value.map { "\($0)" } ?? "-" }
        let head =
          "\(backend): best bid \(text(bestBid.value)), best order \(text(bestOrder.value)), spread \(text(spread.value))"
        return "\(head)\n\(table.text)"
      }
    }

    /// The last entry of the journal that it holds.
    let sequence: UInt64
    let tick: UInt64
    let paused: Bool
    let books: [Book]

    init(_ snapshot: BookSnapshot) {
      sequence = snapshot.head.sequence
      tick = snapshot.head.tick.milliseconds
      paused = snapshot.isPaused
      books = snapshot.books.map(Book.init)
    }

    var text: String {
      let head = "book at entry \(sequence)\(paused ? ", and the exchange is paused" : "")"
      return ([head] + (books.isEmpty ? ["no bids and no orders"] : books.map(\.text)))
        .joined(separator: "\n\n")
    }
  }

  @Option(name: .long, help: "Only this backend.")
  var backend: String?
  @Option(name: .long, help: "Only what can meet in this model: its id, or enough first digits.")
  var model: String?
  @Option(name: .long, help: "Prices on each side, up to 1000.")
  var depth: UInt32 = 10
  @OptionGroup var brokerOptions: BrokerOptions
  @OptionGroup var output: JSONOption

  func validate() throws {
    guard (1...1_000).contains(depth) else { throw ValidationError("--depth is 1 to 1000.") }
    if let backend { _ = try backendID(backend) }
  }

  func run() async throws {
    let client = try await brokerOptions.connect(as: nil)
    var id: ModelID?
    if let model { id = try await RequestCommand.resolve(model, client) }
    let shown = Shown(
      try await client.book(on: try backend.map(backendID), of: id, levels: depth))
    await client.close()
    output.json ? try printJSON(shown) : print(shown.text)
  }
}
