import CBourseProver
import Glibc
import Primitives
import Statements

/// The whole of `bourse-prover-host`: opens one plugin and answers its parent's calls, one at a
/// time, on the process's first thread, until the parent closes the stream.
package enum HostServer {
  /// Where the parent puts the child's end of the stream.
  package static let streamDescriptor: Int32 = 3

  /// Returns the exit status.
  package static func run() -> Int32 {
    let channel = HostChannel(socket: FrameSocket(descriptor: streamDescriptor))
    guard
      case .open(let path, let digest, let id, let scratch, let threads)? = channel.nextRequest()
    else {
      let advice = "bourse-prover-host is started by bourse, which speaks to it on descriptor 3.\n"
      _ = write(STDERR_FILENO, advice, advice.utf8.count)
      return 64
    }
    guard Sandbox.enter() else {
      channel.send(.unusable(.notLoadable, "the kernel refused to confine the host process"))
      return 71
    }
    let arena = Arena()
    let library: PluginLibrary
    do {
      library = try PluginLibrary(
        path: path, digest: digest,
        host: channel.hostServices(in: arena, scratch: scratch, threads: threads))
    } catch {
      channel.send(.unusable(error.fault, String(error.why.prefix(1000))))
      return 0
    }
    let index = library.descriptor.backends.firstIndex { $0.id == id }
    guard let index = id == nil ? 0 : index else {
      let offered = library.descriptor.backends.map(\.id.name).joined(separator: ", ")
      channel.send(
        .unusable(.noSuchBackend, "it offers \(offered) and not \(id?.name ?? "")"))
      return 0
    }
    channel.send(.opened(library.descriptor))
    var service = BackendService(backend: library.backends[index], channel: channel)
    while let request = channel.nextRequest() {
      if let reply = service.answer(request) { channel.send(reply) }
    }
    service.closeSessions()
    library.entry.pointee.deinit()
    // `channel` and `arena` are the plugin's host until here.
    return withExtendedLifetime((channel, arena)) { 0 }
  }
}

/// One backend's functions behind the messages of `HostRequest`.
private struct BackendService {
  private struct Session {
    let handle: OpaquePointer
    let boundaries: Boundaries
  }

  /// Bytes of a key, and of a proof, that a plugin may write.
  private static let keyLimit = FrameSocket.frameLimit / 2 - 1024
  private static let proofLimit = 1 << 28

  private let backend: UnsafePointer<bourse_backend>
  private let batch: UnsafePointer<bourse_batch>?
  private let channel: HostChannel
  private var sessions: [UInt64: Session] = [:]

  init(backend: UnsafePointer<bourse_backend>, channel: HostChannel) {
    (self.backend, self.channel) = (backend, channel)
    batch = PluginLibrary.batch(of: backend)
  }

  mutating func closeSessions() {
    for session in sessions.values { backend.pointee.session_close(session.handle) }
    sessions = [:]
  }

  /// Nil for what needs no answer.
  mutating func answer(_ request: HostRequest) -> HostReply? {
    let arena = Arena()
    let call = channel.callServices(in: arena)
    _ = channel.takeDiagnostic()
    switch request {
    case .cancel: return nil
    case .open: return refusal(BOURSE_MALFORMED, "A plugin is already open.")
    case .supports(let bundle):
      let reasons = SinkBuffer(limit: HostReply.textLimit / 4)
      let status = backend.pointee.supports(
        backend, call, arena.slice(bundle), reasons.view(in: arena))
      return withExtendedLifetime(reasons) {
        switch status {
        case BOURSE_OK: .supported
        case BOURSE_UNSUPPORTED:
          .unsupported(reasons: String(decoding: reasons.bytes, as: UTF8.self))
        default: refusal(status)
        }
      }
    case .estimate(let bundle):
      var estimate = bourse_estimate()
      estimate.struct_size = arena.size(bourse_estimate.self)
      let status = backend.pointee.estimate(backend, call, arena.slice(bundle), &estimate)
      guard status == BOURSE_OK else { return refusal(status) }
      return .estimated(
        Estimate(
          costUnits: estimate.cost_units, peakMemoryBytes: estimate.peak_memory_bytes,
          proofBytes: estimate.proof_bytes))
    case .compile(let bundle, let options): return compile(bundle, options, arena, call)
    case .openSession(let id, let role, let key, let boundaries):
      return openSession(id, role, key, boundaries, arena, call)
    case .closeSession(let id):
      if let session = sessions.removeValue(forKey: id) {
        backend.pointee.session_close(session.handle)
      }
      return .done
    case .execute(let id, let inputs):
      guard let session = sessions[id],
        let inference = inference(of: session, inputs: inputs, outputs: nil, arena)
      else { return misfit }
      let sinks = session.boundaries.outputs.map { SinkBuffer(limit: $0.byteCount) }
      let views = arena.array(sinks.map { Optional($0.view(in: arena)) })
      let status = backend.pointee.execute(session.handle, call, inference, views)
      if sinks.contains(where: \.overflowed) { return overflow }
      guard status == BOURSE_OK else { return refusal(status) }
      return .executed(sinks.map(\.bytes))
    case .prove(let id, let inference):
      guard let (session, views, contexts) = views(of: [inference], in: id, arena) else {
        return misfit
      }
      return prove(arena) {
        backend.pointee.prove(session.handle, call, views[0], contexts, $0)
      }
    case .verify(let id, let inference, let proof):
      guard let (session, views, contexts) = views(of: [inference], in: id, arena) else {
        return misfit
      }
      return verify {
        backend.pointee.verify(
          session.handle, call, views[0], contexts, arena.bytes(proof), $0)
      }
    case .proveBatch(let id, let inferences):
      guard let batch else { return noBatches }
      guard let (session, views, contexts) = views(of: inferences, in: id, arena) else {
        return misfit
      }
      return prove(arena) {
        batch.pointee.prove(
          session.handle, call, arena.array(views), UInt32(views.count), contexts, $0)
      }
    case .verifyBatch(let id, let inferences, let proof):
      guard let batch else { return noBatches }
      guard let (session, views, contexts) = views(of: inferences, in: id, arena) else {
        return misfit
      }
      return verify {
        batch.pointee.verify(
          session.handle, call, arena.array(views), UInt32(views.count), contexts,
          arena.bytes(proof), $0)
      }
    }
  }

