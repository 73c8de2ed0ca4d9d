import Foundation
import Journal
import Logging
import Market
import ModelGraph
import Primitives
import Prover
import Quantization
import Replay
import Requester
import Slicing
import Statements
import Wire

/// What `bourse demo --json` prints.
struct DemoResult: Encodable {
  struct Slash: Encodable {
    let prover: String
    let lease: UInt64
    let slice: String
    let stake: Int64
    let reason: String
    let burned: Int64
    let treasury: Int64
    /// Set aside for those who had worked on the bad output.
    let compensation: Int64
    /// Set aside for whoever completed the slice instead.
    let replacement: Int64
  }

  /// What a lessee that did not reveal its nonce paid for the audits.
  struct Unrevealed: Encodable {
    let prover: String
    let lease: UInt64
    let slice: String
    let penalty: Int64
  }

  /// One slice as the bundle shows it.
  struct Proof: Encodable {
    let slice: String
    /// Parts per million.
    let criticality: UInt32
    /// Of so many changed outputs of the slice, so many changed the answer.
    let trials: UInt32
    let flips: UInt32
    let prover: String
    let check: String
    let proofBytes: Int?
    let verifyMilliseconds: Double?
  }

  struct Balance: Encodable {
    let account: String
    let purpose: String
    let before: Int64
    let after: Int64
  }

  struct Ledger: Encodable {
    let balances: [Balance]
    /// The sum over all accounts, the outside world among them.
    let sum: Int64
  }

  struct Audit: Encodable {
    let sound: Bool
    let entries: UInt64
    let head: String
    let balancesEqual: Bool
    let bundleVerified: Bool
  }

  struct Timings: Encodable {
    let answeredMilliseconds: Double?
    let settledMilliseconds: Double
    let totalMilliseconds: Double
  }

  let answer: Int?
  let label: Int
  let slices: [RequestReportShown.Lease]
  let slashed: [Slash]
  let unrevealed: [Unrevealed]
  /// Of all slices, as `bourse verify` found them offline; none where it refused the bundle.
  let proofs: [Proof]
  let coverage: CoverageShown?
  let ledger: Ledger
  let audit: Audit
  let timings: Timings

  private enum CodingKeys: String, CodingKey {
    case answer, label, slices, slashed, unrevealed, proofs, coverage, ledger, audit, timings
  }

  /// What did not come out as promised.
  var brokenPromises: [String] = []
}

/// One request, end to end, over real processes.
struct Demonstration {
  let folder: String
  let models: String
  let vectors: SampleVectors
  let index: Int
  let label: Int
  let sliceCount: Int
  let proving: ProvingPolicy
  let misbehaviour: Misbehaviour
  let children: DemoProcesses
  let narrator: Narrator

  private struct Party {
    let name: String
    let key: SigningKey
    var file: String = ""
  }

  /// The cheat bids for proofs alone, or for what is attested if it withholds a nonce; the honest
  /// bid with all they have.
  private static let provers: [(name: String, price: String, capacity: String)] = [
    ("cheat", "700", "1"), ("honest-1", "1000", "4"), ("honest-2", "1300", "8"),
  ]
  /// Of the slices to one prover, so that in the end both honest ones have earned.
  private var spread: Int { (sliceCount + 1) / 2 }
  private var isNonceWithheld: Bool { misbehaviour == .withholdNonce }
  /// On which influence is measured.
  private static let influenceSamples = 16

  func run() async throws -> DemoResult {
    let start = ContinuousClock.now
    narrator.title("The digit")
    draw(vectors.inputs[index])
    narrator.title("The model")
    let model = try await sliceModel()
    narrator.title("The exchange")
    let (broker, card) = try await startBroker()
    let operatorKey = try KeyFile.read(folder + "/broker/operator.key")
    let client = WireClient(
      card: card, identity: operatorKey, logger: Logger(label: "bourse.demo", level: .error))
    try await client.connect(deadline: .seconds(5))
    let parties = try await fundParties(client, operatorKey)
    let publication = ModelPublication(client: client, key: operatorKey)
    let id = try await publication.publish(model)
    try await publication.awaitKeys(
      of: id, backend: .reexec, slices: model.manifest.slices.count, within: .seconds(10))
    narrator.line("model \(id.short) published, with verifier keys for each slice")
    let provers = try await startProvers(client, parties)
    let before = try await balances(client, parties)

    narrator.title("The request")
    let shown = try await request(id, parties[0])
    let after = try await balances(client, parties)
    await client.close()
    narrateRequest(shown, parties)
    // Provers first: they withdraw their bids from a broker that still answers.
    children.stop(provers)
    children.stop([broker])

    let result = try await audit(
      shown, before: before, after: after, parties: parties, card: card, model: model,
      since: start)
    narrate(result, parties)
    return result
  }

