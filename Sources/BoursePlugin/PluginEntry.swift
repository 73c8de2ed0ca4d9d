package import CBourseProver
import FixedPoint

/// The C face of the one backend of a plugin. Each function turns borrowed C views into Swift
/// values, and a Swift error into a status and a diagnostic; nothing else happens here.
package enum PluginEntry {
  // Set before the host knows of any function that reads it, which the header puts on one thread.
  nonisolated(unsafe) private static var backend: (any PluginBackend.Type)?
  // Set by init, before every call that reads it.
  nonisolated(unsafe) private static var threads = 1
  // Written once, before anyone can see it, and constant from then on.
  nonisolated(unsafe) private static var entry: UnsafePointer<bourse_prover_entry>?

  /// What `bourse_prover_entry_v1` returns: made at its first call, and kept for the life of the
  /// process.
  package static func of(_ backend: any PluginBackend.Type) -> UnsafePointer<bourse_prover_entry> {
    if let entry { return entry }
    self.backend = backend
    let made = constant(
      bourse_prover_entry(
        struct_size: UInt32(MemoryLayout<bourse_prover_entry>.size),
        abi_major: UInt16(BOURSE_PROVER_ABI_MAJOR), abi_minor: UInt16(BOURSE_PROVER_ABI_MINOR),
        init: { host in
          PluginEntry.threads = max(1, Int(host?.pointee.thread_budget ?? 1))
          return BOURSE_OK
        }, deinit: {}, backend_count: { 1 }, backend: { _ in PluginEntry.table }))
    entry = made
    return made
  }

  nonisolated(unsafe) private static let table: UnsafePointer<bourse_backend>? = backend.map {
    let description = $0.description
    return constant(
      bourse_backend(
        struct_size: UInt32(MemoryLayout<bourse_backend>.size), flags: description.flags,
        id: text(description.id), version: text(description.version),
        semantics: text("fixed16/1"), description: text(description.summary),
        supports: supports, estimate: estimate, compile: compile, session_open: openSession,
        session_close: { session in
          guard let session else { return }
          Unmanaged<OpenSession>.fromOpaque(UnsafeRawPointer(session)).release()
        }, execute: execute, prove: prove, verify: verify,
        get_extension: { _, id in
          guard let id, String(cString: id) == BOURSE_BATCH else { return nil }
          return UnsafeRawPointer(batch)
        }))
  }

  nonisolated(unsafe) private static let batch = constant(
    bourse_batch(
      struct_size: UInt32(MemoryLayout<bourse_batch>.size), reserved: 0, prove: proveBatch,
      verify: verifyBatch))

  private static func constant<Value>(_ value: Value) -> UnsafePointer<Value> {
    let place = UnsafeMutablePointer<Value>.allocate(capacity: 1)
    place.initialize(to: value)
    return UnsafePointer(place)
  }

  private static func text(_ text: StaticString) -> UnsafePointer<CChar> {
    UnsafeRawPointer(text.utf8Start).assumingMemoryBound(to: CChar.self)
  }

  // MARK: A slice

  private typealias BackendPointer = UnsafePointer<bourse_backend>?
  private typealias CallPointer = UnsafePointer<bourse_call>?
  private typealias SinkPointer = UnsafePointer<bourse_sink>?

  private static let supports:
    @convention(c) (
      BackendPointer, CallPointer, UnsafePointer<bourse_slice>?, SinkPointer
    ) -> bourse_status = { _, call, slice, reasons in
      guard let slice, let backend else { return BOURSE_MALFORMED }
      return status(call) { _ throws(Refusal) in
        let obstacles: [String]
        do throws(Refusal) {
          obstacles = backend.obstacles(to: try Program(slice.pointee.program))
        } catch {
          obstacles = ["program: \(error.sentence)"]
        }
        guard !obstacles.isEmpty else { return }
        try reasons.write(Array((obstacles.joined(separator: "\n") + "\n").utf8))
        throw Refusal(BOURSE_UNSUPPORTED, "The slice is not offered.")
      }
    }

  private static let estimate:
    @convention(c) (
      BackendPointer, CallPointer, UnsafePointer<bourse_slice>?,
      UnsafeMutablePointer<bourse_estimate>?
    ) -> bourse_status = { _, call, slice, estimate in
      guard let slice, let estimate, let backend else { return BOURSE_MALFORMED }
      return status(call) { _ throws(Refusal) in
        let found = try backend.estimate(try Program(slice.pointee.program))
        estimate.pointee.cost_units = UInt64(found.costUnits)
        estimate.pointee.peak_memory_bytes = UInt64(found.peakMemoryBytes)
        estimate.pointee.proof_bytes = UInt64(found.proofBytes)
      }
    }

  private static let compile:
    @convention(c) (
      BackendPointer, CallPointer, UnsafePointer<bourse_compile>?, SinkPointer, SinkPointer
    ) -> bourse_status = { _, call, arguments, proverKey, verifierKey in
      guard let arguments, let slice = arguments.pointee.slice, let backend else {
        return BOURSE_MALFORMED
      }
      return status(call) { call throws(Refusal) in
        let options = arguments.pointee.options.map { String(cString: $0) } ?? ""
        let keys = try backend.compile(
          try Program(slice.pointee.program),
          options: try Options.parse(options, keys: backend.optionKeys))
        try proverKey.write(keys.prover)
        try verifierKey.write(keys.verifier)
        call.diagnose(keys.options.map { "\($0.key)=\($0.value)" }.joined(separator: " "))
      }
    }

  // MARK: A session

  /// What a session's handle points to. Of one role, which its calls must be of.
  private final class OpenSession {
    enum Role {
      case prover(any ProvingSession)
      case verifier(any VerifyingSession)
    }

    let role: Role

    init(_ role: Role) { self.role = role }

    static func at(_ handle: OpaquePointer) -> OpenSession {
      Unmanaged<OpenSession>.fromOpaque(UnsafeRawPointer(handle)).takeUnretainedValue()
    }

    func prover() throws(Refusal) -> any ProvingSession {
      guard case .prover(let session) = role else {
        throw Refusal(
          BOURSE_MALFORMED, "The session is a verifier's; open one of the prover's role.")
      }
      return session
    }

    func verifier() throws(Refusal) -> any VerifyingSession {
      guard case .verifier(let session) = role else {
        throw Refusal(
          BOURSE_MALFORMED, "The session is a prover's; open one of the verifier's role.")
      }
      return session
    }
  }

  private static let openSession:
    @convention(c) (
      BackendPointer, CallPointer, UnsafePointer<bourse_session_options>?,
      UnsafeMutablePointer<OpaquePointer?>?
    ) -> bourse_status = { _, call, options, session in
      guard let options = options?.pointee, let session, let backend else {
        return BOURSE_MALFORMED
      }
      return status(call) { _ throws(Refusal) in
        let key = [UInt8](options.key)
        let role: OpenSession.Role
        switch Int32(bitPattern: options.role) {
        case BOURSE_PROVER:
          let prover = try backend.openProver(key: key, threads: threads)
          try prover.executor.program.requireBoundary(options)
          role = .prover(prover)
        case BOURSE_VERIFIER:
          let verifier = try backend.openVerifier(key: key, threads: threads)
          try verifier.program.requireBoundary(options)
          role = .verifier(verifier)
        default:
          throw Refusal(BOURSE_MALFORMED, "A session is a prover's or a verifier's.")
        }
        session.pointee = OpaquePointer(Unmanaged.passRetained(OpenSession(role)).toOpaque())
      }
    }

  private static let execute:
    @convention(c) (
      OpaquePointer?, CallPointer, UnsafePointer<bourse_inference>?,
      UnsafePointer<UnsafePointer<bourse_sink>?>?
    ) -> bourse_status = { session, call, inference, outputs in
      guard let session, let inference = inference?.pointee, let outputs else {
        return BOURSE_MALFORMED
      }
      return status(call) { call throws(Refusal) in
        let inputs = Inference.tensors(inference.inputs, count: inference.input_count)
        let executor = try OpenSession.at(session).prover().executor
        let results: [[UInt8]]
        do throws(ExecutionError) {
          results = try executor.run(inputs, isCancelled: call.isCancelled)
        } catch {
          throw Refusal(error)
        }
        for (index, output) in results.enumerated() { try outputs[index].write(output) }
      }
    }

  private static let prove:
    @convention(c) (
      OpaquePointer?, CallPointer, UnsafePointer<bourse_inference>?, UnsafePointer<UInt8>?,
      SinkPointer
    ) -> bourse_status = { session, call, inference, context, proof in
      withUnsafePointer(to: inference) { proveBatch(session, call, $0, 1, context, proof) }
    }

  private static let verify:
    @convention(c) (
      OpaquePointer?, CallPointer, UnsafePointer<bourse_inference>?, UnsafePointer<UInt8>?,
      bourse_bytes, UnsafeMutablePointer<Int32>?
    ) -> bourse_status = { session, call, inference, context, proof, verdict in
      withUnsafePointer(to: inference) {
        verifyBatch(session, call, $0, 1, context, proof, verdict)
      }
    }

  // MARK: Batches

  private static let proveBatch:
    @convention(c) (
      OpaquePointer?, CallPointer, UnsafePointer<UnsafePointer<bourse_inference>?>?, UInt32,
      UnsafePointer<UInt8>?, SinkPointer
    ) -> bourse_status = { session, call, inferences, count, contexts, proof in
      guard let session else { return BOURSE_MALFORMED }
      return status(call) { call throws(Refusal) in
        try proof.write(
          try OpenSession.at(session).prover().prove(
            try batch(inferences, count: count, contexts), call))
      }
    }

  private static let verifyBatch:
    @convention(c) (
      OpaquePointer?, CallPointer, UnsafePointer<UnsafePointer<bourse_inference>?>?, UInt32,
      UnsafePointer<UInt8>?, bourse_bytes, UnsafeMutablePointer<Int32>?
    ) -> bourse_status = { session, call, inferences, count, contexts, proof, verdict in
      guard let session, let verdict else { return BOURSE_MALFORMED }
      return status(call) { call throws(Refusal) in
        let found = try OpenSession.at(session).verifier().verify(
          try batch(inferences, count: count, contexts), proof: [UInt8](proof))
        switch found {
        case .valid: verdict.pointee = BOURSE_VALID
        case .invalid(let reason):
          verdict.pointee = BOURSE_INVALID
          call.diagnose(reason)
        }
      }
    }

  private static func batch(
    _ inferences: UnsafePointer<UnsafePointer<bourse_inference>?>?, count: UInt32,
    _ contexts: UnsafePointer<UInt8>?
  ) throws(Refusal) -> [Inference] {
    guard 1...UInt32(BOURSE_BATCH_LIMIT) ~= count, let contexts else {
      throw Refusal(BOURSE_MALFORMED, "A batch has 1 to \(BOURSE_BATCH_LIMIT) inferences.")
    }
    var batch: [Inference] = []
    for index in 0..<Int(count) {
      guard let inference = inferences?[index]?.pointee else {
        throw Refusal(BOURSE_MALFORMED, "An inference is missing.")
      }
      batch.append(
        Inference(inference, context: contexts + index * Int(BOURSE_CONTEXT_LENGTH)))
    }
    return batch
  }

  private static func status(
    _ call: CallPointer, _ body: (Call) throws(Refusal) -> Void
  ) -> bourse_status {
    guard let call = call.map(Call.init) else { return BOURSE_MALFORMED }
    do {
      try body(call)
      return BOURSE_OK
    } catch {
      call.diagnose(error.sentence)
      return error.status
    }
  }
}
