import ArgumentParser
import Auditor
import Foundation
import Primitives
import Statements

struct VerifyCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "verify", abstract: "Check a request's bundle offline.",
    discussion: """
      Checks every signature, statement and Merkle path, and runs every slice again. Nobody is \
      asked and no broker is trusted.

      EXAMPLES
        bourse verify answer.bundle
        bourse verify answer.bundle --broker-key 5c0d… --json
      """)

  @Argument(help: "The file that `bourse request submit --bundle` wrote.")
  var file: String
  @Option(name: .long, help: "The broker whose word is expected; any where not named.")
  var brokerKey: String?
  @OptionGroup var output: JSONOption

  private struct Shown: Encodable {
    struct Slice: Encodable {
      let slice: String
      let prover: String
      let backend: String
      let check: String
    }

    let holds: Bool
    let request: String
    let model: String
    let requester: String
    let broker: String
    let slices: [Slice]
  }

  func run() async throws {
    let size = (try? FileManager.default.attributesOfItem(atPath: file))?[.size] as? Int
    guard let size, size <= Statements.Bundle.byteLimit,
      let data = FileManager.default.contents(atPath: file)
    else {
      throw ValidationError("'\(file)' cannot be read or is above 1 GiB; name a bundle's file.")
    }
    let bundle = try Statements.Bundle(canonicalBytes: [UInt8](data))
    let report = try BundleAudit(bundle).run(
      expecting: try brokerKey.map { try publicKey($0) })
    let shown = Shown(
      holds: true, request: report.request.description, model: report.model.description,
      requester: report.requester.description, broker: report.broker.description,
      slices: report.findings.map {
        Shown.Slice(
          slice: $0.slice, prover: $0.prover.description, backend: $0.backend.name,
          check: $0.check)
      })
    if output.json { return try printJSON(shown) }
    var table = Table([("slice", .left), ("prover", .left), ("backend", .left), ("check", .left)])
    for slice in shown.slices {
      table.append([slice.slice, String(slice.prover.prefix(8)), slice.backend, slice.check])
    }
    print(table.text)
    print("the bundle holds: request \(report.request.short) under broker \(report.broker.short)")
  }
}
