import Primitives
import Statements
import Synchronization
import Testing

@testable import Wire

/// A follower of a journal whose feed and whose answers the test decides.
private struct Following {
  let curve = CurveKeyPair.random()
  let broker: JournalBroker
  let server: WireServer
  let publisher = RawPublisher()
  let client: WireClient
  let feed: FeedClient

  /// Follows from `start` on, once the subscription stands.
  init(_ journal: FakeJournal, from start: Int) async throws {
    broker = JournalBroker(journal)
    server = answering(broker, curve)
    let card = try await server.start(feed: try await publisher.start(curve))
    client = asking(card)
    feed = FeedClient(client: client, after: journal.head(at: start), logger: quiet)
    try await feed.start()
    await eventually("the feed is subscribed to") { await publisher.hasSubscriber() }
  }

  /// Sequences of the next entries.
  func take(_ count: Int) async throws -> [UInt64] {
    var sequences: [UInt64] = []
    while sequences.count < count, let entry = try await feed.next() {
      sequences.append(entry.sequence)
    }
    return sequences
  }

  func publish(_ messages: [FeedMessage]) async { await publisher.publish(messages.map(\.frame)) }

  func end() async {
    await feed.close()
    await client.close()
    await server.shutdown()
  }
}

private func answering(_ broker: JournalBroker, _ curve: CurveKeyPair) -> WireServer {
  server(broker, curve: curve)
}
private func asking(_ card: BrokerCard) -> WireClient { client(card) }

