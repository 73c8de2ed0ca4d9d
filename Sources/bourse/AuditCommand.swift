import ArgumentParser
import Foundation
import Journal
import Market
import MerkleLog
import Primitives
import Replay
import Statements
import Wire

struct AuditCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "audit",
    abstract: "Check what a broker wrote, without trusting it.",
    subcommands: [ReplayCommand.self, Export.self, CheckpointCommand.self, Inclusion.self])

  struct ReplayCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "replay",
      abstract: "Decide every command of a journal anew and compare events, money and signatures.",
      discussion: """
        Works on a copy of a broker's directory, on a stopped broker's, or on an export of one. \
        Exits with 1 at the first divergence.

        EXAMPLES
          bourse audit replay ./broker
          bourse audit replay journal.export
          bourse audit replay ./copy --invariants-every 1000 --json
        """)

    @Argument(help: "The directory that holds journal.sqlite, or an export's file.")
    var journal: String

    @Flag(help: "Leave the signatures out: quicker, and shows nothing about who wrote it.")
    var withoutSignatures = false

    @Option(help: "Check the market's invariants after every so many entries, and after the last.")
    var invariantsEvery: UInt64 = 1

    @OptionGroup var output: JSONOption

    func run() async throws {
      let start = ContinuousClock.now
      let progress = Progress(isShown: !output.json)
      let report = try Replay.run(
        path: journal,
        options: .init(
          invariantsEvery: invariantsEvery, checksSignatures: !withoutSignatures)
      ) { done, total in
        progress.show("\(done) of \(total) entries")
      }
      progress.finish()
      let summary = Summary(report, seconds: (.now - start) / .seconds(1))
      output.json ? try printJSON(summary) : summary.show()
      if !report.isSound { throw ExitCode(1) }
    }
  }
}

// MARK: - export

extension AuditCommand {
  struct Export: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Write a journal as one file that needs no database.",
      discussion: """
        Works on a copy of a broker's directory, or on a stopped broker's. The export holds every \
        command, what came of it and the broker's signed answer; replay it to check it.

        EXAMPLES
          bourse audit export ./broker -o journal.export
          bourse audit replay journal.export
        """)

    @Argument(help: "The directory that holds journal.sqlite.")
    var directory: String
    @Option(name: .shortAndLong, help: "The file to write.")
    var output: String
    @OptionGroup var format: JSONOption

    private struct Shown: Encodable {
      let file: String
      let entries: UInt64
      let bytes: Int
    }

    func run() async throws {
      let progress = Progress(isShown: !format.json)
      let entries = try JournalExport.write(
        try JournalReader(directory: directory), to: output
      ) { done, total in
        progress.show("\(done) of \(total) entries")
      }
      progress.finish()
      let attributes = try FileManager.default.attributesOfItem(atPath: output)
      let shown = Shown(file: output, entries: entries, bytes: attributes[.size] as? Int ?? 0)
      if format.json { return try printJSON(shown) }
      print("\(shown.entries) entries, \(shown.bytes) bytes in \(output)")
    }
  }
}

// MARK: - checkpoint, inclusion

extension AuditCommand {
  private struct ShownCheckpoint: Encodable {
    let network: String
    let broker: String
    let size: UInt64
    let root: String
    let continues: UInt64?

    init(_ checkpoint: Checkpoint, continues earlier: Checkpoint? = nil) {
      network = checkpoint.network.name
      broker = checkpoint.broker.description
      size = checkpoint.size
      root = checkpoint.root.description
      continues = earlier?.size
    }

    func show() {
      print("network  \(network)")
      print("broker   \(broker)")
      print("entries  \(size)")
      print("root     \(root)")
    }
  }

  struct CheckpointCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "checkpoint",
      abstract: "Ask a running broker for its signed checkpoint, and keep it.",
      discussion: """
        With a file of the last one kept, the broker has to prove that its journal still begins \
        with it; then the file holds the new one. A broker that cannot has rewritten its history.

        EXAMPLES
          bourse audit checkpoint --broker ./broker/broker.json
          bourse audit checkpoint --broker ./broker/broker.json --keep broker.checkpoint
        """)

    @Option(help: "Where the last checkpoint is kept; made where there is none.")
    var keep: String?
    @OptionGroup var brokerOptions: BrokerOptions
    @OptionGroup var output: JSONOption

    func run() async throws {
      let earlier = try keep.flatMap { path in
        try FileManager.default.contents(atPath: path).map {
          try Checkpoint(canonicalBytes: $0.prefix(1024))
        }
      }
      let client = try await brokerOptions.connect(as: nil)
      let checkpoint: Checkpoint
      do {
        checkpoint = try await client.checkpoint(since: earlier)
      } catch let error as RewrittenHistory {
        // Evidence beside evidence: the earlier one is never overwritten.
        try keep.map { try Self.write(error.later, to: $0 + ".conflict") }
        throw error
      }
      await client.close()
      try keep.map { try Self.write(checkpoint, to: $0) }
      let shown = ShownCheckpoint(checkpoint, continues: earlier)
      if output.json { return try printJSON(shown) }
      shown.show()
      if let earlier { print("continues the checkpoint of \(earlier.size) entries") }
    }

    private static func write(_ checkpoint: Checkpoint, to path: String) throws {
      try Data(checkpoint.canonicalBytes).write(to: URL(fileURLWithPath: path), options: .atomic)
    }
  }

  struct Inclusion: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Show that an entry is in a running broker's journal.",
      discussion: """
        The entry's hash is the head that the broker signed in the acknowledgement of that entry.

        EXAMPLES
          bourse audit inclusion 12 --broker ./broker/broker.json
          bourse audit inclusion 12 --head 5c0d… --broker ./broker/broker.json --json
        """)

    @Argument(help: "The entry's sequence number.")
    var sequence: UInt64
    @Option(help: "The head that an acknowledgement names: what the entry's hash must be.")
    var head: String?
    @OptionGroup var brokerOptions: BrokerOptions
    @OptionGroup var output: JSONOption

    private struct Shown: Encodable {
      let sequence: UInt64
      let entryHash: String
      let checkpoint: ShownCheckpoint
    }

    func run() async throws {
      let expected = try head.map { text in
        guard let digest = Digest(hexadecimal: text) else {
          throw ValidationError("'\(text)' is no head; give 64 hexadecimal digits.")
        }
        return digest
      }
      let client = try await brokerOptions.connect(as: nil)
      let (hash, checkpoint) = try await client.inclusion(of: sequence)
      await client.close()
      if let expected, expected != hash {
        throw Rejection(
          code: "entry-replaced",
          sentence: """
            Entry \(sequence) has the hash \(hash), not the acknowledged one; keep the \
            acknowledgement, which convicts the broker.
            """)
      }
      if output.json {
        return try printJSON(
          Shown(
            sequence: sequence, entryHash: hash.description,
            checkpoint: ShownCheckpoint(checkpoint)))
      }
      print("entry    \(sequence)")
      print("hash     \(hash)")
      ShownCheckpoint(checkpoint).show()
    }
  }
}

// MARK: - replay

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
