import FixedPoint
package import ProverHost
import Statements

/// The conformance kit for plugins: runs every function of a backend on real slices, tampers with
/// everything that it verifies, and measures what it claims.
package struct PluginCheck: Sendable {
  package struct Settings: Sendable {
    /// For `compile`; see `Backend.compile`.
    package var options = ""
    /// Changed statements and proofs to try besides those of the checks.
    package var mutants = 0
    package var seed: UInt64 = 1
    /// Host processes that verify mutants side by side.
    package var verifiers = Executor.processors

    package init() {}
  }

  package struct Report: Sendable {
    package let backend: BackendDescriptor
    package let results: [CheckResult]
    /// Nil where none were asked for.
    package let mutants: MutationCampaign.Report?

    package var passed: Bool { !results.contains { $0.outcome == .failed } }
  }

  private let configuration: Backend.Configuration
  private let settings: Settings
  /// Told what is being done, as a line for people.
  private let progress: @Sendable (String) -> Void

  package init(
    _ configuration: Backend.Configuration, _ settings: Settings,
    progress: @escaping @Sendable (String) -> Void = { _ in }
  ) {
    (self.configuration, self.settings, self.progress) = (configuration, settings, progress)
  }

  /// Throws `BackendError` only where the plugin cannot be opened; what it does wrong from there on
  /// is in the report.
  package func run(on slices: [CheckedSlice]) async throws -> Report {
    let backend = try await Backend(configuration)
    var results: [CheckResult] = []
    var proven: [Proven] = []
    for slice in slices {
      var check = SliceCheck(
        slice: slice, backend: backend, configuration: configuration, settings: settings,
        progress: progress)
      proven += await check.run()
      results += check.results
    }
    if !results.contains(where: { $0.check == "supports" && $0.outcome == .passed }) {
      results.append(
        CheckResult(
          check: "supports", slice: "-", outcome: .failed,
          measured: "it takes none of the slices; name a model that it takes"))
    }
    results += await exchangedProofs(proven, backend)
    await backend.close()
    var mutants: MutationCampaign.Report?
    if settings.mutants > 0, !proven.isEmpty {
      let campaign = MutationCampaign(
        configuration: configuration, subjects: proven, settings: settings, progress: progress)
      let report = try await campaign.run()
      results.append(report.result)
      mutants = report
    }
    return Report(backend: backend.descriptor, results: results, mutants: mutants)
  }

  /// A proof is one of its own slice: in another slice's statement, each must be refused.
  private func exchangedProofs(_ proven: [Proven], _ backend: Backend) async -> [CheckResult] {
    let single = proven.filter { !$0.statement.isBatch }
    guard single.count > 1, !backend.descriptor.traits.contains(.reexecutes) else { return [] }
    var results: [CheckResult] = []
    for (index, subject) in single.enumerated() {
      let other = single[(index + 1) % single.count]
      let outcome: CheckResult.Outcome
      let measured: String
      do {
        let verifier = try await backend.openVerifier(
          key: subject.keys.verifier, boundaries: subject.slice.bundle.boundaries)
        let verification = await verifier.verify(subject.statement, proof: other.proof)
        outcome = verification.verdict == .invalid ? .passed : .failed
        measured = "\(verification.verdict) for the proof of \(other.slice.name)"
      } catch {
        (outcome, measured) = (.failed, "\(error)")
      }
      results.append(
        CheckResult(
          check: "another slice's proof", slice: subject.slice.name, outcome: outcome,
          measured: measured))
    }
    return results
  }
}
