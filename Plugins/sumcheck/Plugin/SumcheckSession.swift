import CBourseProver
import FixedPoint
import Primitives
import Statements
import Sumcheck

/// The backend `sumcheck` on one slice. Both keys are the verifier key: the program and the
/// parameters of its proofs.
final class SumcheckSession {
  private let key: VerifierKey
  private let verifier: Verifier
  /// Of the prover's role.
  private let prover: Prover?
  private let executor: Executor?

  init(options: bourse_session_options) throws(SumcheckFailure) {
    let key: VerifierKey
    do {
      key = try VerifierKey(canonicalBytes: Array(UnsafeBufferPointer(options.key)))
    } catch {
      throw SumcheckFailure(status: BOURSE_BAD_KEY, sentence: error.sentence)
    }
    try Self.check(key.program.inputs, against: options.inputs, count: options.input_count)
    try Self.check(key.program.outputs, against: options.outputs, count: options.output_count)
    let circuit: Circuit
    do {
      circuit = try Circuit(key.program, key.parameters)
    } catch {
      throw SumcheckFailure(
        status: BOURSE_BAD_KEY, sentence: "At '\(error.node)': \(error.reason).")
    }
    self.key = key
    verifier = Verifier(circuit)
    if options.role == UInt32(BOURSE_PROVER) {
      prover = Prover(circuit, threads: Host.threads)
      executor = Executor(program: key.program)
    } else {
      (prover, executor) = (nil, nil)
    }
  }

  // MARK: A slice

  static func program(_ bytes: bourse_bytes) throws(SumcheckFailure) -> Program {
    do {
      return try Program(canonicalBytes: Array(UnsafeBufferPointer(bytes)))
    } catch {
      throw SumcheckFailure(status: BOURSE_BAD_KEY, sentence: error.sentence)
    }
  }

  /// One line "operation: reason" for what cannot be proven; none where all can.
  static func obstacles(_ bytes: bourse_bytes) throws(SumcheckFailure) -> [String] {
    let program = try program(bytes)
    do {
      _ = try Parameters(for: program)
      return []
    } catch {
      return ["\(error.node): \(error.reason)"]
    }
  }

  static func estimate(_ bytes: bourse_bytes) throws(SumcheckFailure) -> Estimate {
    let program = try program(bytes)
    return Estimate(of: try circuit(program))
  }

  static func compile(_ bytes: bourse_bytes) throws(SumcheckFailure) -> [UInt8] {
    let program = try program(bytes)
    return VerifierKey(program: program, parameters: try circuit(program).parameters)
      .canonicalBytes
  }

  private static func circuit(_ program: Program) throws(SumcheckFailure) -> Circuit {
    do {
      return try Circuit(program, try Parameters(for: program))
    } catch {
      throw SumcheckFailure(
        status: BOURSE_UNSUPPORTED, sentence: "At '\(error.node)': \(error.reason).")
    }
  }

  // MARK: One inference

  func execute(_ inference: bourse_inference) throws(SumcheckFailure) -> [[UInt8]] {
    guard let executor else { throw .wrongRole }
    do {
      return try executor.run(Self.tensors(inference.inputs, count: inference.input_count))
    } catch {
      throw SumcheckFailure(error)
    }
  }

  func prove(
    _ inference: bourse_inference, context: [UInt8], _ supervision: Supervision
  ) throws(SumcheckFailure) -> [UInt8] {
    guard let prover else { throw .wrongRole }
    let inputs = Self.tensors(inference.inputs, count: inference.input_count)
    let outputs = Self.tensors(inference.outputs, count: inference.output_count)
    let run: RetainedRun
    do {
      run = try prover.run(inputs)
    } catch {
      throw SumcheckFailure(error)
    }
    guard run.outputs == outputs else {
      throw SumcheckFailure(
        status: BOURSE_MALFORMED,
        sentence: "The outputs are not what the program gives for these inputs; execute it again.")
    }
    do {
      return try prover.prove(
        tensors: run.tensors, inputs: inputs, outputs: outputs, context: context, supervision)
    } catch {
      throw SumcheckFailure(status: BOURSE_CANCELLED, sentence: "Proving was cancelled.")
    }
  }

  /// The verdict and, where it is not valid, why.
  func verify(
    _ inference: bourse_inference, context: [UInt8], proof: bourse_bytes
  ) -> (verdict: Int32, reason: String) {
    do {
      try verifier.verify(
        inputs: Self.tensors(inference.inputs, count: inference.input_count),
        outputs: Self.tensors(inference.outputs, count: inference.output_count),
        context: context, proof: Array(UnsafeBufferPointer(proof)))
      return (BOURSE_VALID, "")
    } catch {
      return (BOURSE_INVALID, error.sentence)
    }
  }

  private static func check(
    _ specifications: [BoundarySpecification],
    against boundaries: UnsafePointer<UnsafePointer<bourse_boundary>?>?, count: UInt32
  ) throws(SumcheckFailure) {
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
      throw SumcheckFailure(
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
struct SumcheckFailure: Error {
  let status: bourse_status
  let sentence: String

  init(status: bourse_status, sentence: String) {
    (self.status, self.sentence) = (status, sentence)
  }

  init(_ error: ExecutionError) {
    if case .rangeFault = error { status = BOURSE_RANGE_FAULT } else { status = BOURSE_MALFORMED }
    sentence = error.sentence
  }

  static let wrongRole = SumcheckFailure(
    status: BOURSE_MALFORMED,
    sentence: "The session is a verifier's; open one of the prover's role.")
}

extension UnsafeBufferPointer<UInt8> {
  init(_ bytes: bourse_bytes) { self.init(start: bytes.data, count: bytes.length) }
}
