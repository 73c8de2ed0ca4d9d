import Primitives
import Statements
import Testing

@testable import Broker

@Suite struct VerificationPoolTests {
  private let keys = (0..<3).map { _ in SigningKey.random().publicKey }

  private func ticket(_ lease: UInt64, of requester: Int) -> VerificationPool.Ticket {
    VerificationPool.Ticket(
      lease: LeaseID(ordinal: lease), attempt: 1, requester: keys[requester])
  }

  private func taken(_ pool: VerificationPool) async -> [UInt64] {
    var leases: [UInt64] = []
    while let ticket = await pool.takeWaiting() { leases.append(ticket.lease.ordinal) }
    return leases
  }

  @Test func requestersTakeTurnsAndEachOnesJobsKeepTheirOrder() async {
    let pool = VerificationPool(verifiers: [], patience: .seconds(60))
    for lease in 0..<6 as Range<UInt64> { await pool.add(ticket(lease, of: 0)) }
    await pool.add(ticket(10, of: 1))
    await pool.add(ticket(20, of: 2))
    await pool.add(ticket(11, of: 1))
    #expect(await taken(pool) == [0, 10, 20, 1, 11, 2, 3, 4, 5])
    #expect(await pool.takeWaiting() == nil)
  }

  /// However many another has, and while more of them come.
  @Test func jobWaitsForOneOfEveryOtherRequesterAtMost() async {
    let pool = VerificationPool(verifiers: [], patience: .seconds(60))
    for lease in 0..<1_000 as Range<UInt64> { await pool.add(ticket(lease, of: 0)) }
    for lease in 5_000..<5_010 as Range<UInt64> {
      await pool.add(ticket(lease, of: 1))
      await pool.add(ticket(lease + 1_000, of: 0))
      let next = [await pool.next(), await pool.next()].compactMap { $0?.lease.ordinal }
      #expect(next.contains(lease))
    }
  }
}
