import ArgumentParser
import FixedPoint
import Foundation
import ModelGraph
import Primitives
import Quantization
import Slicing
import Statements

extension ModelCommand {
  struct Slice: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Calibrate a model, cut it into slices, and write them to a directory.",
      discussion: """
        EXAMPLES
          bourse model slice Models/digits_lenet5.onnx --slices 4 \\
            --calibrate Models/digits_lenet5.vectors.json -o lenet5
        """)

    @Argument(help: "An ONNX file.") var file: String
    @Option(help: "How many slices.") var slices: Int
    @Option(help: "Sample inputs of the model's task; see `bourse model check --help`.")
    var calibrate: String
    @OptionGroup var quantization: QuantizationOptions
    @OptionGroup var inputs: InputOptions
    @Option(name: .shortAndLong, help: "A directory that does not exist yet.") var output: String
    @Flag(help: "Print one JSON object.") var json = false

    private struct Report: Encodable {
      struct Slice: Encodable {
        let name: String
        let nodes: [String]
        let cost: UInt64
        let share: Double
        let inputs: [[Int]]
        let outputs: [[Int]]
        let programBytes: Int
        let onnxBytes: Int
      }

      let name: String
      let model: String
      let slices: [Slice]
    }

    func run() async throws {
      let graph = try Graph(try readModel(file))
      let vectors = try inputs.vectors(calibrate, for: graph)
      let progress = Progress(isShown: !json)
      let quantizer = try quantization.quantizer(
        for: graph, samples: vectors.samples(vectors.inputs.indices)
      ) { progress.show("calibrated on \($0) of \(vectors.inputs.count) inputs") }
      progress.finish()
      let name = URL(fileURLWithPath: file).deletingPathExtension().lastPathComponent
      let model = try SlicedModel(
        name: name, quantizer: quantizer, rules: SlicingRules(count: slices))
      try model.write(to: output)
      let total = Double(model.manifest.totalCost.units)
      let rows = try model.manifest.slices.enumerated().map { index, slice in
        Report.Slice(
          name: slice.name, nodes: try model.program(of: index).operations.map(\.name),
          cost: slice.cost.units, share: Double(slice.cost.units) / total,
          inputs: slice.inputs.map(\.shape), outputs: slice.outputs.map(\.shape),
          programBytes: model.blobs[slice.program]?.count ?? 0,
          onnxBytes: model.blobs[slice.onnx]?.count ?? 0)
      }
      if json {
        return try printJSON(
          Report(name: name, model: model.manifest.id.description, slices: rows))
      }
      var table = Table([
        ("slice", .left), ("first node", .left), ("last node", .left), ("takes", .left),
        ("gives", .left), ("cost", .right), ("share", .right), ("program bytes", .right),
      ])
      for row in rows {
        table.append([
          row.name, row.nodes.first ?? "", row.nodes.last ?? "",
          row.inputs.map(describe(shape:)).joined(separator: ", "),
          row.outputs.map(describe(shape:)).joined(separator: ", "), "\(row.cost)",
          describe(share: row.share), "\(row.programBytes)",
        ])
      }
      print(table.text)
      print("model \(model.manifest.id) in \(output)")
    }
  }
}
