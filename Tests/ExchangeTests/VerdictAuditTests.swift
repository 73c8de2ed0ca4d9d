import Auditor
import Broker
import Foundation
import Journal
import Market
import Primitives
import Prover
import ProverHost
import Replay
import Requester
import Statements
import Testing
import Wire

extension ExchangeTests {
  /// A whole journal's verdicts, found again.
  @Suite(.serialized) struct VerdictAuditTests {}
}

extension ExchangeTests.VerdictAuditTests {
  private static let backends: [BackendID] = [.sumcheck, .reexec]

  private static func audit(
    _ path: String, _ choice: VerdictAudit.Choice, seed: Digest = .zero
  ) async throws -> VerdictAudit.Report {
    var opened: [Backend] = []
    for id in backends { opened.append(try await SharedBackend.served(id).backend) }
    let (replay, verdicts) = try await VerdictAudit(
      reading: try BlobReader(path: path), verifyingWith: opened
    ).run(path: path, choice: choice, seed: seed)
    #expect(replay.isSound)
    return verdicts
  }

  /// A copy of the directory of an exchange in which a false proof of slice-1 and then a false
  /// output were slashed, and both requests settled; and the proofs, the false one first.
  private static func settled(
    _ exchange: Exchange, _ sample: SampleModel
  ) async throws -> (path: String, proofs: [Digest]) {
    try await exchange.publish(sample)
    _ = try await exchange.prover(price: 700, capacity: 1, .badProof, on: [.sumcheck])
    _ = try await exchange.prover(price: 1_000)
    let first = try await exchange.ask(
      sample, try sample.input(), proving: .slices(["slice-1"]))
    let report = try await first.end()
    #expect(report.state == .final)
    _ = try await exchange.prover(price: 700, capacity: 1, .wrongOutput, on: [.reexec])
    let second = try await exchange.ask(sample, try sample.input())
    #expect(try await second.end().state == .final)
    #expect(try await exchange.faults().map(\.verdict) == [.invalid, .invalid])
    let proofs = report.leases.filter { $0.terms.assurance.backend == .sumcheck }
      .compactMap { $0.receipt?.proof }
    try #require(proofs.count == 2)
    return (try exchange.copy(), proofs)
  }

