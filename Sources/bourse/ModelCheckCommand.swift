import ArgumentParser
import Foundation
import ModelGraph
import Quantization

extension ModelCommand {
  struct Check: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Measure how well the integer program agrees with the float model.",
      discussion: """
        The first half of the vectors calibrates, the other half is scored, so that no vector does
        both.

        EXAMPLES
          bourse model check Models/digits_lenet5.onnx --vectors Models/digits_lenet5.vectors.json
        """)

    @Argument(help: "An ONNX file with one input and one output.") var file: String
    @Option(help: "Sample inputs, outputs and labels, as JSON.") var vectors: String
    @Flag(help: "Print one JSON object.") var json = false

    func run() async throws {
      let graph = try Graph(try readModel(file))
      let vectors = try SampleVectors(path: vectors)
      guard vectors.inputs.count >= 2 else {
        throw ValidationError("Two vectors are needed: one to calibrate, one to score.")
      }
      let half = vectors.inputs.count / 2
      let quantizer = try quantize(graph, samples: vectors.samples(0..<half))
      let agreement = try Agreement(
        graph: graph, program: try quantizer.program(), vectors: vectors,
        scored: half..<vectors.inputs.count)
      if json { return try printJSON(agreement) }
      var table = Table([("measure", .left), ("value", .right)])
      table.append(["calibrated on", "\(half)"])
      table.append(["scored", "\(agreement.scored)"])
      table.append(["agrees with float", describe(share: agreement.agreement)])
      if let accuracy = agreement.accuracy {
        table.append(["accuracy", describe(share: accuracy)])
      }
      table.append(["largest error", String(format: "%.4g", agreement.maxError)])
      table.append(["range faults", describe(share: agreement.rangeFaultRate)])
      print(table.text)
    }
  }
}
