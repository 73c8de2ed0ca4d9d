public import CBourseProver
import Sumcheck

// The C face of the backend. Each function turns borrowed C views into Swift values, and a Swift
// error into a status and a diagnostic; nothing else happens here.

// Public, or an optimised build drops the symbol that nothing here calls.
@_cdecl("bourse_prover_entry_v1")
public func bourseProverEntry() -> UnsafePointer<bourse_prover_entry> { Constants.entry }

/// Built at the first call, kept for the life of the process.
private enum Constants {
  // Written once, before anyone can see them, and constant from then on.
  nonisolated(unsafe) static let entry = constant(
    bourse_prover_entry(
      struct_size: UInt32(MemoryLayout<bourse_prover_entry>.size),
      abi_major: UInt16(BOURSE_PROVER_ABI_MAJOR), abi_minor: UInt16(BOURSE_PROVER_ABI_MINOR),
      init: { host in
        // Before any other call, so nothing reads it meanwhile.
        Host.threads = max(1, Int(host?.pointee.thread_budget ?? 1))
        return BOURSE_OK
      }, deinit: {}, backend_count: { 1 }, backend: { _ in Constants.backend }))

  nonisolated(unsafe) static let backend = constant(
    bourse_backend(
      struct_size: UInt32(MemoryLayout<bourse_backend>.size),
      flags: BOURSE_BINDS_CONTEXT | BOURSE_TRANSPARENT | BOURSE_DETERMINISTIC_KEYS,
      id: text("sumcheck"), version: text("1.0.0"), semantics: text("fixed16/1"),
      description: text("Proves the integer program by sumcheck and lookups, without setup."),
      supports: supports, estimate: estimate, compile: compile, session_open: openSession,
      session_close: { session in
        guard let session else { return }
        Unmanaged<SumcheckSession>.fromOpaque(UnsafeRawPointer(session)).release()
      }, execute: execute, prove: prove, verify: verify, get_extension: { _, _ in nil }))

  private static func constant<Value>(_ value: Value) -> UnsafePointer<Value> {
    let place = UnsafeMutablePointer<Value>.allocate(capacity: 1)
    place.initialize(to: value)
    return UnsafePointer(place)
  }

  private static func text(_ text: StaticString) -> UnsafePointer<CChar> {
    UnsafeRawPointer(text.utf8Start).assumingMemoryBound(to: CChar.self)
  }
}

/// What the host granted at init.
enum Host {
  nonisolated(unsafe) static var threads = 1
}

private let supports:
  @convention(c) (
    UnsafePointer<bourse_backend>?, UnsafePointer<bourse_call>?, UnsafePointer<bourse_slice>?,
    UnsafePointer<bourse_sink>?
  ) -> bourse_status = { _, call, slice, reasons in
    guard let slice else { return BOURSE_MALFORMED }
    do throws(SumcheckFailure) {
      for line in try SumcheckSession.obstacles(slice.pointee.program) {
        _ = write(Array("\(line)\n".utf8), to: reasons)
        return BOURSE_UNSUPPORTED
      }
      return BOURSE_OK
    } catch {
      _ = write(Array("program: \(error.sentence)\n".utf8), to: reasons)
      return BOURSE_UNSUPPORTED
    }
  }

private let estimate:
  @convention(c) (
    UnsafePointer<bourse_backend>?, UnsafePointer<bourse_call>?, UnsafePointer<bourse_slice>?,
    UnsafeMutablePointer<bourse_estimate>?
  ) -> bourse_status = { _, call, slice, estimate in
    guard let slice, let estimate else { return BOURSE_MALFORMED }
    return status(call) { () throws(SumcheckFailure) in
      let found = try SumcheckSession.estimate(slice.pointee.program)
      estimate.pointee.cost_units = UInt64(found.cells)
      estimate.pointee.peak_memory_bytes = UInt64(found.memoryBytes)
      estimate.pointee.proof_bytes = UInt64(found.proofBytes)
      return BOURSE_OK
    }
  }

