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
        Prints what each slice costs and how much a fault in it matters, and draws how the slices \
        hang together. Without -o nothing is written: try cuts first. Samples are a JSON file, an \
        .npy array whose first axis counts them, or a folder of pictures or arrays. Without \
        samples, seeded random inputs calibrate, every element uniform within --range: the cuts \
        are the same, the integers as close to the float model as such inputs are to its task.

        EXAMPLES
          bourse model slice Models/digits_lenet5.onnx --slices 4 \\
            --calibrate Models/digits_lenet5.vectors.json -o lenet5
          bourse model slice resnet.onnx --max-cost 2000000 --calibrate digits.json --svg cuts.svg
          bourse model slice resnet.onnx --at relu3,before:fc --calibrate digits.json
          bourse model slice vgg.onnx --tiles 2x2 --channels conv3=4 --calibrate photos.json
        """)

    @Argument(help: "An ONNX file.") var file: String
    @OptionGroup var cuts: CuttingOptions
    @Option(help: "Sample inputs of the model's task.") var calibrate: String?
    @Option(help: "Without --calibrate: how many seeded inputs.") var samples = 32
    @Option(help: "Without --calibrate: the seed of the inputs.") var seed: UInt64 = 1
    @Option(help: "Without --calibrate: LOW...HIGH of the inputs (--range=-1...1).")
    var range = SampleRange(bounds: -1...1)
    @OptionGroup var quantization: QuantizationOptions
    @OptionGroup var inputs: InputOptions
    @Option(name: .shortAndLong, help: "Write the sliced model to a new directory.")
    var output: String?
    @Option(help: "Write a drawing of the slices to this file.") var svg: String?
    @Flag(help: "Print one JSON object.") var json = false

    func validate() throws {
      guard samples > 0, samples <= 1 << 16 else {
        throw ValidationError("--samples is 1 to 65536.")
      }
    }

    func run() async throws {
      if let output { try SlicedModel.checkAbsent(output) }
      let progress = Progress(isShown: !json)
      let graph = try Graph(try readModel(file))
      let samples = try calibrating(graph)
      let quantizer = try quantization.quantizer(for: graph, samples: samples) {
        progress.show("calibrated on \($0) of \(samples.count) inputs")
      }
      progress.show("cutting")
      let name = URL(fileURLWithPath: file).deletingPathExtension().lastPathComponent
      let cut = try SlicedModel(name: name, quantizer: quantizer, rules: cuts.rules())
      // A sample that does not fit the model's inputs is none to measure on.
      let measured = samples.lazy.compactMap { try? cut.boundaryBytes($0) }
        .prefix(InfluenceMeasurement.sampleLimit)
      let influences = try await InfluenceMeasurement(cut).run(Array(measured)) { done, count in
        progress.show("measured influence on \(done) of \(count) inputs")
      }
      let model = try cut.with(influences)
      let diagram = try SliceDiagram(model)
      if let svg { try write(diagram.svg, to: svg) }
      if let output { try write(model, to: output) }
      progress.finish()
      let report = try SliceReport(
        model, calibration: calibration(samples.count), output: output, svg: svg)
      if json { return try printJSON(report) }
      print(report.table, diagram.text, report.conclusion, separator: "\n\n")
    }

    private func calibrating(_ graph: Graph) throws -> [[FloatTensor]] {
      if let calibrate {
        let vectors = try inputs.vectors(calibrate, for: graph)
        return vectors.samples(vectors.inputs.indices)
      }
      var seeded = SeededInputs(graph, seed: seed, range: range.bounds)
      return (0..<samples).map { _ in seeded.next() }
    }

    private func calibration(_ count: Int) -> String {
      guard let calibrate else {
        return
          "\(count) seeded inputs within \(range) (seed \(seed)); give --calibrate samples of its task"
      }
      return "\(count) samples of \(calibrate)"
    }

    private func write(_ text: String, to path: String) throws {
      do {
        try Data(text.utf8).write(to: URL(fileURLWithPath: path), options: .atomic)
      } catch {
        throw SlicingError.unwritable("'\(path)' cannot be written")
      }
    }

    /// Ctrl-C meanwhile leaves nothing behind.
    private func write(_ model: SlicedModel, to path: String) throws {
      let signals = Interruption.handle { SlicedModel.removeDraft(of: path) }
      defer { withExtendedLifetime(signals) {} }
      try model.write(to: path)
    }
  }
}

/// What `bourse model slice` says of a sliced model.
private struct SliceReport: Encodable {
  struct Tensor: Encodable {
    let name: String
    let shape: [Int]
    let exponent: Int8

    init(_ boundary: BoundarySpecification) {
      (name, shape, exponent) = (boundary.name, boundary.shape, boundary.exponent)
    }
  }

  /// Parts per million, but for counts.
  struct Parts: Encodable {
    let criticality: UInt32
    let costShare: UInt32
    let fanOut: Int
    let fanOutShare: UInt32
    let distance: Int?
    let nearness: UInt32
    let flips: UInt32
    let trials: UInt32
    let influence: UInt32

    init(_ criticality: Criticality) {
      self.criticality = criticality.combined.parts
      costShare = criticality.costShare.parts
      fanOut = criticality.fanOut
      fanOutShare = criticality.fanOutShare.parts
      distance = criticality.distance
      nearness = criticality.nearness.parts
      flips = criticality.influence.flips
      trials = criticality.influence.trials
      influence = criticality.influence.share.parts
    }
  }

  struct Slice: Encodable {
    let name: String
    let nodes: [String]
    /// Names of the slices whose outputs it reads.
    let after: [String]
    let inputs: [Tensor]
    let outputs: [Tensor]
    let cost: UInt64
    let share: Double
    let parts: Parts
    let programBytes: Int
    let onnxBytes: Int
  }

  let name: String
  let model: String
  /// What calibrated it.
  let calibration: String
  let totalCost: UInt64
  let slices: [Slice]
  let output: String?
  let svg: String?

  init(_ model: SlicedModel, calibration: String, output: String?, svg: String?) throws {
    let manifest = model.manifest
    name = manifest.name
    self.model = manifest.id.description
    totalCost = manifest.totalCost.units
    (self.calibration, self.output, self.svg) = (calibration, output, svg)
    let criticalities = manifest.criticalities
    let total = Double(totalCost)
    slices = try manifest.slices.enumerated().map { index, slice in
      Slice(
        name: slice.name, nodes: try model.program(of: index).operations.map(\.name),
        after: manifest.producers(of: index).map { manifest.slices[$0].name },
        inputs: slice.inputs.map { Tensor($0) }, outputs: slice.outputs.map { Tensor($0) },
        cost: slice.cost.units, share: Double(slice.cost.units) / total,
        parts: Parts(criticalities[index]), programBytes: model.blobs[slice.program]?.count ?? 0,
        onnxBytes: model.blobs[slice.onnx]?.count ?? 0)
    }
  }

  var table: String {
    var table = Table([
      ("slice", .left), ("first node", .left), ("last node", .left), ("takes", .left),
      ("gives", .left), ("cost", .right), ("share", .right), ("flips", .right),
      ("criticality", .right), ("program bytes", .right),
    ])
    for slice in slices {
      func shapes(_ tensors: [Tensor]) -> String {
        tensors.map { describe(shape: $0.shape) }.joined(separator: ", ")
      }
      table.append([
        slice.name, slice.nodes.first ?? "", slice.nodes.last ?? "", shapes(slice.inputs),
        shapes(slice.outputs), "\(slice.cost)", describe(share: slice.share),
        slice.parts.trials == 0 ? "" : "\(slice.parts.flips) of \(slice.parts.trials)",
        describe(share: Double(slice.parts.criticality) / 1_000_000), "\(slice.programBytes)",
      ])
    }
    return table.text
  }

  var conclusion: String {
    let place = output.map { "in \($0)" } ?? "not written; give -o DIRECTORY to keep it"
    return "model \(model), \(totalCost) cost units, \(place)\ncalibrated on \(calibration)"
      + (svg.map { "\ndrawn in \($0)" } ?? "")
  }
}
