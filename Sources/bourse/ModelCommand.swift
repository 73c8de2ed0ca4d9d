import ArgumentParser
import FixedPoint
import Foundation
import ModelGraph
import Primitives
import Quantization
import Slicing
import Statements

struct ModelCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "model", abstract: "Inspect, slice, check and publish ONNX models.",
    subcommands: [Inspect.self, Slice.self, Check.self, Publish.self, Conformance.self])
}

/// Reads a whole file up to the parser's limit.
private func readModel(_ path: String) throws -> ModelFile {
  let size = (try? FileManager.default.attributesOfItem(atPath: path))?[.size] as? Int
  guard let size else { throw ValidationError("There is no file '\(path)'; name an ONNX file.") }
  guard size <= ModelFile.byteLimit else {
    throw ModelError(
      .tooLarge("the file has \(size) bytes and at most \(ModelFile.byteLimit) are read"))
  }
  guard let data = FileManager.default.contents(atPath: path) else {
    throw ValidationError("'\(path)' cannot be read; name an ONNX file.")
  }
  return try ModelFile(bytes: [UInt8](data))
}

/// Calibrates on `samples` and quantises.
private func quantize(_ graph: Graph, samples: [[FloatTensor]]) throws -> Quantizer {
  let graph = try graph.simplified()
  return try Quantizer(graph, calibration: try Calibration(graph, samples: samples))
}

// MARK: - inspect

extension ModelCommand {
  struct Inspect: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Show what a model is made of and whether it can be used.",
      discussion: """
        EXAMPLES
          bourse model inspect Models/digits_lenet5.onnx
          bourse model inspect Models/digits_lenet5.onnx --json
        """)

    @Argument(help: "An ONNX file.") var file: String
    @Flag(help: "Print one JSON object.") var json = false

    private struct Report: Encodable {
      struct Node: Encodable {
        let name: String
        let `operator`: String
        let shape: [Int]
        let parameters: Int
        let multiplications: Int
        let share: Double
      }

      struct Unsupported: Encodable {
        let name: String
        let `operator`: String
      }

      let name: String
      let nodes: [Node]
      let parameters: Int
      let multiplications: Int
      let unsupported: [Unsupported]
    }

    func run() async throws {
      let model = try readModel(file)
      let unsupported = model.unsupportedNodes.map {
        Report.Unsupported(name: $0.name, operator: $0.operatorName)
      }
      guard unsupported.isEmpty else { return try refuse(model, unsupported) }
      let graph = try Graph(model)
      let total = graph.nodes.reduce(0) { $0 + graph.multiplications(of: $1) }
      let nodes = graph.nodes.map { node in
        let multiplications = graph.multiplications(of: node)
        return Report.Node(
          name: node.name, operator: node.operatorName, shape: graph.values[node.output].shape,
          parameters: graph.parameterCount(of: node), multiplications: multiplications,
          share: total == 0 ? 0 : Double(multiplications) / Double(total))
      }
      let report = Report(
        name: graph.name, nodes: nodes, parameters: nodes.reduce(0) { $0 + $1.parameters },
        multiplications: total, unsupported: [])
      if json { return try printJSON(report) }
      var table = Table([
        ("node", .left), ("operator", .left), ("output", .left), ("parameters", .right),
        ("multiplications", .right), ("share", .right),
      ])
      for node in nodes {
        table.append([
          node.name, node.operator, describe(shape: node.shape), "\(node.parameters)",
          "\(node.multiplications)", describe(share: node.share),
        ])
      }
      table.append(["total", "", "", "\(report.parameters)", "\(total)", ""])
      print(table.text)
      print("Every operator is supported.")
    }

    /// What is missing, node by node, and then the first as an error.
    private func refuse(_ model: ModelFile, _ unsupported: [Report.Unsupported]) throws {
      if json {
        try printJSON(
          Report(
            name: model.name, nodes: [], parameters: 0, multiplications: 0,
            unsupported: unsupported))
      } else {
        var table = Table([("node", .left), ("unsupported operator", .left)])
        for node in unsupported { table.append([node.name, node.operator]) }
        print(table.text)
      }
      throw ModelError(.unsupportedOperator(unsupported[0].operator), at: unsupported[0].name)
    }
  }
}

// MARK: - slice

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
    @Option(help: "Sample inputs of the model's task, as JSON.") var calibrate: String
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
      let vectors = try SampleVectors(path: calibrate)
      let quantizer = try quantize(
        try Graph(try readModel(file)), samples: vectors.samples(vectors.inputs.indices))
      let name = URL(fileURLWithPath: file).deletingPathExtension().lastPathComponent
      let model = try SlicedModel(name: name, quantizer: quantizer, count: slices)
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

// MARK: - check

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
