public import CBourseProver
import FixedPoint
import Primitives

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
      init: { _ in BOURSE_OK }, deinit: {}, backend_count: { 1 },
      backend: { _ in Constants.backend }))

  nonisolated(unsafe) static let backend = constant(
    bourse_backend(
      struct_size: UInt32(MemoryLayout<bourse_backend>.size),
      flags: BOURSE_TRANSPARENT | BOURSE_DETERMINISTIC_KEYS | BOURSE_REEXECUTES,
      id: text("reexec"), version: text("1.0.0"), semantics: text("fixed16/1"),
      description: text("Runs the integer program again and compares; proves nothing."),
      supports: supports, estimate: estimate, compile: compile, session_open: openSession,
      session_close: { session in
        guard let session else { return }
        Unmanaged<ReexecSession>.fromOpaque(UnsafeRawPointer(session)).release()
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

private let supports:
  @convention(c) (
    UnsafePointer<bourse_backend>?, UnsafePointer<bourse_call>?, UnsafePointer<bourse_slice>?,
    UnsafePointer<bourse_sink>?
  ) -> bourse_status = { _, call, slice, reasons in
    guard let slice else { return BOURSE_MALFORMED }
    do throws(ReexecFailure) {
      _ = try ReexecSession.program(slice.pointee.program)
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
    return status(call) { () throws(ReexecFailure) in
      let program = try ReexecSession.program(slice.pointee.program)
      let results = program.tensors.dropFirst(program.inputs.count)
      let steps = zip(program.operations.indices, results).reduce(0) { sum, step in
        sum
          + program.operations[step.0].operator.steps(
            of: program.operands(of: step.0), giving: step.1)
      }
      let elements = program.tensors.reduce(0) { $0 + $1.elementCount }
      estimate.pointee.cost_units = UInt64(steps)
      estimate.pointee.peak_memory_bytes = UInt64(
        2 * elements + 3 * slice.pointee.program.length)
      estimate.pointee.proof_bytes = 0
      return BOURSE_OK
    }
  }

private let compile:
  @convention(c) (
    UnsafePointer<bourse_backend>?, UnsafePointer<bourse_call>?, UnsafePointer<bourse_compile>?,
    UnsafePointer<bourse_sink>?, UnsafePointer<bourse_sink>?
  ) -> bourse_status = { _, call, arguments, proverKey, verifierKey in
    guard let slice = arguments?.pointee.slice else { return BOURSE_MALFORMED }
    return status(call) { () throws(ReexecFailure) in
      let key = try ReexecSession.program(slice.pointee.program).canonicalBytes
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
    return status(call) { () throws(ReexecFailure) in
      let opened = try ReexecSession(options: options.pointee)
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
    return status(call) { () throws(ReexecFailure) in
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
  ) -> bourse_status = { _, _, _, _, _ in BOURSE_OK }

private let verify:
  @convention(c) (
    OpaquePointer?, UnsafePointer<bourse_call>?, UnsafePointer<bourse_inference>?,
    UnsafePointer<UInt8>?, bourse_bytes, UnsafeMutablePointer<Int32>?
  ) -> bourse_status = { session, call, inference, _, proof, verdict in
    guard let session, let inference, let verdict else { return BOURSE_MALFORMED }
    return status(call) { () throws(ReexecFailure) in
      let (found, reason) = try open(session).verify(inference.pointee, proof: proof)
      verdict.pointee = found
      diagnose(call, reason)
      return BOURSE_OK
    }
  }

private func open(_ session: OpaquePointer) -> ReexecSession {
  Unmanaged<ReexecSession>.fromOpaque(UnsafeRawPointer(session)).takeUnretainedValue()
}

private func status(
  _ call: UnsafePointer<bourse_call>?, _ body: () throws(ReexecFailure) -> bourse_status
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
