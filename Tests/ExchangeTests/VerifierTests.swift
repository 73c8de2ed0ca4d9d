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
import VerifierWorker
import Wire

extension ExchangeTests {
  /// Verdicts that are found elsewhere, and signed.
  @Suite(.serialized) struct VerifierTests {}
}

extension ExchangeTests.VerifierTests {
  /// Nobody but `keys` verifies.
  private static func options(
    _ keys: [SigningKey], crossChecked: UInt32 = 0, patience: Duration = .seconds(60)
  ) -> VerificationOptions {
    var options = VerificationOptions()
    options.localWorkers = 0
    options.verifiers = Set(keys.map(\.publicKey))
    options.crossChecked = PartsPerMillion(clamping: crossChecked)
    options.patience = patience
    return options
  }

  @Test func verdictsOfANamedVerifierSettleARequestAndStandInTheEvidence() async throws {
    let sample = try SampleModel.mlp.get()
    let key = SigningKey.random()
    let backends: [BackendID] = [.sumcheck, .reexec]
    try await Exchange.run(
      backends: backends, verification: Self.options([key], crossChecked: 500_000)
    ) { exchange in
      try await exchange.publish(sample)
      let cheat = try await exchange.prover(price: 700, capacity: 1, .wrongOutput, on: [.reexec])
      _ = try await exchange.prover(price: 1_000)
      let verifier = try await exchange.verifier(key, backends)
      let asked = try await exchange.ask(
        sample, try sample.input(), proving: .slices(["slice-1"]))
      let report = try await asked.end()
      #expect(report.state == .final)
      #expect(report.coverage?.proven == 1)
      let faults = try await exchange.faults()
      #expect(faults.map(\.state) == [.slashed])
      #expect(faults.map(\.terms.prover) == [cheat])
      let evidence = try exchange.evidence()
      #expect(evidence.count >= 4)
      #expect(evidence.allSatisfy { $0.word?.verifier == key.publicKey })
      #expect(evidence.filter { $0.verdict == .invalid }.count == 1)
      try await verifier.stop()
    }
  }

  @Test(arguments: [Verdict.valid, .invalid])
  func verifierThatLiesIsDroppedAndItsVerdictIsNothing(_ lie: Verdict) async throws {
    let sample = try SampleModel.mlp.get()
    let (liar, honest) = (SigningKey.random(), SigningKey.random())
    // That something is invalid is found again whatever the share.
    let options = Self.options([liar, honest], crossChecked: lie == .valid ? 1_000_000 : 0)
    try await Exchange.run(verification: options) { exchange in
      try await exchange.publish(sample)
      let cheats: [PublicKey] =
        lie == .valid ? [try await exchange.prover(price: 700, capacity: 1, .wrongOutput)] : []
      let prover = try await exchange.prover(price: 1_000)
      let asked = try await exchange.ask(sample, try sample.input())
      let client = exchange.client(liar)
      let job = try await client.nextJob()
      #expect(try await client.verificationJob(slot: 0) == job, "the same until it is answered")
      #expect(try await client.download(job.statement.inputs[0], byteLimit: 1 << 20).count > 0)
      await refuses("verdict-contradicted") {
        try await client.submit(SignedVerdict(job, lie, signedBy: liar))
      }
      // It is given nothing any more, to work on or to read.
      await refuses("not-a-verifier") { _ = try await client.verificationJob(slot: 0) }
      await refuses("not-disclosed") {
        _ = try await client.download(job.statement.inputs[0], byteLimit: 1 << 20)
      }
      let verifier = try await exchange.verifier(honest)
      #expect(try await asked.end().state == .final)
      let faults = try await exchange.faults()
      #expect(faults.map(\.state) == cheats.map { _ in .slashed })
      #expect(faults.map(\.terms.prover) == cheats)
      #expect(await exchange.balances()[.bond(prover)] == Exchange.bond)
      #expect(try exchange.evidence().allSatisfy { $0.word?.verifier != liar.publicKey })
      try await verifier.stop()
    }
  }

  @Test func jobOfAVerifierThatDiesGoesToAnother() async throws {
    let sample = try SampleModel.mlp.get()
    let (dying, honest) = (SigningKey.random(), SigningKey.random())
    let options = Self.options([dying, honest], patience: .milliseconds(200))
    try await Exchange.run(verification: options) { exchange in
      try await exchange.publish(sample)
      _ = try await exchange.prover(price: 1_000)
      let asked = try await exchange.ask(sample, try sample.input())
      let client = exchange.client(dying)
      _ = try await client.nextJob()
      await client.close()
      let verifier = try await exchange.verifier(honest)
      #expect(try await asked.end().state == .final)
      #expect(try exchange.evidence().allSatisfy { $0.word?.verifier == honest.publicKey })
      try await verifier.stop()
    }
  }

  @Test func strangerIsGivenNeitherJobsNorTensors() async throws {
    let sample = try SampleModel.mlp.get()
    let named = SigningKey.random()
    try await Exchange.run(verification: Self.options([named])) { exchange in
      try await exchange.publish(sample)
      _ = try await exchange.prover(price: 1_000)
      let asked = try await exchange.ask(sample, try sample.input())
      let verifier = exchange.client(named)
      let job = try await verifier.nextJob()
      let stranger = SigningKey.random()
      let client = exchange.client(stranger)
      await refuses("not-a-verifier") { _ = try await client.verificationJob(slot: 0) }
      await refuses("not-a-verifier") {
        try await client.submit(SignedVerdict(job, .valid, signedBy: stranger))
      }
      await refuses("not-disclosed") {
        _ = try await client.download(job.statement.outputs[0], byteLimit: 1 << 20)
      }
      await refuses("hello-needed") {
        _ = try await exchange.client(nil).verificationJob(slot: 0)
      }
      await refuses("too-many-slots") { _ = try await verifier.verificationJob(slot: 64) }
      let service = try await exchange.verifier(named)
      #expect(try await asked.end().state == .final)
      try await service.stop()
      let stranded = VerifierService(
        client: exchange.client(stranger), key: stranger, backends: [], workers: 1, logger: quiet)
      await refuses("not-a-verifier") { try await stranded.run() }
    }
  }