private let compile:
  @convention(c) (
    UnsafePointer<bourse_backend>?, UnsafePointer<bourse_call>?, UnsafePointer<bourse_compile>?,
    UnsafePointer<bourse_sink>?, UnsafePointer<bourse_sink>?
  ) -> bourse_status = { _, call, arguments, proverKey, verifierKey in
    guard let slice = arguments?.pointee.slice else { return BOURSE_MALFORMED }
    return status(call) { () throws(SumcheckFailure) in
      let key = try SumcheckSession.compile(slice.pointee.program)
      let written = write(key, to: proverKey)
      return written == BOURSE_OK ? write(key, to: verifierKey) : written
    }
  }

private let openSession:
  @convention(c) (
    UnsafePointer<bourse_backend>?, UnsafePointer<bourse_call>?,
    UnsafePointer<bourse_session_options>?, UnsafeMutablePointer<OpaquePointer?>?
  ) -> bourse_status = { _, call, options, session in
    guard let options, let session else { return BOURSE_MALFORMED }
    return status(call) { () throws(SumcheckFailure) in
      let opened = try SumcheckSession(options: options.pointee)
      session.pointee = OpaquePointer(Unmanaged.passRetained(opened).toOpaque())
      return BOURSE_OK
    }
  }

private let execute:
  @convention(c) (
    OpaquePointer?, UnsafePointer<bourse_call>?, UnsafePointer<bourse_inference>?,
    UnsafePointer<UnsafePointer<bourse_sink>?>?
  ) -> bourse_status = { session, call, inference, outputs in
    guard let session, let inference, let outputs else { return BOURSE_MALFORMED }
    return status(call) { () throws(SumcheckFailure) in
      for (index, output) in try open(session).execute(inference.pointee).enumerated() {
        let written = write(output, to: outputs[index])
        guard written == BOURSE_OK else { return written }
      }
      return BOURSE_OK
    }
  }

private let prove:
  @convention(c) (
    OpaquePointer?, UnsafePointer<bourse_call>?, UnsafePointer<bourse_inference>?,
    UnsafePointer<UInt8>?, UnsafePointer<bourse_sink>?
  ) -> bourse_status = { session, call, inference, context, proof in
    guard let session, let call, let inference, let context else { return BOURSE_MALFORMED }
    return status(call) { () throws(SumcheckFailure) in
      let supervision = Supervision { phase, fraction in
        phase.withCString { call.pointee.progress(call, $0, fraction) }
        return call.pointee.is_cancelled(call) == 0
      }
      return write(
        try open(session).prove(inference.pointee, context: contextBytes(context), supervision),
        to: proof)
    }
  }

private let verify:
  @convention(c) (
    OpaquePointer?, UnsafePointer<bourse_call>?, UnsafePointer<bourse_inference>?,
    UnsafePointer<UInt8>?, bourse_bytes, UnsafeMutablePointer<Int32>?
  ) -> bourse_status = { session, call, inference, context, proof, verdict in
    guard let session, let inference, let context, let verdict else { return BOURSE_MALFORMED }
    let (found, reason) = open(session).verify(
      inference.pointee, context: contextBytes(context), proof: proof)
    verdict.pointee = found
    diagnose(call, reason)
    return BOURSE_OK
  }

private func contextBytes(_ context: UnsafePointer<UInt8>) -> [UInt8] {
  Array(UnsafeBufferPointer(start: context, count: Int(BOURSE_CONTEXT_LENGTH)))
}

private func open(_ session: OpaquePointer) -> SumcheckSession {
  Unmanaged<SumcheckSession>.fromOpaque(UnsafeRawPointer(session)).takeUnretainedValue()
}

private func status(
  _ call: UnsafePointer<bourse_call>?, _ body: () throws(SumcheckFailure) -> bourse_status
) -> bourse_status {
  do {
    return try body()
  } catch {
    diagnose(call, error.sentence)
    return error.status
  }
}

private func diagnose(_ call: UnsafePointer<bourse_call>?, _ sentence: String) {
  sentence.withCString { call?.pointee.diagnose(call, $0) }
}

private func write(_ bytes: [UInt8], to sink: UnsafePointer<bourse_sink>?) -> bourse_status {
  bytes.withUnsafeBufferPointer { buffer in
    sink?.pointee.write(sink, buffer.baseAddress, buffer.count) ?? BOURSE_MALFORMED
  }
}