  // MARK: Steps

  private func sliceModel() async throws -> SlicedModel {
    let file = models + "/digits_lenet5.onnx"
    let bytes = [UInt8](FileManager.default.contents(atPath: file) ?? Data())
    let graph = try Graph(try ModelFile(bytes: bytes)).simplified()
    // The digit that is asked for is not among those that calibrate.
    let calibration = vectors.inputs.indices.filter { $0 != index }.prefix(64).map {
      [vectors.tensor($0)]
    }
    let quantizer = try Quantizer(
      graph, calibration: try Calibration(graph, samples: Array(calibration)))
    let cut = try SlicedModel(
      name: "digits_lenet5", quantizer: quantizer, rules: SlicingRules(count: sliceCount))
    let model = try cut.with(
      try await InfluenceMeasurement(cut).run(
        try calibration.prefix(Self.influenceSamples).map { try cut.boundaryBytes($0) }))
    let proven = try proving.chosen(of: model.manifest)
    let criticalities = model.manifest.criticalities
    var table = Table([
      ("slice", .left), ("takes", .left), ("gives", .left), ("cost", .right), ("flips", .right),
      ("criticality", .right), ("checked by", .left),
    ])
    for (index, slice) in model.manifest.slices.enumerated() {
      func shapes(_ tensors: [BoundarySpecification]) -> String {
        tensors.map { describe(shape: $0.shape) }.joined(separator: ", ")
      }
      table.append([
        slice.name, shapes(slice.inputs), shapes(slice.outputs), "\(slice.cost)",
        "\(slice.influence.flips) of \(slice.influence.trials)",
        describe(share: Double(criticalities[index].combined.parts) / 1_000_000),
        proven.contains(index)
          ? "a proof" : isNonceWithheld ? "its prover's word" : "running it again",
      ])
    }
    narrator.line(table.text)
    return model
  }

  private func startBroker() async throws -> (Process, BrokerCard) {
    let process = try children.start(
      "broker",
      [
        "broker", "run", "--data", folder + "/broker", "--network", "demo", "--endpoint",
        "tcp://127.0.0.1:0", "--verbose",
      ] + (isNonceWithheld ? ["--reveal-window", "2000"] : []))
    let path = folder + "/broker/broker.json"
    try await eventually("the broker's start", child: process, "broker") {
      FileManager.default.fileExists(atPath: path)
    }
    let card = try BrokerCard(contentsOf: path)
    narrator.line("broker \(card.brokerKey.short) serves network '\(card.network)'")
    return (process, card)
  }

  /// The requester first, then the provers.
  private func fundParties(
    _ client: WireClient, _ operatorKey: SigningKey
  ) async throws -> [Party] {
    var parties: [Party] = []
    for name in ["requester"] + Self.provers.map(\.name) {
      let file = "\(folder)/\(name).key"
      let party = Party(name: name, key: try KeyFile.readOrCreate(file), file: file)
      try await client.perform(
        .deposit(owner: party.key.publicKey, amount: Amount(microcredits: 20_000_000)),
        signedBy: operatorKey)
      parties.append(party)
    }
    narrator.line("the operator credits \(parties.count) accounts with 20 credits each")
    return parties
  }

