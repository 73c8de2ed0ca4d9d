import ArgumentParser
import Market
import Primitives
import Statements
import Wire

struct ExplainCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "explain",
    abstract: "Tell what happened to a request, a lease or a bid, why, and what comes next.",
    discussion: """
      One timeline out of the journal: when, who, what, and why, with every amount that moved. \
      Then what its deadlines will do unless somebody acts before, and, for a slice that nobody \
      has taken, why each bid that covers it has not. Which bids a lease passed over when it was \
      made, a copy of the journal tells: the command that asks it is shown at the end.

      A lease is named by its number, a request or a bid by its whole id.

      EXAMPLES
        bourse explain 3b1f…
        bourse explain 17
        bourse explain 3b1f… --money --json
      """)

  struct Entry: Encodable {
    let sequence: UInt64
    let tick: UInt64
    let command: String
    let author: String
    let events: [EventShown]
    let rejection: String?
  }

  struct Next: Encodable {
    /// Nil for what waits for others.
    let tick: UInt64?
    let lease: UInt64?
    let text: String
  }

  struct Resting: Encodable {
    let slice: UInt32
    let candidates: [QuoteCommand.Candidate]
  }

  struct Shown: Encodable {
    let subject: String
    let request: String?
    /// Entry of the journal, and the broker's clock, at which this was so.
    let sequence: UInt64
    let tick: UInt64
    let entries: [Entry]
    let next: [Next]
    let resting: [Resting]
    /// What tells, out of a copy of the journal, which bids each lease passed over, and why.
    let passedOver: [String]
  }

  /// Leases whose commands are shown as text.
  private static let matchesShown = 5

  @Argument(help: "A request's or a bid's id, or a lease's number.")
  var subject: String
  @Flag(name: .long, help: "Show what each account gained or lost, below each event.")
  var money = false
  @OptionGroup var brokerOptions: BrokerOptions
  @OptionGroup var output: JSONOption

  func validate() throws {
    guard UInt64(subject) != nil && subject.count < 20 || RequestID(hexadecimal: subject) != nil
    else {
      throw ValidationError(
        "'\(subject)' is neither a lease's number nor the 64 hexadecimal digits of an id.")
    }
  }

  func run() async throws {
    let client = try await brokerOptions.connect(as: nil)
    let (wanted, request, history) = try await history(client)
    let leases = history.flatMap(\.events).compactMap { event -> LeaseID? in
      if case .trade(let lease, _, _) = event.body.subject { lease } else { nil }
    }
    let isBid = if case .bid = wanted { true } else { false }
    let outlook = try await client.outlook(of: wanted, leases: isBid ? [] : leases)
    await client.close()
    let shown = Shown(
      subject: name(of: wanted), request: request?.description, sequence: outlook.head.sequence,
      tick: outlook.now.milliseconds,
      entries: history.map { entry in
        Entry(
          sequence: entry.sequence, tick: entry.tick.milliseconds, command: entry.command,
          author: entry.author.description,
          events: entry.events.map { EventShown($0, by: entry.command, request: request) },
          rejection: entry.rejection?.sentence)
      },
      next: outlook.upcoming.map {
        Next(
          tick: $0.tick == .never ? nil : $0.tick.milliseconds, lease: $0.lease?.ordinal,
          text: $0.text)
      },
      resting: outlook.resting.map {
        Resting(slice: $0.slice, candidates: $0.candidates.map(QuoteCommand.Candidate.init))
      },
      passedOver: isBid ? [] : leases.map { "bourse audit match ./copy \($0.ordinal)" })
    output.json ? try printJSON(shown) : print(text(shown))
  }

  /// An id may be a request's or a bid's: the first entry about it tells which.
  private func history(
    _ client: WireClient
  ) async throws -> (HistorySubject, RequestID?, [HistoryEntry]) {
    guard let id = RequestID(hexadecimal: subject) else {
      let lease = HistorySubject.lease(LeaseID(ordinal: UInt64(subject) ?? 0))
      let (request, entries) = try await client.history(of: lease)
      return (lease, request, entries)
    }
    let (request, entries) = try await client.history(of: .request(id))
    if entries.contains(where: { $0.command == "submitRequest" }) {
      return (.request(id), request, entries)
    }
    return (.bid(id), nil, try await client.history(of: .bid(id)).entries)
  }

  private func name(of subject: HistorySubject) -> String {
    switch subject {
    case .request(let id): "request \(id)"
    case .lease(let lease): "lease \(lease)"
    case .bid(let id): "bid \(id)"
    }
  }

  private func text(_ shown: Shown) -> String {
    let now = Tick(milliseconds: shown.tick)
    var lines = [Style.bold(shown.subject)]
    if let request = shown.request, shown.subject != "request \(request)" {
      lines.append("of request \(request)")
    }
    let start = shown.entries.first.map { Tick(milliseconds: $0.tick) } ?? now
    lines.append(
      "at entry \(shown.sequence), \(describe(now)) UTC; it began \(describe(start, from: now))")
    for entry in shown.entries {
      let tick = Tick(milliseconds: entry.tick)
      let since = tick.milliseconds - min(start.milliseconds, tick.milliseconds)
      lines.append(
        "\n\(describe(tick))  +\(describe(milliseconds: since))  entry \(entry.sequence): \(entry.command) by \(entry.author.prefix(8))"
      )
      if let rejection = entry.rejection { lines.append("  rejected: \(rejection)") }
      for event in entry.events {
        lines.append("  \(event.subject): \(event.text)")
        guard money else { continue }
        for posting in event.postings {
          let owner = posting.owner.map { " of \($0.prefix(8))" } ?? ""
          let sign = posting.microcredits > 0 ? "+" : ""
          lines.append("      \(sign)\(posting.microcredits)  \(posting.purpose)\(owner)")
        }
      }
    }
    lines.append("\n" + Style.bold("what comes next"))
    if shown.next.isEmpty { lines.append("nothing: it has come to its end") }
    for next in shown.next {
      let time = next.tick.map { milliseconds -> String in
        let tick = Tick(milliseconds: milliseconds)
        return "\(describe(tick)) (\(describe(tick, from: now))): "
      }
      let lease = next.lease.map { "lease \($0): " } ?? ""
      lines.append("  \(time ?? "")\(lease)\(next.text)")
    }
    for resting in shown.resting {
      lines.append("\nslice \(resting.slice) is in the book")
      if resting.candidates.isEmpty { lines.append("  no bid with capacity left covers it") }
      for candidate in resting.candidates {
        lines.append(
          "  bid \(candidate.bid.prefix(8)) of \(candidate.prover.prefix(8)) at \(candidate.price): \(candidate.reason ?? "it may take it")"
        )
      }
    }
    if !shown.passedOver.isEmpty {
      lines.append("\nwhich bids a lease passed over, and why, a copy of the journal tells")
      lines += shown.passedOver.prefix(Self.matchesShown).map { "  " + $0 }
      let more = shown.passedOver.count - Self.matchesShown
      if more > 0 { lines.append("  and so on, for \(more) more leases") }
    }
    return lines.joined(separator: "\n")
  }
}

