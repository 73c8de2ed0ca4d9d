import Market
import Primitives
import Statements
import Testing

/// What somebody would try who wants money, or harm, more than answers: each attack that the rules
/// must refuse, or make dearer than what it gains.
///
/// The chain at limit 100 and multiple 10: fees at the limit 100, 200, 300; stakes ten times that.
struct AttackTests {
  typealias F = MarketFixture

  // MARK: A ring that wants to stop the exchange

  /// Paula and Quinn answer, Rita waits; all of it is attested, and the draw spares all.
  private func spared() -> (MarketFixture, RequestID, [LeaseID]) {
    var f = MarketFixture()
    _ = f.bid(F.paula, at: 50, scope: .slice(F.chain.id, 0))
    _ = f.bid(F.quinn, at: 50)
    let request = f.request(f.terms(attested: [0, 1, 2], disclosure: .everyone))
    let leases = (0..<3).map { f.leaseID(request, $0) }
    _ = f.bid(F.rita, at: 70)
    f.commitNonce(request)
    leases.forEach { f.commit($0) }
    f.submit(leases[0])
    f.submit(leases[1], leases[2])
    f.revealAll(request)
    return (f, request, leases)
  }

  @Test(arguments: [Verdict.valid, .invalid, .inconclusive])
  func challengedLeaseWhoseInputIsFoundInvalidLosesOrReturnsItsDepositOnce(verdict: Verdict) {
    var (f, _, leases) = spared()
    f.send(.challenge(leases[1], deposit: Amount(100)), by: F.bob)
    f.send(.challenge(leases[0], deposit: Amount(50)), by: F.bob)
    f.rule(leases[0], .invalid)
    #expect(f.market.leases[leases[1]]?.isOrphaned == true)
    for _ in 0..<4 { f.rule(leases[1], verdict) }
    #expect(f.market.leases[leases[1]]?.state.isFinal == true)
    // Of the first, a tenth of the stake; the second's deposit is lost where its lessee was right.
    let gained: Int64 = verdict == .invalid ? 100 + 200 : verdict == .valid ? 100 - 100 : 100
    #expect(f.balance(.available(F.bob.publicKey)) == 10_000_000 + gained)
    #expect(f.balance(.challengeHold(F.bob.publicKey)) == 0)
  }
}
