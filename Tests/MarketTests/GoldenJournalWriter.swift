import Foundation
import Market
import Primitives
import Testing

/// Writes the golden journal of the present rules, which `JournalTests` replay. Only a new rules
/// version, or the first release, is a reason to: `BOURSE_WRITE_GOLDEN=1 swift test --filter
/// GoldenJournalWriter`.
@Suite(.enabled(if: ProcessInfo.processInfo.environment["BOURSE_WRITE_GOLDEN"] != nil))
struct GoldenJournalWriter {
  @Test func writeTheGoldenJournal() throws {
    var best: Simulator?
    // The history of so many commands that has the most kinds of events.
    for seed in UInt64(1)...200 {
      var simulator = Simulator(
        seed: seed, checks: false, isJournal: true, isCalm: seed.isMultiple(of: 2),
        isThin: seed.isMultiple(of: 3))
      for _ in 0..<240 { try simulator.step() }
      if simulator.events.count > best?.events.count ?? 0 { best = simulator }
    }
    let simulator = try #require(best)
    var text = "genesis\n" + Self.hexadecimal(simulator.live.genesis.canonicalBytes)
    var outcomes = Digest.zero
    for entry in simulator.entries {
      text += "entry \(entry.tick)\n" + Self.hexadecimal(entry.envelope.canonicalBytes)
      outcomes = Digest.of(outcomes.bytes + entry.outcome.canonicalBytes)
    }
    text += "outcomes \(outcomes)\nstate \(simulator.live.stateDigest)\n"
    let file = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .appending(path: "JournalTests/Golden/rules-\(Genesis.rulesVersion).txt")
    try FileManager.default.createDirectory(
      at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
    try Data(text.utf8).write(to: file)
    print("\(simulator.entries.count) entries, \(simulator.events.count) kinds of events")
  }

  /// Lines of 96 digits.
  private static func hexadecimal(_ bytes: [UInt8]) -> String {
    var text = ""
    for start in stride(from: 0, to: bytes.count, by: 48) {
      text += Hexadecimal.text(bytes[start..<min(bytes.count, start + 48)]) + "\n"
    }
    return text
  }
}
