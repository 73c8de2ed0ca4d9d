import FoundationEssentials
import Glibc
import Logging
import Primitives
import Statements
import Synchronization
import Testing

@testable import Wire

@Suite(.timeLimit(.minutes(2))) struct WireTests {
  @Test func commandsQueriesAndBlobsGoThereAndBack() async throws {
    let broker = MemoryBroker()
    let server = server(broker)
    let card = try await server.start()
    let key = SigningKey.random()
    let client = client(card, key)
    let information = try await client.connect()
    #expect(information.network == network)
    let envelope = envelope([1, 2, 3], key)
    let acknowledgement = try await client.submit(envelope)
    #expect(acknowledgement.command == envelope.digest && acknowledgement.rejection == nil)
    #expect(try await client.ask([1, 2, 3]) == [3, 2, 1] + key.publicKey.bytes)
    for count in [0, 1, Frame.chunkLimit, 3 * Frame.chunkLimit + 7] {
      var random = Seeded(state: UInt64(count))
      let bytes = (0..<count).map { _ in UInt8(truncatingIfNeeded: random.next()) }
      let digest = try await client.upload(bytes)
      #expect(try await client.download(digest, byteLimit: count) == bytes)
    }
    await client.close()
    await server.shutdown()
  }

  @Test func returnsARejectionAndThrowsARefusal() async throws {
    let server = server(MemoryBroker())
    let client = client(try await server.start())
    let rejected = try await client.submit(envelope([13]))
    #expect(rejected.rejection?.code == "unlucky")
    let refusal = await #expect(throws: WireRefusal.self) {
      try await client.download(Digest.of([1]), byteLimit: 10)
    }
    #expect(refusal?.code == "unknown-blob")
    await server.shutdown()
  }

  @Test func answersEachOfManyCommandsThatComeTogether() async throws {
    let server = server(MemoryBroker())
    let client = client(try await server.start())
    let envelopes = (0..<100).map { envelope([UInt8($0 % 20)]) }
    try await withThrowingTaskGroup(of: Void.self) { group in
      for envelope in envelopes {
        group.addTask {
          let acknowledgement = try await client.submit(envelope)
          #expect(acknowledgement.command == envelope.digest)
          #expect((acknowledgement.rejection != nil) == (envelope.body == [13]))
        }
      }
      try await group.waitForAll()
    }
    await server.shutdown()
  }

  @Test func aTaskThatPrefersItsClientsThreadStaysThere() async throws {
    let server = server(MemoryBroker())
    let card = try await server.start()
    let executor = PollExecutor()
    try await Task(executorPreference: executor.tasks) {
      #expect(executor.isIsolatingCurrentContext() == true)
      for body in 0..<20 as Range<UInt8> {
        let client = WireClient(card: card, identity: .random(), executor: executor, logger: quiet)
        // Whether the welcome comes before or after anyone waits for it.
        try await client.connect()
        _ = try await client.submit(envelope([body]))
        #expect(executor.isIsolatingCurrentContext() == true)
        await client.close()
      }
    }.value
    await server.shutdown()
  }

  @Test func replayedCommandGetsIdenticalBytes() async throws {
    let broker = MemoryBroker()
    let server = server(broker)
    let card = try await server.start()
    let envelope = envelope([7])
    let first = try await client(card).submit(envelope)
    let second = try await client(card).submit(envelope)
    #expect(first.canonicalBytes == second.canonicalBytes)
    #expect(broker.state.withLock { $0.deliveries } == 2)
    await server.shutdown()
  }

  @Test func rejectsAcknowledgementThatTheBrokerDidNotSign() async throws {
    let server = server(MemoryBroker(signer: .random()))
    let client = client(try await server.start())
    let error = await #expect(throws: WireError.self) { try await client.submit(envelope([1])) }
    #expect(error?.code == "untrusted-acknowledgement")
    await server.shutdown()
  }

  @Test func refusesBlobOfAnotherDigest() async throws {
    let server = server(MemoryBroker())
    let card = try await server.start()
    let peer = RawPeer()
    try await peer.connect(card)
    let chunk = BlobChunk(digest: Digest.of([9]), total: 2, offset: 0, bytes: [1, 2])
    let answer = await peer.exchange([ClientMessage.putBlob(chunk).frame(correlation: 5)])
    guard case .refused(let refusal) = answer else {
      Issue.record("got \(String(describing: answer))")
      return
    }
    #expect(refusal.code == "wrong-digest")
    await server.shutdown()
  }

  @Test func rejectsDownloadOfOtherBytesAndOfTooMany() async throws {
    let broker = MemoryBroker()
    let digest = Digest.of([1, 2, 3])
    broker.state.withLock { $0.blobs[digest] = [4, 5, 6] }
    let server = server(broker)
    let client = client(try await server.start())
    let wrong = await #expect(throws: WireError.self) {
      try await client.download(digest, byteLimit: 10)
    }
    #expect(wrong?.code == "wrong-blob")
    let large = await #expect(throws: WireError.self) {
      try await client.download(digest, byteLimit: 2)
    }
    #expect(large == .blobTooLarge(total: 3, limit: 2))
    await server.shutdown()
  }

  @Test func uploadGoesOnWhereAnEarlierOneStopped() async throws {
    let broker = MemoryBroker()
    let bytes = [UInt8](repeating: 3, count: 2 * Frame.chunkLimit + 1)
    let digest = Digest.of(bytes)
    broker.state.withLock { $0.partial[digest] = Array(bytes.prefix(Frame.chunkLimit)) }
    let server = server(broker)
    let client = client(try await server.start())
    #expect(try await client.upload(bytes) == digest)
    #expect(broker.state.withLock { $0.chunkBytes } == Frame.chunkLimit + 1)
    await server.shutdown()
  }

  @Test func clientReconnectsAndFinishesItsRequestAfterARestart() async throws {
    let curve = CurveKeyPair.random()
    let holding = MemoryBroker(holdsQueries: true)
    var limits = WireLimits()
    limits.shutdownGrace = .zero
    let first = server(holding, curve: curve, limits: limits)
    let card = try await first.start()
    let client = client(card)
    async let answer = client.ask([1, 2])
    await eventually("the query arrives") { holding.state.withLock { !$0.queriesWaiting.isEmpty } }
    await first.shutdown()
    holding.releaseQueries()
    let second = server(MemoryBroker(), endpoint: card.endpoint, curve: curve)
    _ = try await second.start()
    #expect(try await answer.starts(with: [2, 1]))
    await second.shutdown()
  }

  @Test func endsARequestAtItsDeadlineAndAtCancellation() async throws {
    let holding = MemoryBroker(holdsQueries: true)
    let server = server(holding)
    let client = client(try await server.start())
    let late = await #expect(throws: WireError.self) {
      try await client.ask([1], deadline: .milliseconds(300))
    }
    #expect(late?.code == "deadline-exceeded")
    let task = Task { try await client.ask([2]) }
    await eventually("the query arrives") {
      // On a busy machine the first one's time may be over before it is sent.
      holding.state.withLock { $0.queriesWaiting.contains { $0.bytes == [2] } }
    }
    task.cancel()
    await #expect(throws: CancellationError.self) { try await task.value }
    let open = Task { try await client.ask([3]) }
    await eventually("the query arrives") {
      holding.state.withLock { $0.queriesWaiting.contains { $0.bytes == [3] } }
    }
    await client.close()
    await #expect(throws: WireError.closed) { try await open.value }
    holding.releaseQueries()
    await server.shutdown()
  }

  @Test func endsARequestAtItsDeadlineWhereNoBrokerListens() async throws {
    let server = server(MemoryBroker())
    let card = try await server.start()
    await server.shutdown()
    let error = await #expect(throws: WireError.self) {
      try await client(card).ask([1], deadline: .seconds(2))
    }
    #expect(error == .deadlineExceeded(lastTrouble: "the broker cannot be reached"))
  }

  @Test func refusesWhatIsAboveTheBoundAndServesItLater() async throws {
    let holding = MemoryBroker(holdsQueries: true)
    var limits = WireLimits()
    limits.requestsPerPeer = 3
    let server = server(holding, limits: limits)
    let card = try await server.start()
    let peer = RawPeer()
    try await peer.connect(card)
    for correlation in 1...3 as ClosedRange<UInt64> {
      #expect(await peer.send([ClientMessage.query([1]).frame(correlation: correlation)]))
    }
    await eventually("three are in flight") {
      holding.state.withLock { $0.queriesWaiting.count == 3 }
    }
    guard
      case .refused(let refusal) = await peer.exchange([
        ClientMessage.query([1]).frame(correlation: 4)
      ])
    else {
      Issue.record("the fourth was not refused")
      return
    }
    #expect(refusal.code == "overloaded")
    // A patient client of the same, crowded broker gets all its answers in the end.
    let client = client(card)
    let releasing = Task {
      while !Task.isCancelled {
        holding.releaseQueries()
        try? await Task.sleep(for: .milliseconds(2))
      }
    }
    let answered = try await withThrowingTaskGroup(of: [UInt8].self) { group in
      for index in 0..<10 as Range<UInt8> { group.addTask { try await client.ask([index]) } }
      return try await group.reduce(into: 0) { count, _ in count += 1 }
    }
    #expect(answered == 10)
    releasing.cancel()
    await releasing.value
    holding.releaseQueries()
    await server.shutdown()
  }

  @Test func noticeReachesEveryConnectionOfItsIdentityOnly() async throws {
    let server = server(MemoryBroker())
    let card = try await server.start()
    let key = SigningKey.random()
    let clients = [client(card, key), client(card, key), client(card)]
    let streams = clients.map { $0.notices() }
    for client in clients { try await client.connect() }
    let request = Digest.of([1])
    await server.notify(key.publicKey, .request(request))
    for stream in streams.prefix(2) {
      var notices = stream.makeAsyncIterator()
      #expect(await notices.next() == .work)
      #expect(await notices.next() == .request(request))
    }
    // What follows on the third's ordered connection shows that nothing came before it.
    _ = try await clients[2].ask([1])
    await clients[2].close()
    var seen: [Notice] = []
    for await notice in streams[2] { seen.append(notice) }
    #expect(seen == [.work])
    await server.shutdown()
  }

  @Test func everyReaderOfNoticesHasAllOfThemWhateverBecomesOfAnother() async throws {
    let server = server(MemoryBroker())
    let key = SigningKey.random()
    let client = client(try await server.start(), key)
    let (left, right) = (client.notices(), client.notices())
    try await client.connect()
    let reading = Task {
      var count = 0
      for await _ in left { count += 1 }
      return count
    }
    var notices = right.makeAsyncIterator()
    #expect(await notices.next() == .work)
    reading.cancel()
    _ = await reading.value
    let request = Digest.of([1])
    await server.notify(key.publicKey, .request(request))
    #expect(await notices.next() == .request(request))
    await client.close()
    #expect(await notices.next() == nil)
    var late = client.notices().makeAsyncIterator()
    #expect(await late.next() == nil)
    await server.shutdown()
  }

  @Test func forgetsPeersThatAreSilent() async throws {
    var limits = WireLimits()
    limits.idleLimit = .milliseconds(100)
    let server = server(MemoryBroker(), limits: limits)
    let client = client(try await server.start())
    try await client.connect()
    await eventually("the peer is forgotten") { await server.peerCount == 0 }
    #expect(try await client.ask([5]).first == 5)
    await server.shutdown()
  }

  @Test func strangersMakeWayForWhomeverComesAndNeverTakeThePlaceOfAnAccount() async throws {
    let key = SigningKey.random()
    var limits = WireLimits()
    limits.peers = 3
    let server = server(MemoryBroker(accounts: [key.publicKey]), limits: limits)
    let card = try await server.start()
    var strangers = (0..<3).map { _ in client(card) }
    for stranger in strangers { try await stranger.connect() }
    let known = client(card, key)
    try await known.connect()
    var notices = known.notices().makeAsyncIterator()
    #expect(await server.peerCount == 3)
    for _ in 0..<4 {
      let stranger = client(card)
      try await stranger.connect()
      strangers.append(stranger)
      #expect(await server.peerCount == 3)
    }
    await server.notify(key.publicKey, .work)
    #expect(await notices.next() == .work)
    // Whoever had to make way is served all the same, in the place of another.
    for stranger in strangers { #expect(try await stranger.ask([5]).first == 5) }
    await server.notify(key.publicKey, .work)
    #expect(await notices.next() == .work)
    await server.shutdown()
  }

  @Test func refusesAStrangerWhereEveryPlaceIsThatOfAnAccount() async throws {
    let key = SigningKey.random()
    var limits = WireLimits()
    limits.peers = 1
    let server = server(MemoryBroker(accounts: [key.publicKey]), limits: limits)
    let card = try await server.start()
    let known = client(card, key)
    try await known.connect()
    let peer = RawPeer()
    try await peer.connect(card)
    let answer = await peer.exchange([ClientMessage.query([1]).frame(correlation: 1)])
    guard case .refused(let refusal) = answer else {
      Issue.record("the stranger was not refused")
      return
    }
    #expect(refusal.code == "overloaded")
    #expect(try await known.ask([5]).first == 5)
    await server.shutdown()
  }

  @Test func writesAndReadsItsCardAndRefusesOthers() throws {
    let card = BrokerCard(
      network: network, endpoint: "tcp://127.0.0.1:7400", curveKey: CurveKeyPair.random().publicKey,
      brokerKey: brokerKey.publicKey, operatorKey: operatorKey.publicKey)
    let path = FileManager.default.temporaryDirectory.appending(
      path: "card-\(Hexadecimal.text(Sodium.randomBytes(8))).json"
    ).path
    try card.write(to: path)
    #expect(try BrokerCard(contentsOf: path) == card)
    unlink(path)
    #expect(throws: BrokerCardError.unreadable(path)) { try BrokerCard(contentsOf: path) }
    for text in ["", "{}", "[", String(repeating: "[", count: 4000), "null"] {
      #expect(throws: BrokerCardError.self) { try BrokerCard(json: Data(text.utf8)) }
    }
    #expect(throws: BrokerCardError.self) {
      try BrokerCard(json: Data(repeating: 32, count: BrokerCard.byteLimit + 1))
    }
  }
}
