import Primitives
import Synchronization
import Testing

@testable import Wire

@Suite(.timeLimit(.minutes(2))) struct HostilePeerTests {
  @Test func garbageOfManyKindsLeavesTheServerServing() async throws {
    let server = server(MemoryBroker())
    let card = try await server.start()
    let peer = RawPeer()
    try await peer.connect(card)
    var random = Seeded(state: 1)
    func noise(_ count: Int) -> [UInt8] {
      (0..<count).map { _ in UInt8(truncatingIfNeeded: random.next()) }
    }
    for round in 0..<400 {
      var frame = noise([0, 1, 9, 10, 11, 64, 500, 70_000][round % 8])
      // Half of them get past the version and the tag, so that every reader is tried.
      if round % 2 == 1, frame.count > 1 { (frame[0], frame[1]) = (1, UInt8(round / 2 % 7)) }
      let frames = round % 10 == 0 ? [frame, noise(3), noise(4), noise(5)] : [frame]
      guard case .refused(let refusal) = await peer.exchange(frames) else {
        Issue.record("round \(round) was not refused")
        return
      }
      #expect(["malformed-frame", "unknown-blob"].contains(refusal.code), "round \(round)")
    }
    #expect(try await client(card).ask([1]).first == 1)
    await server.shutdown()
  }

  @Test func truncationsOfValidMessagesAreRefused() async throws {
    let server = server(MemoryBroker())
    let card = try await server.start()
    let peer = RawPeer()
    try await peer.connect(card)
    let chunk = BlobChunk(digest: Digest.of([1]), total: 8, offset: 0, bytes: [1, 2, 3])
    for whole in [
      ClientMessage.putBlob(chunk).frame(correlation: 1),
      ClientMessage.query([1]).frame(correlation: 1),
      ClientMessage.hello(hello(peer.curve, card)).frame(correlation: 1),
    ] {
      for count in 0..<whole.count {
        #expect(code(await peer.exchange([Array(whole.prefix(count))])) == "malformed-frame")
      }
      #expect(code(await peer.exchange([whole + [0]])) == "malformed-frame")
    }
    await server.shutdown()
  }

  @Test func refusesOversizeAndServesOthers() async throws {
    let server = server(MemoryBroker())
    let card = try await server.start()
    let peer = RawPeer()
    try await peer.connect(card)
    #expect(await peer.exchange([[UInt8](repeating: 1, count: 3 << 20)], seconds: 1) == nil)
    #expect(try await client(card).ask([1]).first == 1)
    let tooLarge = await #expect(throws: WireError.self) {
      try await client(card).ask([UInt8](repeating: 0, count: Frame.queryLimit + 1))
    }
    #expect(tooLarge?.code == "request-too-large")
    await server.shutdown()
  }

  @Test func peerWithoutCurveNeverGetsThrough() async throws {
    let server = server(MemoryBroker())
    let card = try await server.start()
    let peer = RawPeer()
    try await peer.connect(card, encrypted: false)
    #expect(
      await peer.exchange([ClientMessage.query([1]).frame(correlation: 1)], seconds: 1) == nil)
    #expect(await server.peerCount == 0)
    await server.shutdown()
  }

  @Test func zapRefusesEveryMechanismWithoutAKey() {
    let head = ["1.0", "1", "bourse", "127.0.0.1", ""].map { Array($0.utf8) }
    let zap = ZapHandler(admission: .anyone)
    let key = [UInt8](repeating: 7, count: 32)
    for tail in [
      [Array("NULL".utf8)], [Array("PLAIN".utf8), [1], [2]], [Array("CURVE".utf8), [1]], [],
    ] as [[[UInt8]]] {
      #expect(zap.reply(to: head + tail)[2] == Array("400".utf8))
    }
    #expect(zap.reply(to: [])[2] == Array("400".utf8))
    let admitted = zap.reply(to: head + [Array("CURVE".utf8), key])
    #expect(admitted[2] == Array("200".utf8))
    #expect(admitted[4] == Array(Hexadecimal.text(key).utf8))
  }

  @Test func admitsOnlyTheKeysOfItsList() async throws {
    let listed = CurveKeyPair.random()
    let server = server(MemoryBroker(), admission: .keys([listed.publicKey]))
    let card = try await server.start()
    #expect(try await client(card, curve: listed).ask([1]).first == 1)
    await #expect(throws: WireError.self) {
      try await client(card).connect(deadline: .milliseconds(500))
    }
    await server.shutdown()
  }

  @Test func refusesHelloThatDoesNotFitItsConnection() async throws {
    let broker = MemoryBroker()
    let server = server(broker)
    let card = try await server.start()
    let peer = RawPeer()
    try await peer.connect(card)
    let now = Tick.now
    let refused: [(Hello, String)] = [
      (hello(.random(), card), "hello-of-another-connection"),
      (hello(peer.curve, card, brokerKey: .zero), "hello-of-another-connection"),
      (hello(peer.curve, card, network: NetworkID("other")!), "wrong-network"),
      (hello(peer.curve, card, expiry: now), "hello-expired"),
      (hello(peer.curve, card, expiry: .never), "hello-expired"),
    ]
    for (hello, expected) in refused {
      let answer = await peer.exchange([ClientMessage.hello(hello).frame(correlation: 1)])
      #expect(code(answer) == expected)
    }
    var forged = ClientMessage.hello(hello(peer.curve, card)).frame(correlation: 1)
    forged[forged.count - 40] ^= 1
    #expect(code(await peer.exchange([forged])) == "hello-forged")
    #expect(broker.state.withLock { $0.greeted.isEmpty })
    let answer = await peer.exchange([
      ClientMessage.hello(hello(peer.curve, card)).frame(correlation: 1)
    ])
    guard case .welcome = answer else {
      Issue.record("the honest hello got \(String(describing: answer))")
      return
    }
    #expect(broker.state.withLock { $0.greeted.map(\.curveKey) } == [peer.curve.publicKey])
    await server.shutdown()
  }

  private func hello(
    _ curve: CurveKeyPair, _ card: BrokerCard, brokerKey: Bytes32? = nil,
    network helloNetwork: NetworkID = network,
    expiry: Tick = Tick.now.advanced(by: 60_000)
  ) -> Hello {
    Hello(
      network: helloNetwork, brokerCurveKey: brokerKey ?? card.curveKey,
      clientCurveKey: curve.publicKey, expiry: expiry, signedBy: .random())
  }

  private func code(_ message: BrokerMessage?) -> String? {
    if case .refused(let refusal) = message { refusal.code } else { nil }
  }
}
