import CZeroMQ
import Primitives

@testable import Wire

/// A peer that keeps no rule: sends any frames over a real DEALER, with or without CURVE.
actor RawPeer {
  private let executor = PollExecutor()
  private let context = ZeroMQContext()
  private var socket: ZeroMQSocket?
  let curve: CurveKeyPair

  init(curve: CurveKeyPair = .random()) { self.curve = curve }

  nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

  func connect(_ card: BrokerCard, encrypted: Bool = true) throws {
    let socket = try ZeroMQSocket(ZMQ_DEALER, in: context)
    if encrypted {
      try socket.set(ZMQ_CURVE_SERVERKEY, bytes: card.curveKey.bytes)
      try socket.set(ZMQ_CURVE_PUBLICKEY, bytes: curve.publicKey.bytes)
      try socket.set(ZMQ_CURVE_SECRETKEY, bytes: curve.secretKey.bytes)
    }
    try socket.connect(card.endpoint)
    self.socket = socket
  }

  func send(_ frames: [[UInt8]]) -> Bool { socket?.send(frames) == .sent }

  func receive() -> BrokerMessage? {
    guard let message = socket?.receive(frameLimit: 2), let frame = message.frames.first else {
      return nil
    }
    return try? BrokerMessage.read(frame).message
  }

  /// Sends one message and waits for what comes back.
  func exchange(_ frames: [[UInt8]], seconds: Int = 10) async -> BrokerMessage? {
    let deadline = ContinuousClock.now + .seconds(seconds)
    _ = send(frames)
    while ContinuousClock.now < deadline {
      if let answer = receive() { return answer }
      try? await Task.sleep(for: .milliseconds(2))
    }
    return nil
  }
}
