import CZeroMQ
import Glibc
import Primitives

/// A libzmq context. It ends when its last socket has closed; ending waits for each socket's
/// LINGER.
final class ZeroMQContext: @unchecked Sendable {
  // `@unchecked Sendable`: zmq_ctx_* may be called from any thread (zmq(7), "Thread safety"), and
  // the pointer never changes.
  let handle: UnsafeMutableRawPointer

  init() {
    guard let handle = zmq_ctx_new() else { fatalError("libzmq has no memory for a context") }
    zmq_ctx_set(handle, ZMQ_BLOCKY, 0)
    self.handle = handle
  }

  deinit {
    while zmq_ctx_term(handle) != 0, zmq_errno() == EINTR {}
  }
}

/// What libzmq said when a socket could not be made, set up, bound or connected.
package struct SocketError: CodedError, Equatable {
  package let operation: String
  package let reason: String

  init(_ operation: String) {
    self.operation = operation
    reason = String(cString: zmq_strerror(zmq_errno()))
  }

  package var code: String { "socket-failed" }
  package var sentence: String { "The socket could not \(operation): \(reason)." }
}

/// One message of a few frames, with the User-Id that the ZAP handler gave its connection.
struct ReceivedMessage {
  /// At most the receiver's frame limit; what came beyond was dropped unread.
  var frames: [[UInt8]] = []
  var hasExcessFrames = false
  var userID: String?
}

/// A socket. Created, used and closed on one `PollExecutor` thread; not Sendable, so that the
/// compiler keeps it inside the actor that runs there.
final class ZeroMQSocket {
  enum SendOutcome { case sent, full, unreachable }

  let handle: UnsafeMutableRawPointer
  private let context: ZeroMQContext
  private var isClosed = false
  /// Runs where a send or a receipt may have taken in what its descriptor told of.
  var onUse: (() -> Void)?

  init(_ type: Int32, in context: ZeroMQContext) throws(SocketError) {
    guard let handle = zmq_socket(context.handle, type) else { throw SocketError("open") }
    self.handle = handle
    self.context = context
    try set(ZMQ_LINGER, 200)
  }

  deinit { close() }

  func close() {
    if isClosed { return }
    isClosed = true
    zmq_close(handle)
  }

  func set(_ option: Int32, _ value: Int32) throws(SocketError) {
    let done = withUnsafeBytes(of: value) {
      zmq_setsockopt(handle, option, $0.baseAddress, $0.count)
    }
    if done != 0 { throw SocketError("set option \(option)") }
  }

  func set(_ option: Int32, int64 value: Int64) throws(SocketError) {
    let done = withUnsafeBytes(of: value) {
      zmq_setsockopt(handle, option, $0.baseAddress, $0.count)
    }
    if done != 0 { throw SocketError("set option \(option)") }
  }

  func set(_ option: Int32, bytes: [UInt8]) throws(SocketError) {
    if zmq_setsockopt(handle, option, bytes, bytes.count) != 0 {
      throw SocketError("set option \(option)")
    }
  }

  /// What both ends of the wire share: bounds, handshake and heartbeat intervals (milliseconds).
  func setCommonOptions(frameByteLimit: Int, messageLimit: Int32) throws(SocketError) {
    try set(ZMQ_MAXMSGSIZE, int64: Int64(frameByteLimit))
    try set(ZMQ_SNDHWM, messageLimit)
    try set(ZMQ_RCVHWM, messageLimit)
    try set(ZMQ_HANDSHAKE_IVL, 5_000)
    try set(ZMQ_HEARTBEAT_IVL, 5_000)
    try set(ZMQ_HEARTBEAT_TIMEOUT, 10_000)
    try set(ZMQ_HEARTBEAT_TTL, 15_000)
    try set(ZMQ_IPV6, 0)
  }

