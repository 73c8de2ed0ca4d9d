import ArgumentParser
import Foundation
import Journal
import Market
import Primitives
import Replay

struct AuditCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "audit",
    abstract: "Check what a broker wrote, without trusting it.",
    subcommands: [ReplayCommand.self])

  struct ReplayCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "replay",
      abstract: "Decide every command of a journal anew and compare events, money and signatures.",
      discussion: """
        Works on a copy of a broker's directory, or on a stopped broker's. Exits with 1 at the \
        first divergence.

        EXAMPLES
          bourse audit replay ./broker
          bourse audit replay ./copy --invariants-every 1000 --json
        """)

    @Argument(help: "The directory that holds journal.sqlite.")
    var directory: String

    @Option(help: "Check the market's invariants after every so many entries, and after the last.")
    var invariantsEvery: UInt64 = 1

    @OptionGroup var output: JSONOption

    func run() async throws {
      let clock = ContinuousClock()
      let start = clock.now
      var shown = start
      let report = try Replay.run(
        directory: directory, options: .init(invariantsEvery: invariantsEvery)
      ) { done, total in
        guard clock.now - shown > .seconds(1), isatty(STDERR_FILENO) == 1 else { return }
        shown = clock.now
        FileHandle.standardError.write(Data("\r\(done) of \(total) entries".utf8))
      }
      if shown > start { FileHandle.standardError.write(Data("\n".utf8)) }
      let summary = Summary(report, seconds: (clock.now - start) / .seconds(1))
      output.json ? try printJSON(summary) : summary.show()
      if !report.isSound { throw ExitCode(1) }
    }
  }
}

extension AuditCommand {
  /// What a replay prints; the keys of `--json`.
  private struct Summary: Encodable {
    struct Balance: Encodable {
      let owner: String?
      let purpose: String
      let microcredits: Int64
    }

    let network: String
    let sound: Bool
    let entries: UInt64
    let accepted: UInt64
    let rejected: UInt64
    let head: String
    let root: String
    let stateDigest: String
    let balances: [Balance]
    let divergence: Divergence?
    let seconds: Double

    init(_ report: ReplayReport, seconds: Double) {
      network = report.network.name
      sound = report.isSound
      entries = report.entries
      accepted = report.accepted
      rejected = report.rejected
      head = report.head.description
      root = report.root.description
      stateDigest = report.stateDigest.description
      balances = report.balances.map {
        Balance(
          owner: $0.account.owner?.description, purpose: $0.account.purpose.description,
          microcredits: $0.balance)
      }
      divergence = report.divergence
      self.seconds = seconds
    }

    func show() {
      print("network  \(network)")
      print("entries  \(entries) (\(accepted) accepted, \(rejected) rejected)")
      print("head     \(head)")
      print("root     \(root)")
      print("state    \(stateDigest)")
      var table = Table([("owner", .left), ("purpose", .left), ("micro-credits", .right)])
      for balance in balances {
        table.append([
          balance.owner.map { String($0.prefix(8)) } ?? "exchange", balance.purpose,
          "\(balance.microcredits)",
        ])
      }
      print(table.text)
      if let divergence {
        print("DIVERGED at \(divergence)")
      } else {
        print("sound: every event, posting, balance and acknowledgement is as decided again")
      }
    }
  }
}
