import Foundation
import Testing

private func object(_ run: Run) throws -> [String: Any] {
  try #require(
    try JSONSerialization.jsonObject(with: run.output) as? [String: Any], "\(run.errors)")
}

private let model = SampleModel.models.appending(path: "digits_mlp.onnx").path()
private let vectors = SampleModel.models.appending(path: "digits_mlp.vectors.json").path()

extension ExchangeTests.CommandLineTests {
  @Test func checkMeasuresOnVectorsThatDidNotCalibrate() async throws {
    let run = try await Run([
      "model", "check", model, "--vectors", vectors, "--json", "--per-layer",
    ])
    #expect(run.status == 0)
    let shown = try object(run)
    #expect(shown["calibrated_on"] as? Int == 180)
    #expect(shown["scored"] as? Int == 180)
    #expect(try #require(shown["agreement"] as? Double) >= 0.99)
    #expect(try #require(shown["accuracy"] as? Double) > 0.9)
    #expect(try #require(shown["max_abs_error"] as? Double) < 1)
    #expect(shown["range_fault_rate"] as? Double == 0)
    #expect((shown["layers"] as? [Any])?.count == 5)
    #expect((shown["head_room"] as? [Any])?.count == 6)
  }

  @Test func checkWithoutVectorsIsSeeded() async throws {
    let arguments = ["model", "check", model, "--samples", "4", "--range", "0...1", "--json"]
    let run = try await Run(arguments)
    let shown = try object(run)
    #expect(shown["scored"] as? Int == 4)
    #expect(shown["accuracy"] is NSNull)
    #expect(try await Run(arguments).output == run.output)
    #expect(try await Run(arguments + ["--seed", "2"]).output != run.output)
  }

  @Test func checkFailsBelowTheAgreementAskedFor() async throws {
    let arguments = ["model", "check", model, "--vectors", vectors, "--weight-bits", "2"]
    let low = try await Run(arguments + ["--min-agreement", "1"])
    #expect(low.status == 1)
    #expect(low.errors.contains("--min-agreement"))
    #expect(low.text.contains("differs at"))
    #expect(try await Run(arguments).status == 0)
  }

  @Test func inspectShowsNodesAndTotals() async throws {
    let shown = try object(try await Run(["model", "inspect", model, "--json"]))
    #expect((shown["nodes"] as? [Any])?.count == 5)
    #expect(shown["parameters"] as? Int == 64 * 128 + 128 + 128 * 64 + 64 + 64 * 10 + 10)
    #expect((shown["unsupported"] as? [Any])?.isEmpty == true)
    #expect(shown["opset"] as? Int == 17)
    let input = try #require((shown["inputs"] as? [[String: Any]])?.first)
    #expect(input["name"] as? String == "input")
    #expect(input["shape"] as? [Int] == [1, 64])
  }

  /// A digit as a picture, its class by name, from the model and from its slices.
  @Test func runNamesTheClassOfAPicture() async throws {
    try await withFolder { folder in
      struct Vectors: Decodable {
        let inputs: [[Float]]
        let labels: [Int]
      }
      let file = try Data(contentsOf: URL(filePath: vectors))
      let digits = try JSONDecoder().decode(Vectors.self, from: file)
      let pixels = digits.inputs[0].map { "\(Int($0 * 16))" }.joined(separator: " ")
      try Data("P2 8 8 16 \(pixels)".utf8).write(to: URL(filePath: folder + "/digit.pgm"))
      try Data("zero\none\n".utf8).write(to: URL(filePath: folder + "/names"))
      let input = ["--input", folder + "/digit.pgm", "--labels", folder + "/names"]
      let run = try await Run(["model", "run", model] + input)
      #expect(run.status == 0, "\(run.errors)")
      #expect(digits.labels[0] == 0)
      #expect(run.text.contains("answer 0 (zero)"), "\(run.text)")
      let slice = try await Run([
        "model", "slice", model, "--slices", "2", "--calibrate", vectors, "-o", folder + "/mlp",
      ])
      #expect(slice.status == 0, "\(slice.errors)")
      let shown = try object(try await Run(["model", "run", folder + "/mlp", "--json"] + input))
      #expect(shown["answerName"] as? String == "zero")
    }
  }

  @Test func inputsThatDoNotFitAreRefusedByCode() async throws {
    try await withFolder { folder in
      for (text, code) in [
        ("[1, 2]", "input-wrong-shape"), ("P5 9999999 9999999 255\n", "input-too-large"),
        ("hello", "input-malformed"),
      ] {
        try Data(text.utf8).write(to: URL(filePath: folder + "/input"))
        let run = try await Run(["model", "run", model, "--input", folder + "/input"])
        #expect(run.status == 1)
        #expect(run.errors.contains("Error: \(code): "), "\(run.errors)")
      }
      let missing = try await Run(["model", "run", model, "--input", folder + "/none"])
      #expect(missing.errors.contains("Error: input-unreadable: "))
      let two = try await Run(["model", "run", model, "--input", "a", "--input", "b"])
      #expect(two.status == 64)
      #expect(two.errors.contains("takes 1 inputs (input of 1×64) and 2 came"))
    }
  }
}
