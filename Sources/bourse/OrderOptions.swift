import ArgumentParser
import Primitives
import Requester

/// What a request asks for, as it is sent and as it is quoted.
struct OrderOptions: ParsableArguments {
  @Option(name: .long, help: "The most to pay: micro-credits per 1000 cost units.")
  var limit: UInt64 = 2_000
  @Option(name: .long, help: "How many slices one prover may hold; 0 for any number.")
  var spread: UInt32 = 0
  @Option(name: .long, help: "Stake behind a slice, as a multiple of its fee at the limit.")
  var stakeMultiple: UInt32 = 5
  @Option(
    help: ArgumentHelp(
      """
      Which slices are proven, while the others are run again: all, none, top:K by cost, \
      critical:K by criticality, or names with commas between them.
      """, valueName: "slices"))
  var prove: ProvingPolicy = .none
  @Option(help: "The backend that proves them.")
  var backend = BackendID.sumcheck.name

  func validate() throws {
    let backend = try backendID(backend)
    if prove != .none, backend == .reexec {
      throw ValidationError(
        "'reexec' runs slices again and proves nothing; name another --backend, or --prove none.")
    }
  }

  func order() throws -> RequestSession.Order {
    var order = RequestSession.Order()
    order.limitPrice = Price(ticks: limit)
    order.spread = spread
    order.stakeMultiple = stakeMultiple
    order.proving = prove
    order.backend = try backendID(backend)
    return order
  }
}

extension ProvingPolicy: ExpressibleByArgument {
  public init?(argument: String) { self.init(argument) }

  public var defaultValueDescription: String { "\(self)" }
}
