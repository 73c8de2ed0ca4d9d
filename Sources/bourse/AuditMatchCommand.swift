import ArgumentParser
import Market
import Primitives
import Replay

extension AuditCommand {
  struct Match: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Show which bids were passed over when a lease was made, and why.",
      discussion: """
        Makes the market of that moment again out of the journal's events, and lists the bids that \
        stood before the one that got the lease. Works on what a replay works on, and takes the \
        events as they stand: whether they are right is for the replay to find.

        EXAMPLES
          bourse audit match ./copy 17
          bourse audit match journal.export 17 --json
        """)

    @Argument(help: "The directory that holds journal.sqlite, or an export's file.")
    var journal: String
    @Argument(help: "The lease's number.")
    var lease: UInt64
    @OptionGroup var output: JSONOption

    private struct Shown: Encodable {
      let lease: UInt64
      let sequence: UInt64
      let tick: UInt64
      let request: String
      let slice: Int
      let bid: String
      let prover: String
      let price: UInt64
      let passedOver: [QuoteCommand.Candidate]
    }

    func run() async throws {
      let match = try PastMatch(of: LeaseID(ordinal: lease), journal: journal)
      let shown = Shown(
        lease: lease, sequence: match.sequence, tick: match.tick.milliseconds,
        request: match.terms.request.description, slice: match.terms.slice,
        bid: match.terms.bid.description, prover: match.terms.prover.description,
        price: match.terms.price.ticks,
        passedOver: match.passedOver.map(QuoteCommand.Candidate.init))
      if output.json { return try printJSON(shown) }
      print(
        """
        lease \(lease): slice \(shown.slice) of request \(shown.request)
        made by entry \(shown.sequence), \(describe(match.tick)), for bid \
        \(shown.bid.prefix(8)) of \(shown.prover.prefix(8)) at \(shown.price)
        """)
      if shown.passedOver.isEmpty { print("no bid stood before it") }
      for candidate in shown.passedOver {
        print(
          "passed over: bid \(candidate.bid.prefix(8)) of \(candidate.prover.prefix(8)) at \(candidate.price): \(candidate.reason ?? "nothing was in its way; replay this journal")"
        )
      }
    }
  }
}
