import Foundation
import Testing

private func object(_ run: Run) throws -> [String: Any] {
  try #require(
    try JSONSerialization.jsonObject(with: run.output) as? [String: Any], "\(run.errors)")
}

private let mlp = SampleModel.models.appending(path: "digits_mlp.onnx").path()

extension ExchangeTests.CommandLineTests {
  /// Every plugin of the tree passes the conformance kit.
  @Test(arguments: [
    ("reexec", true), ("example-c", false), ("sumcheck", true),
  ])
  func pluginCheckPasses(backend: String, takesTheModel: Bool) async throws {
    let run = try await Run(
      [
        "plugin", "check", "--backend", backend, "--model", mlp, "--mutants", "60", "--json",
      ], limit: .seconds(120))
    let shown = try object(run)
    let checks = try #require(shown["checks"] as? [[String: String]])
    #expect(checks.filter { $0["outcome"] == "failed" } == [])
    #expect(run.status == 0)
    #expect(shown["passed"] as? Bool == true)
    #expect((shown["mutants"] as? [String: Any])?["tried"] as? Int == 60)
    #expect(
      checks.contains {
        $0["slice"]?.hasPrefix("digits_mlp") == true && $0["check"] == "prove and verify"
      } == takesTheModel)
  }

  @Test func pluginCheckWantsAPluginThatIsThere() async throws {
    let usage = try await Run(["plugin", "check"])
    #expect(usage.status == 64)
    #expect(usage.errors.contains("--backend"))
    let missing = try await Run(["plugin", "check", "nowhere.so", "--model", mlp])
    #expect(missing.status == 1)
    #expect(missing.errors.contains("nowhere.so"))
    let unnamed = try await Run(["plugin", "check", "--backend", "reexec", "--models", "nowhere"])
    #expect(unnamed.status == 64)
    #expect(unnamed.errors.contains("--model"))
  }

  @Test func benchProveTellsModesAndBatches() async throws {
    let run = try await Run([
      "bench", "prove", mlp, "--runs", "1", "--mode", "commit", "--batch", "2", "--threads", "1",
      "--json",
    ])
    #expect(run.status == 0)
    let shown = try object(run)
    #expect(shown["mode"] as? String == "commit")
    #expect(shown["weights"] as? String == "public")
    #expect(shown["batch"] as? Int == 2)
    #expect(shown["threads"] as? Int == 1)
    for key in [
      "compile_ms", "execute_ms", "prove_ms", "prove_cpu_ms", "verify_ms", "verify_cpu_ms",
      "prove_per_inference_ms", "peak_rss_mb", "prove_to_execute",
    ] { #expect(try #require(shown[key] as? Double) > 0, "\(key)") }
    for key in ["proof_bytes", "verifier_key_bytes"] {
      #expect(try #require(shown[key] as? Int) > 0, "\(key)")
    }
    let reexec = try await Run([
      "bench", "prove", mlp, "--runs", "1", "--backend", "reexec", "--json",
    ])
    #expect(try object(reexec)["mode"] is NSNull)
    let refused = try await Run([
      "bench", "prove", mlp, "--runs", "1", "--backend", "reexec", "--mode", "clear",
    ])
    #expect(refused.status == 1)
    #expect(refused.errors.contains("'mode'"))
  }
}
