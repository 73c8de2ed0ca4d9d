import Auditor
import Foundation
import Market
import Primitives
import Prover
import Requester
import Statements
import Testing
import Wire

/// Every test of the exchange runs alone, so that short deadlines mean what they say.
@Suite(.serialized) struct ExchangeTests {
  @Suite(.serialized) struct RequestLifeTests {}
}

extension ExchangeTests.RequestLifeTests {
  @Test func twoHonestProversAnswerWithTheIntegersOfTheWholeProgramAndArePaid() async throws {
    let sample = try SampleModel.mlp.get()
    try await Exchange.run { exchange in
      try await exchange.publish(sample)
      let cheap = try await exchange.prover(price: 1_000)
      let dear = try await exchange.prover(price: 1_301)
      let input = try sample.input()
      // Two slices at most to one key: the third goes to the dearer prover.
      let asked = try await exchange.ask(sample, input, spread: 2)
      let report = try await asked.end()
      #expect(report.state == .final)
      let answer = try await asked.session.answer(report, sample.manifest)
      #expect(answer == (try sample.answer(to: input)))
      #expect(report.coverage?.reexecuted == 3)
      #expect(report.coverage?.proven == 0)

      let fees = [
        sample.fee(0, price: 1_000), sample.fee(1, price: 1_000), sample.fee(2, price: 1_301),
      ]
      let rest = Exchange.deposit - Exchange.bond
      let balances = await exchange.balances()
      let paid = fees.reduce(0) { $0 + $1.whole }
      let kept = fees.reduce(0) { $0 + $1.kept }
      #expect(balances[.available(asked.requester.publicKey)] == Exchange.deposit - paid)
      #expect(balances[.feeHold(asked.requester.publicKey)] ?? 0 == 0)
      let first = fees[0].whole + fees[1].whole - fees[0].kept - fees[1].kept
      #expect(balances[.available(cheap)] == rest + first)
      #expect(balances[.available(dear)] == rest + fees[2].whole - fees[2].kept)
      for prover in [cheap, dear] {
        #expect(balances[.bond(prover)] == Exchange.bond)
        #expect(balances[.stakeHold(prover)] ?? 0 == 0)
      }
      #expect(balances[.treasury] == kept)
      #expect(balances[.external] == -3 * Exchange.deposit)
      #expect(balances[.burned] ?? 0 == 0)

      try await refusesEveryMutation(
        of: try await asked.session.bundle(asked.performed, report, sample.manifest),
        expecting: exchange.card.brokerKey, verifyingWith: nil)
    }
  }

  @Test func quoteTellsWhatTheRequestThenCostsAndRecordsGrowWithWork() async throws {
    let sample = try SampleModel.mlp.get()
    try await Exchange.run { exchange in
      try await exchange.publish(sample)
      let prover = try await exchange.prover(price: 1_000)
      let client = exchange.client(nil)
      let terms = try RequestSession.terms(
        model: sample.manifest.id, manifest: sample.manifest,
        keys: try await client.keyRecords(of: sample.manifest.id), inputs: [.zero], order: .init())
      let quote = try await client.quote(terms, by: exchange.card.brokerKey)
      let fees = (0..<3).map { sample.fee($0, price: 1_000).whole }
      #expect(quote.price == Amount(microcredits: UInt64(fees.reduce(0, +))))
      #expect(quote.slices.allSatisfy { $0.taken?.prover == prover })
      let before = try #require(try await client.provers().first { $0.prover == prover })
      #expect(before.settled == 0 && before.time95 == nil)
      let asked = try await exchange.ask(sample, try sample.input())
      #expect(try await asked.end().state == .final)
      let after = try #require(try await client.provers().first { $0.prover == prover })
      #expect([after.settled, after.lapsed, after.slashed] == [3, 0, 0])
      #expect(after.openBids == 1)
    }
  }