  private func startProvers(
    _ client: WireClient, _ parties: [Party]
  ) async throws -> [Process] {
    let processes = try zip(Self.provers, parties.dropFirst()).map { prover, party in
      try children.start(
        prover.name,
        [
          "prover", "run", "--broker", folder + "/broker/broker.json", "--key", party.file,
          "--price", prover.price, "--capacity", prover.capacity, "--bond", "10c", "--verbose",
        ] + backends(of: party).flatMap { ["--backend", $0.name] }
          + (isCheat(party) ? ["--misbehave", misbehaviour.rawValue] : []))
    }
    for (index, process) in processes.enumerated() {
      let (prover, party) = (Self.provers[index], parties[index + 1])
      let backends = backends(of: party)
      try await eventually("the bids of \(prover.name)", child: process, prover.name) {
        try await client.bids(of: party.key.publicKey).count == backends.count
      }
      narrator.line(
        "\(prover.name) (\(party.key.publicKey.short)) bids \(prover.price) per 1000 cost units on \(backends.map(\.name).joined(separator: " and on ")), for \(prover.capacity) at a time"
          + (isCheat(party) ? ", and will cheat: \(misbehaviour.rawValue)" : ""))
    }
    return processes
  }

  private func backends(of party: Party) -> [BackendID] {
    guard isCheat(party) else { return BackendOptions.builtIn }
    return [isNonceWithheld ? .reexec : .sumcheck]
  }

  private func isCheat(_ party: Party) -> Bool { party.name == "cheat" }

  private func request(_ model: ModelID, _ requester: Party) async throws -> RequestReportShown {
    let data = try await children.output(
      "requester",
      [
        "request", "submit", "--model", model.description, "--input",
        models + "/digits_lenet5.vectors.json", "--index", "\(index)", "--key", requester.file,
        "--broker", folder + "/broker/broker.json", "--wait", "--bundle",
        folder + "/answer.bundle", "--json", "--prove", proving.description, "--spread",
        "\(spread)",
      ] + (isNonceWithheld ? ["--attest"] : []))
    return try JSONDecoder().decode(RequestReportShown.self, from: data)
  }

  private func balances(
    _ client: WireClient, _ parties: [Party]
  ) async throws -> [Account: Int64] {
    var balances: [Account: Int64] = [:]
    for owner in parties.map(\.key.publicKey) + [client.card.operatorKey] {
      for balance in try await client.balances(of: owner) {
        balances[balance.account] = balance.balance
      }
    }
    return balances
  }

  private func audit(
    _ shown: RequestReportShown, before: [Account: Int64], after: [Account: Int64],
    parties: [Party], card: BrokerCard, model: SlicedModel, since start: ContinuousClock.Instant
  ) async throws -> DemoResult {
    let replay = try Replay.run(path: folder + "/broker")
    // Only accounts with money are asked for live; a balance of zero is a balance too.
    let replayed = Dictionary(
      replay.balances.filter { $0.balance != 0 }.map { ($0.account, $0.balance) }
    ) { first, _ in first }
    let verification = try? await children.output(
      "verify",
      ["verify", folder + "/answer.bundle", "--broker-key", "\(card.brokerKey)", "--json"])
    let verified = try verification.map {
      try JSONDecoder().decode(VerificationShown.self, from: $0)
    }
    let accounts = Set(before.keys).union(after.keys).sorted()
    let names = Dictionary(parties.map { ($0.key.publicKey, $0.name) }) { first, _ in first }
    let (slashed, unrevealed) = try losses(model)
    var result = DemoResult(
      answer: shown.answer, label: label, slices: shown.leases, slashed: slashed,
      unrevealed: unrevealed, proofs: proofs(verified, model.manifest),
      coverage: shown.coverage,
      ledger: DemoResult.Ledger(
        balances: accounts.map { account in
          DemoResult.Balance(
            account: account.owner.map { names[$0] ?? $0.short } ?? "exchange",
            purpose: account.purpose.description, before: before[account] ?? 0,
            after: after[account] ?? 0)
        },
        sum: after.values.reduce(0, +)),
      audit: DemoResult.Audit(
        sound: replay.isSound, entries: replay.entries, head: replay.head.description,
        balancesEqual: replayed == after, bundleVerified: verified != nil),
      timings: DemoResult.Timings(
        answeredMilliseconds: shown.timings?.answeredMilliseconds,
        settledMilliseconds: shown.timings?.finalMilliseconds ?? 0,
        totalMilliseconds: milliseconds(ContinuousClock.now - start)))
    result.brokenPromises = brokenPromises(
      result, shown, parties, proven: try proving.chosen(of: model.manifest))
    return result
  }

