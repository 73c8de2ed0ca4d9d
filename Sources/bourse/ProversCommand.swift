import ArgumentParser
import Market
import Primitives
import Wire

struct ProversCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "provers", abstract: "Show the record of every prover.",
    discussion: """
      Leases settled, lapsed and slashed, the stake lost, and the time from a lease's begin to its \
      commitment: half, and 19 of 20, of the latest commitments came within the time shown, in \
      microseconds per 1000 cost units. The bond is the prover's own, with what stands behind \
      leases; `bourse stake` is about what is delegated, and the commission of it in ppm.

      EXAMPLES
        bourse provers
        bourse provers --json --broker ./broker/broker.json
      """)

  struct Shown: Encodable {
    let prover: String
    let openBids: UInt32
    let settled: UInt64
    let lapsed: UInt64
    let slashed: UInt64
    let lostMicrocredits: UInt64
    let p50: UInt32?
    let p95: UInt32?
    let bondMicrocredits: UInt64
    let delegatedMicrocredits: UInt64
    let commissionPPM: UInt32?

    init(_ record: ProverRecord) {
      prover = record.prover.description
      openBids = record.openBids
      settled = record.settled
      lapsed = record.lapsed
      slashed = record.slashed
      lostMicrocredits = record.lost.microcredits
      p50 = record.time50
      p95 = record.time95
      bondMicrocredits = record.bond.microcredits
      delegatedMicrocredits = record.delegated.microcredits
      commissionPPM = record.commission?.parts
    }
  }

  @OptionGroup var brokerOptions: BrokerOptions
  @OptionGroup var output: JSONOption

  func run() async throws {
    let client = try await brokerOptions.connect(as: nil)
    let provers = try await client.provers().map(Shown.init)
    await client.close()
    if output.json { return try printJSON(["provers": provers]) }
    var table = Table([
      ("prover", .left), ("bids", .right), ("settled", .right), ("lapsed", .right),
      ("slashed", .right), ("lost", .right), ("p50", .right), ("p95", .right),
      ("bond", .right), ("delegated", .right), ("commission", .right),
    ])
    for prover in provers {
      table.append([
        prover.prover, "\(prover.openBids)", "\(prover.settled)", "\(prover.lapsed)",
        "\(prover.slashed)", "\(prover.lostMicrocredits)", prover.p50.map(String.init) ?? "-",
        prover.p95.map(String.init) ?? "-", "\(prover.bondMicrocredits)",
        "\(prover.delegatedMicrocredits)", prover.commissionPPM.map(String.init) ?? "-",
      ])
    }
    print(table.text)
  }
}
