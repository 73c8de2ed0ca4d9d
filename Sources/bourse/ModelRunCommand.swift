import ArgumentParser
import FixedPoint
import Foundation
import ModelGraph
import Quantization
import Slicing
import Statements

extension ModelCommand {
  struct Run: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Run one input on this machine, as floats and as integers.",
      discussion: """
        The model is an ONNX file, or a directory that `bourse model slice` wrote, whose integers \
        are exactly those that provers compute. An ONNX file is calibrated on --calibrate or, \
        without it, on this input alone. Inputs are JSON, .npy, PNG, PGM or PPM; a file of many \
        takes --index.

        EXAMPLES
          bourse model run lenet5.onnx --input seven.png --resize bilinear
          bourse model run lenet5.onnx --input vectors.json --index 3 --calibrate vectors.json
          bourse model run lenet5 --input seven.npy --labels names.txt --json
        """)

    @Argument(help: "An ONNX file, or a directory of slices.") var model: String
    @Option(help: "The input's file; once per input of the model, in its order.")
    var input: [String]
    @Option(help: "Which of a file's inputs, from 0.") var index: Int?
    @Option(help: "Sample inputs to calibrate an ONNX file on.") var calibrate: String?
    @Option(help: "How many classes to show.") var top = 5
    @OptionGroup var quantization: QuantizationOptions
    @OptionGroup var inputs: InputOptions
    @OptionGroup var labels: LabelOption
    @OptionGroup var output: JSONOption

    private struct Report: Encodable {
      struct Output: Encodable {
        let name: String
        let shape: [Int]
        /// Nil where only the slices are at hand.
        let float: [Float]?
        let integer: [Float]
      }

      let outputs: [Output]
      /// Index of the largest number of the first output.
      let answer: Int?
      let floatAnswer: Int?
      let answerName: String?
      /// What the integers were calibrated on.
      let calibration: String
    }

    func validate() throws {
      guard top > 0 else { throw ValidationError("--top is at least 1.") }
    }

    func run() async throws {
      let names = try labels.load()
      var isFolder: ObjCBool = false
      let exists = FileManager.default.fileExists(atPath: model, isDirectory: &isFolder)
      let report =
        exists && isFolder.boolValue ? try await runSlices(names) : try runModel(names)
      output.json ? try printJSON(report) : print(text(report, names))
    }

    private func runModel(_ names: ClassNames?) throws -> Report {
      let graph = try Graph(try readModel(model))
      let sample = try inputs.tensors(input, for: graph.inputShapes, index: index)
      let samples = try calibrate.map { path in
        let vectors = try inputs.vectors(path, for: graph)
        return vectors.samples(vectors.inputs.indices)
      }
      let progress = Progress(isShown: !output.json)
      let quantizer = try quantization.quantizer(for: graph, samples: samples ?? [sample]) {
        progress.show("calibrated on \($0) inputs")
      }
      progress.finish()
      let program = try quantizer.program()
      let bytes = try zip(sample, program.inputs).map { tensor, boundary in
        try BoundaryValues.bytes(tensor.values, as: boundary)
      }
      return try report(
        Executor(program: program).run(bytes), program.outputs,
        floats: try graph.evaluate(sample).map(\.values), names,
        calibration: samples.map { "\($0.count) samples" } ?? "this input alone")
    }

    private func runSlices(_ names: ClassNames?) async throws -> Report {
      let sliced = try SlicedModel(directory: model)
      let manifest = sliced.manifest
      let sample = try inputs.tensors(
        input, for: manifest.inputs.map { ($0.name, $0.shape) }, index: index)
      let bytes = try zip(sample, manifest.inputs).map { tensor, boundary in
        try BoundaryValues.bytes(tensor.values, as: boundary)
      }
      return try report(
        await SlicedExecutor(sliced).run(bytes), manifest.outputs.map(manifest.specification),
        floats: nil, names,
        calibration: "the published slices")
    }

    private func report(
      _ tensors: [[UInt8]], _ boundaries: [BoundarySpecification], floats: [[Float]]?,
      _ names: ClassNames?, calibration: String
    ) throws -> Report {
      let outputs = try boundaries.indices.map { place in
        Report.Output(
          name: boundaries[place].name, shape: boundaries[place].shape, float: floats?[place],
          integer: try BoundaryValues.floats(tensors[place], as: boundaries[place]))
      }
      let answer = outputs.first.flatMap { Agreement.top($0.integer) }
      return Report(
        outputs: outputs, answer: answer,
        floatAnswer: outputs.first?.float.flatMap(Agreement.top),
        answerName: answer.flatMap { names?.name(of: $0) }, calibration: calibration)
    }

    private func text(_ report: Report, _ names: ClassNames?) -> String {
      var lines: [String] = []
      for output in report.outputs {
        let order = output.integer.indices.sorted { output.integer[$0] > output.integer[$1] }
        var table = Table([
          (output.name, .left), ("float", .right), ("integers", .right), ("difference", .right),
        ])
        for place in order.prefix(top) {
          table.append([
            names.describe(place), output.float.map { describe(number: Double($0[place])) } ?? "-",
            describe(number: Double(output.integer[place])),
            output.float.map {
              describe(number: abs(Double($0[place]) - Double(output.integer[place])))
            } ?? "-",
          ])
        }
        lines.append(table.text)
      }
      if let answer = report.answer { lines.append("answer \(names.describe(answer))") }
      lines.append("calibrated on \(report.calibration)")
      return lines.joined(separator: "\n")
    }
  }
}