  private func prove(
    _ arena: Arena, _ body: (UnsafePointer<bourse_sink>) -> bourse_status
  ) -> HostReply {
    let proof = SinkBuffer(limit: Self.proofLimit)
    let status = body(proof.view(in: arena))
    if proof.overflowed { return overflow }
    guard status == BOURSE_OK else { return refusal(status) }
    return .proved(proof.bytes)
  }

  private func verify(_ body: (UnsafeMutablePointer<Int32>) -> bourse_status) -> HostReply {
    var verdict = BOURSE_INCONCLUSIVE
    let status = body(&verdict)
    guard status == BOURSE_OK else { return refusal(status) }
    return .verified(verdict: verdict, diagnostic: channel.takeDiagnostic())
  }

  private func compile(
    _ bundle: SliceBundle, _ options: String, _ arena: Arena,
    _ call: UnsafePointer<bourse_call>
  ) -> HostReply {
    let arguments = arena.one(
      bourse_compile(
        struct_size: arena.size(bourse_compile.self), reserved: 0, slice: arena.slice(bundle),
        samples: nil, sample_count: 0, reserved2: 0, options: arena.text(options)))
    let prover = SinkBuffer(limit: Self.keyLimit)
    let verifier = SinkBuffer(limit: Self.keyLimit)
    let status = backend.pointee.compile(
      backend, call, arguments, prover.view(in: arena), verifier.view(in: arena))
    if prover.overflowed || verifier.overflowed { return overflow }
    guard status == BOURSE_OK else { return refusal(status) }
    return .compiled(
      CompiledKeys(
        prover: prover.bytes, verifier: verifier.bytes, options: channel.takeDiagnostic()))
  }

  private mutating func openSession(
    _ id: UInt64, _ role: SessionRole, _ key: [UInt8], _ boundaries: Boundaries, _ arena: Arena,
    _ call: UnsafePointer<bourse_call>
  ) -> HostReply {
    let options = arena.one(
      bourse_session_options(
        struct_size: arena.size(bourse_session_options.self), role: UInt32(role.rawValue),
        key: arena.bytes(key), inputs: arena.boundaries(boundaries.inputs),
        outputs: arena.boundaries(boundaries.outputs),
        input_count: UInt32(boundaries.inputs.count),
        output_count: UInt32(boundaries.outputs.count)))
    var handle: OpaquePointer?
    let status = backend.pointee.session_open(backend, call, options, &handle)
    guard status == BOURSE_OK else { return refusal(status) }
    guard let handle else {
      return refusal(BOURSE_FAILED, "The backend opened a session and returned no handle.")
    }
    sessions[id] = Session(handle: handle, boundaries: boundaries)
    return .done
  }

  /// Nil unless the session is open and the tensors of every inference fit its boundary. The
  /// contexts stand one after the other.
  private func views(
    of inferences: [Inference], in id: UInt64, _ arena: Arena
  ) -> (Session, [UnsafePointer<bourse_inference>?], contexts: UnsafePointer<UInt8>?)? {
    guard let session = sessions[id], !inferences.isEmpty else { return nil }
    var views: [UnsafePointer<bourse_inference>?] = []
    for inference in inferences {
      guard
        let view = self.inference(
          of: session, inputs: inference.inputs, outputs: inference.outputs, arena)
      else { return nil }
      views.append(view)
    }
    return (session, views, arena.bytes(inferences.flatMap(\.context.bytes)).data)
  }

  /// Nil unless the tensors fit the session's boundary; without outputs there are none to fit.
  private func inference(
    of session: Session, inputs: [[UInt8]], outputs: [[UInt8]]?, _ arena: Arena
  ) -> UnsafePointer<bourse_inference>? {
    guard let inputViews = arena.tensors(inputs, as: session.boundaries.inputs),
      let outputViews = arena.tensors(
        outputs ?? [], as: outputs == nil ? [] : session.boundaries.outputs)
    else { return nil }
    return arena.one(
      bourse_inference(
        struct_size: arena.size(bourse_inference.self), reserved: 0, inputs: inputViews,
        outputs: outputViews, input_count: UInt32(inputs.count),
        output_count: UInt32(outputs?.count ?? 0)))
  }

  private func refusal(_ status: bourse_status, _ diagnostic: String? = nil) -> HostReply {
    .refused(status: status, diagnostic: diagnostic ?? channel.takeDiagnostic())
  }

  private var misfit: HostReply {
    refusal(
      BOURSE_MALFORMED, "The tensors do not have the counts and lengths of the session's boundary.")
  }

  private var noBatches: HostReply {
    refusal(BOURSE_UNSUPPORTED, "The backend offers no batches.")
  }

  private var overflow: HostReply {
    refusal(BOURSE_LIMIT, "The backend wrote more bytes than its result may have.")
  }
}
