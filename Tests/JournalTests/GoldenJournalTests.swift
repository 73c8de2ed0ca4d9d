import Foundation
import Journal
import Market
import Primitives
import Replay
import Testing

/// A journal kept under each rules version, and what came of it: the rules decide today as they did
/// when it was written. `MarketTests`' GoldenJournalWriter writes the file.
struct GoldenJournalTests {
  @Test(arguments: [Genesis.rulesVersion])
  func decidesAndReplaysAsItAlwaysHas(version: UInt32) throws {
    let golden = try GoldenJournal(version: version)
    #expect(golden.genesis.rulesVersion == version)
    let directory = TemporaryDirectory()
    let key = SigningKey(seed: Bytes32([UInt8](repeating: 2, count: 32))!)
    let journal = try Journal.create(in: directory.path, genesis: golden.genesis, key: key)
    var market = try Market(genesis: golden.genesis)
    var outcomes = Digest.zero
    var pending: [PendingEntry] = []
    for (tick, envelope) in golden.entries {
      let command = try Command(canonicalBytes: envelope.body)
      let outcome = market.execute(
        command, by: envelope.author, digest: envelope.digest, at: tick)
      outcomes = Digest.of(outcomes.bytes + outcome.canonicalBytes)
      pending.append(PendingEntry(envelope: envelope, tick: tick, outcome: outcome))
    }
    #expect(outcomes == golden.outcomes)
    #expect(market.stateDigest == golden.state)
    _ = try journal.append(pending)
    try journal.close()
    let report = try Replay.run(
      path: directory.path, options: Replay.Options(invariantsEvery: 20))
    #expect(report.divergence == nil)
    #expect(report.entries == UInt64(golden.entries.count + 1))
    #expect(report.stateDigest == golden.state)
  }
}

/// `genesis`, then `entry TICK` for each command, each with lines of hexadecimal digits below it:
/// the canonical bytes of the genesis and of envelopes. Then digests of what came of them.
private struct GoldenJournal {
  let genesis: Genesis
  let entries: [(tick: Tick, envelope: Envelope)]
  let outcomes: Digest
  let state: Digest

  init(version: UInt32) throws {
    let file = URL(filePath: #filePath).deletingLastPathComponent()
      .appending(path: "Golden/rules-\(version).txt")
    var sections: [(title: [String], digits: String)] = []
    for line in try String(contentsOf: file, encoding: .utf8).split(separator: "\n") {
      if Hexadecimal.bytes(line) != nil {
        sections[sections.count - 1].digits += line
      } else {
        sections.append((line.split(separator: " ").map(String.init), ""))
      }
    }
    func bytes(_ section: (title: [String], digits: String)) throws -> [UInt8] {
      try #require(Hexadecimal.bytes(section.digits))
    }
    func digest(_ name: String) throws -> Digest {
      let section = try #require(sections.first { $0.title[0] == name })
      return try #require(Digest(hexadecimal: section.title[1]))
    }
    genesis = try Genesis(canonicalBytes: bytes(sections[0]))
    entries = try sections.filter { $0.title[0] == "entry" }.map { section in
      (
        Tick(milliseconds: try #require(UInt64(section.title[1]))),
        try Envelope(canonicalBytes: bytes(section))
      )
    }
    outcomes = try digest("outcomes")
    state = try digest("state")
  }
}