extension Upcoming {
  /// What happens then, unless something else happens before.
  fileprivate var text: String {
    switch action {
    case .unmatched: "it leaves the book unmatched; all that is held goes back"
    case .limitRises: "its ramp takes the next step"
    case .notBegunReleased:
      "unless its inputs have come it is released, for a reservation fee of \(amount)"
    case .requestFails: "unless it is final it fails: work that is right is paid, the rest refunded"
    case .revealMissed:
      "unless every nonce is revealed, all attested slices are audited, for \(amount) from whoever kept its nonce"
    case .lapses:
      "unless its output is committed it lapses, and loses \(amount) of its stake as things stand"
    case .forfeits: "unless its receipt has come it loses its whole stake of \(amount)"
    case .rerunAsLate:
      "unless its receipt has come it is run again: wrong is slashed, right is late"
    case .inconclusive: "without a verdict the verification counts as inconclusive"
    case .attested: "unless it is challenged it is paid"
    case .bidExpires: "it expires"
    case .waitsForBids: "a slice waits for a bid that may take it"
    case .waitsForBrokerNonce: "no work begins before the broker has committed to its nonce"
    case .waitsForInputs: "it begins once its inputs exist and every slice is taken"
    case .waitsForDraw: "it waits for the draw of audits"
    case .rests: "it stays in the book until its prover cancels it"
    case .waitsForUpstream: "its work is right: it is paid once what it consumed is"
    }
  }
}
