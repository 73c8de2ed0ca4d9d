import Market
import Primitives
import Quantization
import Statements
import Wire

/// A request as it is printed: who got which slice at which price, and what came of it.
struct RequestReportShown: Codable {
  struct Lease: Codable {
    let lease: UInt64
    let slice: String
    let cost: UInt64
    let backend: String
    let prover: String
    let price: UInt64
    let fee: UInt64
    let stake: UInt64
    let state: String
    let verdict: String?
    /// What is decided about the audit of an attested slice; nil of any other.
    let audit: String?
  }

  struct Timings: Codable {
    /// From the submission to the answer that stood in the end.
    let answeredMilliseconds: Double?
    let finalMilliseconds: Double
  }

  let request: String
  let model: String
  let state: String
  let leases: [Lease]
  /// Slices that no bid has taken so far.
  let untaken: [String]
  let coverage: CoverageShown?
  let jobRoot: String?
  /// What drew the audits of attested slices.
  let seed: String?
  /// Whether the requester has a nonce to reveal now.
  let isRevealWanted: Bool
  private(set) var outputs: [Float]?
  /// Index of the largest output.
  private(set) var answer: Int?
  /// What the class of that index is called.
  private(set) var answerName: String?
  /// There is an answer, and the key that asks may not read it.
  private(set) var isAnswerWithheld = false
  var timings: Timings?

  init(_ id: RequestID, _ report: RequestReport, _ manifest: Manifest) {
    request = id.description
    model = report.terms.model.description
    state = report.state.description
    leases = report.leases.map { lease in
      // The index is the broker's word.
      let index = lease.terms.slice
      let slice = manifest.slices.indices.contains(index) ? manifest.slices[index] : nil
      return Lease(
        lease: lease.terms.id.ordinal, slice: slice?.name ?? "?", cost: slice?.cost.units ?? 0,
        backend: lease.terms.assurance.backend.name, prover: lease.terms.prover.description,
        price: lease.terms.price.ticks, fee: lease.terms.fee.microcredits,
        stake: lease.terms.stake.microcredits,
        state: "\(lease.state)", verdict: lease.verdict?.description, audit: lease.audit)
    }
    let taken = Set(report.leases.map(\.terms.slice))
    untaken = manifest.slices.indices.filter { !taken.contains($0) }.map {
      manifest.slices[$0].name
    }
    coverage = report.coverage.map { CoverageShown($0, slices: manifest.slices.count) }
    jobRoot = report.jobRoot?.description
    seed = report.seed?.description
    isRevealWanted = report.isRevealWanted
  }

  mutating func withholdAnswer() { isAnswerWithheld = true }

  /// `outputs` is the model's first output.
  mutating func setAnswer(_ outputs: [Float], _ names: ClassNames?) {
    self.outputs = outputs
    answer = Agreement.top(outputs)
    answerName = answer.flatMap { names?.name(of: $0) }
  }

  /// The leases as a table.
  var leaseTable: Table {
    var table = Table([
      ("lease", .right), ("slice", .left), ("cost", .right), ("backend", .left),
      ("prover", .left), ("price", .right), ("fee", .right), ("stake", .right),
      ("verdict", .left), ("audit", .left), ("state", .left),
    ])
    for lease in leases {
      table.append([
        "\(lease.lease)", lease.slice, "\(lease.cost)", lease.backend,
        String(lease.prover.prefix(8)), "\(lease.price)", "\(lease.fee)", "\(lease.stake)",
        lease.verdict ?? "-", lease.audit ?? "-", lease.state,
      ])
    }
    return table
  }

  var text: String {
    var lines = ["request \(request)", "state   \(state)"]
    if let answer { lines.append("answer  \(answer)\(answerName.map { " (\($0))" } ?? "")") }
    if isAnswerWithheld {
      lines.append("answer  not disclosed to this key: only the request's parties may read it")
    }
    lines.append(leaseTable.text)
    if !untaken.isEmpty {
      lines.append(
        "nobody has taken \(untaken.joined(separator: ", ")): no work begins before every slice is "
          + "taken; raise --limit, lower --stake-multiple, or wait for provers with more capacity")
    }
    if isRevealWanted {
      lines.append(
        "the requester must reveal its nonce now, or pay for the audit of every attested slice: "
          + "`bourse request wait` does so")
    }
    if let coverage { lines.append(coverage.text) }
    if let timings {
      lines.append(
        "answered after \(timings.answeredMilliseconds.map { "\($0) ms" } ?? "-"), final after \(timings.finalMilliseconds) ms"
      )
    }
    return lines.joined(separator: "\n")
  }
}

extension LeaseReport {
  /// What is decided about the audit of an attested slice; nil of any other.
  fileprivate var audit: String? {
    guard terms.assurance.assurance == .attested else { return nil }
    if let challenger { return "challenged by \(challenger.short)" }
    if let challengeableUntil {
      return "open to challenges until \(describe(challengeableUntil)) UTC"
    }
    if isAudited { return "audited" }
    return switch draw {
    case .audited: "drawn"
    case .spared: "spared"
    case nil: "not drawn yet"
    }
  }
}

/// How the slices of a request were checked, as it is printed.
struct CoverageShown: Codable {
  let slices: Int
  let proven: UInt32
  let reexecuted: UInt32
  let audited: UInt32
  let attested: UInt32
  let provenCost: UInt64
  let reexecutedCost: UInt64
  let auditedCost: UInt64
  let attestedCost: UInt64

  /// Of a model of so many slices.
  init(_ coverage: Coverage, slices: Int) {
    self.slices = slices
    proven = coverage.proven
    reexecuted = coverage.reexecuted
    audited = coverage.audited
    attested = coverage.attested
    provenCost = coverage.provenCost.units
    reexecutedCost = coverage.reexecutedCost.units
    auditedCost = coverage.auditedCost.units
    attestedCost = coverage.attestedCost.units
  }

  var text: String {
    "coverage: \(proven) of \(slices) slices proven, \(reexecuted) re-executed, \(audited) audited, \(attested) attested (cost units \(provenCost) / \(reexecutedCost) / \(auditedCost) / \(attestedCost))"
  }
}
