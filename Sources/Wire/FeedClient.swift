import CZeroMQ
import DequeModule
package import Logging
import Primitives
import Statements

/// Follows a broker's journal from a point on: every entry once, in order, none left out.
///
/// What is published may be lost, repeated, reordered or forged. An entry is taken only where it
/// continues the chain of those before it; where the next is not there, it is asked for, from the
/// entry that is missing on. While nothing is heard at all, the client asks as well. So the feed
/// only makes it quick, and the answers to queries make it whole.
package actor FeedClient {
  private nonisolated let executor: PollExecutor
  private let client: WireClient
  private let fixedCurve: CurveKeyPair?
  private let logger: Logger

  /// The last entry that was given out.
  private var last: UInt64
  private var head: Digest
  /// Fetched, checked, and not given out yet.
  private var page = Deque<FollowedEntry>()
  /// Received and not given out yet, as received.
  private var live = Deque<(sequence: UInt64, entry: FeedEntry)>()
  private var liveBytes = 0
  /// The largest sequence that was heard of.
  private var announced: UInt64 = 0
  /// Nothing was heard for too long: ask.
  private var isSilent = false
  private var isClosed = false
  private var source: PollSource?
  private var waiter: CheckedContinuation<Void, Never>?

  /// What may wait for a reader that is slow; above it entries are dropped, and fetched later.
  private static let liveByteLimit = 4 << 20
  private static let silenceLimit = Feed.heartbeatInterval * 3
  private static let retryInterval = Duration.milliseconds(500)

  /// - Parameters:
  ///   - client: Whose card names the feed. It answers what is missing; the caller closes it.
  ///   - point: The end of the journal as the caller knows it: what comes after is given out.
  ///   - curve: Where the broker admits listed keys only.
  package init(
    client: WireClient, after point: FeedHead, curve: CurveKeyPair? = nil,
    executor: PollExecutor = PollExecutor(), logger: Logger
  ) {
    self.client = client
    fixedCurve = curve
    self.executor = executor
    self.logger = logger
    (last, head) = (point.sequence, point.hash)
  }

  package nonisolated var unownedExecutor: UnownedSerialExecutor {
    executor.asUnownedSerialExecutor()
  }

  /// Subscribes. libzmq reconnects by itself, and nothing that is lost meanwhile matters.
  package func start() throws {
    guard let endpoint = client.card.feed else { throw FeedError.none }
    let socket = try ZeroMQSocket(ZMQ_SUB, in: ZeroMQContext())
    try socket.setCommonOptions(frameByteLimit: Frame.byteLimit, messageLimit: Feed.messageLimit)
    try socket.set(ZMQ_RECONNECT_IVL, 100)
    try socket.set(ZMQ_RECONNECT_IVL_MAX, 2_000)
    try socket.set(ZMQ_SUBSCRIBE, bytes: [])
    try socket.useCurve(fixedCurve ?? .random(), server: client.card.curveKey)
    try socket.connect(endpoint)
    let source = PollSource(socket: socket) { [weak self] in self?.assumeIsolated { $0.wake() } }
    executor.add(source)
    self.source = source
    source.wakeAt = .now + Self.silenceLimit
    // What came before the subscription took effect.
    isSilent = true
  }

  package func close() {
    isClosed = true
    if let source {
      executor.remove(source)
      source.socket?.close()
    }
    source = nil
    signal()
  }

  /// The next entry, once there is one; nil once closed. One caller at a time.
  ///
  /// - Throws: `FeedError` where the broker's journal is not the one that was followed.
  package func next() async throws -> FollowedEntry? {
    while !isClosed {
      try Task.checkCancellation()
      if let entry = page.popFirst() { return give(entry) }
      if let first = live.first, first.sequence <= last {
        dropFirstLive()
      } else if let first = live.first, first.sequence == last + 1 {
        dropFirstLive()
        if let entry = try? open([first.entry]).first { return give(entry) }
        // It was not the broker's: what is asked for is.
        isSilent = true
      } else if isSilent || announced > last || !live.isEmpty {
        try await fetch()
      } else {
        await wait()
      }
    }
    return nil
  }

  private func give(_ entry: FollowedEntry) -> FollowedEntry {
    (last, head) = (entry.sequence, entry.acknowledgement.head)
    return entry
  }

  /// The entries, which must continue the chain. The broker's signature over the last covers all.
  private func open(_ entries: [FeedEntry]) throws(FeedError) -> [FollowedEntry] {
    var opened: [FollowedEntry] = []
    var (sequence, previous) = (last, head)
    for entry in entries {
      sequence += 1
      let next = try FollowedEntry(
        entry, after: previous, sequence: sequence, network: client.card.network)
      previous = next.acknowledgement.head
      opened.append(next)
    }
    if let acknowledgement = opened.last?.acknowledgement,
      acknowledgement.broker != client.card.brokerKey || !acknowledgement.isAuthentic
    {
      throw .diverged(sequence, "the broker has not signed it")
    }
    return opened
  }

  /// Asks for what follows the last entry.
  private func fetch() async throws {
    isSilent = false
    let answer: EntryPage
    var entries: [FeedEntry]
    do {
      answer = try await client.entries(from: last + 1)
      entries = answer.entries
      if answer.largeByteCount > 0 {
        entries = [try await client.largeEntry(last + 1, byteCount: answer.largeByteCount)]
      }
    } catch let error as WireError where error.isPassing {
      logger.debug("the broker does not answer", metadata: ["error": "\(error)"])
      isSilent = true
      try await Task.sleep(for: Self.retryInterval)
      return
    }
    guard answer.last >= last else { throw FeedError.rewound(had: last, has: answer.last) }
    page.append(contentsOf: try open(entries))
    guard page.isEmpty else {
      // There may be more than a page of them.
      announced = max(announced, answer.last)
      return
    }
    guard answer.last == last else {
      throw FeedError.diverged(last + 1, "the broker has it and does not give it out")
    }
    // What was announced beyond the broker's own word was not announced by the broker.
    announced = last
    while let first = live.first, first.sequence > last { dropFirstLive() }
  }

  private func wait() async {
    await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        if Task.isCancelled { continuation.resume() } else { waiter = continuation }
      }
    } onCancel: {
      Task { await self.signal() }
    }
  }

  private func signal() {
    waiter?.resume()
    waiter = nil
  }

  private func wake() {
    var isHeard = false
    for _ in 0..<256 {
      guard let message = source?.socket?.receive(frameLimit: 1) else { break }
      guard !message.hasExcessFrames, let frame = message.frames.first,
        let message = try? FeedMessage.read(frame)
      else { continue }
      isHeard = hear(message) || isHeard
    }
    if isHeard {
      source?.wakeAt = .now + Self.silenceLimit
      signal()
    } else if let wakeAt = source?.wakeAt, wakeAt <= .now {
      isSilent = true
      source?.wakeAt = .now + Self.silenceLimit
      signal()
    }
  }

  /// False for what is of another network or no sequence.
  private func hear(_ message: FeedMessage) -> Bool {
    switch message {
    case .head(let head):
      guard head.network == client.card.network else { return false }
      announced = max(announced, head.sequence)
    case .entry(let entry):
      guard let acknowledgement = try? Acknowledgement(canonicalBytes: entry.acknowledgement),
        acknowledgement.network == client.card.network
      else { return false }
      announced = max(announced, acknowledgement.sequence)
      guard liveBytes + entry.byteCount <= Self.liveByteLimit else { return true }
      live.append((acknowledgement.sequence, entry))
      liveBytes += entry.byteCount
    }
    return true
  }

  private func dropFirstLive() {
    if let dropped = live.popFirst() { liveBytes -= dropped.entry.byteCount }
  }
}
