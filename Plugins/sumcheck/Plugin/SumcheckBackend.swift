import BoursePlugin
import CBourseProver
import FixedPoint
import Primitives
import Sumcheck

/// The backend `sumcheck`.
enum SumcheckBackend: PluginBackend {
  static let description = BackendDescription(
    flags: BOURSE_BINDS_CONTEXT | BOURSE_TRANSPARENT | BOURSE_DETERMINISTIC_KEYS, id: "sumcheck",
    version: "1.0.0", summary: "Proves the integer program by sumcheck and lookups, without setup.")
  static let optionKeys = KeyOptions.names

  static func obstacles(to program: Program) -> [String] {
    do {
      _ = try ProverKey(program)
      return []
    } catch {
      return ["\(error.node): \(error.reason)"]
    }
  }

  static func estimate(_ program: Program) throws(Refusal) -> BoursePlugin.Estimate {
    let estimate = try refusing(BOURSE_UNSUPPORTED) { () throws(CircuitError) in
      try Sumcheck.Estimate(of: ProverKey(program))
    }
    return BoursePlugin.Estimate(
      costUnits: estimate.cells, peakMemoryBytes: estimate.memoryBytes,
      proofBytes: estimate.proofBytes)
  }

  static func compile(_ program: Program, options: [String: String]) throws(Refusal) -> Keys {
    let chosen: KeyOptions
    do {
      chosen = try KeyOptions(options)
    } catch {
      throw Refusal(BOURSE_UNSUPPORTED, error.sentence)
    }
    return try refusing(BOURSE_UNSUPPORTED) { () throws(CircuitError) in
      let key = try ProverKey(program, chosen)
      return Keys(
        prover: key.canonicalBytes, verifier: try key.verifierKey().canonicalBytes,
        options: [
          ("mode", key.mode.name), ("weights", chosen.weights.rawValue), ("batch", "\(key.batch)"),
        ])
    }
  }

  static func openProver(key: [UInt8], threads: Int) throws(Refusal) -> any ProvingSession {
    let key: ProverKey = try decoded(key)
    return SumcheckProvingSession(
      prover: try refusing(BOURSE_BAD_KEY) { () throws(CircuitError) in
        try Prover(key, threads: threads)
      }, executor: Executor(program: key.program, threads: threads))
  }

  static func openVerifier(
    key: [UInt8], threads: Int
  ) throws(Refusal) -> any VerifyingSession {
    let key: VerifierKey = try decoded(key)
    return SumcheckVerifyingSession(
      program: key.program,
      verifier: try refusing(BOURSE_BAD_KEY) { () throws(CircuitError) in try Verifier(key) })
  }

  private static func decoded<Key: CanonicalCodable>(_ bytes: [UInt8]) throws(Refusal) -> Key {
    do {
      return try Key(canonicalBytes: bytes)
    } catch {
      throw Refusal(BOURSE_BAD_KEY, error.sentence)
    }
  }

  private static func refusing<Value>(
    _ status: bourse_status, _ body: () throws(CircuitError) -> Value
  ) throws(Refusal) -> Value {
    do {
      return try body()
    } catch {
      throw Refusal(status, "At '\(error.node)': \(error.reason).")
    }
  }
}

struct SumcheckProvingSession: ProvingSession {
  let prover: Prover
  let executor: Executor

  func prove(_ inferences: [Inference], _ call: Call) throws(Refusal) -> [UInt8] {
    guard inferences.count == prover.batch else {
      throw Refusal(
        BOURSE_MALFORMED,
        "The key is for proofs of \(prover.batch) inferences and \(inferences.count) came.")
    }
    let run: RetainedRun
    do {
      run = try prover.run(inferences.map(\.inputs), isCancelled: call.isCancelled)
    } catch {
      throw Refusal(error)
    }
    guard run.outputs == inferences.map(\.outputs) else {
      throw Refusal(
        BOURSE_MALFORMED,
        "The outputs are not what the program gives for these inputs; execute it again.")
    }
    do {
      return try prover.prove(
        inferences.map(Instance.init), tensors: run.tensors,
        Supervision(report: call.progress, isCancelled: call.isCancelled))
    } catch {
      throw Refusal(BOURSE_CANCELLED, "Proving was cancelled.")
    }
  }
}

struct SumcheckVerifyingSession: VerifyingSession {
  let program: Program
  let verifier: Verifier

  func verify(_ inferences: [Inference], proof: [UInt8]) throws(Refusal) -> Verdict {
    guard inferences.count == verifier.batch else {
      throw Refusal(
        BOURSE_MALFORMED,
        "The key is for proofs of \(verifier.batch) inferences and \(inferences.count) came.")
    }
    do {
      try verifier.verify(inferences.map(Instance.init), proof: proof)
      return .valid
    } catch {
      return .invalid(error.sentence)
    }
  }
}

extension Instance {
  init(_ inference: Inference) {
    self.init(
      inputs: inference.inputs, outputs: inference.outputs, context: inference.context)
  }
}
