import Foundation
import Primitives
import Slicing
import Statements
import Testing

extension ExchangeTests.CommandLineTests {
  private static let mlp = SampleModel.models.appending(path: "digits_mlp.onnx").path()

  @Test func slicesAModelIntoADirectoryAndADrawing() async throws {
    try await withFolder { folder in
      let (directory, drawing) = (folder + "/mlp", folder + "/mlp.svg")
      let arguments = [
        "model", "slice", Self.mlp, "--slices", "3", "--samples", "4", "-o", directory, "--svg",
        drawing, "--json",
      ]
      let run = try await Run(arguments)
      #expect(run.status == 0, "\(run.errors)")
      let shown = try #require(
        try JSONSerialization.jsonObject(with: run.output) as? [String: Any])
      #expect(
        Set(shown.keys) == [
          "name", "model", "calibration", "totalCost", "slices", "output", "svg",
        ])
      #expect((shown["calibration"] as? String)?.contains("4 seeded inputs") == true)
      let model = try SlicedModel(directory: directory)
      #expect(shown["model"] as? String == model.manifest.id.description)
      #expect(model.manifest.slices.map(\.influence.trials) == [4, 4, 4])
      let svg = try String(contentsOfFile: drawing, encoding: .utf8)
      #expect(svg.hasPrefix("<svg ") && svg.contains("slice-2"))
      let left = try FileManager.default.contentsOfDirectory(atPath: folder)
      #expect(left.sorted() == ["mlp", "mlp.svg"])

      let again = try await Run(arguments)
      #expect(again.status == 1 && again.errors.contains("unwritable-model"))
    }
  }

  @Test func triesCutsWithoutWritingAnything() async throws {
    let run = try await Run(["model", "slice", Self.mlp, "--samples", "2"])
    #expect(run.status == 0, "\(run.errors)")
    for words in ["■", "criticality", "not written", "give --calibrate"] {
      #expect(run.text.contains(words))
    }
  }

  @Test(arguments: [
    (["--at", "nowhere"], 1, "unknown-node"), (["--slices", "99"], 1, "too-many-slices"),
    (["--max-cost", "1"], 1, "cost-limit-too-low"), (["--tiles", "2x2"], 1, "nothing-to-divide"),
    (["--tiles", "2"], 64, "--tiles conv1=2x2"), (["--channels", "x=0"], 64, "--channels conv1=4"),
  ])
  func refusesCutsThatCannotBe(options: [String], status: Int32, words: String) async throws {
    let run = try await Run(["model", "slice", Self.mlp, "--samples", "1"] + options)
    #expect(run.status == status && run.output.isEmpty)
    #expect(run.errors.contains(words), "\(run.errors)")
  }
}
