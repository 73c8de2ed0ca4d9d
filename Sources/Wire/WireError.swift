package import Primitives

/// Why a client's request came to nothing. A broker's refusal is thrown as `WireRefusal` instead.
package enum WireError: CodedError, Equatable {
  case deadlineExceeded(lastTrouble: String)
  case closed
  case tooMuchPending(bytes: Int, limit: Int)
  case requestTooLarge(bytes: Int, limit: Int)
  case untrustedAcknowledgement(String)
  case unexpectedAnswer(String)
  case blobTooLarge(total: UInt64, limit: Int)
  case wrongBlob(expected: Digest, got: Digest)
  case uploadStalled(offset: UInt64)

  /// Whether the same question may find its answer later.
  package var isPassing: Bool {
    switch self {
    case .deadlineExceeded, .tooMuchPending: true
    default: false
    }
  }

  package var code: String {
    switch self {
    case .deadlineExceeded: "deadline-exceeded"
    case .closed: "connection-closed"
    case .tooMuchPending: "too-much-pending"
    case .requestTooLarge: "request-too-large"
    case .untrustedAcknowledgement: "untrusted-acknowledgement"
    case .unexpectedAnswer: "unexpected-answer"
    case .blobTooLarge: "blob-too-large"
    case .wrongBlob: "wrong-blob"
    case .uploadStalled: "upload-stalled"
    }
  }

  package var sentence: String {
    switch self {
    case .deadlineExceeded(let trouble):
      "The broker did not answer in time (\(trouble)); the same command may be sent again safely."
    case .closed: "The connection was closed by its owner; open a new one."
    case .tooMuchPending(let bytes, let limit):
      "\(bytes) bytes of requests would wait for the broker, more than \(limit); wait for answers."
    case .requestTooLarge(let bytes, let limit):
      "The request has \(bytes) bytes, more than \(limit); send large data as a blob."
    case .untrustedAcknowledgement(let why):
      "The acknowledgement cannot be trusted: \(why); keep it and contact the operator."
    case .unexpectedAnswer(let what):
      "The broker answered with something else than was asked for: \(what)."
    case .blobTooLarge(let total, let limit):
      "The blob has \(total) bytes, more than the \(limit) allowed here."
    case .wrongBlob(let expected, let got):
      "The broker sent a blob with digest \(got) where \(expected) was asked for."
    case .uploadStalled(let offset):
      "The upload does not get past byte \(offset); try again later."
    }
  }
}
