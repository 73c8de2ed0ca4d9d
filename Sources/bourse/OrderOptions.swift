import ArgumentParser
import Market
import Primitives
import Requester
import Wire

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
      critical:K by criticality, cost:25% for the fewest with that share of the cost, or names \
      with commas between them.
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
  @Option(
    help: ArgumentHelp(
      """
      Begin with a limit of START and raise it by STEP every so many seconds, up to --limit.
      """, valueName: "start:step:seconds"))
  var ramp: RampOption?
  @Option(
    help: ArgumentHelp(
      """
      How long slices that nobody takes wait: gtc (until the begin deadline), gtt:SECONDS, ioc \
      (what is there now, or nothing), fok (all now, or nothing).
      """, valueName: "force"))
  var timeInForce: TimeInForceOption = .goodTillCancelled
  @Option(help: ArgumentHelp("Work begins within so long, or not at all.", valueName: "seconds"))
  var beginWithin: UInt32 = 60
  @Option(
    help: ArgumentHelp(
      "All outputs are there within so long, or the request fails.", valueName: "seconds"))
  var finalWithin: UInt32 = 600
  @Option(help: "After so many failures at one slice the request fails.")
  var attempts: UInt32 = 5
  @Option(
    help: ArgumentHelp("Only provers that have settled so many leases.", valueName: "leases"))
  var minSettled: UInt32 = 0
  @Option(
    help: ArgumentHelp(
      "Only provers of whose leases at most this share lapsed or was slashed.", valueName: "ppm"))
  var maxFaults: UInt32 = 1_000_000
  @Option(
    help: ArgumentHelp(
      """
      Only provers who answered 19 of their latest 20 leases within so many microseconds for 1000 \
      cost units; 0 for all.
      """, valueName: "microseconds"))
  var maxTime: UInt32 = 0

  func validate() throws {
    let backend = try backendID(backend)
    if let auditRate, auditRate > 1_000_000 {
      throw ValidationError("--audit-rate is 0 to 1000000 parts per million.")
    }
    if maxFaults > 1_000_000 {
      throw ValidationError("--max-faults is 0 to 1000000 parts per million.")
    }
    if finalWithin < beginWithin {
      throw ValidationError("--final-within ends before --begin-within.")
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
    order.ramp = ramp.map {
      PriceRamp(start: $0.start, step: $0.step, interval: $0.interval, begins: .now)
    }
    order.timeInForce = timeInForce.value(from: .now)
    order.beginWithin = UInt64(beginWithin) * 1000
    order.finalWithin = UInt64(finalWithin) * 1000
    order.attemptsMax = attempts
    let filter = ReputationFilter(
      settled: minSettled, faults: PartsPerMillion(clamping: maxFaults), time95: maxTime)
    order.reputation = filter == ReputationFilter() ? nil : filter
    return order
  }
}

extension ProvingPolicy: ExpressibleByArgument {
  public init?(argument: String) { self.init(argument) }

  public var defaultValueDescription: String { "\(self)" }
}

/// `500:100:2`: from 500, 100 more every two seconds.
struct RampOption: ExpressibleByArgument {
  let start: Price
  let step: Price
  /// Milliseconds.
  let interval: UInt64

  init?(argument: String) {
    let fields = argument.split(separator: ":", omittingEmptySubsequences: false)
    guard fields.count == 3, let start = UInt64(fields[0]), let step = UInt64(fields[1]),
      let seconds = UInt32(fields[2]), step > 0, seconds > 0
    else { return nil }
    (self.start, self.step) = (Price(ticks: start), Price(ticks: step))
    interval = UInt64(seconds) * 1000
  }
}

/// How long a request rests, as it is written: `gtc`, `gtt:30`, `ioc`, `fok`.
enum TimeInForceOption: ExpressibleByArgument {
  case goodTillCancelled
  case goodTill(seconds: UInt32)
  case immediateOrCancel
  case fillOrKill

  init?(argument: String) {
    switch argument {
    case "gtc": self = .goodTillCancelled
    case "ioc": self = .immediateOrCancel
    case "fok": self = .fillOrKill
    default:
      guard argument.hasPrefix("gtt:"), let seconds = UInt32(argument.dropFirst(4)), seconds > 0
      else { return nil }
      self = .goodTill(seconds: seconds)
    }
  }

  var defaultValueDescription: String { "gtc" }

  func value(from now: Tick) -> TimeInForce {
    switch self {
    case .goodTillCancelled: .goodTillCancelled
    case .goodTill(let seconds): .goodTill(now.advanced(by: UInt64(seconds) * 1000))
    case .immediateOrCancel: .immediateOrCancel
    case .fillOrKill: .fillOrKill
    }
  }
}
