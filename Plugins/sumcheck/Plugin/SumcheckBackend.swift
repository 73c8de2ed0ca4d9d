import BoursePlugin
import CBourseProver
import FixedPoint
import Primitives
import Sumcheck

/// The backend `sumcheck`. Both keys are the verifier key: the program and the parameters of its
/// proofs.
enum SumcheckBackend: PluginBackend {
  static let description = BackendDescription(
    flags: BOURSE_BINDS_CONTEXT | BOURSE_TRANSPARENT | BOURSE_DETERMINISTIC_KEYS, id: "sumcheck",
    version: "1.0.0", summary: "Proves the integer program by sumcheck and lookups, without setup.")
  static let optionKeys: [String] = []

  static func obstacles(to program: Program) -> [String] {
    do {
      _ = try Parameters(for: program)
      return []
    } catch {
      return ["\(error.node): \(error.reason)"]
    }
  }

  static func estimate(_ program: Program) throws(Refusal) -> BoursePlugin.Estimate {
    let estimate = Sumcheck.Estimate(of: try circuit(program))
    return BoursePlugin.Estimate(
      costUnits: estimate.cells, peakMemoryBytes: estimate.memoryBytes,
      proofBytes: estimate.proofBytes)
  }

  static func compile(_ program: Program, options: [String: String]) throws(Refusal) -> Keys {
    let key = VerifierKey(program: program, parameters: try circuit(program).parameters)
      .canonicalBytes
    return Keys(prover: key, verifier: key)
  }

  static func openProver(key: [UInt8], threads: Int) throws(Refusal) -> any ProvingSession {
    let circuit = try circuit(key: key)
    return SumcheckProvingSession(
      prover: Prover(circuit, threads: threads),
      executor: Executor(program: circuit.program, threads: threads))
  }

  static func openVerifier(
    key: [UInt8], threads: Int
  ) throws(Refusal) -> any VerifyingSession {
    SumcheckVerifyingSession(verifier: Verifier(try circuit(key: key)))
  }

  private static func circuit(_ program: Program) throws(Refusal) -> Circuit {
    do {
      return try Circuit(program, try Parameters(for: program))
    } catch {
      throw Refusal(BOURSE_UNSUPPORTED, "At '\(error.node)': \(error.reason).")
    }
  }

  private static func circuit(key bytes: [UInt8]) throws(Refusal) -> Circuit {
    let key: VerifierKey
    do {
      key = try VerifierKey(canonicalBytes: bytes)
    } catch {
      throw Refusal(BOURSE_BAD_KEY, error.sentence)
    }
    do {
      return try Circuit(key.program, key.parameters)
    } catch {
      throw Refusal(BOURSE_BAD_KEY, "At '\(error.node)': \(error.reason).")
    }
  }
}

struct SumcheckProvingSession: ProvingSession {
  let prover: Prover
  let executor: Executor

  func prove(_ inferences: [Inference], _ call: Call) throws(Refusal) -> [UInt8] {
    let inference = try inferences.only()
    let run: RetainedRun
    do {
      run = try prover.run(inference.inputs)
    } catch {
      throw Refusal(error)
    }
    guard run.outputs == inference.outputs else {
      throw Refusal(
        BOURSE_MALFORMED,
        "The outputs are not what the program gives for these inputs; execute it again.")
    }
    do {
      return try prover.prove(
        tensors: run.tensors, inputs: inference.inputs, outputs: inference.outputs,
        context: inference.context, Supervision { call.proceeds($0, $1) })
    } catch {
      throw Refusal(BOURSE_CANCELLED, "Proving was cancelled.")
    }
  }
}

struct SumcheckVerifyingSession: VerifyingSession {
  let verifier: Verifier

  var program: Program { verifier.circuit.program }

  func verify(_ inferences: [Inference], proof: [UInt8]) throws(Refusal) -> Verdict {
    let inference = try inferences.only()
    do {
      try verifier.verify(
        inputs: inference.inputs, outputs: inference.outputs, context: inference.context,
        proof: proof)
      return .valid
    } catch {
      return .invalid(error.sentence)
    }
  }
}

extension [Inference] {
  fileprivate func only() throws(Refusal) -> Inference {
    guard let first, count == 1 else {
      throw Refusal(BOURSE_MALFORMED, "The key is for proofs of 1 inference and \(count) came.")
    }
    return first
  }
}
