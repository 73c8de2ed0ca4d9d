import Broker
import Foundation
import Journal
import Market
import Primitives
import Statements
import Synchronization
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

  @Test func answersACommandThatComesTwiceAtOnceTwiceWithTheSameBytes() async throws {
    let directory = NSTemporaryDirectory() + "bourse-sequencer-\(UUID().uuidString)"
    defer { try? FileManager.default.removeItem(atPath: directory) }
    let broker = SigningKey.random()
    let owner = SigningKey.random()
    let genesis = Genesis(
      network: network, operator: owner.publicKey, broker: broker.publicKey)
    let journal = try Journal.create(in: directory, genesis: genesis, key: broker)
    let market = try journal.recover()
    let sequencer = Sequencer(journal: journal, market: market, executor: PollExecutor())
    let deposit = Command.deposit(owner: owner.publicKey, amount: Amount(microcredits: 5))
    func envelope() -> Envelope {
      Envelope(
        network: network, nonce: .random(), expiry: .never, body: deposit.canonicalBytes,
        signedBy: owner)
    }
    let (repeated, other) = (envelope(), envelope())

    let (answers, answer) = AsyncStream.makeStream(of: [UInt8]?.self)
    sequencer.submit(
      [repeated, other, repeated].map { envelope in
        Sequencer.Submission(envelope, deposit) { answer.yield(try? $0.get()) }
      })
    var acknowledgements: [Digest: [[UInt8]?]] = [:]
    for await bytes in answers.prefix(3) {
      let command = try bytes.map { try Acknowledgement(canonicalBytes: $0).command }
      acknowledgements[command ?? .zero, default: []].append(bytes)
    }
    #expect(acknowledgements[other.digest]?.count == 1)
    #expect(acknowledgements[repeated.digest]?.count == 2)
    #expect(acknowledgements[repeated.digest]?.first == acknowledgements[repeated.digest]?.last)
    // And once more when it is durable.
    let later = try await sequencer.submit(repeated, deposit).get()
    #expect(acknowledgements[repeated.digest]?.first == later)
    #expect(await sequencer.read { $0.balance(.available(owner.publicKey)) } == 10)
  }

  /// Whoever could not be heard while the disk hung, the machine slept or the clock leapt must not
  /// be late for it: every deadline moves before what waited is decided.
  @Test func makesUpForAStallBeforeWhateverWaitedThroughIt() async throws {
    let directory = NSTemporaryDirectory() + "bourse-sequencer-\(UUID().uuidString)"
    defer { try? FileManager.default.removeItem(atPath: directory) }
    let broker = SigningKey.random()
    let owner = SigningKey.random()
    let genesis = Genesis(network: network, operator: owner.publicKey, broker: broker.publicKey)
    let journal = try Journal.create(in: directory, genesis: genesis, key: broker)
    let market = try journal.recover()
    let now = Mutex(Tick.now)
    @Sendable func pass(_ milliseconds: UInt64) {
      now.withLock { $0 = $0.advanced(by: milliseconds) }
    }
    let sequencer = Sequencer(
      journal: journal, market: market, executor: PollExecutor(), clock: { now.withLock { $0 } })
    let commits = await sequencer.commits()
    func deposit() async throws {
      let command = Command.deposit(owner: owner.publicKey, amount: Amount(microcredits: 5))
      let envelope = Envelope(
        network: network, nonce: .random(), expiry: .never, body: command.canonicalBytes,
        signedBy: owner)
      _ = try await sequencer.submit(envelope, command).get()
    }
    try await deposit()
    // Quiet, and awake: nobody has lost any time.
    for _ in 0..<4 {
      pass(3_000)
      #expect(await sequencer.isTickDue() == false)
    }
    try await deposit()
    pass(20_000)
    // The clock that asks after the stall must not hide it.
    #expect(await sequencer.isTickDue())
    try await deposit()
    try await deposit()

    var names: [String] = []
    for await group in commits {
      names += group.events.map { event in
        if case .resumed(let gap) = event.body { "resumed \(gap)" } else { "deposited" }
      }
      if names.count == 5 { break }
    }
    #expect(names == ["deposited", "deposited", "resumed 20000", "deposited", "deposited"])
  }
}
