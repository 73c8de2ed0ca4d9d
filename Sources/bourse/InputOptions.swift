import ArgumentParser
import Foundation
import ModelGraph
import Quantization
import TensorFiles

/// How the files of inputs are read, wherever a command takes some.
struct InputOptions: ParsableArguments {
  @Option(help: "Pictures: MEAN/STD, one number each or three with commas, after --scale.")
  var normalize: String?
  @Option(help: "Pictures: what a pixel of 0 to 255 is multiplied by, a number or a fraction.")
  var scale = "1/255"
  @Option(help: "Pictures of another size than the model's: nearest or bilinear.")
  var resize: ImageTreatment.Resizing?

  private var treatment: ImageTreatment {
    get throws {
      var treatment = ImageTreatment()
      try treatment.setScale(scale)
      if let normalize { try treatment.setNormalization(normalize) }
      treatment.resizing = resize
      return treatment
    }
  }

  /// Samples of a model of one input.
  func vectors(
    _ path: String, for graph: Graph, classes: ClassNames? = nil
  ) throws -> SampleVectors {
    guard graph.inputs.count == 1, let shape = graph.inputShapes.first?.shape else {
      throw ValidationError(
        "The model takes \(graph.inputs.count) inputs and '\(path)' holds samples of one; "
          + "'bourse model check' without --vectors checks on seeded inputs.")
    }
    return try SampleVectors(path: path, as: file(shape), classes: classes)
  }

  /// One file per input of the model, in its order; `index` picks from files of many.
  func tensors(
    _ paths: [String], for inputs: [(name: String, shape: [Int])], index: Int?
  ) throws -> [FloatTensor] {
    guard paths.count == inputs.count else {
      let wanted = inputs.map { "\($0.name) of \(describe(shape: $0.shape))" }
      throw ValidationError(
        "The model takes \(inputs.count) inputs (\(wanted.joined(separator: ", "))) and "
          + "\(paths.count) came; give --input once for each, in this order.")
    }
    return try zip(paths, inputs).map { path, input in
      guard let index else { return try file(input.shape).tensor(at: path) }
      let vectors = try SampleVectors(path: path, as: file(input.shape))
      guard vectors.inputs.indices.contains(index) else {
        throw ValidationError(
          "'\(path)' has \(vectors.inputs.count) inputs, numbered from 0; \(index) is none of them."
        )
      }
      return vectors.tensor(index)
    }
  }

  private func file(_ shape: [Int]) throws -> TensorFile {
    TensorFile(shape: shape, treatment: try treatment)
  }
}

extension ImageTreatment.Resizing: ExpressibleByArgument {}

struct LabelOption: ParsableArguments {
  @Option(help: "The classes' names: a file with one per line, or a JSON array.")
  var labels: String?

  func load() throws -> ClassNames? { try labels.map { try ClassNames(path: $0) } }
}

extension ClassNames? {
  /// The class with its name, where there is one.
  func describe(_ index: Int) -> String { self?.describe(index) ?? "\(index)" }
}

extension Graph {
  /// The model's inputs as a person gives them.
  var inputShapes: [(name: String, shape: [Int])] {
    inputs.map { (values[$0].name, values[$0].shape) }
  }
}
