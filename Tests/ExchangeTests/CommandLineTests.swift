import Foundation
import Journal
import Market
import Primitives
import ProverHost
import Slicing
import Testing
import Wire

extension ExchangeTests {
  /// The built `bourse`, run as people run it.
  @Suite(.serialized) struct CommandLineTests {}
}

/// One finished run of the tool.
struct Run {
  let status: Int32
  let output: Data
  let errors: String

  var text: String { String(decoding: output, as: UTF8.self) }

  /// Kills what takes longer than `limit`, and fails the test.
  init(_ arguments: [String], limit: Duration = .seconds(60)) async throws {
    let process = Process()
    process.executableURL = URL(filePath: SharedBackend.installed.directory + "/bourse")
    process.arguments = arguments
    process.standardInput = FileHandle.nullDevice
    let (output, errors) = (Pipe(), Pipe())
    (process.standardOutput, process.standardError) = (output, errors)
    let (ends, end) = AsyncStream.makeStream(of: Int32.self)
    process.terminationHandler = { process in
      end.yield(process.terminationStatus)
      end.finish()
    }
    try process.run()
    let identifier = process.processIdentifier
    let watchdog = Task {
      try await Task.sleep(for: limit)
      kill(identifier, SIGKILL)
    }
    async let outputBytes = Self.drain(output)
    async let errorBytes = Self.drain(errors)
    self.output = await outputBytes
    self.errors = String(decoding: await errorBytes, as: UTF8.self)
    status = try #require(await ends.first { _ in true })
    watchdog.cancel()
  }

  private static func drain(_ pipe: Pipe) async -> Data {
    await withCheckedContinuation { continuation in
      Thread.detachNewThread {
        continuation.resume(returning: pipe.fileHandleForReading.readDataToEndOfFile())
      }
    }
  }
}

/// A folder that is gone after the test.
func withFolder(_ body: (String) async throws -> Void) async throws {
  let folder = NSTemporaryDirectory() + "bourse-tool-\(UUID().uuidString)"
  try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
  defer { try? FileManager.default.removeItem(atPath: folder) }
  try await body(folder)
}

