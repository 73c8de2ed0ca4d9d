import CZeroMQ
package import Primitives

/// Which CURVE keys may connect.
package enum Admission: Sendable, Hashable {
  /// Any well-formed key: identity is a matter of signatures, CURVE only encrypts.
  case anyone
  case keys(Set<Bytes32>)
}

/// Answers libzmq's question whether a connection may be made (RFC 27/ZAP). Without such a handler
/// CURVE would admit anyone, and no message would carry a User-Id. Mechanisms without a key, NULL
/// and PLAIN, are refused.
struct ZapHandler {
  static let endpoint = "inproc://zeromq.zap.01"
  static let domain = "bourse"

  let admission: Admission

  /// Where libzmq asks. It must be there before a socket of the context that serves under CURVE.
  func bind(in context: ZeroMQContext) throws(SocketError) -> ZeroMQSocket {
    let socket = try ZeroMQSocket(ZMQ_REP, in: context)
    try socket.bind(Self.endpoint)
    return socket
  }

  func answerRequests(on socket: ZeroMQSocket) {
    while let request = socket.receive(frameLimit: 7) {
      _ = socket.send(reply(to: request.hasExcessFrames ? [] : request.frames))
    }
  }

  /// The reply to one request of the six or seven frames that RFC 27 lays down.
  func reply(to request: [[UInt8]]) -> [[UInt8]] {
    let identifier = request.count > 1 ? request[1] : []
    guard let key = admittedKey(request) else {
      return frames(identifier, status: "400", text: "No admission", user: "")
    }
    return frames(identifier, status: "200", text: "OK", user: Hexadecimal.text(key.bytes))
  }

  private func admittedKey(_ request: [[UInt8]]) -> Bytes32? {
    guard request.count == 7, request[0] == Array("1.0".utf8),
      request[2] == Array(Self.domain.utf8), request[5] == Array("CURVE".utf8),
      let key = Bytes32(request[6])
    else { return nil }
    switch admission {
    case .anyone: return key
    case .keys(let keys): return keys.contains(key) ? key : nil
    }
  }

  private func frames(
    _ identifier: [UInt8], status: String, text: String, user: String
  ) -> [[UInt8]] {
    [Array("1.0".utf8), identifier, Array(status.utf8), Array(text.utf8), Array(user.utf8), []]
  }
}
