import CZeroMQ
import DequeModule
import Glibc
package import Logging
package import Primitives
import Synchronization

/// The broker's end of the wire: one ROUTER under CURVE on one thread. It frames, bounds and
/// routes; what messages mean is the handler's affair.
package actor WireServer {
  private let executor = PollExecutor()
  private let endpoint: String
  private let curve: CurveKeyPair
  private let network: NetworkID
  private let brokerKey: PublicKey
  private let operatorKey: PublicKey
  private let limits: WireLimits
  private let zap: ZapHandler
  private let clock: @Sendable () -> Tick
  private let logger: Logger
  private let handler: any WireHandler

  private var router: PollSource?
  private var zapSource: PollSource?
  private var isDraining = false
  private var connections: [[UInt8]: Connection] = [:]
  private var connectionCount: UInt64 = 0
  private var routesOfIdentity: [PublicKey: Set<[UInt8]>] = [:]
  private var backlogged: Set<[UInt8]> = []
  private var requestsInFlight = 0
  private var bytesInFlight = 0
  /// Commands that came since the handler was last given some.
  private var arrived: [CommandDelivery] = []
  private nonisolated let finished = Mutex<[Finished]>([])
  private var nextSweep = ContinuousClock.now

  /// - Parameters:
  ///   - endpoint: `tcp://127.0.0.1:0` takes any free port.
  ///   - clock: what a hello's expiry is compared with.
  package init(
    endpoint: String = "tcp://127.0.0.1:0", curve: CurveKeyPair, network: NetworkID,
    brokerKey: PublicKey, operatorKey: PublicKey, limits: WireLimits = WireLimits(),
    admission: Admission = .anyone, clock: @escaping @Sendable () -> Tick = { .now },
    logger: Logger, handler: any WireHandler
  ) {
    self.endpoint = endpoint
    self.curve = curve
    self.network = network
    self.brokerKey = brokerKey
    self.operatorKey = operatorKey
    self.limits = limits
    zap = ZapHandler(admission: admission)
    self.clock = clock
    self.logger = logger
    self.handler = handler
  }

  package nonisolated var unownedExecutor: UnownedSerialExecutor {
    executor.asUnownedSerialExecutor()
  }

  /// Connections that have spoken and are not yet forgotten.
  package var peerCount: Int { connections.count }

  /// Binds, and tells clients' way here, with the real port.
  ///
  /// - Parameter feed: Where a `FeedServer` with the same CURVE key publishes.
  package func start(feed: String? = nil) throws(SocketError) -> BrokerCard {
    let context = ZeroMQContext()
    let zapSocket = try zap.bind(in: context)
    let routerSocket = try ZeroMQSocket(ZMQ_ROUTER, in: context)
    try routerSocket.setCommonOptions(frameByteLimit: Frame.byteLimit, messageLimit: 32)
    try routerSocket.set(ZMQ_ROUTER_MANDATORY, 1)
    try routerSocket.serveCurve(curve)
    try routerSocket.bind(endpoint)
    let bound = try routerSocket.lastEndpoint()
    let zapSource = PollSource(socket: zapSocket) { [weak self] in
      self?.assumeIsolated { $0.zapSource?.socket.map($0.zap.answerRequests) }
    }
    let router = PollSource(socket: routerSocket) { [weak self] in
      self?.assumeIsolated { $0.wake() }
    }
    executor.add(zapSource)
    executor.add(router)
    (self.zapSource, self.router) = (zapSource, router)
    logger.info("listening", metadata: ["endpoint": "\(bound)"])
    return BrokerCard(
      network: network, endpoint: bound, feed: feed, curveKey: curve.publicKey,
      brokerKey: brokerKey, operatorKey: operatorKey)
  }

  /// Takes no more requests, lets those in flight finish within the grace, and frees the endpoint.
  package func shutdown() async {
    isDraining = true
    let deadline = ContinuousClock.now + limits.shutdownGrace
    while requestsInFlight > 0 || !backlogged.isEmpty, ContinuousClock.now < deadline {
      try? await Task.sleep(for: .milliseconds(5))
    }
    for source in [router, zapSource].compactMap({ $0 }) {
      executor.remove(source)
      source.socket?.close()
    }
    connections = [:]
    routesOfIdentity = [:]
    backlogged = []
    // The last references: the context ends here, so that the endpoint is free on return.
    (router, zapSource) = (nil, nil)
  }

  /// Sends a hint to every connection of the identity; a connection that is behind goes without.
  package func notify(_ identity: PublicKey, _ notice: Notice) {
    let frame = BrokerMessage.notice(notice).frame(correlation: 0)
    for route in routesOfIdentity[identity] ?? [] {
      guard let connection = connections[route], connection.backlog.isEmpty else { continue }
      if router?.socket?.send([route, frame]) == .unreachable { forget(route) }
    }
  }

  private func wake() {
    flushBacklogs()
    // Bounded, so that jobs and admissions get their turn under a flood.
    for _ in 0..<256 {
      guard let message = router?.socket?.receive(frameLimit: 3) else { break }
      take(message)
    }
    handOver()
    let now = ContinuousClock.now
    if now >= nextSweep {
      let dead = connections.filter { now - $0.value.lastHeard > limits.idleLimit }
      for route in dead.keys { forget(route) }
      nextSweep = now + min(limits.idleLimit / 2, .seconds(5))
    }
    scheduleWake()
  }

  private func scheduleWake() {
    router?.wakeAt =
      backlogged.isEmpty ? nextSweep : min(nextSweep, ContinuousClock.now + .milliseconds(2))
  }
}

