import CZeroMQ
package import Logging

/// Publishes the journal: one PUB socket under CURVE, in a context and on a thread of its own, so
/// that neither many subscribers nor slow ones cost those who trade anything. PUB never waits: a
/// subscriber that is behind misses messages, sees so by their sequence numbers, and asks.
package actor FeedServer {
  private let executor = PollExecutor()
  private let endpoint: String
  private let curve: CurveKeyPair
  private let zap: ZapHandler
  private let logger: Logger

  private var publisher: PollSource?
  private var zapSource: PollSource?
  private var head: FeedHead?

  /// - Parameter endpoint: `tcp://127.0.0.1:0` takes any free port.
  package init(
    endpoint: String = "tcp://127.0.0.1:0", curve: CurveKeyPair, admission: Admission = .anyone,
    logger: Logger
  ) {
    self.endpoint = endpoint
    self.curve = curve
    zap = ZapHandler(admission: admission)
    self.logger = logger
  }

  package nonisolated var unownedExecutor: UnownedSerialExecutor {
    executor.asUnownedSerialExecutor()
  }

  /// Binds, and gives the endpoint with the real port.
  package func start() throws(SocketError) -> String {
    let context = ZeroMQContext()
    let zapSocket = try zap.bind(in: context)
    let socket = try ZeroMQSocket(ZMQ_PUB, in: context)
    try socket.setCommonOptions(frameByteLimit: Frame.byteLimit, messageLimit: Feed.messageLimit)
    try socket.serveCurve(curve)
    try socket.bind(endpoint)
    let bound = try socket.lastEndpoint()
    let zapSource = PollSource(socket: zapSocket) { [weak self] in
      self?.assumeIsolated { $0.zapSource?.socket.map($0.zap.answerRequests) }
    }
    // PUB receives nothing: it is polled so that it takes note of subscriptions, and woken to beat.
    let publisher = PollSource(socket: socket) { [weak self] in
      self?.assumeIsolated { $0.beat() }
    }
    executor.add(zapSource)
    executor.add(publisher)
    (self.zapSource, self.publisher) = (zapSource, publisher)
    logger.info("publishing", metadata: ["endpoint": "\(bound)"])
    return bound
  }

  /// Publishes entries, in order, of which the last is the head's.
  package func publish(_ entries: [FeedEntry], head: FeedHead) {
    self.head = head
    var isAnnounced = !entries.isEmpty
    for entry in entries {
      // What is too large is missed by everyone alike, and the head says that it is there.
      isAnnounced = entry.byteCount <= Feed.entryByteLimit
      if isAnnounced { send(.entry(entry)) }
    }
    if !isAnnounced { send(.head(head)) }
    publisher?.wakeAt = .now + Feed.heartbeatInterval
  }

  private func beat() {
    if let head { send(.head(head)) }
    publisher?.wakeAt = .now + Feed.heartbeatInterval
  }

  private func send(_ message: FeedMessage) {
    _ = publisher?.socket?.send([message.frame])
  }

  /// Frees the endpoint.
  package func shutdown() {
    for source in [publisher, zapSource].compactMap({ $0 }) {
      executor.remove(source)
      source.socket?.close()
    }
    (publisher, zapSource) = (nil, nil)
  }
}
