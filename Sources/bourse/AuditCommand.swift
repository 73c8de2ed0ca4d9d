import ArgumentParser
import Auditor
import Broker
import CLinux
import Foundation
import Journal
import Logging
import Market
import MerkleLog
import Primitives
import ProverHost
import Replay
import Statements
import Synchronization
import Wire

struct AuditCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "audit",
    abstract: "Check what a broker wrote, without trusting it.",
    subcommands: [
      ReplayCommand.self, Export.self, AuditEvidenceCommand.self, CheckpointCommand.self,
      Inclusion.self, Match.self,
    ])

  struct ReplayCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "replay",
      abstract: "Decide every command of a journal anew and compare events, money and signatures.",
      discussion: """
        Works on a copy of a broker's directory, on a stopped broker's, or on an export of one.

        With --verify it also finds verdicts again: it takes a verdict's evidence, compares it \
        with what the replayed market wanted verified, compiles the key from the slice's program \
        where keys are deterministic, verifies the proof or runs the program, and compares. `all` \
        does so beside the replay, on all processors. Unless told, it takes a sample of 100 where \
        the blobs are there, which a broker that lied in 1 of 20 verdicts escapes once in 170 \
        times, and none where they are not. The sample is drawn by a seed that is new each time, \
        so that no broker can have known it, and is printed, so that anyone can draw it again.

        Exits with 1 at the first divergence; with 2 where all that was decided again holds, and \
        some of the chosen verdicts could not be verified, for a missing blob or plugin.

        EXAMPLES
          bourse audit replay ./broker
          bourse audit replay journal.export --verify all
          bourse audit replay journal.export --verify sample:1000 --seed 5c0d…
          bourse audit replay ./copy --invariants-every 1000 --verify none --json
        """)

    @Argument(help: "The directory that holds journal.sqlite, or an export's file.")
    var journal: String

    @Option(
      help: ArgumentHelp("Which verdicts to find again.", valueName: "all|sample:N|none"))
    var verify: VerdictAudit.Choice?

    @Option(help: "Draws the sample: 64 hexadecimal digits; new unless told.")
    var seed: String?

    @Flag(
      help:
        "Leave signatures and the paths to them out: quicker, and shows nothing about who wrote it."
    )
    var withoutSignatures = false

    @Option(help: "Check the market's invariants after every so many entries, and after the last.")
    var invariantsEvery: UInt64 = 1

    @OptionGroup var backends: BackendOptions
    @OptionGroup var output: JSONOption

    func run() async throws {
      let seed = try self.seed.map { text in
        guard let digest = Digest(hexadecimal: text) else {
          throw ValidationError("'\(text)' is no seed; give 64 hexadecimal digits.")
        }
        return digest
      }
      linux_keep_freed_memory()
      let start = ContinuousClock.now
      let progress = Progress(isShown: !output.json)
      let blobs = try BlobReader(path: journal)
      let choice = verify ?? (blobs == nil ? .none : .sample(Self.sampleSize))
      let opened =
        choice == .none || blobs == nil
        ? [] : try await backends.open(nil, Logger(label: "bourse.audit", level: .error))
      let lines = ProgressLines(progress)
      let (report, verdicts) = try await VerdictAudit(
        reading: blobs, verifyingWith: opened.map(\.backend)
      ).run(
        path: journal,
        options: .init(invariantsEvery: invariantsEvery, checksSignatures: !withoutSignatures),
        choice: choice, seed: seed ?? Digest.of(Nonce.random().canonicalBytes)
      ) { done, total, what in
        lines.show("\(done) of \(total) \(what)")
      }
      for served in opened { await served.backend.close() }
      lines.finish()
      let summary = Summary(report, verdicts, seconds: (.now - start) / .seconds(1))
      output.json ? try printJSON(summary) : summary.show()
      if !summary.sound { throw ExitCode(1) }
      if verdicts.unverifiedCount > 0 { throw ExitCode(2) }
    }

    private static let sampleSize = 100
  }
}

/// A line of progress that the replay's thread and the verifying tasks take turns to show.
private final class ProgressLines: Sendable {
  private let progress: Mutex<Progress>

  init(_ progress: sending Progress) { self.progress = Mutex(progress) }

  func show(_ text: String) { progress.withLock { $0.show(text) } }
  func finish() { progress.withLock { $0.finish() } }
}