  private func proofs(
    _ verified: VerificationShown?, _ manifest: Manifest
  ) -> [DemoResult.Proof] {
    zip(verified?.slices ?? [], manifest.criticalities).map { slice, criticality in
      DemoResult.Proof(
        slice: slice.slice, criticality: criticality.combined.parts,
        trials: criticality.influence.trials, flips: criticality.influence.flips,
        prover: slice.prover, check: slice.check, proofBytes: slice.proofBytes,
        verifyMilliseconds: slice.verifyMilliseconds)
    }
  }

  /// The slashes and their splits, and what was paid for audits, as the journal has them.
  private func losses(
    _ model: SlicedModel
  ) throws -> (slashes: [DemoResult.Slash], unrevealed: [DemoResult.Unrevealed]) {
    let reader = try JournalReader(directory: folder + "/broker")
    var slashes: [DemoResult.Slash] = []
    var unrevealed: [DemoResult.Unrevealed] = []
    var leases: [LeaseID: LeaseTerms] = [:]
    for entry in try reader.entries(from: 1, limit: 100_000) {
      guard case .accepted(let events)? = try? Outcome(canonicalBytes: entry.outcome) else {
        continue
      }
      for event in events {
        if case .leased(let terms) = event.body { leases[terms.id] = terms }
        if case .revealMissed(let id, let penalty) = event.body, let terms = leases[id] {
          unrevealed.append(
            DemoResult.Unrevealed(
              prover: terms.prover.description, lease: id.ordinal,
              slice: model.manifest.slices[terms.slice].name,
              penalty: Int64(penalty.microcredits)))
        }
        guard case .leaseSlashed(let id, let reason, let bonus) = event.body,
          let terms = leases[id]
        else { continue }
        func moved(_ account: Account) -> Int64 {
          event.postings.filter { $0.account == account }.reduce(0) { $0 + $1.delta }
        }
        let escrowed = moved(.slashEscrow)
        let replacement = Int64(bonus.microcredits)
        slashes.append(
          DemoResult.Slash(
            prover: terms.prover.description, lease: id.ordinal,
            slice: model.manifest.slices[terms.slice].name,
            stake: Int64(terms.stake.microcredits), reason: reason.description,
            burned: moved(.burned), treasury: moved(.treasury),
            compensation: escrowed - replacement, replacement: replacement))
      }
    }
    return (slashes, unrevealed)
  }

  private func brokenPromises(
    _ result: DemoResult, _ shown: RequestReportShown, _ parties: [Party], proven: Set<Int>
  ) -> [String] {
    var broken: [String] = []
    let cheat = parties.first(where: isCheat)?.key.publicKey.description
    if shown.state != "final" { broken.append("the request ended as \(shown.state)") }
    if result.answer != label { broken.append("the answer is not the digit's label") }
    if isNonceWithheld {
      // Its work was right, and stays.
      if result.unrevealed.map(\.prover) != [cheat].compactMap({ $0 }) {
        broken.append("not the cheat alone paid for its nonce")
      }
      if result.unrevealed.contains(where: { $0.penalty <= 0 }) {
        broken.append("the audits cost the cheat nothing")
      }
    } else if result.slashed.isEmpty {
      broken.append("the cheat was not slashed")
    }
    if result.slashed.contains(where: { $0.prover != cheat }) {
      broken.append("an honest prover was slashed")
    }
    let settled = shown.leases.filter { $0.state == "settled" }
    let isCheatPaid = settled.contains { $0.prover == cheat }
    if settled.count != sliceCount || isCheatPaid != isNonceWithheld {
      broken.append("the slices were not all settled by those whose work was right")
    }
    if Set(settled.map(\.prover)).count < 2 { broken.append("fewer than two provers earned") }
    let others = result.coverage.map { isNonceWithheld ? $0.audited : $0.reexecuted }
    if result.coverage.map({ Int($0.proven) }) != proven.count
      || others.map({ Int($0) }) != sliceCount - proven.count
    {
      broken.append("not every slice was checked as it was asked for")
    }
    if result.proofs.enumerated().contains(where: { index, proof in
      (proof.proofBytes != nil) != proven.contains(index)
    }) {
      broken.append("the bundle's proofs are not those that were asked for")
    }
    if result.ledger.sum != 0 { broken.append("money was not conserved") }
    if !result.audit.sound { broken.append("the journal does not replay") }
    if !result.audit.balancesEqual { broken.append("the replayed balances differ") }
    if !result.audit.bundleVerified { broken.append("the bundle does not verify offline") }
    return broken
  }