  @Test func everyVerdictIsFoundAgainInADirectoryAndInAnExport() async throws {
    let sample = try SampleModel.mlp.get()
    try await Exchange.run(backends: Self.backends) { exchange in
      let (path, proofs) = try await Self.settled(exchange, sample)
      defer { try? FileManager.default.removeItem(atPath: path) }
      let found = try await Self.audit(path, .all)
      #expect(found.divergence == nil)
      #expect(found.unverified == [])
      #expect(found.chosen == found.recorded)
      #expect(found.recorded >= 8)
      #expect(found.proofs == UInt64(proofs.count))
      #expect(found.reexecutions == found.recorded - found.proofs)

      // The export stands by itself: nothing of the directory is needed.
      let (full, bare) = (path + ".full", path + ".bare")
      defer { for file in [full, bare] { try? FileManager.default.removeItem(atPath: file) } }
      let contents = try JournalExport.write(
        JournalReader(directory: path), evidence: try BlobReader(path: path), to: full)
      #expect(contents.missing == 0)
      #expect(contents.blobs > found.recorded)
      let run = try await Run(["audit", "export", path, "--evidence", "-o", full, "--json"])
      #expect(run.status == 0, "\(run.errors)")
      _ = try JournalExport.write(JournalReader(directory: path), to: bare)
      try FileManager.default.removeItem(atPath: path)
      let again = try await Self.audit(full, .all)
      #expect(again.divergence == nil)
      #expect([again.proofs, again.reexecutions] == [found.proofs, found.reexecutions])
      #expect(again.unverifiedCount == 0)

      let shown = try await Run(["audit", "replay", full, "--verify", "all", "--json"])
      #expect(shown.status == 0, "\(shown.errors)")
      let summary = try #require(
        try JSONSerialization.jsonObject(with: shown.output) as? [String: Any])
      let verdicts = try #require(summary["verdicts"] as? [String: Any])
      #expect(verdicts["proofsVerified"] as? UInt64 == found.proofs)
      #expect(verdicts["unverified"] as? UInt64 == 0)

      // What is not there is never called verified.
      #expect(try BlobReader(path: bare) == nil)
      let nothing = try await Self.audit(bare, .all)
      #expect(nothing.unverifiedCount == nothing.recorded)
      #expect(nothing.proofs + nothing.reexecutions == 0)
      let unverified = try await Run(["audit", "replay", bare, "--verify", "all"])
      #expect(unverified.status == 2)
      #expect(unverified.text.contains("\(found.recorded) NOT VERIFIED"))
      let unasked = try await Run(["audit", "replay", bare])
      #expect(unasked.status == 0)
      #expect(unasked.text.contains("none verified again"))

      // A sample is the same for the same seed, and another for another.
      let samples = try await [
        Self.audit(full, .sample(2)), Self.audit(full, .sample(2)),
        Self.audit(full, .sample(1_000)), Self.audit(full, .none),
      ]
      #expect(samples.map(\.chosen) == [2, 2, found.recorded, 0])
      #expect(samples[0].proofs == samples[1].proofs)
      #expect(samples.allSatisfy { $0.recorded == found.recorded && $0.divergence == nil })
    }
  }

  @Test func verdictsOnALeaseAreFoundAgainByWhoMayReadItsTensors() async throws {
    let sample = try SampleModel.mlp.get()
    try await withFolder { folder in
      let made = try await Run(["keys", "new", folder + "/auditor.key", "--json"])
      let fields = try #require(
        try JSONSerialization.jsonObject(with: made.output) as? [String: String])
      let auditor = try PublicKey(hexadecimal: try #require(fields["publicKey"]))
      try await Exchange.run(backends: Self.backends) { exchange in
        try await exchange.publish(sample)
        _ = try await exchange.prover(price: 700, capacity: 1, .badProof, on: [.sumcheck])
        _ = try await exchange.prover(price: 1_000)
        let asked = try await exchange.ask(
          sample, try sample.input(), proving: .slices(["slice-1"]), auditors: [auditor])
        let report = try await asked.end()
        let leases = report.leases.filter { $0.terms.assurance.backend == .sumcheck }
        #expect(leases.map(\.verdict) == [.invalid, .valid])
        try exchange.card.write(to: folder + "/broker.json")
        let lease = leases[0].terms.id
        let arguments = ["audit", "evidence", "\(lease)", "--broker", folder + "/broker.json"]
        let run = try await Run(arguments + ["--key", folder + "/auditor.key", "--json"])
        #expect(run.status == 0, "\(run.errors)")
        let shown = try #require(
          try JSONSerialization.jsonObject(with: run.output) as? [String: Any])
        let verdicts = try #require(shown["verdicts"] as? [[String: Any]])
        #expect(verdicts.map { $0["verdict"] as? String } == ["invalid"])
        #expect(verdicts.map { $0["found"] as? String } == ["the same, by its proof"])
        let stranger = try await Run(arguments)
        #expect(stranger.status == 2)
        #expect(stranger.text.contains("NOT VERIFIED"))
      }
    }
  }

  @Test func verdictWithoutItsProofOrWithADamagedOneIsNotVerified() async throws {
    let sample = try SampleModel.mlp.get()
    try await Exchange.run(backends: Self.backends) { exchange in
      let (path, proofs) = try await Self.settled(exchange, sample)
      defer { try? FileManager.default.removeItem(atPath: path) }
      func file(_ digest: Digest) -> String {
        "\(path)/blobs/\(digest.description.prefix(2))/\(digest)"
      }
      let whole = try await Self.audit(path, .all)
      try FileManager.default.removeItem(atPath: file(proofs[0]))
      try Data([1, 2, 3]).write(to: URL(filePath: file(proofs[1])))
      let found = try await Self.audit(path, .all)
      #expect(found.divergence == nil)
      #expect(found.proofs == 0)
      #expect(found.reexecutions == whole.reexecutions)
      #expect(found.unverifiedCount == 2)
      #expect(found.unverified.map(\.reason).contains { $0.contains("\(proofs[0])") })
      let contents = try JournalExport.write(
        JournalReader(directory: path), evidence: try BlobReader(path: path), to: path + ".full")
      try FileManager.default.removeItem(atPath: path + ".full")
      #expect(contents.missing == 2)
    }
  }

  /// A broker that takes a false word and looks no further.
  @Test func falseVerdictIsTheFirstDivergence() async throws {
    let sample = try SampleModel.mlp.get()
    let liar = SigningKey.random()
    var options = VerificationOptions()
    options.localWorkers = 0
    options.verifiers = [liar.publicKey]
    options.crossChecked = PartsPerMillion(clamping: 0)
    try await Exchange.run(verification: options) { exchange in
      try await exchange.publish(sample)
      _ = try await exchange.prover(price: 1_000, .wrongOutput)
      let asked = try await exchange.ask(sample, try sample.input())
      let client = exchange.client(liar)
      let approving = Task {
        while !Task.isCancelled {
          if let job = try await client.verificationJob(slot: 0) {
            try await client.submit(SignedVerdict(job, .valid, signedBy: liar))
          }
          try await Task.sleep(for: .milliseconds(5))
        }
      }
      #expect(try await asked.end().state == .final, "every slice is wrong, and called valid")
      approving.cancel()
      let path = try exchange.copy()
      defer { try? FileManager.default.removeItem(atPath: path) }
      let first = try firstVerdict(path)
      for choice in [VerdictAudit.Choice.all, .sample(100)] {
        let found = try await Self.audit(path, choice)
        #expect(found.divergence?.sequence == first.sequence)
        #expect(
          found.divergence?.subject == "verdict on lease \(first.job.lease), for its receipt")
        #expect(found.divergence?.got == "valid")
        #expect(found.divergence?.expected.hasPrefix("invalid") == true)
      }
    }
  }

  private func firstVerdict(_ path: String) throws -> RecordedVerdict {
    var verdicts: [RecordedVerdict] = []
    #expect(try Replay.run(path: path, onVerdict: { verdicts.append($0) }).isSound)
    return try #require(verdicts.first)
  }
}
