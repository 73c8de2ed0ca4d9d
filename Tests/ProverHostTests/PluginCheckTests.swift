import Glibc
import Primitives
import ProverHost
import Testing

@testable import PluginCheck

/// The conformance kit on the plugins of the tree, and on plugins that it must catch.
@Suite struct PluginCheckTests {
  private func report(
    _ configuration: Backend.Configuration, mutants: Int = 200, options: String = ""
  ) async throws -> PluginCheck.Report {
    var settings = PluginCheck.Settings()
    settings.options = options
    settings.mutants = mutants
    settings.verifiers = 2
    return try await PluginCheck(configuration, settings).run(on: [try .relu()])
  }

  @Test(arguments: [
    ("reexec", ""), ("sumcheck", "mode=clear"), ("sumcheck", "mode=commit"), ("example-c", ""),
  ])
  func passes(backend: String, options: String) async throws {
    let report = try await report(
      try Fixtures.configuration(plugin: Fixtures.installed.plugin(backend), backend: backend),
      options: options)
    for result in report.results {
      #expect(result.outcome != .failed, "\(result.check): \(result.measured)")
    }
    #expect(report.passed)
    #expect(report.results.count { $0.outcome == .passed } > 12)
    #expect(report.mutants?.tried == 200)
  }

  /// The canary: a plugin that calls everything valid fails every check that is about refusing.
  @Test func catchesAVerifierThatRefusesNothing() async throws {
    let configuration = try Fixtures.fault("NONE")
    defer { unlink(configuration.plugin) }
    let report = try await report(configuration)
    #expect(!report.passed)
    let failed = Set(report.results.filter { $0.outcome == .failed }.map(\.check))
    #expect(
      failed == [
        "options", "false outputs", "inputs", "outputs", "proof length", "two sessions",
        "hostile keys", "mutants",
      ])
    #expect(report.mutants?.failures.count == MutationCampaign.failureLimit)
  }

  @Test(arguments: [
    ("LEAKS", "memory"), ("CRASH_IN_VERIFY", "prove and verify"), ("SHORT_OUTPUT", "execute"),
    ("CRASH_IN_BATCH", "batch"), ("NEVER_POLLS", "cancellation"),
    ("POLLS_AT_FIRST", "cancellation"),
  ])
  func catchesWhatGoesWrong(fault: String, check: String) async throws {
    let configuration = try Fixtures.fault(fault)
    defer { unlink(configuration.plugin) }
    let report = try await report(configuration, mutants: 0)
    #expect(report.results.contains { $0.check == check && $0.outcome == .failed })
  }

  /// As a busy machine is: late now and then.
  @Test func cancellationThatIsAnsweredNowAndThenPasses() async throws {
    let configuration = try Fixtures.fault("POLLS_IN_EVERY_SECOND_PROOF")
    defer { unlink(configuration.plugin) }
    let report = try await report(configuration, mutants: 0)
    let result = try #require(report.results.first { $0.check == "cancellation" })
    #expect(result.outcome == .passed, "\(result.measured)")
  }

  @Test func failsWhereThePluginTakesNoSlice() async throws {
    let configuration = try Fixtures.configuration(
      plugin: Fixtures.installed.plugin("reexec"), backend: "reexec")
    let report = try await PluginCheck(configuration, PluginCheck.Settings()).run(on: [])
    #expect(!report.passed)
  }

  /// A mutant follows from its seed and number, is a change in most cases, and visits reach every
  /// byte once.
  @Test func mutationsAreRepeatableAndVisitEveryByte() {
    let proof = (0..<1000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
    let visited = (0..<proof.count).map { number in
      let mutation = Mutation.visit(number, of: proof.count, seed: 3)
      guard case .flip(let offset, _) = mutation.change else { return -1 }
      return offset
    }
    #expect(visited.sorted() == Array(proof.indices))
    #expect(Set(visited.prefix(100).map { $0 / 100 }).count == 10)
    let statement = Statement(
      Inference(inputs: [proof], outputs: [proof, proof], context: .zero))
    var targets: Set<Mutation.Target> = []
    var unchanged = 0
    for number in 0..<2000 {
      let mutation = Mutation.random(number, of: statement, proof: proof, seed: 9)
      #expect(
        "\(mutation)" == "\(Mutation.random(number, of: statement, proof: proof, seed: 9))")
      targets.insert(mutation.target)
      let (other, bytes) = mutation.applied(to: statement, proof: proof)
      if other == statement, bytes == proof { unchanged += 1 }
    }
    #expect(targets.count == 5)
    #expect(unchanged < 100)
  }
}
