import Market
import Primitives
import Statements
import Testing

/// A scenario of the book as lines that a trader can read. Commands:
///
///     bid NAME PROVER SCOPE PRICE xCAPACITY [largest UNITS] [till MS] [on BACKEND]
///     amend NAME PRICE xCAPACITY        cancel NAME
///     ask NAME REQUESTER MODEL LIMIT [fok | ioc | gtt MS] [spread N] [stake N]
///         [ramp START STEP MS]
///     bond PROVER AMOUNT                pass MS
///
/// SCOPE is `any`, a model, or `model.slice`. What each did, and the book, is asserted by:
///
///     -> REQUEST.SLICE BID PRICE | ...  the trades of the command before; `-> nothing`
///     !! CODE                           the command before was rejected
///     bids NAME PRICE LEASES/CAPACITY | ...    the queue of open bids; `bids none`
///     orders REQUEST.SLICE LIMIT | ...         the queue of orders; `orders none`
///     state REQUEST STATE
struct BookScenario {
  typealias F = MarketFixture

  var market = MarketFixture()
  private var ids: [String: Digest] = [:]
  private var last: Outcome = .accepted([])

  static func play(
    _ text: String, sourceLocation: SourceLocation = #_sourceLocation
  ) {
    var scenario = BookScenario()
    for line in text.split(separator: "\n") {
      var words = line.split(separator: " ").map(String.init)
      guard !words.isEmpty else { continue }
      let verb = words.removeFirst()
      let rest = words.joined(separator: " ")
      let context = Comment(rawValue: "\(line)")
      switch verb {
      case "->": #expect(scenario.trades == rest, context, sourceLocation: sourceLocation)
      case "!!": #expect(scenario.last.rejection == rest, context, sourceLocation: sourceLocation)
      case "bids": #expect(scenario.bids == rest, context, sourceLocation: sourceLocation)
      case "orders": #expect(scenario.orders == rest, context, sourceLocation: sourceLocation)
      case "state":
        let state = scenario.market.state(scenario.ids[words[0]]!)?.description
        #expect(state == words[1], context, sourceLocation: sourceLocation)
      default: scenario.perform(verb, words)
      }
    }
  }

  // MARK: Commands

  private mutating func perform(_ verb: String, _ words: [String]) {
    switch verb {
    case "pass": last = market.pass(UInt64(words[0])!)
    case "bond":
      let amount = UInt64(words[1])!
      market.fund(Self.key(words[0]), amount)
      last = market.send(.bond(amount: Amount(amount)), by: Self.key(words[0]))
    case "cancel":
      let id = ids[words[0]]!
      if let request = market.market.requests[id] {
        last = market.send(.cancelRequest(id), by: F.key(of: request.requester))
      } else {
        last = market.send(.cancelBid(id), by: owner(of: id))
      }
    case "amend":
      let id = ids[words[0]]!
      last = market.send(
        .amendBid(
          id, price: Price(ticks: UInt64(words[1])!), capacity: UInt32(words[2].dropFirst())!),
        by: owner(of: id))
    case "bid": send(words[0], .placeBid(terms(bid: words)), by: Self.key(words[1]))
    case "ask": send(words[0], .submitRequest(terms(ask: words)), by: Self.key(words[1]))
    default: Issue.record("no such line: \(verb)")
    }
  }

  private mutating func send(_ name: String, _ command: Command, by key: SigningKey) {
    let digest = F.digest(name)
    ids[name] = digest
    last = market.send(command, by: key, digest: digest)
  }

  private func terms(bid words: [String]) -> BidTerms {
    let options = Self.options(words.dropFirst(5))
    return BidTerms(
      backend: options["on"].map { BackendID($0[0])! } ?? .reexec, scope: Self.scope(words[2]),
      price: Price(ticks: UInt64(words[3])!), capacity: UInt32(words[4].dropFirst())!,
      largestSlice: options["largest"].map { Cost(units: UInt64($0[0])!) } ?? .maximum,
      expiry: options["till"].map { Tick(milliseconds: market.now + UInt64($0[0])!) } ?? .never)
  }

  private func terms(ask words: [String]) -> RequestTerms {
    let options = Self.options(words.dropFirst(4))
    let model = Self.model(words[2])
    let timeInForce: TimeInForce =
      if options["fok"] != nil {
        .fillOrKill
      } else if options["ioc"] != nil {
        .immediateOrCancel
      } else if let till = options["gtt"] {
        .goodTill(Tick(milliseconds: market.now + UInt64(till[0])!))
      } else {
        .goodTillCancelled
      }
    return RequestTerms(
      model: model.id, inputs: [F.digest("input")],
      assurances: model.slices.map { _ in
        SliceAssurance(.proven, by: options["on"].map { BackendID($0[0])! } ?? .reexec)
      },
      limitPrice: Price(ticks: UInt64(words[3])!),
      ramp: options["ramp"].map { values in
        PriceRamp(
          start: Price(ticks: UInt64(values[0])!), step: Price(ticks: UInt64(values[1])!),
          interval: UInt64(values[2])!, begins: Tick(milliseconds: market.now))
      },
      stakeMultiple: options["stake"].map { UInt32($0[0])! } ?? 10,
      spread: options["spread"].map { UInt32($0[0])! } ?? 0, disclosure: .parties,
      nonceCommitment: .zero, beginDeadline: Tick(milliseconds: market.now + 100_000),
      finalDeadline: Tick(milliseconds: market.now + 1_000_000), attemptsMax: 3,
      timeInForce: timeInForce)
  }

  /// Words that begin with a letter are options; numbers, and what follows `on`, are their values.
  private static func options(_ words: ArraySlice<String>) -> [String: [String]] {
    var options: [String: [String]] = [:]
    var name = ""
    for word in words {
      if word.first?.isNumber == true || name == "on" {
        options[name]?.append(word)
      } else {
        name = word
        options[name] = []
      }
    }
    return options
  }

  private static func key(_ name: String) -> SigningKey {
    switch name {
    case "alice": F.alice
    case "bob": F.bob
    case "paula": F.paula
    case "quinn": F.quinn
    default: F.rita
    }
  }

  private static func model(_ name: String) -> Manifest {
    name.hasPrefix("diamond") ? F.diamond : F.chain
  }

  private static func scope(_ word: String) -> Scope {
    let parts = word.split(separator: ".")
    if word == "any" { return .any }
    guard parts.count == 2 else { return .model(model(word).id) }
    return .slice(model(word).id, Int(parts[1])!)
  }

  private func owner(of bid: BidID) -> SigningKey {
    market.market.book.bid(bid).map { F.key(of: $0.prover) } ?? F.paula
  }

  // MARK: What came of it

  private func name(_ id: Digest) -> String { ids.first { $0.value == id }?.key ?? "?" }

  private var trades: String {
    let trades = last.bodies.compactMap { body -> String? in
      guard case .leased(let terms) = body else { return nil }
      return "\(name(terms.request)).\(terms.slice) \(name(terms.bid)) \(terms.price)"
    }
    return trades.isEmpty ? "nothing" : trades.joined(separator: " | ")
  }

  private var bids: String {
    let bids = market.market.book.bids(on: .reexec).map {
      "\(name($0.id)) \($0.terms.price) \($0.leases)/\($0.terms.capacity)"
    }
    return bids.isEmpty ? "none" : bids.joined(separator: " | ")
  }

  private var orders: String {
    let orders = market.market.book.orders(on: .reexec).map {
      "\(name($0.request)).\($0.slice) \($0.limitPrice)"
    }
    return orders.isEmpty ? "none" : orders.joined(separator: " | ")
  }
}
