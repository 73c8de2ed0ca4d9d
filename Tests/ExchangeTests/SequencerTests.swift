import Broker
import Foundation
import Journal
import Market
import Primitives
import Testing
import Wire

@Suite struct SequencerTests {
  @Test func journalsNothingThatHasExpiredByItsOwnTick() async throws {
    let directory = NSTemporaryDirectory() + "bourse-sequencer-\(UUID().uuidString)"
    defer { try? FileManager.default.removeItem(atPath: directory) }
    let broker = SigningKey.random()
    let owner = SigningKey.random()
    let genesis = Genesis(
      network: network, operator: owner.publicKey, broker: broker.publicKey)
    let journal = try Journal.create(in: directory, genesis: genesis, key: broker)
    let market = try journal.recover()
    let sequencer = Sequencer(journal: journal, market: market, executor: PollExecutor())
    let deposit = Command.deposit(
      owner: owner.publicKey, amount: Amount(microcredits: 5))
    func envelope(_ expiry: Tick) -> Envelope {
      Envelope(
        network: network, nonce: .random(), expiry: expiry, body: deposit.canonicalBytes,
        signedBy: owner)
    }

    // Both come in one group: the expired one must not take the other with it.
    async let late = sequencer.submit(envelope(Tick(milliseconds: 1)), deposit)
    async let timely = sequencer.submit(envelope(Tick.now.advanced(by: 60_000)), deposit)

    guard case .failure(.expired) = await late else {
      Issue.record("an expired command was journaled")
      return
    }
    _ = try await timely.get()
    #expect(await sequencer.status().sequence == 2)
    #expect(await sequencer.read { $0.balance(.available(owner.publicKey)) } == 5)
  }
}