  /// Makes the socket the server of its connections, each of which the ZAP handler must admit.
  func serveCurve(_ curve: CurveKeyPair) throws(SocketError) {
    try set(ZMQ_CURVE_SERVER, 1)
    try set(ZMQ_CURVE_SECRETKEY, bytes: curve.secretKey.bytes)
    try set(ZMQ_ZAP_DOMAIN, bytes: Array(ZapHandler.domain.utf8))
    try set(BOURSE_ZMQ_ZAP_ENFORCE_DOMAIN, 1)
  }

  /// Makes the socket a client of the server with the key.
  func useCurve(_ curve: CurveKeyPair, server: Bytes32) throws(SocketError) {
    try set(ZMQ_CURVE_SERVERKEY, bytes: server.bytes)
    try set(ZMQ_CURVE_PUBLICKEY, bytes: curve.publicKey.bytes)
    try set(ZMQ_CURVE_SECRETKEY, bytes: curve.secretKey.bytes)
  }

  func bind(_ endpoint: String) throws(SocketError) {
    if zmq_bind(handle, endpoint) != 0 { throw SocketError("bind to \(endpoint)") }
  }

  func connect(_ endpoint: String) throws(SocketError) {
    if zmq_connect(handle, endpoint) != 0 { throw SocketError("connect to \(endpoint)") }
  }

  /// The endpoint as bound, with the real port.
  func lastEndpoint() throws(SocketError) -> String {
    var text = [CChar](repeating: 0, count: 512)
    var count = text.count
    if zmq_getsockopt(handle, ZMQ_LAST_ENDPOINT, &text, &count) != 0 {
      throw SocketError("tell its endpoint")
    }
    return String(decoding: text.prefix(max(0, count - 1)).map(UInt8.init), as: UTF8.self)
  }

  func monitor(_ endpoint: String?, events: Int32) throws(SocketError) {
    if zmq_socket_monitor(handle, endpoint, events) != 0 { throw SocketError("be monitored") }
  }

  /// What to poll. Readable means that `hasMessage` must be asked, and no more than that: libzmq
  /// tells of a change once (zmq_getsockopt(3), `ZMQ_FD`).
  var descriptor: Int32 { integer(ZMQ_FD) ?? -1 }

  /// Whether a message can be received now.
  var hasMessage: Bool { (integer(ZMQ_EVENTS) ?? 0) & ZMQ_POLLIN != 0 }

  private func integer(_ option: Int32) -> Int32? {
    var value: Int32 = 0
    var count = MemoryLayout<Int32>.size
    return zmq_getsockopt(handle, option, &value, &count) == 0 ? value : nil
  }

  /// Nil where no message waits.
  func receive(frameLimit: Int) -> ReceivedMessage? {
    onUse?()
    var message = ReceivedMessage()
    var part = zmq_msg_t()
    zmq_msg_init(&part)
    defer { zmq_msg_close(&part) }
    repeat {
      var received: Int32
      repeat {
        received = zmq_msg_recv(&part, handle, ZMQ_DONTWAIT)
      } while received < 0 && zmq_errno() == EINTR
      if received < 0 { return nil }
      if message.frames.count == frameLimit {
        message.hasExcessFrames = true
      } else {
        message.frames.append(
          Array(UnsafeRawBufferPointer(start: zmq_msg_data(&part), count: zmq_msg_size(&part))))
      }
    } while zmq_msg_more(&part) != 0
    // Every frame has it.
    if let user = zmq_msg_gets(&part, "User-Id") { message.userID = String(cString: user) }
    return message
  }

  /// Never blocks. A message whose first frame is taken is sent whole.
  func send(_ frames: [[UInt8]]) -> SendOutcome {
    onUse?()
    for (index, frame) in frames.enumerated() {
      let flags = ZMQ_DONTWAIT | (index + 1 < frames.count ? ZMQ_SNDMORE : 0)
      var sent: Int32
      repeat {
        sent = zmq_send(handle, frame, frame.count, flags)
      } while sent < 0 && zmq_errno() == EINTR
      if sent < 0 { return zmq_errno() == EAGAIN ? .full : .unreachable }
    }
    return .sent
  }
}
