import ArgumentParser
import Market
import Primitives
import Wire

extension RequestCommand {
  struct List: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "List a requester's requests, the latest first.",
      discussion: """
        The fee is that of the leases its slices have now, or had when it ended: what they are \
        paid, or will be where all goes well. Held is what of the requester's money is still set \
        aside for it. --before goes on where an earlier list ended.

        EXAMPLES
          bourse request list me.key
          bourse request list me.key --limit 100
          bourse request list 5c0d… --before 1200 --json
        """)

    struct Shown: Encodable {
      let request: String
      let sequence: UInt64
      let tick: UInt64
      let model: String
      let state: String
      let slices: UInt32
      let taken: UInt32
      let feeMicrocredits: UInt64
      let heldMicrocredits: UInt64

      init(_ summary: RequestSummary) {
        request = summary.id.description
        sequence = summary.sequence
        tick = summary.tick.milliseconds
        model = summary.model.description
        state = summary.state.description
        slices = summary.slices
        taken = summary.taken
        feeMicrocredits = summary.fee.microcredits
        heldMicrocredits = summary.held.microcredits
      }
    }

    @Argument(help: "A public key, or a key file.")
    var requester: String
    @Option(name: .long, help: "How many, up to 1000.")
    var limit: UInt32 = 20
    @Option(
      name: .long, help: "Only requests that were opened before this entry of the journal.")
    var before: UInt64?
    @OptionGroup var brokerOptions: BrokerOptions
    @OptionGroup var output: JSONOption

    func validate() throws {
      guard 1...UInt32(RequestSummary.countLimit) ~= limit else {
        throw ValidationError("--limit is 1 to \(RequestSummary.countLimit).")
      }
    }

    func run() async throws {
      let owner = try publicKey(requester)
      let client = try await brokerOptions.connect(as: nil)
      let requests = try await client.requests(
        of: owner, before: before ?? .max, limit: limit
      ).map(Shown.init)
      await client.close()
      if output.json {
        struct List: Encodable {
          let requester: String
          let requests: [Shown]
        }
        return try printJSON(List(requester: owner.description, requests: requests))
      }
      var table = Table([
        ("time", .left), ("entry", .right), ("state", .left), ("model", .left),
        ("taken", .right), ("fee", .right), ("held", .right), ("request", .left),
      ])
      for request in requests {
        table.append([
          describe(Tick(milliseconds: request.tick)), "\(request.sequence)", request.state,
          String(request.model.prefix(8)), "\(request.taken)/\(request.slices)",
          "\(request.feeMicrocredits)", "\(request.heldMicrocredits)", request.request,
        ])
      }
      print(table.text)
    }
  }
}
