import ArgumentParser
import Market
import Primitives
import Requester
import Statements
import Wire

/// What an inference would cost now, and who would do it.
struct QuoteCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "quote", abstract: "Show what a request would meet now, without sending it.",
    discussion: """
      For every slice the bid that would take it, its fee and its stake; with --reasons also every \
      other bid that covers the slice, and why it would not take it.

      What a slice deters is the part of its stake that is burned at least, times the probability \
      that the slice is checked: wrong work pays only where it gains more.

      EXAMPLES
        bourse quote 8f31… --limit 1500
        bourse quote 8f31… --prove critical:2
        bourse quote 8f31… --prove critical:2 --audit-rate 50000
        bourse quote 8f31… --spread 1 --reasons --json
      """)

  struct Candidate: Encodable {
    let bid: String
    let prover: String
    let price: UInt64
    let reason: String?

    init(_ candidate: Quote.Candidate) {
      bid = candidate.bid.description
      prover = candidate.prover.description
      price = candidate.price.ticks
      reason = candidate.ineligibility?.description
    }
  }

  struct Slice: Encodable {
    let slice: String
    let backend: String
    let taken: Candidate?
    let feeMicrocredits: UInt64?
    let stakeMicrocredits: UInt64
    let deterredMicrocredits: UInt64
    let candidates: [Candidate]

    init(_ slice: Quote.Slice, name: String, backend: BackendID, reasons: Bool) {
      self.slice = name
      self.backend = backend.name
      taken = slice.taken.map(Candidate.init)
      feeMicrocredits = slice.fee?.microcredits
      stakeMicrocredits = slice.stake.microcredits
      deterredMicrocredits = slice.deterred.microcredits
      candidates = reasons ? slice.candidates.map(Candidate.init) : []
    }
  }

  struct Shown: Encodable {
    let slices: [Slice]
    /// Nil where a slice would rest.
    let priceMicrocredits: UInt64?
    let heldMicrocredits: UInt64
    /// The smallest of the slices'.
    let deterredMicrocredits: UInt64
  }

  @OptionGroup var model: ModelOption
  @OptionGroup var orderOptions: OrderOptions
  @Option(name: .long, help: "Ask as this public key or key file; its own bids do not count.")
  var requester: String?
  @Flag(name: .long, help: "Show every bid that covers a slice, and why it would not take it.")
  var reasons = false
  @OptionGroup var brokerOptions: BrokerOptions
  @OptionGroup var output: JSONOption

  func run() async throws {
    let client = try await brokerOptions.connect(as: nil)
    let id = try await model.resolve(client)
    let manifest = try await client.model(id)
    var terms = try RequestSession.terms(
      model: id, manifest: manifest, keys: try await client.keyRecords(of: id),
      inputs: manifest.inputs.map { _ in .zero }, order: try orderOptions.order())
    // A quote reveals nothing, so any commitment will do.
    terms.nonceCommitment = Digest.of([])
    let card = try brokerOptions.card()
    let quote = try await client.quote(
      terms, by: try requester.map(publicKey) ?? card.brokerKey)
    await client.close()
    let slices = zip(zip(manifest.slices, terms.assurances), quote.slices).map {
      Slice($1, name: $0.0.name, backend: $0.1.backend, reasons: reasons)
    }
    let shown = Shown(
      slices: slices, priceMicrocredits: quote.price?.microcredits,
      heldMicrocredits: quote.held.microcredits,
      deterredMicrocredits: quote.deterred.microcredits)
    output.json ? try printJSON(shown) : print(text(shown))
  }

  private func text(_ shown: Shown) -> String {
    var table = Table([
      ("slice", .left), ("backend", .left), ("prover", .left), ("price", .right), ("fee", .right),
      ("stake", .right), ("deters", .right), ("reason", .left),
    ])
    for slice in shown.slices {
      let taken = slice.taken
      table.append([
        slice.slice, slice.backend, taken.map { String($0.prover.prefix(8)) } ?? "nobody",
        taken.map { "\($0.price)" } ?? "-", slice.feeMicrocredits.map(String.init) ?? "-",
        "\(slice.stakeMicrocredits)", "\(slice.deterredMicrocredits)", "",
      ])
      for candidate in slice.candidates where candidate.bid != taken?.bid {
        table.append([
          "", "", String(candidate.prover.prefix(8)), "\(candidate.price)", "", "", "",
          candidate.reason ?? "a better bid takes it",
        ])
      }
    }
    let price = shown.priceMicrocredits.map { "\($0) micro-credits" } ?? "a slice would rest"
    return """
      \(table.text)
      price: \(price); held: \(shown.heldMicrocredits) micro-credits
      wrong work pays where it gains more than \(shown.deterredMicrocredits) micro-credits
      """
  }
}