// MARK: Requests

extension WireServer {
  /// Given to the handler at once.
  private static let commandsTogether = 16

  /// What is being worked on, and where its answer goes.
  private struct Request: Sendable {
    let correlation: UInt64
    let charge: Int
    let route: [UInt8]
    let connection: UInt64
  }

  private struct Finished: Sendable {
    let request: Request
    let frame: [UInt8]
  }

  private func take(_ message: ReceivedMessage) {
    guard let route = message.frames.first, let userID = message.userID else { return }
    guard let connection = connection(route, userID: userID) else {
      refuse(route, 0, code: WireRefusal.overloadedCode, "The broker has all the peers it takes.")
      return
    }
    guard message.frames.count == 2, !message.hasExcessFrames else {
      refuse(route, 0, code: "malformed-frame", "A message is one frame; send exactly one.")
      return
    }
    do {
      let frame = message.frames[1]
      let (correlation, request) = try ClientMessage.read(frame)
      admit(request, correlation, byteCount: frame.count, on: route, connection)
    } catch {
      refuse(
        route, ClientMessage.correlation(ofMalformed: message.frames[1]), code: "malformed-frame",
        error.sentence)
    }
  }

  private func admit(
    _ message: ClientMessage, _ correlation: UInt64, byteCount: Int, on route: [UInt8],
    _ connection: Connection
  ) {
    // A repetition of what is being worked on gets its answer when that is done.
    if connection.inFlight[correlation] != nil { return }
    let charge = byteCount + message.answerByteLimit
    guard !isDraining, connection.inFlight.count < limits.requestsPerPeer,
      connection.bytesInFlight + charge <= limits.bytesPerPeer,
      requestsInFlight < limits.requests, bytesInFlight + charge <= limits.bytes
    else {
      refuse(
        route, correlation, code: WireRefusal.overloadedCode,
        isDraining
          ? "The broker is shutting down; send the same message again later."
          : "Too many requests are in flight; send the same message again later.")
      return
    }
    connection.inFlight[correlation] = charge
    connection.bytesInFlight += charge
    requestsInFlight += 1
    bytesInFlight += charge
    let peer = connection.peer
    let request = Request(
      correlation: correlation, charge: charge, route: route, connection: peer.connection)
    if case .command(let envelope) = message {
      arrived.append(
        CommandDelivery(envelope: envelope) { [self] result in
          finish(
            request,
            .init(
              result, byteLimit: Frame.acknowledgementLimit, BrokerMessage.acknowledgement))
        })
      return
    }
    Task.detached { [self, handler] in
      let answer: BrokerMessage
      switch message {
      case .command: return
      case .hello(let hello):
        answer = await welcome(hello, route, peer)
      case .putBlob(let chunk):
        switch await handler.putBlob(chunk, from: peer) {
        case .success(let offset): answer = .blobProgress(offset)
        case .failure(let refusal): answer = .refused(refusal)
        }
      case .getBlob(let digest, let offset, let limit):
        switch await handler.getBlob(digest, offset: offset, limit: Int(limit), from: peer) {
        case .success(let chunk): answer = .blobChunk(chunk)
        case .failure(let refusal): answer = .refused(refusal)
        }
      case .query(let bytes):
        answer = .init(
          await handler.query(bytes, from: peer), byteLimit: Frame.answerLimit,
          BrokerMessage.answer)
      }
      finish(request, answer)
    }
  }

