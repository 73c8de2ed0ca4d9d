import CZeroMQ
import DequeModule
package import Logging
package import Primitives
import Synchronization

/// A party's end of the wire: one DEALER under CURVE. It reconnects by itself with a fresh socket,
/// says hello first, and sends what is unanswered again, byte for byte, until its deadline.
package actor WireClient {
  package static let defaultDeadline = Duration.seconds(30)

  private nonisolated let noticeBoard = NoticeBoard()
  private nonisolated let executor: PollExecutor
  package nonisolated let card: BrokerCard
  private let identity: SigningKey?
  private let fixedCurve: CurveKeyPair?
  private let logger: Logger

  private enum State {
    case idle
    case waitingToConnect(until: ContinuousClock.Instant)
    case greeting(since: ContinuousClock.Instant)
    case connected(nextHello: ContinuousClock.Instant)
    case closed
  }

  private var state = State.idle
  private var failedAttempts = 0
  private var lastTrouble = "no connection was tried yet"
  private var curve = CurveKeyPair.random()
  private var dealer: PollSource?
  private var monitor: PollSource?
  private var timer: PollSource?
  private var nextCorrelation: UInt64 = 1
  private var helloCorrelation: UInt64 = 0
  private var pending: [UInt64: Pending] = [:]
  private var pendingBytes = 0
  private var unsent = Deque<UInt64>()
  private var chargeInFlight = 0
  private var countInFlight = 0
  private var greetings: [UInt64: CheckedContinuation<BrokerInformation, any Error>] = [:]
  private var greetingDeadlines: [UInt64: ContinuousClock.Instant] = [:]
  private var information: BrokerInformation?

  /// - Parameters:
  ///   - identity: nil to be served as nobody.
  ///   - curve: where the broker admits listed keys only; else every connection draws its own.
  ///   - executor: shared where one process holds many clients.
  package init(
    card: BrokerCard, identity: SigningKey?, curve: CurveKeyPair? = nil,
    executor: PollExecutor = PollExecutor(), logger: Logger
  ) {
    self.card = card
    self.identity = identity
    fixedCurve = curve
    self.executor = executor
    self.logger = logger
  }

  deinit { noticeBoard.close() }

  /// The broker's hints from now on; a `.work` after each connection stands for whatever was
  /// missed. Every caller has a stream of its own, whose oldest hints are dropped where they are
  /// not read.
  package nonisolated func notices() -> AsyncStream<Notice> { noticeBoard.subscribe() }

  /// Wakes whoever waits for a change: at every hint, and after each `interval`, since hints may be
  /// lost. Wakes that are not waited for count as one.
  package nonisolated func wakes(every interval: Duration) -> AsyncStream<Void> {
    let (wakes, wake) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
    let notices = notices()
    let listener = Task { for await _ in notices { wake.yield() } }
    let timer = Task {
      while !Task.isCancelled {
        wake.yield()
        try? await Task.sleep(for: interval)
      }
    }
    wake.onTermination = { _ in
      listener.cancel()
      timer.cancel()
    }
    return wakes
  }

  package nonisolated var unownedExecutor: UnownedSerialExecutor {
    executor.asUnownedSerialExecutor()
  }

  /// Starts connecting, and returns at the first welcome. After a thrown deadline it goes on
  /// trying.
  @discardableResult
  package func connect(deadline: Duration = defaultDeadline) async throws -> BrokerInformation {
    begin()
    let end = ContinuousClock.now + deadline
    let id = nextCorrelation
    nextCorrelation += 1
    return try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        if case .closed = state {
          continuation.resume(throwing: WireError.closed)
          return
        }
        // Asked here, and not before what may let a welcome come between.
        if let information {
          continuation.resume(returning: information)
          return
        }
        greetings[id] = continuation
        greetingDeadlines[id] = end
        updateWake()
      }
    } onCancel: {
      Task { await self.abandonGreeting(id, CancellationError()) }
    }
  }

  /// Ends every request with `connection-closed`. Needed where the executor is shared; a client
  /// with an executor of its own also ends when its last reference goes.
  package func close() {
    if case .closed = state { return }
    state = .closed
    disconnect()
    if let timer { executor.remove(timer) }
    timer = nil
    for id in Array(pending.keys) { settle(id, .failure(WireError.closed)) }
    for id in Array(greetings.keys) { abandonGreeting(id, WireError.closed) }
    noticeBoard.close()
  }

  /// Sends one message, again if need be, and gives the answer to it.
  func request(
    _ message: ClientMessage, deadline: ContinuousClock.Instant
  ) async throws -> BrokerMessage {
    begin()
    let id = nextCorrelation
    nextCorrelation += 1
    let frame = message.frame(correlation: id)
    let charge = frame.count + message.answerByteLimit
    guard frame.count <= Frame.byteLimit else {
      throw WireError.requestTooLarge(bytes: frame.count, limit: Frame.byteLimit)
    }
    guard pendingBytes + charge <= Pending.byteLimit else {
      throw WireError.tooMuchPending(bytes: pendingBytes + charge, limit: Pending.byteLimit)
    }
    return try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        if case .closed = state {
          continuation.resume(throwing: WireError.closed)
          return
        }
        pending[id] = Pending(
          frame: frame, charge: charge, deadline: deadline, continuation: continuation)
        pendingBytes += charge
        unsent.append(id)
        pump()
        updateWake()
      }
    } onCancel: {
      Task { await self.settle(id, .failure(CancellationError())) }
    }
  }
}