extension ExchangeTests.CommandLineTests {
  @Test func demoKeepsItsPromisesInJSON() async throws {
    let run = try await Run(
      ["demo", "--json", "--digit", "3", "--models", SampleModel.models.path()])
    #expect(run.status == 0, "\(run.errors)")
    let shown = try #require(
      try JSONSerialization.jsonObject(with: run.output) as? [String: Any])
    #expect(
      Set(shown.keys) == [
        "answer", "label", "slices", "slashed", "unrevealed", "proofs", "coverage", "ledger",
        "audit", "timings",
      ])
    #expect(shown["answer"] as? Int == 3)
    #expect(shown["label"] as? Int == 3)
    #expect((shown["slashed"] as? [Any])?.count == 1)
    let coverage = try #require(shown["coverage"] as? [String: Any])
    #expect(coverage["proven"] as? Int == 2)
    #expect(coverage["reexecuted"] as? Int == 3)
    let proofs = try #require(shown["proofs"] as? [[String: Any]])
    #expect(proofs.count == 5)
    for proof in proofs {
      #expect(
        proof["check"] as? String
          == (proof["proofBytes"] == nil ? "re-executed" : "proven (sumcheck)"))
      #expect(proof["trials"] as? Int ?? 0 > 0)
    }
    #expect(proofs.count { $0["proofBytes"] as? Int ?? 0 > 0 } == 2)
    #expect((shown["ledger"] as? [String: Any])?["sum"] as? Int == 0)
    let audit = try #require(shown["audit"] as? [String: Any])
    for promise in ["sound", "balancesEqual", "bundleVerified"] {
      #expect(audit[promise] as? Bool == true)
    }
  }

  @Test func demoOfAWithheldNonceHasEveryAttestedSliceAuditedAtTheCheatsCost() async throws {
    let run = try await Run(
      ["demo", "--json", "--misbehave", "withhold-nonce", "--models", SampleModel.models.path()])
    #expect(run.status == 0, "\(run.errors)")
    let shown = try #require(
      try JSONSerialization.jsonObject(with: run.output) as? [String: Any])
    #expect((shown["slashed"] as? [Any])?.isEmpty == true)
    let unrevealed = try #require(shown["unrevealed"] as? [[String: Any]])
    #expect(unrevealed.count == 1)
    #expect(unrevealed.first?["penalty"] as? Int ?? 0 > 0)
    let coverage = try #require(shown["coverage"] as? [String: Any])
    #expect(coverage["proven"] as? Int == 2)
    #expect(coverage["audited"] as? Int == 3)
  }

  @Test func keyFileIsPrivateAndNeverReplaced() async throws {
    try await withFolder { folder in
      let file = folder + "/a.key"
      #expect(try await Run(["keys", "new", file]).status == 0)
      let attributes = try FileManager.default.attributesOfItem(atPath: file)
      #expect(attributes[.posixPermissions] as? Int == 0o600)
      let before = try Data(contentsOf: URL(filePath: file))
      let again = try await Run(["keys", "new", file])
      #expect(again.status == 1)
      #expect(again.errors.contains("key-file-exists"))
      let after = try Data(contentsOf: URL(filePath: file))
      #expect(after == before)
      let shown = try await Run(["keys", "show", file])
      #expect(shown.status == 0)
      #expect(before.range(of: Data(shown.text.trimmingCharacters(in: .newlines).utf8)) != nil)
    }
  }

  @Test func inspectingGarbageFailsWithACode() async throws {
    try await withFolder { folder in
      let file = folder + "/garbage.onnx"
      var generator = Seeded(state: 11)
      let garbage = (0..<512).map { _ in UInt8.random(in: 0...255, using: &generator) }
      try Data(garbage).write(to: URL(filePath: file))
      let run = try await Run(["model", "inspect", file])
      #expect(run.status == 1)
      #expect(run.errors.contains(#/Error: [a-z]+(-[a-z]+)+: /#), "\(run.errors)")
      #expect(run.output.isEmpty)
    }
  }

  @Test func proverWithoutItsPluginFailsWithACode() async throws {
    try await withFolder { folder in
      try await writeCardAndKey(in: folder)
      let run = try await Run([
        "prover", "run", "--broker", folder + "/broker.json", "--key", folder + "/a.key",
        "--plugin", folder + "/missing.so",
      ])
      #expect(run.status == 1)
      #expect(run.errors.contains("plugin-missing"))
    }
  }

  @Test func brokerTakesNoPluginThatOnlyRunsSlicesAgainStandsInForReexecOrMeansSomethingElse()
    async throws
  {
    try await withFolder { folder in
      for (plugin, code) in [
        (SharedBackend.installed.plugin("example-c"), "backend-reexecutes"),
        (SharedBackend.installed.plugin("reexec"), "backend-twice"),
        (try SharedBackend.compileFault("NONE"), "backend-semantics"),
      ] {
        let run = try await Run([
          "broker", "run", "--data", folder, "--endpoint", "tcp://127.0.0.1:0", "--plugin",
          plugin,
        ])
        #expect(run.status == 1)
        #expect(run.errors.contains("\(code): "), "\(run.errors)")
      }
    }
  }

  /// The built program, as an operator runs it.
  @Test func brokerServesItsOwnBackendsAndThoseOfTheAddedPlugin() async throws {
    let model = try SampleModel.rectifierAndSoftmax()
    let plugin = try SharedBackend.compileFault()
    try await withFolder { folder in
      let broker = Process()
      broker.executableURL = URL(filePath: SharedBackend.installed.directory + "/bourse")
      broker.arguments = [
        "broker", "run", "--data", folder, "--endpoint", "tcp://127.0.0.1:0", "--plugin", plugin,
      ]
      try broker.run()
      defer {
        broker.terminate()
        broker.waitUntilExit()
      }
      let card = folder + "/broker.json"
      try await within(.seconds(60)) {
        while !FileManager.default.fileExists(atPath: card) {
          try await Task.sleep(for: .milliseconds(20))
        }
      }
      try model.write(to: folder + "/model")
      let keys = try await within(.seconds(60)) {
        // The added plugin's keys come last; publishing again shows what there is by then.
        while true {
          let run = try await Run([
            "model", "publish", folder + "/model", "--key", folder + "/operator.key", "--broker",
            card, "--json",
          ])
          let shown = try JSONSerialization.jsonObject(with: run.output) as? [String: Any]
          let keys = try #require(shown?["keys"] as? [String: Int])
          if keys["fault"] == 2 { return keys }
        }
      }
      #expect(keys["reexec"] == 2)
      #expect(Set(keys.keys) == ["fault", "reexec", "sumcheck"])
    }
  }

  @Test func proverIsToldWhichBackendNoPluginOffersAndThatReexecProvesNothing() async throws {
    try await withFolder { folder in
      try await writeCardAndKey(in: folder)
      let run = try await Run([
        "prover", "run", "--broker", folder + "/broker.json", "--key", folder + "/a.key",
        "--backend", "reexec", "--price", "ezkl=9",
      ])
      #expect(run.status == 1)
      #expect(run.errors.contains("no-such-backend: "), "\(run.errors)")
      let quote = try await Run(["quote", "8f31", "--prove", "all", "--backend", "reexec"])
      #expect(quote.status == 64)
      let request = try await Run(["quote", "8f31", "--prove", "critical:none"])
      #expect(request.status == 64)
    }
  }

  @Test func theModelIsNamedInItsPlaceOrByItsOption() async throws {
    try await withFolder { folder in
      let submit = ["request", "submit", "--input", "x", "--key", folder + "/none.key"]
      let quote = ["quote", "--broker", folder + "/none.json"]
      for (command, code) in [
        (submit, "key-file-unreadable"), (quote, "unreadable-broker-card"),
      ] {
        for model in [["8f31"], ["--model", "8f31"]] {
          let run = try await Run(command + model)
          #expect(run.status == 1 && run.errors.contains(code), "\(run.errors)")
        }
        for models in [[], ["8f31", "--model", "8f31"]] {
          let run = try await Run(command + models)
          #expect(run.status == 64 && run.errors.contains("Name one model"), "\(run.errors)")
        }
      }
    }
  }

  /// `broker.json` of a broker that does not run, and `a.key`.
  private func writeCardAndKey(in folder: String) async throws {
    let key = SigningKey.random().publicKey
    let card = BrokerCard(
      network: network, endpoint: "tcp://127.0.0.1:9", curveKey: CurveKeyPair.random().publicKey,
      brokerKey: key, operatorKey: key)
    try card.write(to: folder + "/broker.json")
    #expect(try await Run(["keys", "new", folder + "/a.key"]).status == 0)
  }

  /// Walks the tool's own list of subcommands.
  @Test func helpOfEverySubcommandHasAnExample() async throws {
    var waiting: [[String]] = [[]]
    var leaves = 0
    while let path = waiting.popLast() {
      let run = try await Run(path + ["--help"])
      #expect(run.status == 0)
      let lines = run.text.split(separator: "\n", omittingEmptySubsequences: false)
      var children: [[String]] = []
      if let start = lines.firstIndex(where: { $0.hasPrefix("SUBCOMMANDS:") }) {
        for line in lines[(start + 1)...] {
          guard let match = line.wholeMatch(of: #/  ([a-z-]+)( .*)?/#) else { continue }
          if match.1 != "help" { children.append(path + [String(match.1)]) }
        }
      }
      waiting += children
      guard children.isEmpty else { continue }
      leaves += 1
      let usage = "  bourse " + path.joined(separator: " ")
      #expect(
        lines.contains { $0.drop { $0 == " " }.starts(with: usage.drop { $0 == " " }) },
        "no example in the help of '\(path.joined(separator: " "))'")
    }
    #expect(leaves >= 10)
  }

  @Test func replayOfACorruptedJournalNamesTheEntry() async throws {
    try await withFolder { folder in
      let keys = (SigningKey.random(), SigningKey.random())
      do {
        let journal = try Journal.create(
          in: folder,
          genesis: Genesis(
            network: network, operator: keys.0.publicKey, broker: keys.1.publicKey),
          key: keys.1)
        var market = try journal.recover()
        var entries: [PendingEntry] = []
        for amount in UInt64(1)...5 {
          let command = Command.deposit(
            owner: keys.0.publicKey, amount: Amount(microcredits: 0x5a5a_5a5a_0000 + amount))
          let envelope = Envelope(
            network: network, nonce: .random(), expiry: .never, body: command.canonicalBytes,
            signedBy: keys.0)
          let tick = Tick(milliseconds: amount)
          entries.append(
            PendingEntry(
              envelope: envelope, tick: tick,
              outcome: market.execute(
                command, by: envelope.author, digest: envelope.digest, at: tick)))
        }
        _ = try journal.append(entries)
        try journal.close()
      }
      #expect(try await Run(["audit", "replay", folder]).status == 0)
      // The first place of the third deposit's amount in the file is in its entry.
      let path = folder + "/journal.sqlite"
      var bytes = try Data(contentsOf: URL(filePath: path))
      var encoder = CanonicalEncoder()
      encoder.append(Amount(microcredits: 0x5a5a_5a5a_0003))
      let amount = Data(encoder.bytes)
      var search = bytes.startIndex..<bytes.endIndex
      while let found = bytes.range(of: amount, in: search) {
        bytes[found.lowerBound] ^= 0x40
        search = found.upperBound..<bytes.endIndex
      }
      try bytes.write(to: URL(filePath: path))
      let run = try await Run(["audit", "replay", folder])
      #expect(run.status == 1)
      #expect(run.text.contains("DIVERGED at entry 3:"), "\(run.text)\(run.errors)")
      let json = try await Run(["audit", "replay", folder, "--json"])
      #expect(json.status == 1)
      let shown = try #require(
        try JSONSerialization.jsonObject(with: json.output) as? [String: Any])
      #expect((shown["divergence"] as? [String: Any])?["sequence"] as? Int == 3)
    }
  }
}
