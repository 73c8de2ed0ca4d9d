import ArgumentParser
import Auditor
import Broker
import Foundation
import Logging
import Primitives
import ProverHost
import Statements

struct VerifyCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "verify", abstract: "Check a request's bundle offline.",
    discussion: """
      Checks every signature, statement and Merkle path; compiles the key of every proven slice \
      and verifies its proof; runs every other slice again. Nobody is asked and no broker is \
      trusted. With --reexecute no proof is looked at and no plugin is needed.

      EXAMPLES
        bourse verify answer.bundle
        bourse verify answer.bundle --reexecute
        bourse verify answer.bundle --broker-key 5c0d… --json
      """)

  @Argument(help: "The file that `bourse request submit --bundle` wrote.")
  var file: String
  @Option(name: .long, help: "The broker whose word is expected; any where not named.")
  var brokerKey: String?
  @Flag(name: .long, help: "Run all slices again, those too that have a proof.")
  var reexecute = false
  @OptionGroup var backends: BackendOptions
  @OptionGroup var output: JSONOption

  func run() async throws {
    let size = (try? FileManager.default.attributesOfItem(atPath: file))?[.size] as? Int
    guard let size, size <= Statements.Bundle.byteLimit,
      let data = FileManager.default.contents(atPath: file)
    else {
      throw ValidationError("'\(file)' cannot be read or is above 1 GiB; name a bundle's file.")
    }
    let bundle = try Statements.Bundle(canonicalBytes: [UInt8](data))
    let audit = BundleAudit(bundle)
    var opened: [Backend]?
    if !reexecute {
      opened = try await backends.open(
        audit.provingBackends, Logger(label: "bourse.verify", level: .error)
      ).map(\.backend)
    }
    let report = try await audit.run(
      expecting: try brokerKey.map { try publicKey($0) }, verifyingWith: opened)
    for backend in opened ?? [] { await backend.close() }
    let shown = VerificationShown(report)
    output.json ? try printJSON(shown) : print(shown.text)
  }
}

/// A bundle that holds, as it is printed.
struct VerificationShown: Codable {
  struct Slice: Codable {
    let slice: String
    let prover: String
    let backend: String
    /// `proven (sumcheck)`, or `re-executed`.
    let check: String
    /// Of what was proven.
    let proofBytes: Int?
    let verifyMilliseconds: Double?
  }

  let holds: Bool
  let request: String
  let model: String
  let requester: String
  let broker: String
  let slices: [Slice]
  let coverage: CoverageShown

  init(_ report: BundleAudit.Report) {
    holds = true
    request = report.request.description
    model = report.model.description
    requester = report.requester.description
    broker = report.broker.description
    slices = report.findings.map { finding in
      var check = "re-executed"
      var proof: (bytes: Int, milliseconds: Double)?
      if case .proven(let bytes, let verifying) = finding.check {
        check = "proven (\(finding.backend))"
        proof = (bytes, milliseconds(verifying))
      }
      return Slice(
        slice: finding.slice, prover: finding.prover.description, backend: finding.backend.name,
        check: check, proofBytes: proof?.bytes, verifyMilliseconds: proof?.milliseconds)
    }
    coverage = CoverageShown(report.coverage, slices: report.findings.count)
  }

  /// The slices as a table.
  var table: Table {
    var table = Table([
      ("slice", .left), ("prover", .left), ("check", .left), ("proof bytes", .right),
      ("verify ms", .right),
    ])
    for slice in slices {
      table.append([
        slice.slice, String(slice.prover.prefix(8)), slice.check,
        slice.proofBytes.map(String.init) ?? "-", slice.verifyMilliseconds.map { "\($0)" } ?? "-",
      ])
    }
    return table
  }

  var text: String {
    """
    \(table.text)
    \(coverage.text)
    the bundle holds: request \(request.prefix(8)) under broker \(broker.prefix(8))
    """
  }
}