// MARK: Requests in flight

extension WireClient {
  private struct Pending {
    /// All that may wait at once, answers included.
    static let byteLimit = 64 << 20
    /// What is in flight stays below a server's bounds per peer, so that only a busy broker
    /// refuses.
    static let chargeInFlightLimit = 16 << 20
    static let countInFlightLimit = 32
    static let resendInterval = Duration.seconds(5)

    let frame: [UInt8]
    let charge: Int
    let deadline: ContinuousClock.Instant
    let continuation: CheckedContinuation<BrokerMessage, any Error>
    /// Nil until sent on this connection.
    var resendAt: ContinuousClock.Instant?
  }

  private func settle(_ id: UInt64, _ result: Result<BrokerMessage, any Error>) {
    guard let request = pending.removeValue(forKey: id) else { return }
    pendingBytes -= request.charge
    if request.resendAt != nil { land(request) } else { unsent.removeAll { $0 == id } }
    request.continuation.resume(with: result)
    pump()
  }

  private func land(_ request: Pending) {
    chargeInFlight -= request.charge
    countInFlight -= 1
  }

  private func pump() {
    guard case .connected = state, let socket = dealer?.socket else { return }
    while let id = unsent.first {
      guard let request = pending[id] else {
        unsent.removeFirst()
        continue
      }
      guard countInFlight < Pending.countInFlightLimit,
        countInFlight == 0 || chargeInFlight + request.charge <= Pending.chargeInFlightLimit,
        socket.send([request.frame]) == .sent
      else { return }
      unsent.removeFirst()
      pending[id]?.resendAt = .now + Pending.resendInterval
      chargeInFlight += request.charge
      countInFlight += 1
    }
  }

  /// Deadlines and repetitions.
  private func tendRequests(_ now: ContinuousClock.Instant) {
    let expired = pending.filter { $0.value.deadline <= now }.keys
    for id in expired {
      settle(id, .failure(WireError.deadlineExceeded(lastTrouble: lastTrouble)))
    }
    for (id, end) in greetingDeadlines where end <= now {
      abandonGreeting(id, WireError.deadlineExceeded(lastTrouble: lastTrouble))
    }
    guard case .connected = state, let socket = dealer?.socket else { return }
    for (id, request) in pending {
      guard let resendAt = request.resendAt, resendAt <= now else { continue }
      if socket.send([request.frame]) == .sent {
        pending[id]?.resendAt = now + Pending.resendInterval
      }
    }
  }

  private func abandonGreeting(_ id: UInt64, _ error: any Error) {
    greetingDeadlines[id] = nil
    greetings.removeValue(forKey: id)?.resume(throwing: error)
  }
}

// MARK: The connection's life

extension WireClient {
  private static let eventsOfEnding =
    ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_CLOSED | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH
  private static let greetingLimit = Duration.seconds(10)
  private static let helloInterval = Duration.seconds(20)
  private static let monitorCount = Atomic<UInt64>(0)

  private func begin() {
    guard case .idle = state else { return }
    let timer = PollSource(socket: nil) { [weak self] in self?.assumeIsolated { $0.tend() } }
    executor.add(timer)
    self.timer = timer
    open()
  }

  /// One socket per attempt: a socket that libzmq reconnected by itself would send what it had
  /// queued before the hello.
  private func open() {
    do {
      curve = fixedCurve ?? .random()
      let socket = try ZeroMQSocket(ZMQ_DEALER, in: executor.context)
      try socket.setCommonOptions(frameByteLimit: Frame.byteLimit, messageLimit: 64)
      try socket.set(ZMQ_RECONNECT_IVL, -1)
      try socket.useCurve(curve, server: card.curveKey)
      let number = Self.monitorCount.add(1, ordering: .relaxed).newValue
      let monitorEndpoint = "inproc://wire-monitor-\(number)"
      try socket.monitor(monitorEndpoint, events: Self.eventsOfEnding)
      let monitorSocket = try ZeroMQSocket(ZMQ_PAIR, in: executor.context)
      try monitorSocket.connect(monitorEndpoint)
      try socket.connect(card.endpoint)
      let dealer = PollSource(socket: socket) { [weak self] in
        self?.assumeIsolated { $0.receive() }
      }
      let monitor = PollSource(socket: monitorSocket) { [weak self] in
        self?.assumeIsolated { $0.readMonitor() }
      }
      executor.add(dealer)
      executor.add(monitor)
      (self.dealer, self.monitor) = (dealer, monitor)
      state = .greeting(since: .now)
      sendHello()
      updateWake()
    } catch {
      lose("\(error)")
    }
  }

