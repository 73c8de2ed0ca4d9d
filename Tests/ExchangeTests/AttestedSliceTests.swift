import Auditor
import Broker
import FixedPoint
import Market
import Primitives
import Prover
import Requester
import Slicing
import Statements
import Testing
import Wire

extension ExchangeTests {
  /// Slices that stand on their prover's word: nonces, audits and challenges over the wire.
  @Suite(.serialized) struct AttestedSliceTests {}
}

extension ExchangeTests.AttestedSliceTests {
  private static func parameters(challengeWindow: UInt64) -> Parameters {
    var parameters = Parameters()
    parameters.challengeWindow = challengeWindow
    return parameters
  }

  @Test func wrongAttestedOutputIsCaughtByItsAuditAndSlashed() async throws {
    let sample = try SampleModel.mlp.get()
    try await Exchange.run { exchange in
      try await exchange.publish(sample)
      let cheat = try await exchange.prover(price: 700, capacity: 1, .wrongOutput)
      try await exchange.prover(try await exchange.party(), price: 1_000)
      let input = try sample.input()
      let asked = try await exchange.ask(sample, input, auditRate: 1_000_000)
      let report = try await asked.end()
      #expect(report.state == .final)
      #expect(report.seed != nil, "every party has revealed its nonce")
      let answer = try await asked.session.answer(report, sample.manifest)
      #expect(answer == (try sample.answer(to: input)))
      let faults = try await exchange.faults()
      #expect(faults.map(\.state) == [.slashed])
      #expect(faults.map(\.terms.prover) == [cheat])
      var coverage = Coverage()
      coverage.audited = 3
      coverage.auditedCost = Cost(units: sample.manifest.slices.reduce(0) { $0 + $1.cost.units })
      #expect(report.coverage == coverage)
      // Whoever checks the bundle runs the slices again.
      let bundle = try await asked.session.bundle(asked.performed, report, sample.manifest)
      let found = try await BundleAudit(bundle).run(verifyingWith: nil)
      #expect(found.coverage.reexecuted == 3)
    }
  }

