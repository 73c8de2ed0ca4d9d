import Broker
import Foundation
import Journal
import Market
import Primitives
import Slicing
import Statements
import Synchronization
import Testing
import Wire

/// A sequencer over a journal of its own, without any wire.
private final class LoneSequencer: Sendable {
  let owner = SigningKey.random()
  let sequencer: Sequencer
  let directory = NSTemporaryDirectory() + "bourse-sequencer-\(UUID().uuidString)"

  init(clock: @escaping @Sendable () -> Tick = { .now }) throws {
    let broker = SigningKey.random()
    let genesis = Genesis(network: network, operator: owner.publicKey, broker: broker.publicKey)
    let journal = try Journal.create(in: directory, genesis: genesis, key: broker)
    let market = try journal.recover()
    sequencer = Sequencer(
      journal: journal, market: market, executor: PollExecutor(), clock: clock)
  }

  deinit { try? FileManager.default.removeItem(atPath: directory) }

  /// Of 5 microcredits to the owner.
  var deposit: Command {
    .deposit(owner: owner.publicKey, amount: Amount(microcredits: 5))
  }

  func envelope(of command: Command? = nil, expiry: Tick = .never) -> Envelope {
    Envelope(
      network: network, nonce: .random(), expiry: expiry,
      body: (command ?? deposit).canonicalBytes, signedBy: owner)
  }

  func balance() async -> Int64 {
    await sequencer.read { [key = owner.publicKey] in $0.balance(.available(key)) }
  }
}

@Suite struct SequencerTests {
  @Test func journalsNothingThatHasExpiredByItsOwnTick() async throws {
    let lone = try LoneSequencer()
    let (sequencer, deposit) = (lone.sequencer, lone.deposit)

    // Both come in one group: the expired one must not take the other with it.
    async let late = sequencer.submit(
      lone.envelope(expiry: Tick(milliseconds: 1)), deposit)
    async let timely = sequencer.submit(
      lone.envelope(expiry: Tick.now.advanced(by: 60_000)), deposit)

    guard case .failure(.expired) = await late else {
      Issue.record("an expired command was journaled")
      return
    }
    _ = try await timely.get()
    #expect(await sequencer.status().sequence == 2)
    #expect(await lone.balance() == 5)
  }

  @Test func answersACommandThatComesTwiceAtOnceTwiceWithTheSameBytes() async throws {
    let lone = try LoneSequencer()
    let (sequencer, deposit) = (lone.sequencer, lone.deposit)
    let (repeated, other) = (lone.envelope(), lone.envelope())

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
    #expect(await lone.balance() == 10)
  }

  /// A crash may come between a command and the end of its blobs' marks.
  @Test func keepsOldBlobsThatACommandNamesWhateverTheirMarksSay() async throws {
    let now = Mutex(Tick.now)
    let lone = try LoneSequencer()
    let sample = try SampleModel.mlp.get()
    let store = try BlobStore(
      directory: lone.directory, limits: BlobStore.Limits(unnamedAge: 1_000, chunk: 1 << 20)
    ) { now.withLock { $0 } }
    func send(_ bytes: [UInt8]) async throws -> Digest {
      let digest = Digest.of(bytes)
      let total = UInt64(bytes.count)
      let sent = try await store.stage(
        digest, total: total, offset: 0, chunk: bytes, by: lone.owner.publicKey)
      #expect(sent == total)
      return digest
    }
    for bytes in sample.model.blobs.values { _ = try await send(bytes) }
    let unnamed = try await send([1, 2, 3])
    _ = try await lone.sequencer.submit(
      lone.envelope(of: .publishModel(sample.manifest)), .publishModel(sample.manifest)
    ).get()
    #expect(await store.removeUnnamed(lone.sequencer) == 0)
    now.withLock { $0 = $0.advanced(by: 1_000) }
    #expect(await store.removeUnnamed(lone.sequencer) == 3)
    #expect(await !store.contains(unnamed))
    for digest in sample.model.blobs.keys { #expect(await store.contains(digest)) }
    now.withLock { $0 = $0.advanced(by: 86_400_000) }
    #expect(await store.overdue.isEmpty)
  }

  /// Whoever could not be heard while the disk hung, the machine slept or the clock leapt must not
  /// be late for it: every deadline moves before what waited is decided.
  @Test func makesUpForAStallBeforeWhateverWaitedThroughIt() async throws {
    let now = Mutex(Tick.now)
    @Sendable func pass(_ milliseconds: UInt64) {
      now.withLock { $0 = $0.advanced(by: milliseconds) }
    }
    let lone = try LoneSequencer { now.withLock { $0 } }
    let sequencer = lone.sequencer
    let commits = await sequencer.commits()
    func deposit() async throws {
      _ = try await sequencer.submit(lone.envelope(), lone.deposit).get()
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
