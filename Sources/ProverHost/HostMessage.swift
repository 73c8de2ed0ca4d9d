package import Primitives

// What the parent and its host process say to each other. One request is under way at a time; the
// host may send any number of notes before it answers. The host process is as hostile as the plugin
// inside it, so the parent decodes answers with the same bounds as anything from a stranger.

/// The calls of a host process, by the name that errors and logs give them.
package enum HostOperation: UInt8, Sendable, Hashable, CustomStringConvertible {
  case open = 1
  case supports = 2
  case estimate = 3
  case compile = 4
  case openSession = 5
  case closeSession = 6
  case execute = 7
  case prove = 8
  case verify = 9
  case proveBatch = 10
  case verifyBatch = 11

  package var description: String {
    switch self {
    case .open: "open"
    case .supports: "supports"
    case .estimate: "estimate"
    case .compile: "compile"
    case .openSession: "open session"
    case .closeSession: "close session"
    case .execute: "execute"
    case .prove: "prove"
    case .verify: "verify"
    case .proveBatch: "prove batch"
    case .verifyBatch: "verify batch"
    }
  }
}

/// What a session is for: the values of BOURSE_PROVER and BOURSE_VERIFIER.
enum SessionRole: UInt8, Sendable, Hashable {
  case prover = 1
  case verifier = 2
}

enum HostRequest {
  /// First, and once: which file, which bytes of it, and which of its backends (none: only
  /// describe).
  case open(path: String, digest: Digest, backend: BackendID?, scratch: String, threads: UInt32)
  case supports(SliceBundle)
  case estimate(SliceBundle)
  case compile(SliceBundle, options: String)
  case openSession(UInt64, SessionRole, key: [UInt8], Boundaries)
  case closeSession(UInt64)
  case execute(UInt64, inputs: [[UInt8]])
  case prove(UInt64, Inference)
  case verify(UInt64, Inference, proof: [UInt8])
  case proveBatch(UInt64, [Inference])
  case verifyBatch(UInt64, [Inference], proof: [UInt8])
  /// Nobody wants the running call's result; without one, nothing.
  case cancel

  var operation: HostOperation? {
    switch self {
    case .open: .open
    case .supports: .supports
    case .estimate: .estimate
    case .compile: .compile
    case .openSession: .openSession
    case .closeSession: .closeSession
    case .execute: .execute
    case .prove: .prove
    case .verify: .verify
    case .proveBatch: .proveBatch
    case .verifyBatch: .verifyBatch
    case .cancel: nil
    }
  }
}

enum HostReply {
  case opened(PluginDescriptor)
  case supported
  case unsupported(reasons: String)
  case estimated(Estimate)
  case compiled(CompiledKeys)
  case done
  case executed([[UInt8]])
  case proved([UInt8])
  case verified(verdict: Int32, diagnostic: String)
  case unusable(PluginFault, String)
  case refused(status: Int32, diagnostic: String)
  /// A line for the operator's log, on the way to the answer.
  case note(level: Int32, String)
}

extension HostRequest: CanonicalCodable {
  func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(operation?.rawValue ?? 0)
    switch self {
    case .open(let path, let digest, let backend, let scratch, let threads):
      encoder.append(path)
      encoder.append(digest)
      encoder.append(backend)
      encoder.append(scratch)
      encoder.append(threads)
    case .supports(let bundle), .estimate(let bundle): encoder.append(bundle)
    case .compile(let bundle, let options):
      encoder.append(bundle)
      encoder.append(options)
    case .openSession(let session, let role, let key, let boundaries):
      encoder.append(session)
      encoder.append(role.rawValue)
      encoder.append(counted: key)
      encoder.append(boundaries)
    case .closeSession(let session): encoder.append(session)
    case .execute(let session, let inputs):
      encoder.append(session)
      encoder.append(tensors: inputs)
    case .prove(let session, let inference):
      encoder.append(session)
      encoder.append(inference)
    case .verify(let session, let inference, let proof):
      encoder.append(session)
      encoder.append(inference)
      encoder.append(counted: proof)
    case .proveBatch(let session, let batch):
      encoder.append(session)
      encoder.append(batch)
    case .verifyBatch(let session, let batch, let proof):
      encoder.append(session)
      encoder.append(batch)
      encoder.append(counted: proof)
    case .cancel: break
    }
  }

  init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    let start = decoder.offset
    let tag = try decoder.integer(UInt8.self)
    if tag == 0 {
      self = .cancel
      return
    }
    guard let operation = HostOperation(rawValue: tag) else {
      throw decoder.failure(.unknownTag(tag, of: "HostRequest"), at: start)
    }
    switch operation {
    case .open:
      self = .open(
        path: try decoder.text(limit: 4096), digest: try decoder.record(),
        backend: try decoder.optional(), scratch: try decoder.text(limit: 4096),
        threads: try decoder.integer())
    case .supports: self = .supports(try decoder.record())
    case .estimate: self = .estimate(try decoder.record())
    case .compile:
      self = .compile(
        try decoder.record(), options: try decoder.text(limit: Backend.optionsLimit))
    case .openSession:
      let session = try decoder.integer(UInt64.self)
      guard let role = SessionRole(rawValue: try decoder.integer()) else {
        throw decoder.failure(.invalid("a session is a prover's or a verifier's"), at: start)
      }
      self = .openSession(
        session, role, key: try decoder.counted(limit: FrameSocket.frameLimit),
        try decoder.record())
    case .closeSession: self = .closeSession(try decoder.integer())
    case .execute: self = .execute(try decoder.integer(), inputs: try decoder.tensors())
    case .prove: self = .prove(try decoder.integer(), try decoder.record())
    case .verify:
      self = .verify(
        try decoder.integer(), try decoder.record(),
        proof: try decoder.counted(limit: FrameSocket.frameLimit))
    case .proveBatch: self = .proveBatch(try decoder.integer(), try decoder.batch())
    case .verifyBatch:
      self = .verifyBatch(
        try decoder.integer(), try decoder.batch(),
        proof: try decoder.counted(limit: FrameSocket.frameLimit))
    }
  }
}