  /// Commands are given to the handler several at a time, because a thread that is woken for each
  /// costs more than most of what it does for one; but not all at once, because there is more than
  /// one core.
  private func handOver() {
    var rest = arrived[...]
    while !rest.isEmpty {
      let commands = Array(rest.prefix(Self.commandsTogether))
      rest = rest.dropFirst(commands.count)
      Task.detached { [handler] in handler.take(commands) }
    }
    arrived.removeAll(keepingCapacity: true)
  }

  /// Checks the signature off the poll thread; only its result goes back there.
  private nonisolated func welcome(
    _ hello: Hello?, _ route: [UInt8], _ peer: Peer
  ) async -> BrokerMessage {
    let now = clock()
    let refusal = hello?.refusal(
      network: network, brokerCurveKey: curve.publicKey, clientCurveKey: peer.curveKey, now: now)
    if let refusal { return .refused(refusal) }
    if let known = await identify(route, peer, as: hello?.identity) {
      await handler.helloAccepted(known)
    }
    // At every hello: an account may have been opened since the last.
    if let identity = hello?.identity {
      await tell(route, peer, isStranger: !(await handler.knows(identity)))
    }
    return .welcome(
      BrokerInformation(
        network: network, brokerKey: brokerKey, operatorKey: operatorKey, tick: now))
  }

  /// The peer under its identity, or nil where the connection stays what it was.
  private func identify(_ route: [UInt8], _ peer: Peer, as identity: PublicKey?) -> Peer? {
    guard let identity, let connection = connections[route],
      connection.peer.connection == peer.connection, connection.peer.identity != identity
    else { return nil }
    unlist(route, connection.peer.identity)
    connection.peer = Peer(
      connection: peer.connection, curveKey: peer.curveKey, identity: identity)
    routesOfIdentity[identity, default: []].insert(route)
    return connection.peer
  }

  private func tell(_ route: [UInt8], _ peer: Peer, isStranger: Bool) {
    guard let connection = connections[route], connection.peer.connection == peer.connection
    else { return }
    connection.isStranger = isStranger
  }

  /// Answers that come together are sent together: the first brings the poll thread, which sends
  /// whatever has come by then.
  private nonisolated func finish(_ request: Request, _ answer: BrokerMessage) {
    let frame = answer.frame(correlation: request.correlation)
    let isFirst = finished.withLock { finished in
      finished.append(Finished(request: request, frame: frame))
      return finished.count == 1
    }
    if isFirst { executor.run { self.assumeIsolated { $0.sendFinished() } } }
  }

  private func sendFinished() {
    let answers = finished.withLock { finished in
      defer { finished = [] }
      return finished
    }
    for answer in answers {
      let request = answer.request
      requestsInFlight -= 1
      bytesInFlight -= request.charge
      guard let connection = connections[request.route],
        connection.peer.connection == request.connection
      else { continue }
      connection.inFlight[request.correlation] = nil
      connection.bytesInFlight -= request.charge
      send(answer.frame, to: request.route, connection)
    }
  }
}