@Suite(.timeLimit(.minutes(2))) struct FeedTests {
  @Test func givesOutWhatCameBeforeAndWhatComes() async throws {
    var journal = FakeJournal(count: 250)
    let following = try await Following(journal, from: 20)
    #expect(try await following.take(230) == Array(21...250))
    journal.append()
    following.broker.state.withLock { $0.journal = journal }
    await following.publish([.entry(journal.entries[250])])
    #expect(try await following.take(1) == [251])
    await following.end()
  }

  @Test func asksForWhatWasDropped() async throws {
    let journal = FakeJournal(count: 40)
    let following = try await Following(journal, from: 10)
    #expect(try await following.take(30) == Array(11...40))
    var longer = journal
    for _ in 0..<5 { longer.append() }
    following.broker.state.withLock { $0.journal = longer }
    // 41 to 44 never come; then only a head tells of 46.
    await following.publish([.entry(longer.entries[44])])
    #expect(try await following.take(5) == Array(41...45))
    longer.append()
    following.broker.state.withLock { $0.journal = longer }
    await following.publish([.head(longer.head)])
    #expect(try await following.take(1) == [46])
    await following.end()
  }

  @Test func givesOutRepeatedAndReorderedEntriesOnceAndInOrder() async throws {
    let journal = FakeJournal(count: 60)
    let following = try await Following(FakeJournal(), from: 0)
    following.broker.state.withLock { $0.journal = journal }
    var random = Seeded(state: 7)
    let shuffled = (journal.entries + journal.entries).shuffled(using: &random)
    await following.publish(shuffled.map(FeedMessage.entry))
    #expect(try await following.take(60) == Array(1...60))
    await following.end()
  }

  @Test func takesNothingThatTheBrokerDidNotSign() async throws {
    var journal = FakeJournal(count: 3)
    let following = try await Following(journal, from: 3)
    let forged = journal.forged(by: .random())
    let entry = journal.entries[2]
    let changed = FeedEntry(
      envelope: entry.envelope, outcome: entry.outcome + [1],
      acknowledgement: entry.acknowledgement)
    await following.publisher.publish([[], [1, 9], [UInt8](repeating: 255, count: 400)])
    await following.publish([
      .entry(forged), .entry(changed),
      .entry(FeedEntry(envelope: [], outcome: [], acknowledgement: [])),
      .head(FeedHead(network: network, sequence: .max, hash: .zero, tick: .zero)),
      .head(FeedHead(network: NetworkID("other")!, sequence: 9, hash: .zero, tick: .zero)),
    ])
    let next = Task { try await following.take(1) }
    journal.append()
    following.broker.state.withLock { $0.journal = journal }
    await following.publish([.entry(journal.entries[3])])
    #expect(try await next.value == [4])
    let given = following.broker.state.withLock { $0.queries }
    // A sequence that nobody has is asked about once, not for ever.
    #expect(given < 10)
    await following.end()
  }

  @Test func refusesAHistoryThatDoesNotFollow() async throws {
    let journal = FakeJournal(count: 8)
    let following = try await Following(journal, from: 2)
    following.broker.state.withLock { $0.damaged = 5 }
    await #expect(throws: FeedError.self) { try await following.take(6) }
    // Another history from the same broker: it has lost, or rewritten, what it gave out.
    let other = try await Following(FakeJournal(count: 8), from: 8)
    other.broker.state.withLock { $0.journal.removeLast(4) }
    await #expect(throws: FeedError.rewound(had: 8, has: 4)) { try await other.take(1) }
    for ended in [following, other] { await ended.end() }
  }

  @Test func fetchesAnEntryLargerThanAPage() async throws {
    var journal = FakeJournal(count: 1)
    journal.append(events: 8_000)
    journal.append()
    #expect(journal.entries[1].byteCount > EntryPage.byteLimit)
    let following = try await Following(journal, from: 0)
    #expect(try await following.take(3) == [1, 2, 3])
    await following.end()
  }

  @Test func asksWhereTheFeedIsSilent() async throws {
    var journal = FakeJournal(count: 1)
    let following = try await Following(journal, from: 0)
    #expect(try await following.take(1) == [1])
    let next = Task { try await following.take(1) }
    journal.append()
    following.broker.state.withLock { $0.journal = journal }
    // Nothing is published at all.
    #expect(try await next.value == [2])
    await following.end()
  }

  @Test func whoDoesNotReadHoldsNothingUp() async throws {
    let curve = CurveKeyPair.random()
    let server = FeedServer(curve: curve, logger: quiet)
    let card = BrokerCard(
      network: network, endpoint: "tcp://127.0.0.1:1", feed: try await server.start(),
      curveKey: curve.publicKey, brokerKey: brokerKey.publicKey,
      operatorKey: operatorKey.publicKey)
    let idle = client(card)
    let feed = FeedClient(client: idle, after: FakeJournal().head, logger: quiet)
    try await feed.start()
    var journal = FakeJournal()
    journal.append(events: 600)
    let entry = journal.entries[0]
    // Two hundred times what may wait anywhere: 30 KB each.
    // Where it did, this would last until the suite's time is over.
    for _ in 0..<200 {
      await server.publish(
        [FeedEntry](repeating: entry, count: 50), head: journal.head)
    }
    await feed.close()
    await idle.close()
    await server.shutdown()
  }

  @Test func onlyListedKeysMaySubscribe() async throws {
    let curve = CurveKeyPair.random()
    let listed = CurveKeyPair.random()
    let feedServer = FeedServer(
      curve: curve, admission: .keys([listed.publicKey]), logger: quiet)
    let journal = FakeJournal(count: 2)
    let broker = JournalBroker(journal)
    let wire = server(broker, curve: curve)
    let card = try await wire.start(feed: try await feedServer.start())
    let client = client(card)
    // The broker answers nothing that it has; only the feed can bring the second entry.
    broker.state.withLock { $0.journal.removeLast(1) }
    let admitted = FeedClient(
      client: client, after: journal.head(at: 1), curve: listed, logger: quiet)
    let refused = FeedClient(client: client, after: journal.head(at: 1), logger: quiet)
    for feed in [admitted, refused] { try await feed.start() }
    let arrived = Mutex(false)
    let stranger = Task { try await refused.next() }
    let known = Task {
      let entry = try await admitted.next()
      arrived.withLock { $0 = true }
      return entry
    }
    await eventually("the listed key hears") {
      await feedServer.publish([journal.entries[1]], head: journal.head)
      return arrived.withLock { $0 }
    }
    #expect(try await known.value?.sequence == 2)
    await refused.close()
    #expect(try await stranger.value == nil)
    await admitted.close()
    await client.close()
    await wire.shutdown()
    await feedServer.shutdown()
  }

  @Test func needsACardWithAFeed() async throws {
    let wire = server(MemoryBroker())
    let client = client(try await wire.start())
    let feed = FeedClient(client: client, after: FakeJournal().head, logger: quiet)
    await #expect(throws: FeedError.none) { try await feed.start() }
    await client.close()
    await wire.shutdown()
  }
}
