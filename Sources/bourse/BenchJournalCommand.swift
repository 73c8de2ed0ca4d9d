import ArgumentParser
import CLinux
import Foundation
import Journal
import Market
import Primitives
import Replay
import Statements

extension BenchCommand {
  /// What a long history costs: to start from, and to audit.
  struct JournalHistory: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "journal", abstract: "Write a long journal, start from it, and replay it.",
      discussion: """
        The journal is of requests of three slices, each from submission to settlement, with ten \
        commands and some 25 events, and of bids among them. It is started from twice, event by \
        event and from a snapshot, and replayed twice, without its signatures and with them. The \
        ratio says how many of the signatures that both cores could check by themselves the replay \
        checks in the same time.

        EXAMPLES
          bourse bench journal
          bourse bench journal --events 100000 --json
          bourse bench journal --keep ./long-journal
        """)

    @Option(help: "Events to write at least.") var events = 1_000_000
    @Option(help: "Write the journal here, and keep it.") var keep: String?
    @OptionGroup var output: JSONOption

    private struct Report: Encodable {
      let load: Double
      let events: Int
      let entries: Int
      let megabytes: Double
      let writeSeconds: Double
      /// Without a snapshot.
      let startSeconds: Double
      let snapshotSeconds: Double
      let snapshotMegabytes: Double
      let startFromSnapshotSeconds: Double
      let replaySeconds: Double
      let replayEventsPerSecond: Double
      let signatures: Int
      let signedReplaySeconds: Double
      let bareSignaturesPerSecond: Double
      let signedReplayRatio: Double
    }

    func validate() throws {
      guard (1_000...20_000_000).contains(events) else {
        throw ValidationError("--events is 1,000 to 20,000,000.")
      }
    }

    func run() async throws {
      let directory =
        keep
        ?? NSTemporaryDirectory() + "bourse-journal-\(ProcessInfo.processInfo.processIdentifier)"
      defer { if keep == nil { try? FileManager.default.removeItem(atPath: directory) } }
      let progress = Progress(isShown: !output.json)
      let clock = ContinuousClock()
      func seconds(_ body: () throws -> Void) rethrows -> Double {
        try clock.measure(body).inSeconds
      }

      var load = try MarketLoad(seed: 1, provers: 20, isSigned: true)
      let key = load.brokerKey
      var history = History()
      let writing = try seconds {
        let journal = try Journal.create(in: directory, genesis: load.genesis, key: key)
        try history.write(events, of: &load, to: journal) { progress.show("\($0) events written") }
        try journal.close()
      }
      progress.show("starting event by event")
      var market: Market?
      let start = try seconds {
        let journal = try Journal(directory: directory, key: key)
        market = try journal.recover()
        try journal.close()
      }
      guard let market, market.stateDigest == load.market.stateDigest else {
        throw LoadError.unusable("its recovery")
      }
      progress.show("starting from a snapshot")
      let journal = try Journal(directory: directory, key: key)
      let snapshot = try seconds { try journal.snapshot(of: market).write() }
      try journal.close()
      let snapshotBytes = try byteCount(in: directory) { $0.contains("snapshot") }
      let restart = try seconds {
        let journal = try Journal(directory: directory, key: key)
        guard try journal.recover().stateDigest == load.market.stateDigest else {
          throw LoadError.unusable("its snapshot")
        }
        try journal.close()
      }
      func replay(checksSignatures: Bool) throws -> Double {
        // As `audit replay` does.
        linux_keep_freed_memory()
        return try seconds {
          let report = try Replay.run(
            path: directory,
            options: Replay.Options(invariantsEvery: .max, checksSignatures: checksSignatures),
            progress: { progress.show("replaying \($0) of \($1)") })
          guard report.isSound, report.stateDigest == load.market.stateDigest else {
            throw LoadError.unusable("its replay")
          }
        }
      }
      let unsigned = try replay(checksSignatures: false)
      let signed = try replay(checksSignatures: true)
      progress.show("checking signatures alone")
      let bare = bareSignaturesPerSecond(key)
      progress.finish()
      show(
        Report(
          load: Machine.load, events: history.events, entries: history.entries,
          megabytes: try byteCount(in: directory) { $0.contains("journal") },
          writeSeconds: writing, startSeconds: start, snapshotSeconds: snapshot,
          snapshotMegabytes: snapshotBytes, startFromSnapshotSeconds: restart,
          replaySeconds: unsigned, replayEventsPerSecond: Double(history.events) / unsigned,
          signatures: history.signatures, signedReplaySeconds: signed,
          bareSignaturesPerSecond: bare,
          signedReplayRatio: Double(history.signatures) / signed / bare))
    }

    private func show(_ report: Report) {
      if output.json { return (try? printJSON(report)) ?? () }
      func text(_ value: Double) -> String { String(format: "%.2f", value) }
      print(
        "\(report.events) events in \(report.entries) entries, \(text(report.megabytes)) MB, load \(report.load)"
      )
      var table = Table([("", .left), ("seconds", .right), ("", .left)])
      table.append([
        "write", text(report.writeSeconds), "signed by everybody, in groups of 1024",
      ])
      table.append([
        "start", text(report.startSeconds),
        String(format: "%.0f events/s", Double(report.events) / report.startSeconds),
      ])
      table.append([
        "snapshot", text(report.snapshotSeconds), text(report.snapshotMegabytes) + " MB",
      ])
      table.append(["start from it", text(report.startFromSnapshotSeconds), ""])
      table.append([
        "replay", text(report.replaySeconds),
        String(format: "%.0f events/s", report.replayEventsPerSecond),
      ])
      table.append([
        "replay, signatures", text(report.signedReplaySeconds),
        String(
          format: "%d signatures at %.2f of the bare %.0f/s", report.signatures,
          report.signedReplayRatio, report.bareSignaturesPerSecond),
      ])
      print(table.text)
    }

    /// Of all cores together.
    private func bareSignaturesPerSecond(_ key: SigningKey) -> Double {
      let digest = Digest.of(Array("bench".utf8))
      let signature = key.sign(digest)
      let each = 4_000
      let cores = ProcessInfo.processInfo.activeProcessorCount
      let time = ContinuousClock().measure {
        DispatchQueue.concurrentPerform(iterations: cores) { _ in
          for _ in 0..<each where !key.publicKey.verifies(signature, over: digest) { abort() }
        }
      }
      return Double(each * cores) / time.inSeconds
    }

    /// In megabytes.
    private func byteCount(in directory: String, where isCounted: (String) -> Bool) throws -> Double
    {
      let names = try FileManager.default.contentsOfDirectory(atPath: directory).filter(isCounted)
      let bytes = names.reduce(0) { sum, name in
        let size = try? FileManager.default.attributesOfItem(atPath: directory + "/" + name)[.size]
        return sum + ((size as? NSNumber)?.intValue ?? 0)
      }
      return Double(bytes) / 1e6
    }
  }
}

/// A journal as it is written.
private struct History {
  private(set) var events = 0
  private(set) var entries = 0
  private(set) var signatures = 0

  mutating func write(
    _ count: Int, of load: inout MarketLoad, to journal: Journal, progress: (Int) -> Void
  ) throws {
    for _ in 0..<200 { try load.place() }
    while events < count {
      // About a thousand entries to a transaction.
      for _ in 0..<100 {
        try load.settleRequest()
        try load.place()
        try load.cancel()
      }
      let (steps, outcomes) = load.take()
      let pending = zip(steps, outcomes).compactMap { step, outcome in
        step.envelope.map { PendingEntry(envelope: $0, tick: step.tick, outcome: outcome) }
      }
      _ = try journal.append(pending)
      entries += pending.count
      // The acknowledgements'.
      signatures += 1
      for (step, outcome) in zip(steps, outcomes) {
        if case .accepted(let caused) = outcome { events += caused.count }
        signatures += 1
        switch step.command {
        case .commitOutput, .submitBatch: signatures += 1
        default: break
        }
      }
      progress(events)
    }
  }
}