  private func eventually(
    _ what: String, child: Process, _ name: String, _ condition: () async throws -> Bool
  ) async throws {
    let deadline = ContinuousClock.now + .seconds(10)
    while try await !condition() {
      guard child.isRunning else { throw DemoError.childFailed(name, children.log(name)) }
      guard ContinuousClock.now < deadline else {
        throw DemoError.tooSlow(what, children.log(name))
      }
      try await Task.sleep(for: .milliseconds(5))
    }
  }
}

// MARK: - What people see

extension Demonstration {
  /// Two rows of pixels to a line, because characters are twice as high as wide.
  private func draw(_ pixels: [Float]) {
    let shades = Array(" .:-=+*#%@")
    for row in stride(from: 0, to: 28, by: 2) {
      let line = (0..<28).map { column in
        let value = (pixels[row * 28 + column] + pixels[(row + 1) * 28 + column]) / 2
        return shades[max(0, min(shades.count - 1, Int(value * Float(shades.count))))]
      }
      narrator.line("  " + String(line))
    }
    narrator.line("its true label is \(label)")
  }

  private func narrateRequest(_ shown: RequestReportShown, _ parties: [Party]) {
    narrator.line(named(shown.leaseTable.text, parties))
    narrator.line(
      Style.bold("answer: \(shown.answer.map(String.init) ?? "none")")
        + " (true label \(label)), request \(shown.state)")
    if let coverage = shown.coverage { narrator.line(coverage.text) }
  }

  /// The parties' keys by their names.
  private func named(_ text: String, _ parties: [Party]) -> String {
    parties.reduce(text) { text, party in
      text.replacingOccurrences(
        of: party.key.publicKey.short,
        with: party.name.padding(toLength: 8, withPad: " ", startingAt: 0))
    }
  }

  private func narrate(_ result: DemoResult, _ parties: [Party]) {
    narrator.title(isNonceWithheld ? "The nonce" : "The slash")
    for miss in result.unrevealed {
      narrator.line(
        Style.red("lease \(miss.lease) (\(miss.slice)) pays \(miss.penalty) out of its stake")
          + ": its nonce was not revealed, so every attested slice was audited")
    }
    for slash in result.slashed {
      narrator.line(
        Style.red("lease \(slash.lease) (\(slash.slice)) loses its stake of \(slash.stake)")
          + ": \(slash.reason)")
      narrator.line(
        "  burned \(slash.burned), treasury \(slash.treasury), compensation \(slash.compensation), replacement \(slash.replacement)"
      )
    }
    narrator.title("The proofs")
    var proofs = Table([
      ("slice", .left), ("criticality", .right), ("prover", .left), ("proof bytes", .right),
      ("verified offline", .left), ("within", .right),
    ])
    for proof in result.proofs {
      proofs.append([
        proof.slice, describe(share: Double(proof.criticality) / 1_000_000),
        String(proof.prover.prefix(8)), proof.proofBytes.map(String.init) ?? "-", proof.check,
        proof.verifyMilliseconds.map { "\($0) ms" } ?? "-",
      ])
    }
    narrator.line(named(proofs.text, parties))
    narrator.title("The ledger")
    var table = Table([
      ("account", .left), ("purpose", .left), ("before", .right), ("after", .right),
      ("change", .right),
    ])
    for row in result.ledger.balances {
      table.append([
        row.account, row.purpose, "\(row.before)", "\(row.after)", "\(row.after - row.before)",
      ])
    }
    narrator.line(table.text)
    narrator.title("The audit")
    narrator.line(
      "\(result.audit.entries) journal entries replayed: "
        + (result.audit.sound ? Style.green("sound") : Style.red("DIVERGED"))
        + ", balances \(result.audit.balancesEqual ? "equal" : "DIFFERENT")"
        + ", bundle \(result.audit.bundleVerified ? "verified offline" : "REFUSED")")
    narrator.title("Time")
    narrator.line(
      "answer after \(result.timings.answeredMilliseconds.map { "\($0) ms" } ?? "-"), settled after \(result.timings.settledMilliseconds) ms, whole demo \(result.timings.totalMilliseconds) ms"
    )
  }
}
