/// For the conformance kit alone: calls that a correct host never makes.
extension Backend {
  /// Calls each function in a session of the other role, and says how the plugin answered. Throws
  /// `BackendError` where the process did not survive it.
  package func callWithTheWrongRole(
    keys: CompiledKeys, boundaries: Boundaries, _ inference: Inference
  ) async throws -> [(HostOperation, String)] {
    let verifier = try await open(.verifier, keys.verifier, boundaries)
    let prover = try await open(.prover, keys.prover, boundaries)
    let calls: [(HostRequest, SessionSource)] = [
      (.execute(verifier.id, inputs: inference.inputs), verifier),
      (.prove(verifier.id, inference), verifier),
      (.verify(prover.id, inference, proof: []), prover),
    ]
    var answers: [(HostOperation, String)] = []
    for (request, session) in calls {
      let reply = try await perform(request, in: session)
      let answer =
        switch reply {
        case .refused: "refused"
        case .verified(let verdict, _): "verdict \(verdict)"
        default: "done"
        }
      answers.append((request.operation ?? .open, answer))
    }
    close(verifier)
    close(prover)
    return answers
  }
}
