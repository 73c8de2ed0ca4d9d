package import Primitives

/// What a frame may hold. Every frame begins with the protocol's version, a tag per kind, and a
/// correlation id that the answer repeats (`docs/protocol.md`).
package enum Frame {
  package static let version: UInt8 = 1
  /// The largest frame either side takes; libzmq closes the connection of a peer that sends more.
  package static let byteLimit = 2 << 20
  package static let chunkLimit = 512 << 10
  package static let queryLimit = 64 << 10
  package static let answerLimit = 1 << 20
  package static let acknowledgementLimit = 4096
  package static let envelopeLimit = Envelope.bodyLimit + 512
  /// The largest blob that may be named: 2^30 bytes.
  package static let blobLimit: UInt64 = 1 << 30
}

/// A part of a blob: `bytes` stand at `offset` of `total`.
package struct BlobChunk: Hashable, Sendable, CanonicalCodable {
  package let digest: Digest
  package let total: UInt64
  package let offset: UInt64
  package let bytes: [UInt8]

  package init(digest: Digest, total: UInt64, offset: UInt64, bytes: [UInt8]) {
    self.digest = digest
    self.total = total
    self.offset = offset
    self.bytes = bytes
  }

  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(digest)
    encoder.append(total)
    encoder.append(offset)
    encoder.append(counted: bytes)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    let start = decoder.offset
    digest = try decoder.record()
    total = try decoder.integer()
    offset = try decoder.integer()
    bytes = try decoder.counted(limit: Frame.chunkLimit)
    guard total <= Frame.blobLimit, offset <= total, UInt64(bytes.count) <= total - offset else {
      throw decoder.failure(
        .invalid("a chunk of \(bytes.count) at \(offset) does not fit a blob of \(total) bytes"),
        at: start)
    }
  }
}

package enum ClientMessage: Hashable, Sendable {
  /// Without a hello the connection is served, but as nobody.
  case hello(Hello?)
  case command(envelope: [UInt8])
  /// An empty chunk asks how far the blob has come.
  case putBlob(BlobChunk)
  case getBlob(Digest, offset: UInt64, limit: UInt32)
  case query([UInt8])

  /// The largest answer that this message can bring about, in bytes.
  package var answerByteLimit: Int {
    switch self {
    case .hello, .putBlob: 256
    case .command: Frame.acknowledgementLimit
    case .getBlob(_, _, let limit): Int(limit) + 256
    case .query: Frame.answerLimit
    }
  }
}

package enum BrokerMessage: Hashable, Sendable {
  case welcome(BrokerInformation)
  case acknowledgement([UInt8])
  case refused(WireRefusal)
  /// The offset at which the broker wants the next chunk; the blob's size once it is complete.
  case blobProgress(UInt64)
  case blobChunk(BlobChunk)
  case answer([UInt8])
  case notice(Notice)
}

/// A hint, sent once and perhaps lost: whoever gets it asks, and whoever never gets one asks
/// anyway.
package enum Notice: Hashable, Sendable {
  /// A lessee should ask for its leases.
  case work
  /// The request's state changed.
  case request(RequestID)
}

package struct BrokerInformation: Hashable, Sendable, CanonicalCodable {
  package let network: NetworkID
  package let brokerKey: PublicKey
  package let operatorKey: PublicKey
  /// The broker's clock as it welcomed the client.
  package let tick: Tick

  package init(network: NetworkID, brokerKey: PublicKey, operatorKey: PublicKey, tick: Tick) {
    self.network = network
    self.brokerKey = brokerKey
    self.operatorKey = operatorKey
    self.tick = tick
  }

  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(network)
    encoder.append(brokerKey)
    encoder.append(operatorKey)
    encoder.append(tick)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    network = try decoder.record()
    brokerKey = try decoder.record()
    operatorKey = try decoder.record()
    tick = try decoder.record()
  }
}

/// Why the broker did not serve a message. Not journaled: the same message may succeed later.
package struct WireRefusal: CodedError, Hashable, CanonicalCodable {
  package static let overloadedCode = "overloaded"

  package let code: String
  package let sentence: String

  /// Cut to what the wire carries (64 and 1024 bytes) with room for the mark of a split character.
  package init(code: String, sentence: String) {
    self.code = String(decoding: code.utf8.prefix(60), as: UTF8.self)
    self.sentence =
      sentence.utf8.count <= 1024
      ? sentence : String(decoding: sentence.utf8.prefix(1000), as: UTF8.self)
  }

  package init(_ error: some CodedError) { self.init(code: error.code, sentence: error.sentence) }

  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(code)
    encoder.append(sentence)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    code = try decoder.text(limit: 64)
    sentence = try decoder.text(limit: 1024)
  }
}

