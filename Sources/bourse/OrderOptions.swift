import ArgumentParser
import Market
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
  @Option(
    help: ArgumentHelp(
      """
      Have the slices that are not proven attested, and each audited with this probability, in \
      parts per million.
      """, valueName: "ppm"))
  var auditRate: UInt32?
  @Flag(help: "The same without audits: what is attested can only be challenged.")
  var attest = false
  @Option(
    name: .customLong("auditor"),
    help: ArgumentHelp(
      "A key that may read the tensors and challenge what is attested. Repeatable.",
      valueName: "key"))
  var auditors: [String] = []

  func validate() throws {
    let backend = try backendID(backend)
    if let auditRate, auditRate > 1_000_000 {
      throw ValidationError("--audit-rate is 0 to 1000000 parts per million.")
    }
    if auditors.count > RequestTerms.auditorLimit {
      throw ValidationError("A request names at most \(RequestTerms.auditorLimit) auditors.")
    }
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
    order.auditRate = (auditRate ?? (attest ? 0 : nil)).map { PartsPerMillion(clamping: $0) }
    order.auditors = try auditors.map(publicKey)
    return order
  }
}

extension ProvingPolicy: ExpressibleByArgument {
  public init?(argument: String) { self.init(argument) }

  public var defaultValueDescription: String { "\(self)" }
}