  @Test(arguments: [Misbehaviour.wrongOutput, .badProof, .badRoot])
  func cheatIsSlashedAndTheRequestStillBecomesFinal(_ cheating: Misbehaviour) async throws {
    let sample = try SampleModel.mlp.get()
    try await Exchange.run { exchange in
      try await exchange.publish(sample)
      let cheat = try await exchange.prover(price: 700, capacity: 1, cheating)
      let honest = [
        try await exchange.prover(price: 1_000, capacity: 2),
        try await exchange.prover(price: 1_300),
      ]
      let input = try sample.input()
      let asked = try await exchange.ask(sample, input)
      let report = try await asked.end()
      #expect(report.state == .final)
      let answer = try await asked.session.answer(report, sample.manifest)
      #expect(answer == (try sample.answer(to: input)))
      let faults = try await exchange.faults()
      #expect(faults.map(\.state) == [.slashed])
      #expect(faults.map(\.terms.prover) == [cheat])
      let balances = await exchange.balances()
      let stake = Int64(faults[0].terms.stake.microcredits)
      #expect(stake == 5 * sample.fee(faults[0].terms.slice, price: 2_000).whole)
      #expect(balances[.bond(cheat)] == Exchange.bond - stake)
      #expect(balances[.available(cheat)] == Exchange.deposit - Exchange.bond)
      for prover in honest {
        #expect(balances[.bond(prover)] == Exchange.bond)
        #expect(balances[.stakeHold(prover)] ?? 0 == 0)
      }
      #expect(balances[.slashEscrow] ?? 0 == 0)
      let bundle = try await asked.session.bundle(asked.performed, report, sample.manifest)
      await #expect(throws: Never.self) { try await BundleAudit(bundle).run(verifyingWith: nil) }
    }
  }

  @Test(arguments: [Misbehaviour.late, .silent])
  func leaseOfWhoeverIsLateLapsesAndItsSliceIsLeasedAgain(_ cheating: Misbehaviour) async throws {
    let sample = try SampleModel.mlp.get()
    var parameters = Parameters()
    parameters.executeWindow = 6_000
    try await Exchange.run(parameters) { exchange in
      try await exchange.publish(sample)
      let cheat = try await exchange.prover(price: 700, capacity: 1, cheating)
      let honest = try await exchange.prover(price: 1_000)
      let asked = try await exchange.ask(sample, try sample.input())
      let report = try await asked.end()
      #expect(report.state == .final)
      let faults = try await exchange.faults()
      #expect(faults.map(\.state) == [.lapsed])
      #expect(faults.map(\.terms.prover) == [cheat])
      let slice = faults[0].terms.slice
      // A tenth of the stake, or what the replacement costs more, whichever is larger.
      let dearer = sample.fee(slice, price: 1_000).whole - sample.fee(slice, price: 700).whole
      let penalty = max(Int64(faults[0].terms.stake.microcredits) / 10, dearer)
      let balances = await exchange.balances()
      #expect(balances[.burned] == penalty)
      #expect(balances[.bond(cheat)] == Exchange.bond - penalty)
      #expect(balances[.bond(honest)] == Exchange.bond)
      #expect(report.leases.last?.terms.prover == honest)
      #expect(report.leases.last?.terms.slice == slice)
    }
  }

  @Test func rangeFaultEndsTheRequestAsFailedAndPaysItsReporter() async throws {
    let sample = try SampleModel.mlp.get()
    let (input, slice) = try sample.faultingInput()
    try await Exchange.run { exchange in
      try await exchange.publish(sample)
      let prover = try await exchange.prover(price: 1_000)
      let asked = try await exchange.ask(sample, input)
      let report = try await asked.end()
      #expect(report.state == .failed)
      #expect(report.answer == nil)
      #expect(report.jobRoot == nil)
      let answer = try await asked.session.answer(report, sample.manifest)
      #expect(answer == nil)
      // The slices before the fault, which were right, and the report of the fault.
      let fees = (0...slice).map { sample.fee($0, price: 1_000) }
      let paid = fees.reduce(0) { $0 + $1.whole }
      let kept = fees.reduce(0) { $0 + $1.kept }
      let balances = await exchange.balances()
      #expect(balances[.available(asked.requester.publicKey)] == Exchange.deposit - paid)
      #expect(balances[.available(prover)] == Exchange.deposit - Exchange.bond + paid - kept)
      #expect(balances[.bond(prover)] == Exchange.bond)
      #expect(balances[.burned] ?? 0 == 0)
    }
  }

