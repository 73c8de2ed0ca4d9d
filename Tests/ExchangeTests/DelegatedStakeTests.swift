import Market
import Primitives
import Statements
import Testing
import Wire

extension ExchangeTests {
  /// Stake that a holder delegates over the wire, to a prover that works.
  @Suite(.serialized) struct DelegatedStakeTests {}
}

extension ExchangeTests.DelegatedStakeTests {
  @Test func delegatorEarnsWithTheProverAndLeavesWithItsMoney() async throws {
    let sample = try SampleModel.mlp.get()
    var parameters = Parameters()
    parameters.unbondingPeriod = 300
    try await Exchange.run(parameters) { exchange in
      try await exchange.publish(sample)
      let (prover, holder) = (try await exchange.party(), try await exchange.party())
      let client = exchange.client(holder)
      let stake = Amount(microcredits: 4_000_000)
      let delegate = Command.delegate(prover.publicKey, amount: stake)
      await #expect(throws: Rejection.self) { try await client.perform(delegate, signedBy: holder) }
      try await exchange.prover(prover, price: 1_000)
      try await exchange.client(prover).perform(
        .setCommission(PartsPerMillion(clamping: 100_000)), signedBy: prover)
      try await client.perform(delegate, signedBy: holder)

      let asked = try await exchange.ask(sample, try sample.input())
      let report = try await asked.end()
      #expect(report.state == .final)
      // Stakes are drawn as 5 to 4; of the fees less the exchange's share a tenth is commission.
      #expect(report.leases.allSatisfy { $0.terms.delegated > .zero })
      let shares = (0..<3).map { slice in
        let fee = sample.fee(slice, price: 1_000)
        let net = fee.whole - fee.kept
        let terms = report.leases[slice].terms
        let (delegated, stake) = (terms.delegated.microcredits, terms.stake.microcredits)
        return (net - net / 10) * Int64(delegated) / Int64(stake)
      }
      let earned = shares.reduce(0, +)
      #expect(earned > 0)
      let balances = await exchange.balances()
      #expect(
        balances[.available(holder.publicKey)]
          == Exchange.deposit - Int64(stake.microcredits) + earned)

      let known = try await client.stake(of: prover.publicKey)
      #expect(known.pool?.active == stake)
      let yield = known.pool?.days(1, until: known.tick).first?.earned ?? 0
      // Each of three payments is rounded down.
      let exact = UInt64(earned) * 1_000_000_000_000 / stake.microcredits
      #expect((exact - 3...exact).contains(yield))
      let records = try await client.provers()
      #expect(records.first { $0.prover == prover.publicKey }?.delegated == stake)

      try await client.perform(.undelegate(prover.publicKey, amount: stake), signedBy: holder)
      #expect(try await client.stake(of: holder.publicKey).delegations.count == 1)
      let whole = Exchange.deposit + earned
      try await within(.seconds(60)) {
        while try await client.balances(of: holder.publicKey).first?.balance != whole {
          try await Task.sleep(for: .milliseconds(20))
        }
      }
      #expect(try await client.stake(of: holder.publicKey).delegations.isEmpty)
      try await client.perform(
        .withdraw(amount: Amount(microcredits: UInt64(whole))), signedBy: holder)
      #expect(await exchange.balances()[.available(holder.publicKey)] == 0)
    }
  }
}