  @Test func whatNoAuditDrawsSettlesAsAttested() async throws {
    let sample = try SampleModel.mlp.get()
    try await Exchange.run(Self.parameters(challengeWindow: 200)) { exchange in
      try await exchange.publish(sample)
      let key = try await exchange.party()
      try await exchange.prover(key, price: 1_000)
      let asked = try await exchange.ask(sample, try sample.input(), auditRate: 0)
      let report = try await asked.end()
      #expect(report.state == .final)
      #expect(report.seed != nil)
      #expect(report.coverage?.attested == 3)
      #expect(report.coverage?.audited == 0)
      let fees = (0..<3).map { sample.fee($0, price: 1_000) }
      let balances = await exchange.balances()
      #expect(
        balances[.available(asked.requester.publicKey)]
          == Exchange.deposit - fees.reduce(0) { $0 + $1.whole })
      #expect(balances[.bond(key.publicKey)] == Exchange.bond)
    }
  }

  @Test func namedAuditorReadsTheTensorsAndItsChallengeCatchesTheCheat() async throws {
    let sample = try SampleModel.mlp.get()
    try await Exchange.run(Self.parameters(challengeWindow: 3_000)) { exchange in
      try await exchange.publish(sample)
      let cheat = try await exchange.prover(
        price: 700, capacity: 1, .wrongOutput)
      try await exchange.prover(try await exchange.party(), price: 1_000)
      let auditor = try await exchange.party()
      let stranger = try await exchange.party()
      let input = try sample.input()
      let asked = try await exchange.ask(
        sample, input, auditRate: 0, auditors: [auditor.publicKey])
      let session = asked.session
      async let ended = asked.end()

      let (client, id) = (exchange.client(auditor), asked.id)
      let wrong = try await within(.seconds(60)) {
        while true {
          let report = try await client.report(on: id)
          for lease in report.leases where lease.challengeableUntil != nil {
            if try await contradicts(lease, sample, client) { return lease.terms }
          }
          try await Task.sleep(for: .milliseconds(20))
        }
      }
      #expect(wrong.prover == cheat)
      let tensor = try #require(
        try await exchange.read { $0.leases[wrong.id]?.commitment?.outputs.first })
      let outsider = exchange.client(stranger)
      await #expect(throws: (any Error).self) {
        try await outsider.download(tensor, byteLimit: 1 << 20)
      }
      let challenge = Command.challenge(wrong.id, deposit: wrong.fee)
      await #expect(throws: Rejection.self) {
        try await outsider.perform(challenge, signedBy: stranger)
      }
      try await client.perform(challenge, signedBy: auditor)

      let report = try await ended
      #expect(report.state == .final)
      let answer = try await session.answer(report, sample.manifest)
      #expect(answer == (try sample.answer(to: input)))
      let faults = try await exchange.faults()
      #expect(faults.map(\.terms.id) == [wrong.id])
      let balances = await exchange.balances()
      #expect(balances[.challengeHold(auditor.publicKey)] == 0)
      #expect(balances[.available(auditor.publicKey)] ?? 0 > Exchange.deposit)
    }
  }

  /// Runs the lease's slice again over what it was given, as an auditor does.
  private func contradicts(
    _ lease: LeaseReport, _ sample: SampleModel, _ client: WireClient
  ) async throws -> Bool {
    guard let statement = lease.receipt?.statement else { return false }
    var inputs: [[UInt8]] = []
    for digest in statement.inputs {
      inputs.append(try await client.download(digest, byteLimit: 1 << 20))
    }
    let outputs = try Executor(program: sample.model.program(of: statement.slice)).run(inputs)
    return outputs.map { Digest.of($0) } != statement.outputs
  }

  @Test func nonceThatNobodyRevealsHasEverySliceAuditedAtItsOwnersCost() async throws {
    let sample = try SampleModel.mlp.get()
    var parameters = Parameters()
    parameters.revealWindow = 400
    try await Exchange.run(parameters) { exchange in
      try await exchange.publish(sample)
      try await exchange.prover(try await exchange.party(), price: 1_000)
      let asked = try await exchange.ask(sample, try sample.input(), auditRate: 0)
      // The requester only looks on, as somebody else.
      let onlooker = RequestSession(client: exchange.client(nil), key: SigningKey.random())
      let (id, start) = (asked.id, await exchange.balances())
      let report = try await within(.seconds(60)) { try await onlooker.follow(id) { _ in } }
      #expect(report.state == .final)
      #expect(report.seed == nil)
      #expect(report.coverage?.audited == 3)
      let fees = (0..<3).map { sample.fee($0, price: 1_000).whole }.reduce(0, +)
      let requester = asked.requester.publicKey
      let balances = await exchange.balances()
      let cost = Exchange.deposit - fees - (balances[.available(requester)] ?? 0)
      #expect(cost > 0)
      #expect(balances[.treasury] ?? 0 >= cost)
      #expect(start[.feeHold(requester)] ?? 0 > fees)
    }
  }

  @Test func brokerRevealsAfterARestartWhatItCommittedToBefore() async throws {
    let sample = try SampleModel.mlp.get()
    try await Exchange.run(Self.parameters(challengeWindow: 200)) { exchange in
      try await exchange.publish(sample)
      let asked = try await exchange.ask(sample, try sample.input(), auditRate: 0)
      let id = asked.id
      let deadline = ContinuousClock.now + .seconds(60)
      var commitment: Digest?
      while commitment == nil, ContinuousClock.now < deadline {
        try await Task.sleep(for: .milliseconds(5))
        commitment = try await exchange.read { $0.requests[id]?.brokerCommitment }
      }
      #expect(commitment != nil)
      try await exchange.restartKeepingClients()
      #expect(try await exchange.read { $0.requests[id]?.brokerCommitment } == commitment)
      try await exchange.prover(try await exchange.party(), price: 1_000)
      let report = try await asked.end()
      #expect(report.state == .final)
      #expect(report.seed != nil, "the broker has revealed the nonce of before")
    }
  }

  @Test func lesseeThatKeepsItsNoncePaysForTheAuditsOutOfItsStake() async throws {
    let sample = try SampleModel.mlp.get()
    var parameters = Parameters()
    parameters.revealWindow = 400
    try await Exchange.run(parameters) { exchange in
      try await exchange.publish(sample)
      let key = try await exchange.party()
      try await exchange.prover(key, price: 1_000, .withholdNonce)
      let asked = try await exchange.ask(sample, try sample.input(), auditRate: 0)
      let report = try await asked.end()
      #expect(report.state == .final && report.seed == nil)
      #expect(report.coverage?.audited == 3)
      let fees = (0..<3).map { sample.fee($0, price: 1_000).whole }.reduce(0, +)
      let balances = await exchange.balances()
      // Its work was right, and is paid; the audits are on it alone.
      #expect(balances[.available(asked.requester.publicKey)] == Exchange.deposit - fees)
      let lost = Exchange.bond - (balances[.bond(key.publicKey)] ?? 0)
      #expect(lost > 0)
      let history = try await exchange.client(nil).history(of: .request(asked.id)).entries
      let penalties = history.flatMap(\.events).compactMap { event -> Int64? in
        if case .revealMissed(_, let penalty) = event.body {
          Int64(penalty.microcredits)
        } else {
          nil
        }
      }
      #expect(penalties.count == 3 && penalties.reduce(0, +) == lost)
    }
  }
}