extension HostReply: CanonicalCodable {
  static let textLimit = 4096

  func encode(into encoder: inout CanonicalEncoder) {
    switch self {
    case .opened(let descriptor):
      encoder.append(UInt8(1))
      encoder.append(descriptor)
    case .supported: encoder.append(UInt8(2))
    case .unsupported(let reasons):
      encoder.append(UInt8(3))
      encoder.append(reasons)
    case .estimated(let estimate):
      encoder.append(UInt8(4))
      encoder.append(estimate)
    case .compiled(let keys):
      encoder.append(UInt8(5))
      encoder.append(keys)
    case .done: encoder.append(UInt8(6))
    case .executed(let outputs):
      encoder.append(UInt8(7))
      encoder.append(tensors: outputs)
    case .proved(let proof):
      encoder.append(UInt8(8))
      encoder.append(counted: proof)
    case .verified(let verdict, let diagnostic):
      encoder.append(UInt8(9))
      encoder.append(verdict)
      encoder.append(diagnostic)
    case .unusable(let fault, let why):
      encoder.append(UInt8(10))
      encoder.append(fault.rawValue)
      encoder.append(why)
    case .refused(let status, let diagnostic):
      encoder.append(UInt8(11))
      encoder.append(status)
      encoder.append(diagnostic)
    case .note(let level, let line):
      encoder.append(UInt8(12))
      encoder.append(level)
      encoder.append(line)
    }
  }

  init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    let start = decoder.offset
    switch try decoder.integer(UInt8.self) {
    case 1: self = .opened(try decoder.record())
    case 2: self = .supported
    case 3: self = .unsupported(reasons: try decoder.text(limit: Self.textLimit))
    case 4: self = .estimated(try decoder.record())
    case 5: self = .compiled(try decoder.record())
    case 6: self = .done
    case 7: self = .executed(try decoder.tensors())
    case 8: self = .proved(try decoder.counted(limit: FrameSocket.frameLimit))
    case 9:
      self = .verified(
        verdict: try decoder.integer(), diagnostic: try decoder.text(limit: Self.textLimit))
    case 10:
      guard let fault = PluginFault(rawValue: try decoder.integer()) else {
        throw decoder.failure(.invalid("the fault is unknown"), at: start)
      }
      self = .unusable(fault, try decoder.text(limit: Self.textLimit))
    case 11:
      self = .refused(
        status: try decoder.integer(), diagnostic: try decoder.text(limit: Self.textLimit))
    case 12:
      self = .note(level: try decoder.integer(), try decoder.text(limit: Self.textLimit))
    case let tag: throw decoder.failure(.unknownTag(tag, of: "HostReply"), at: start)
    }
  }
}

extension Inference: CanonicalCodable {
  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(tensors: inputs)
    encoder.append(tensors: outputs)
    encoder.append(context)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    inputs = try decoder.tensors()
    outputs = try decoder.tensors()
    context = try decoder.record()
  }
}

extension CanonicalEncoder {
  fileprivate mutating func append(tensors: [[UInt8]]) {
    append(UInt32(tensors.count))
    for tensor in tensors { append(counted: tensor) }
  }
}

extension CanonicalDecoder {
  fileprivate mutating func batch() throws(CanonicalError) -> [Inference] {
    try list(limit: Inference.batchLimit, elementSize: 40)
  }

  fileprivate mutating func tensors() throws(CanonicalError) -> [[UInt8]] {
    let count = try count(limit: 256, elementSize: 4)
    var tensors: [[UInt8]] = []
    for _ in 0..<count { tensors.append(try counted(limit: FrameSocket.frameLimit)) }
    return tensors
  }
}