  private func sendHello() {
    helloCorrelation = nextCorrelation
    nextCorrelation += 1
    let hello = identity.map { identity in
      Hello(
        network: card.network, brokerCurveKey: card.curveKey, clientCurveKey: curve.publicKey,
        expiry: Tick.now.advanced(by: Hello.lifetimeLimit / 2), signedBy: identity)
    }
    _ = dealer?.socket?.send([ClientMessage.hello(hello).frame(correlation: helloCorrelation)])
  }

  private func disconnect() {
    for source in [dealer, monitor].compactMap({ $0 }) { executor.remove(source) }
    if let socket = dealer?.socket {
      try? socket.monitor(nil, events: 0)
      socket.close()
    }
    monitor?.socket?.close()
    (dealer, monitor) = (nil, nil)
    information = nil
    for (id, request) in pending.sorted(by: { $0.key > $1.key }) where request.resendAt != nil {
      land(request)
      pending[id]?.resendAt = nil
      unsent.prepend(id)
    }
  }

  /// Backs off from 50 ms, doubling to 2 s, with a jitter that keeps clients apart.
  private func lose(_ trouble: String) {
    if case .closed = state { return }
    lastTrouble = trouble
    logger.debug("connection lost", metadata: ["trouble": "\(trouble)"])
    disconnect()
    let ceiling = min(2000, 50 << min(failedAttempts, 6))
    failedAttempts += 1
    state = .waitingToConnect(
      until: .now + .milliseconds(Int.random(in: ceiling / 2...ceiling)))
    updateWake()
  }

  private func tend() {
    let now = ContinuousClock.now
    tendRequests(now)
    switch state {
    case .waitingToConnect(let until) where until <= now: open()
    case .greeting(let since) where now - since > Self.greetingLimit:
      lose("the broker sent no welcome")
    case .connected(let nextHello) where nextHello <= now:
      // Keeps the server from forgetting a silent client, and finds a server that forgot it.
      state = .connected(nextHello: now + Self.helloInterval)
      sendHello()
    default: break
    }
    pump()
    updateWake()
  }

  private func updateWake() {
    let now = ContinuousClock.now
    var next: ContinuousClock.Instant?
    func note(_ time: ContinuousClock.Instant) { next = min(next ?? time, time) }
    for request in pending.values {
      note(min(request.deadline, request.resendAt ?? request.deadline))
    }
    for deadline in greetingDeadlines.values { note(deadline) }
    // What cannot be sent yet is tried again soon.
    if !unsent.isEmpty { note(now + .milliseconds(10)) }
    switch state {
    case .idle, .closed: break
    case .waitingToConnect(let until): note(until)
    case .greeting: note(now + .milliseconds(100))
    case .connected(let nextHello): note(nextHello)
    }
    timer?.wakeAt = next
  }

  private func readMonitor() {
    while let message = monitor?.socket?.receive(frameLimit: 2) {
      guard let head = message.frames.first, head.count >= 2 else { continue }
      let event = Int32(head[0]) | Int32(head[1]) << 8
      switch event {
      case ZMQ_EVENT_MONITOR_STOPPED: continue
      case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH: lose("the broker does not admit this CURVE key")
      case ZMQ_EVENT_DISCONNECTED, ZMQ_EVENT_CLOSED: lose("the broker cannot be reached")
      default: lose("the CURVE handshake failed")
      }
    }
  }

  /// One message, since the loop asks for the next: to try for one in vain costs as much.
  private func receive() {
    guard let message = dealer?.socket?.receive(frameLimit: 2) else { return }
    guard message.frames.count == 1,
      let (correlation, answer) = try? BrokerMessage.read(message.frames[0])
    else {
      lose("the broker sent a malformed frame")
      return
    }
    switch answer {
    case .notice(let notice): noticeBoard.post(notice)
    case _ where correlation == helloCorrelation: greeted(answer)
    case .refused(let refusal) where refusal.code == WireRefusal.overloadedCode:
      lastTrouble = refusal.sentence
      if pending[correlation]?.resendAt != nil {
        pending[correlation]?.resendAt = .now + .milliseconds(50)
        updateWake()
      }
    case .refused(let refusal): settle(correlation, .failure(refusal))
    default: settle(correlation, .success(answer))
    }
  }

  private func greeted(_ answer: BrokerMessage) {
    switch answer {
    case .welcome(let information)
    where information.network == card.network && information.brokerKey == card.brokerKey
      && information.operatorKey == card.operatorKey:
      self.information = information
      failedAttempts = 0
      if case .greeting = state { noticeBoard.post(.work) }
      state = .connected(nextHello: .now + Self.helloInterval)
      for continuation in greetings.values { continuation.resume(returning: information) }
      (greetings, greetingDeadlines) = ([:], [:])
      pump()
      updateWake()
    case .refused(let refusal) where refusal.code != WireRefusal.overloadedCode:
      // No request can do better than its hello. Later ones try again: a clock may be set right.
      lose(refusal.sentence)
      for id in Array(pending.keys) { settle(id, .failure(refusal)) }
      for id in Array(greetings.keys) { abandonGreeting(id, refusal) }
    case .refused(let refusal):
      if case .greeting = state { lose(refusal.sentence) }
    default: lose("the broker that answered is not the one on the card")
    }
  }
}
