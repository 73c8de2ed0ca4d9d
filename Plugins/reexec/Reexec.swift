import CBourseProver
import FixedPoint
import Primitives
import Statements

/// The backend `reexec`: its proofs are empty and its verifier runs the integer program again.
/// Exact, and what audits and challenges use; a slice it verified is re-executed, never proven.
///
/// Both keys are the canonical bytes of the slice's program.
final class ReexecSession {
  private let executor: Executor

  /// Nil unless the key is a valid program with exactly these boundaries.
  init(options: bourse_session_options) throws(ReexecFailure) {
    let program = try Self.program(options.key)
    try Self.check(program.inputs, against: options.inputs, count: options.input_count)
    try Self.check(program.outputs, against: options.outputs, count: options.output_count)
    executor = Executor(program: program)
  }

  static func program(_ bytes: bourse_bytes) throws(ReexecFailure) -> Program {
    do {
      return try Program(canonicalBytes: Array(UnsafeBufferPointer(bytes)))
    } catch {
      throw ReexecFailure(status: BOURSE_BAD_KEY, sentence: error.sentence)
    }
  }

  func execute(_ inference: bourse_inference) throws(ReexecFailure) -> [[UInt8]] {
    do {
      return try executor.run(Self.tensors(inference.inputs, count: inference.input_count))
    } catch {
      guard case .rangeFault = error else {
        throw ReexecFailure(status: BOURSE_MALFORMED, sentence: error.sentence)
      }
      throw ReexecFailure(status: BOURSE_RANGE_FAULT, sentence: error.sentence)
    }
  }

  /// The verdict and, where it is not valid, why.
  func verify(
    _ inference: bourse_inference, proof: bourse_bytes
  ) throws(ReexecFailure) -> (verdict: Int32, reason: String) {
    guard proof.length == 0 else {
      return (BOURSE_INVALID, "A proof of reexec is empty and \(proof.length) bytes came.")
    }
    let expected: [[UInt8]]
    do {
      expected = try execute(inference)
    } catch {
      // No output is right where the semantics has none.
      guard error.status == BOURSE_RANGE_FAULT else { throw error }
      return (BOURSE_INVALID, error.sentence)
    }
    let claimed = Self.tensors(inference.outputs, count: inference.output_count)
    guard claimed.count == expected.count else {
      return (BOURSE_INVALID, "\(expected.count) outputs were due and \(claimed.count) came.")
    }
    for (index, pair) in zip(claimed, expected).enumerated() where pair.0 != pair.1 {
      let byte = zip(pair.0, pair.1).enumerated().first { $1.0 != $1.1 }?.offset ?? 0
      return (BOURSE_INVALID, "Output \(index) differs from its re-execution at byte \(byte).")
    }
    return (BOURSE_VALID, "")
  }

  private static func check(
    _ specifications: [BoundarySpecification],
    against boundaries: UnsafePointer<UnsafePointer<bourse_boundary>?>?, count: UInt32
  ) throws(ReexecFailure) {
    let agrees =
      specifications.count == Int(count)
      && specifications.enumerated().allSatisfy { index, specification in
        guard let boundary = boundaries?[index]?.pointee else { return false }
        return boundary.element_type == specification.elementType.rawValue
          && boundary.exponent == specification.exponent
          && UnsafeBufferPointer(start: boundary.shape, count: Int(boundary.rank)).map { Int($0) }
            == specification.shape
      }
    guard agrees else {
      throw ReexecFailure(
        status: BOURSE_BAD_KEY,
        sentence: "The key's program has other boundary tensors than the slice; compile it again.")
    }
  }

  private static func tensors(
    _ views: UnsafePointer<UnsafePointer<bourse_tensor>?>?, count: UInt32
  ) -> [[UInt8]] {
    (0..<Int(count)).map { index in
      guard let view = views?[index]?.pointee else { return [] }
      return Array(UnsafeBufferPointer(start: view.data, count: view.byte_length))
    }
  }
}

/// A status other than BOURSE_OK and its diagnostic.
struct ReexecFailure: Error {
  let status: bourse_status
  let sentence: String
}

extension UnsafeBufferPointer<UInt8> {
  init(_ bytes: bourse_bytes) { self.init(start: bytes.data, count: bytes.length) }
}