  @Test func verdictOnAnotherLeaseOrAttemptIsRefused() async throws {
    let sample = try SampleModel.mlp.get()
    let key = SigningKey.random()
    try await Exchange.run(verification: Self.options([key])) { exchange in
      try await exchange.publish(sample)
      _ = try await exchange.prover(price: 1_000)
      let first = try await exchange.ask(sample, try sample.input())
      let client = exchange.client(key)
      let job = try await client.nextJob()
      let other = try await client.nextJob(slot: 1)
      #expect(other.lease != job.lease)
      let word = SignedVerdict(job, .valid, signedBy: key)
      // The fields of another job under this signature.
      var bytes = word.canonicalBytes
      let lease = network.canonicalBytes.count
      bytes.replaceSubrange(lease..<lease + 8, with: other.lease.canonicalBytes)
      let forged = try SignedVerdict(canonicalBytes: bytes)
      await refuses("false-signature") { try await client.submit(forged) }
      let later = VerificationJob(
        statement: job.statement, purpose: job.purpose, attempt: job.attempt + 1,
        proof: job.proof, keyRecord: job.keyRecord)
      await refuses("verdict-not-awaited") {
        try await client.submit(SignedVerdict(later, .valid, signedBy: key))
      }
      let audit = VerificationJob(
        statement: job.statement, purpose: .audit, attempt: job.attempt, proof: job.proof,
        keyRecord: job.keyRecord)
      await refuses("verdict-not-awaited") {
        try await client.submit(SignedVerdict(audit, .valid, signedBy: key))
      }
      try await client.submit(word)
      // A second time it is about nothing that is awaited.
      await refuses("verdict-not-awaited") { try await client.submit(word) }
      let verifier = try await exchange.verifier(key)
      #expect(try await first.end().state == .final)
      try await verifier.stop()
    }
  }

  /// The built program, as whoever verifies runs it.
  @Test func toolVerifiesForABrokerThatNamesItsKey() async throws {
    let sample = try SampleModel.mlp.get()
    try await withFolder { folder in
      let made = try await Run(["keys", "new", folder + "/verifier.key", "--json"])
      let fields = try #require(
        try JSONSerialization.jsonObject(with: made.output) as? [String: String])
      let key = try PublicKey(hexadecimal: try #require(fields["publicKey"]))
      var options = Self.options([], crossChecked: 0)
      options.verifiers = [key]
      try await Exchange.run(verification: options) { exchange in
        try exchange.card.write(to: folder + "/broker.json")
        #expect(try await Run(["keys", "new", folder + "/other.key"]).status == 0)
        let stranger = try await Run([
          "verifier", "run", "--key", folder + "/other.key", "--broker", folder + "/broker.json",
        ])
        #expect(stranger.status == 1)
        #expect(stranger.errors.contains("not-a-verifier: "), "\(stranger.errors)")

        try await exchange.publish(sample)
        _ = try await exchange.prover(price: 1_000)
        let verifier = Process()
        verifier.executableURL = URL(filePath: SharedBackend.installed.directory + "/bourse")
        verifier.arguments = [
          "verifier", "run", "--key", folder + "/verifier.key", "--broker",
          folder + "/broker.json",
        ]
        verifier.standardError = FileHandle.nullDevice
        try verifier.run()
        let asked = try await exchange.ask(sample, try sample.input())
        #expect(try await asked.end().state == .final)
        #expect(try exchange.evidence().allSatisfy { $0.word?.verifier == key })
        verifier.terminate()
        verifier.waitUntilExit()
        #expect(verifier.terminationStatus == 0)
      }
    }
  }

  private func refuses(_ code: String, _ body: () async throws -> Void) async {
    await #expect {
      try await body()
    } throws: { error in
      (error as? any CodedError)?.code == code
    }
  }
}

extension WireClient {
  /// The next job for the slot, once there is one.
  fileprivate func nextJob(slot: UInt32 = 0) async throws -> VerificationJob {
    try await within(.seconds(60)) {
      while true {
        if let job = try await self.verificationJob(slot: slot) { return job }
        try await Task.sleep(for: .milliseconds(5))
      }
    }
  }
}

extension Exchange {
  /// A verifier that has been let in, with two workers.
  func verifier(
    _ key: SigningKey, _ backends: [BackendID] = [.reexec]
  ) async throws -> RunningService {
    var opened: [ServedBackend] = []
    for id in backends { opened.append(try await SharedBackend.served(id)) }
    let (starts, ready) = AsyncStream.makeStream(of: Void.self)
    let service = VerifierService(
      client: client(key), key: key, backends: opened.map(\.backend), workers: 2, logger: quiet
    ) { ready.yield() }
    let running = RunningService(service) { ready.finish() }
    guard await starts.first(where: { _ in true }) != nil else {
      try await running.stop()
      throw FixtureError.neverReady
    }
    return running
  }

  /// What the verdicts so far rest on, in the journal's order.
  func evidence() throws -> [Evidence] {
    let copy = try copy()
    defer { try? FileManager.default.removeItem(atPath: copy) }
    var records: [VerdictRecord] = []
    #expect(try Replay.run(path: copy, onVerdict: { records.append($0.record) }).isSound)
    let blobs = try #require(try BlobReader(path: copy))
    return try records.map { try Evidence(canonicalBytes: try blobs.read($0.evidence)) }
  }
}