  /// What a broker that lies might report of a finished request.
  @Test func requesterRefusesAReportOfOtherTermsOrOtherSlices() async throws {
    let sample = try SampleModel.mlp.get()
    try await Exchange.run { exchange in
      try await exchange.publish(sample)
      _ = try await exchange.prover(price: 1_000)
      let asked = try await exchange.ask(sample, try sample.input())
      let other = try await exchange.ask(sample, try sample.input(21))
      let report = try await asked.end()
      let otherReport = try await other.end()
      let id = asked.id
      var request = try #require(try await exchange.read { $0.requests[id] })
      request.slices.append(request.slices[0])
      let longer = RequestReport(request, leases: report.leases)
      for lie in [longer, otherReport] {
        await #expect(throws: RequesterError.foreignReport) {
          try await asked.session.bundle(asked.performed, lie, sample.manifest)
        }
      }
    }
  }

  @Test func requestSurvivesARestartOfTheBroker() async throws {
    let sample = try SampleModel.mlp.get()
    var parameters = Parameters()
    parameters.executeWindow = 4_000
    try await Exchange.run(parameters) { exchange in
      try await exchange.publish(sample)
      // Holds the first slice without a word, so that the request is surely in its midst.
      _ = try await exchange.prover(price: 700, capacity: 1, .silent)
      let honest = try await exchange.prover(price: 1_000)
      let input = try sample.input()
      let asked = try await exchange.ask(sample, input)
      let following = Task { try await asked.end() }
      let before = try await exchange.client(asked.requester).report(on: asked.id)
      #expect(before.state == .running)
      let balances = try await exchange.stopBroker()
      try await exchange.restartBroker()
      #expect(await exchange.balances() == balances)
      let report = try await following.value
      #expect(report.state == .final)
      let answer = try await asked.session.answer(report, sample.manifest)
      #expect(answer == (try sample.answer(to: input)))
      #expect(await exchange.balances()[.bond(honest)] == Exchange.bond)
      #expect(try await exchange.faults().count == 1)
    }
  }

  @Test func requestIsSubmittedWithEveryTermAndCancelledFromTheCommandLine() async throws {
    let sample = try SampleModel.mlp.get()
    try await Exchange.run { exchange in
      try await exchange.publish(sample)
      // It takes no work of theirs: nobody has settled a lease yet.
      _ = try await exchange.prover(price: 1_000)
      let requester = try await exchange.party()
      try await withFolder { folder in
        try exchange.card.write(to: folder + "/broker.json")
        let key = [
          "publicKey": requester.publicKey.description,
          "seed": Hexadecimal.text(requester.seed.bytes),
        ]
        try JSONEncoder().encode(key).write(to: URL(filePath: folder + "/me.key"))
        let common = ["--key", folder + "/me.key", "--broker", folder + "/broker.json", "--json"]
        let submitted = try await Run(
          [
            "request", "submit", "--model", "\(sample.manifest.id)", "--input",
            SampleModel.models.appending(path: "digits_mlp.vectors.json").path(), "--index", "0",
            "--ramp", "500:100:1", "--limit", "1500", "--time-in-force", "gtt:40",
            "--begin-within", "50", "--final-within", "70", "--attempts", "3", "--min-settled", "1",
            "--max-faults", "1000", "--max-time", "900000",
          ] + common)
        #expect(submitted.status == 0, "\(submitted.errors)")
        let id = try #require(
          (try JSONSerialization.jsonObject(with: submitted.output) as? [String: Any])?["request"]
            as? String)
        let request = try #require(RequestID(hexadecimal: id))
        let terms = try await exchange.client(requester).report(on: request).terms
        #expect(
          terms.ramp.map { [$0.start.ticks, $0.step.ticks, $0.interval] } == [500, 100, 1_000])
        let filter = ReputationFilter(
          settled: 1, faults: PartsPerMillion(clamping: 1_000), time95: 900_000)
        #expect(terms.reputation == filter)
        #expect(terms.attemptsMax == 3 && terms.limitPrice == Price(ticks: 1_500))
        #expect(terms.finalDeadline.milliseconds - terms.beginDeadline.milliseconds == 20_000)
        guard case .goodTill(let tick) = terms.timeInForce else {
          Issue.record("rests \(terms.timeInForce)")
          return
        }
        // Each is a whole number of seconds after an instant of its own, of the same moment.
        #expect((10_000...15_000).contains(terms.beginDeadline.milliseconds - tick.milliseconds))

        let cancelled = try await Run(["request", "cancel", id] + common)
        #expect(cancelled.status == 0, "\(cancelled.errors)")
        #expect(cancelled.text.contains("cancelled"))
        #expect(await exchange.balances()[.available(requester.publicKey)] == Exchange.deposit)
        let again = try await Run(["request", "cancel", id] + common)
        #expect(again.status == 1)
        #expect(again.errors.contains("cancel-too-late"), "\(again.errors)")
      }
    }
  }
}