extension ClientMessage {
  package func frame(correlation: UInt64) -> [UInt8] {
    var encoder = CanonicalEncoder()
    switch self {
    case .hello(let hello):
      encoder.appendHead(tag: 1, correlation)
      encoder.append(hello)
    case .command(let envelope):
      encoder.appendHead(tag: 2, correlation)
      encoder.append(counted: envelope)
    case .putBlob(let chunk):
      encoder.appendHead(tag: 3, correlation)
      encoder.append(chunk)
    case .getBlob(let digest, let offset, let limit):
      encoder.appendHead(tag: 4, correlation)
      encoder.append(digest)
      encoder.append(offset)
      encoder.append(limit)
    case .query(let bytes):
      encoder.appendHead(tag: 5, correlation)
      encoder.append(counted: bytes)
    }
    return encoder.finish()
  }

  package static func read(
    _ frame: [UInt8]
  ) throws(CanonicalError) -> (correlation: UInt64, message: ClientMessage) {
    var decoder = CanonicalDecoder(frame)
    let (tag, correlation) = try decoder.frameHead()
    let message: ClientMessage
    switch tag {
    case 1: message = .hello(try decoder.optional())
    case 2: message = .command(envelope: try decoder.counted(limit: Frame.envelopeLimit))
    case 3: message = .putBlob(try decoder.record())
    case 4:
      let digest = try decoder.record(Digest.self)
      let offset = try decoder.integer(UInt64.self)
      let limit = try decoder.integer(UInt32.self)
      guard limit > 0, Int(limit) <= Frame.chunkLimit else {
        throw decoder.failure(.countTooLarge(count: Int(limit), limit: Frame.chunkLimit))
      }
      message = .getBlob(digest, offset: offset, limit: limit)
    case 5: message = .query(try decoder.counted(limit: Frame.queryLimit))
    default: throw decoder.failure(.unknownTag(tag, of: "ClientMessage"))
    }
    try decoder.finish()
    return (correlation, message)
  }

  /// The correlation id of a frame that is otherwise malformed, or 0.
  static func correlation(ofMalformed frame: [UInt8]) -> UInt64 {
    var decoder = CanonicalDecoder(frame)
    return (try? decoder.frameHead().correlation) ?? 0
  }
}

extension BrokerMessage {
  package func frame(correlation: UInt64) -> [UInt8] {
    var encoder = CanonicalEncoder()
    switch self {
    case .welcome(let information):
      encoder.appendHead(tag: 1, correlation)
      encoder.append(information)
    case .acknowledgement(let bytes):
      encoder.appendHead(tag: 2, correlation)
      encoder.append(counted: bytes)
    case .refused(let refusal):
      encoder.appendHead(tag: 3, correlation)
      encoder.append(refusal)
    case .blobProgress(let offset):
      encoder.appendHead(tag: 4, correlation)
      encoder.append(offset)
    case .blobChunk(let chunk):
      encoder.appendHead(tag: 5, correlation)
      encoder.append(chunk)
    case .answer(let bytes):
      encoder.appendHead(tag: 6, correlation)
      encoder.append(counted: bytes)
    case .notice(.work): encoder.appendHead(tag: 7, correlation)
    case .notice(.request(let request)):
      encoder.appendHead(tag: 8, correlation)
      encoder.append(request)
    }
    return encoder.finish()
  }

  package static func read(
    _ frame: [UInt8]
  ) throws(CanonicalError) -> (correlation: UInt64, message: BrokerMessage) {
    var decoder = CanonicalDecoder(frame)
    let (tag, correlation) = try decoder.frameHead()
    let message: BrokerMessage
    switch tag {
    case 1: message = .welcome(try decoder.record())
    case 2: message = .acknowledgement(try decoder.counted(limit: Frame.acknowledgementLimit))
    case 3: message = .refused(try decoder.record())
    case 4: message = .blobProgress(try decoder.integer())
    case 5: message = .blobChunk(try decoder.record())
    case 6: message = .answer(try decoder.counted(limit: Frame.answerLimit))
    case 7: message = .notice(.work)
    case 8: message = .notice(.request(try decoder.record()))
    default: throw decoder.failure(.unknownTag(tag, of: "BrokerMessage"))
    }
    try decoder.finish()
    return (correlation, message)
  }
}

extension CanonicalEncoder {
  /// What `frameHead` reads.
  fileprivate mutating func appendHead(tag: UInt8, _ correlation: UInt64) {
    append(Frame.version)
    append(tag)
    append(correlation)
  }
}

extension CanonicalDecoder {
  fileprivate mutating func frameHead() throws(CanonicalError) -> (tag: UInt8, correlation: UInt64)
  {
    let version = try integer(UInt8.self)
    guard version == Frame.version else { throw failure(.unknownTag(version, of: "Frame.version")) }
    return (try integer(UInt8.self), try integer(UInt64.self))
  }
}
