import BoursePlugin
import CBourseProver
import FixedPoint
import Primitives

/// The backend `reexec`: its proofs are empty and its verifier runs the integer program again.
/// Exact, and what audits and challenges use; a slice it verified is re-executed, never proven.
///
/// Both keys are the canonical bytes of the slice's program.
enum Reexec: PluginBackend {
  static let description = BackendDescription(
    flags: BOURSE_TRANSPARENT | BOURSE_DETERMINISTIC_KEYS | BOURSE_REEXECUTES, id: "reexec",
    version: "1.0.0", summary: "Runs the integer program again and compares; proves nothing.")
  static let optionKeys: [String] = []

  static func obstacles(to program: Program) -> [String] { [] }

  static func estimate(_ program: Program) -> Estimate {
    let results = program.tensors.dropFirst(program.inputs.count)
    let steps = zip(program.operations.indices, results).reduce(0) { sum, step in
      sum
        + program.operations[step.0].operator.steps(
          of: program.operands(of: step.0), giving: step.1)
    }
    let elements = program.tensors.reduce(0) { $0 + $1.elementCount }
    return Estimate(
      costUnits: steps, peakMemoryBytes: 2 * elements + 3 * program.canonicalBytes.count,
      proofBytes: 0)
  }

  static func compile(_ program: Program, options: [String: String]) -> Keys {
    Keys(prover: program.canonicalBytes, verifier: program.canonicalBytes)
  }

  static func openProver(key: [UInt8], threads: Int) throws(Refusal) -> any ProvingSession {
    try ReexecSession(key: key, threads: threads)
  }

  static func openVerifier(key: [UInt8], threads: Int) throws(Refusal) -> any VerifyingSession {
    try ReexecSession(key: key, threads: threads)
  }
}

/// Of either role.
struct ReexecSession: ProvingSession, VerifyingSession {
  let executor: Executor

  init(key: [UInt8], threads: Int) throws(Refusal) {
    do {
      executor = Executor(program: try Program(canonicalBytes: key), threads: threads)
    } catch {
      throw Refusal(BOURSE_BAD_KEY, error.sentence)
    }
  }

  var program: Program { executor.program }

  func prove(_ inferences: [Inference], _ call: Call) -> [UInt8] { [] }

  func verify(_ inferences: [Inference], proof: [UInt8]) throws(Refusal) -> Verdict {
    guard proof.isEmpty else {
      return .invalid("A proof of reexec is empty and \(proof.count) bytes came.")
    }
    for inference in inferences {
      if case .invalid(let reason) = try verify(inference) { return .invalid(reason) }
    }
    return .valid
  }

  private func verify(_ inference: Inference) throws(Refusal) -> Verdict {
    let expected: [[UInt8]]
    do {
      expected = try executor.run(inference.inputs)
    } catch {
      // No output is right where the semantics has none.
      guard case .rangeFault = error else { throw Refusal(error) }
      return .invalid(error.sentence)
    }
    guard inference.outputs.count == expected.count else {
      return .invalid(
        "\(expected.count) outputs were due and \(inference.outputs.count) came.")
    }
    for (index, pair) in zip(inference.outputs, expected).enumerated() where pair.0 != pair.1 {
      let byte = zip(pair.0, pair.1).enumerated().first { $1.0 != $1.1 }?.offset ?? 0
      return .invalid("Output \(index) differs from its re-execution at byte \(byte).")
    }
    return .valid
  }
}