// MARK: Connections and their queues

extension WireServer {
  private final class Connection {
    var peer: Peer
    let userID: String
    var lastHeard = ContinuousClock.now
    /// Until it has said hello as somebody whom the handler knows.
    var isStranger = true
    /// Correlation id to charged bytes.
    var inFlight: [UInt64: Int] = [:]
    var bytesInFlight = 0
    var backlog = Deque<[UInt8]>()
    var backlogBytes = 0

    init(peer: Peer, userID: String) { (self.peer, self.userID) = (peer, userID) }
  }

  /// Nil where there are as many as allowed, and none is a stranger. A routing id that comes back
  /// under another CURVE key is another connection: it inherits nothing.
  private func connection(_ route: [UInt8], userID: String) -> Connection? {
    if let known = connections[route] {
      if known.userID == userID {
        known.lastHeard = .now
        return known
      }
      forget(route)
    }
    guard let curveKey = Hexadecimal.bytes(userID).flatMap({ Bytes32($0) }) else { return nil }
    if connections.count >= limits.peers {
      let strangers = connections.filter { $0.value.isStranger }
      guard let longest = strangers.min(by: { $0.value.lastHeard < $1.value.lastHeard })
      else { return nil }
      forget(longest.key)
    }
    connectionCount += 1
    let peer = Peer(connection: connectionCount, curveKey: curveKey, identity: nil)
    let connection = Connection(peer: peer, userID: userID)
    connections[route] = connection
    return connection
  }

  private func forget(_ route: [UInt8]) {
    guard let connection = connections.removeValue(forKey: route) else { return }
    unlist(route, connection.peer.identity)
    backlogged.remove(route)
  }

  private func unlist(_ route: [UInt8], _ identity: PublicKey?) {
    guard let identity else { return }
    routesOfIdentity[identity]?.remove(route)
    if routesOfIdentity[identity]?.isEmpty == true { routesOfIdentity[identity] = nil }
  }

  /// Refusals are not queued: a peer that floods and does not read goes without.
  private func refuse(_ route: [UInt8], _ correlation: UInt64, code: String, _ sentence: String) {
    let refusal = WireRefusal(code: code, sentence: sentence)
    let frame = BrokerMessage.refused(refusal).frame(correlation: correlation)
    if router?.socket?.send([route, frame]) == .unreachable { forget(route) }
  }

  private func send(_ frame: [UInt8], to route: [UInt8], _ connection: Connection) {
    if connection.backlog.isEmpty {
      switch router?.socket?.send([route, frame]) {
      case .sent: return
      case .full: break
      case .unreachable, nil:
        forget(route)
        return
      }
    }
    guard connection.backlogBytes + frame.count <= limits.backlogBytesPerPeer else {
      forget(route)
      return
    }
    connection.backlog.append(frame)
    connection.backlogBytes += frame.count
    backlogged.insert(route)
    scheduleWake()
  }

  private func flushBacklogs() {
    for route in backlogged {
      guard let connection = connections[route] else { continue }
      while let frame = connection.backlog.first {
        let outcome = router?.socket?.send([route, frame])
        if outcome == .unreachable { forget(route) }
        guard outcome == .sent else { break }
        connection.backlog.removeFirst()
        connection.backlogBytes -= frame.count
      }
      if connection.backlog.isEmpty { backlogged.remove(route) }
    }
  }
}

extension BrokerMessage {
  /// An answer above what a frame may carry is the handler's fault and must not reach the peer.
  fileprivate init(
    _ result: Result<[UInt8], WireRefusal>, byteLimit: Int,
    _ message: ([UInt8]) -> BrokerMessage
  ) {
    switch result {
    case .failure(let refusal): self = .refused(refusal)
    case .success(let bytes) where bytes.count <= byteLimit: self = message(bytes)
    case .success(let bytes):
      self = .refused(
        WireRefusal(
          code: "answer-too-large",
          sentence: "The answer has \(bytes.count) bytes, more than \(byteLimit); ask for less."))
    }
  }
}
