import ArgumentParser
import Auditor
import Broker
import Journal
import Logging
import Market
import Primitives
import ProverHost
import Replay
import Statements
import VerifierWorker
import Wire

/// Finds the verdicts on one lease again, over the wire.
struct AuditEvidenceCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "evidence",
    abstract: "Find the verdicts on one lease again, with a running broker's evidence.",
    discussion: """
      Asks the broker which verdicts the lease has had and for the evidence and the blobs of each, \
      and verifies the proof or runs the program here. Whoever may read the lease's tensors can: \
      its requester, the auditors that it names, its lessee for what concerns it, and anyone \
      where the request is disclosed. `bourse explain REQUEST` prints the leases.

      Exits with 1 where a verdict does not hold, with 2 where one could not be verified.

      EXAMPLES
        bourse audit evidence 17
        bourse audit evidence 17 --key requester.key --broker broker.json
        bourse audit evidence 17 --key auditor.key --plugin ./libmine.so --json
      """)

  struct Shown: Encodable {
    struct Verdict: Encodable {
      let sequence: UInt64
      let attempt: UInt32
      let purpose: String?
      let verdict: String
      let evidence: String
      /// Who signed it; nil where the broker found it itself.
      let verifier: String?
      let found: String
      let holds: Bool?

      /// For people; the evidence alone tells.
      var finder: String {
        guard purpose != nil else { return "-" }
        return verifier.map { String($0.prefix(8)) } ?? "broker"
      }
    }

    let lease: UInt64
    let verdicts: [Verdict]
  }

  @Argument(help: "The lease's number.")
  var lease: UInt64
  @Option(help: "The key that may read what the lease is about; nobody's unless told.")
  var key: String?
  @OptionGroup var brokerOptions: BrokerOptions
  @OptionGroup var backends: BackendOptions
  @OptionGroup var output: JSONOption

  func run() async throws {
    let client = try await brokerOptions.connect(as: try key.map { try KeyFile.read($0) })
    let opened = try await backends.open(nil, Logger(label: "bourse.audit", level: .error))
    let shown = try await find(
      client, VerdictAudit(reading: client, verifyingWith: opened.map(\.backend)))
    for served in opened { await served.backend.close() }
    await client.close()
    output.json ? try printJSON(shown) : print(text(shown))
    if shown.verdicts.contains(where: { $0.holds == false }) { throw ExitCode(1) }
    if shown.verdicts.contains(where: { $0.holds == nil }) { throw ExitCode(2) }
  }

  private func find(_ client: WireClient, _ audit: VerdictAudit) async throws -> Shown {
    let id = LeaseID(ordinal: lease)
    let (request, history) = try await client.history(of: .lease(id))
    guard let request,
      let report = try await client.report(on: request).leases.first(where: { $0.terms.id == id })
    else { throw WireError.unexpectedAnswer("a lease of no request") }
    let keys = try await client.keyRecords(of: report.terms.model)
    let manifest = try await client.model(report.terms.model)
    guard manifest.slices.indices.contains(report.terms.slice),
      let key = keys.first(where: { $0.digest == report.terms.keyRecord })
    else { throw WireError.unexpectedAnswer("a lease of a slice or key that its model lacks") }
    var verdicts: [Shown.Verdict] = []
    for entry in history {
      for case .verdictRecorded(let record, _) in entry.events.map(\.body) where record.lease == id
      {
        let evidence = try? Evidence(canonicalBytes: try await client.read(record.evidence))
        let finding: VerdictAudit.Finding
        if let evidence {
          let job = VerificationJob(
            statement: Statement(
              network: client.card.network, request: request, lease: id, model: report.terms.model,
              slice: report.terms.slice, inputs: evidence.statement.inputs,
              outputs: report.commitment?.outputs ?? [], backend: report.terms.assurance.backend,
              keyRecord: key.digest, prover: report.terms.prover),
            purpose: evidence.purpose, attempt: record.attempt,
            proof: report.receipt?.proof ?? Digest.of([]), keyRecord: key)
          finding = await audit.find(
            RecordedVerdict(
              sequence: entry.sequence, record: record, job: job,
              slice: manifest.slices[report.terms.slice]))
        } else {
          finding = .unverified(
            "the broker does not show you its evidence; name a --key that may read it")
        }
        verdicts.append(Shown.Verdict(entry.sequence, record, evidence, finding))
      }
    }
    return Shown(lease: lease, verdicts: verdicts)
  }

  private func text(_ shown: Shown) -> String {
    guard !shown.verdicts.isEmpty else { return "lease \(lease) has had no verdict so far" }
    var table = Table([
      ("entry", .right), ("for", .left), ("verdict", .left), ("by", .left), ("here", .left),
    ])
    for verdict in shown.verdicts {
      table.append([
        "\(verdict.sequence)", verdict.purpose ?? "-", verdict.verdict,
        verdict.finder, verdict.found,
      ])
    }
    return table.text
  }
}

extension AuditEvidenceCommand.Shown.Verdict {
  fileprivate init(
    _ sequence: UInt64, _ record: VerdictRecord, _ evidence: Evidence?,
    _ finding: VerdictAudit.Finding
  ) {
    self.sequence = sequence
    attempt = record.attempt
    purpose = evidence.map { "\($0.purpose)" }
    verdict = record.verdict.description
    self.evidence = record.evidence.description
    verifier = evidence?.word?.verifier.description
    (found, holds) =
      switch finding {
      case .proof: ("the same, by its proof", true)
      case .reexecution: ("the same, by running its program", true)
      case .inconclusive: ("nothing to compare with", true)
      case .unverified(let reason): ("NOT VERIFIED: \(reason)", nil)
      case .diverged(let divergence):
        (
          "DIVERGED: \(divergence.subject): expected \(divergence.expected), got \(divergence.got)",
          false
        )
      }
  }
}