extension VerdictAudit.Choice: ExpressibleByArgument {
  public init?(argument: String) {
    let parts = argument.split(separator: ":", omittingEmptySubsequences: false)
    switch (parts.first, parts.count) {
    case ("all", 1): self = .all
    case ("none", 1): self = .none
    case ("sample", 2):
      guard let count = Int(parts[1]), 1...1_000_000 ~= count else { return nil }
      self = .sample(count)
    default: return nil
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

        With --evidence it also carries the blobs by which verdicts are found again: evidence, \
        programs, keys, proofs, and the tensors of all requests, those too that are disclosed to \
        their parties alone. Hand it to whom you would show these.

        EXAMPLES
          bourse audit export ./broker -o journal.export
          bourse audit replay journal.export
          bourse audit export ./broker --evidence -o full.export
          bourse audit replay full.export --verify all
        """)

    @Argument(help: "The directory that holds journal.sqlite.")
    var directory: String
    @Flag(help: "Carry the blobs that `audit replay --verify` needs.")
    var evidence = false
    @Option(name: .shortAndLong, help: "The file to write.")
    var output: String
    @OptionGroup var format: JSONOption

    private struct Shown: Encodable {
      let file: String
      let entries: UInt64
      let blobs: UInt64
      /// Blobs that verdicts rest on and that the broker does not hold.
      let missingBlobs: UInt64
      let bytes: Int
    }

    func run() async throws {
      let progress = Progress(isShown: !format.json)
      let blobs = evidence ? try BlobReader(path: directory) : nil
      guard blobs != nil || !evidence else {
        throw ValidationError("'\(directory)' holds no blobs; leave out --evidence.")
      }
      let contents = try JournalExport.write(
        try JournalReader(directory: directory), evidence: blobs, to: output
      ) { done, total, what in
        progress.show("\(done) of \(total) \(what)")
      }
      progress.finish()
      let attributes = try FileManager.default.attributesOfItem(atPath: output)
      let shown = Shown(
        file: output, entries: contents.entries, blobs: contents.blobs,
        missingBlobs: contents.missing, bytes: attributes[.size] as? Int ?? 0)
      if format.json { return try printJSON(shown) }
      let carried = evidence ? ", \(shown.blobs) blobs" : ""
      print("\(shown.entries) entries\(carried), \(shown.bytes) bytes in \(output)")
      if shown.missingBlobs > 0 {
        print("\(shown.missingBlobs) blobs that verdicts rest on are not held or are damaged")
      }
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
      let answer = try await client.inclusion(of: sequence)
      let (hash, checkpoint) = (answer.entryHash, answer.checkpoint)
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
    let verdicts: Verdicts
    let seconds: Double

    struct Verdicts: Encodable {
      let verify: String
      let seed: String
      let recorded: UInt64
      let chosen: UInt64
      let proofsVerified: UInt64
      let reexecuted: UInt64
      let inconclusive: UInt64
      let unverified: UInt64
      let firstUnverified: [VerdictAudit.Unverified]
    }

    init(_ report: ReplayReport, _ found: VerdictAudit.Report, seconds: Double) {
      network = report.network.name
      // A verdict is of an entry that holds, so it comes before where the replay stopped.
      divergence = found.divergence ?? report.divergence
      sound = divergence == nil
      verdicts = Verdicts(
        verify: found.choice.description, seed: found.seed.description, recorded: found.recorded,
        chosen: found.chosen, proofsVerified: found.proofs, reexecuted: found.reexecutions,
        inconclusive: found.inconclusive, unverified: found.unverifiedCount,
        firstUnverified: found.unverified)
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
      showVerdicts()
      if let divergence {
        print("DIVERGED at \(divergence)")
      } else {
        print("sound: every event, posting, balance and acknowledgement is as decided again")
      }
    }

    private func showVerdicts() {
      guard verdicts.chosen > 0 else {
        return print("verdicts \(verdicts.recorded) recorded, none verified again")
      }
      print(
        """
        verdicts \(verdicts.recorded) recorded, \(verdicts.chosen) chosen (\(verdicts.verify)\
        , seed \(verdicts.seed))
                 \(verdicts.proofsVerified) proofs verified again, \(verdicts.reexecuted) programs \
        run again, \(verdicts.inconclusive) inconclusive
        """)
      guard verdicts.unverified > 0 else { return }
      print("         \(verdicts.unverified) NOT VERIFIED:")
      for one in verdicts.firstUnverified {
        print("           entry \(one.sequence), lease \(one.lease): \(one.reason)")
      }
      if verdicts.unverified > UInt64(verdicts.firstUnverified.count) { print("           …") }
    }
  }
}
