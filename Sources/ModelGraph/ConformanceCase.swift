import SwiftProtobuf

/// One case of ONNX's own backend tests: a model, and data sets of inputs with their outputs.
package struct ConformanceCase: Sendable {
  package enum Outcome: Sendable, Equatable {
    case passed
    case failed(String)
    case notApplicable(String)
  }

  /// The runner's tolerances: |got - expected| <= absolute + relative · |expected|.
  package static let relativeTolerance: Float = 1e-3
  package static let absoluteTolerance: Float = 1e-7

  private let model: Onnx_ModelProto

  package init(model bytes: [UInt8]) throws(ModelError) {
    model = try ModelFile(bytes: bytes).proto
  }

  package var operators: [String] { Set(model.graph.node.map(\.opType)).sorted() }

  package var opset: Int64 {
    model.opsetImport.first { ["", "ai.onnx"].contains($0.domain) }?.version ?? 0
  }

  /// `inputs` and `outputs` are the files of one data set, in their order.
  package func outcome(inputs: [[UInt8]], outputs: [[UInt8]]) -> Outcome {
    do {
      return try run(inputs, outputs)
    } catch let error as ModelError {
      return .notApplicable(error.sentence)
    } catch {
      return .notApplicable("Its data is no tensor.")
    }
  }

  /// Integer inputs are shapes, axes and indices: they are bound as constants, which is the only
  /// form in which a graph takes them.
  private func run(_ inputs: [[UInt8]], _ outputs: [[UInt8]]) throws -> Outcome {
    var model = model
    var tensors: [FloatTensor] = []
    for (bytes, input) in zip(inputs, model.graph.input) {
      var proto = try Onnx_TensorProto(serializedBytes: bytes)
      let (shape, origin) = try TensorReader.read(proto, at: input.name)
      if case .floats(let values) = origin {
        tensors.append(FloatTensor(shape: shape, values: values))
      } else {
        proto.name = input.name
        model.graph.initializer.append(proto)
      }
    }
    let graph = try Graph(bytes: try model.serializedBytes())
    var expected: [FloatTensor] = []
    for (bytes, output) in zip(outputs, model.graph.output) {
      let proto = try Onnx_TensorProto(serializedBytes: bytes)
      let (shape, origin) = try TensorReader.read(proto, at: output.name)
      guard case .floats(let values) = origin else {
        return .notApplicable("Its output '\(output.name)' is of integers.")
      }
      expected.append(FloatTensor(shape: shape, values: values))
    }
    let results = try graph.evaluate(tensors)
    guard results.count == expected.count else {
      return .failed("\(results.count) outputs came and \(expected.count) were expected")
    }
    for (result, wanted) in zip(results, expected) {
      guard result.shape == wanted.shape else {
        return .failed("shape \(result.shape) came and \(wanted.shape) was expected")
      }
      for (index, (got, value)) in zip(result.values, wanted.values).enumerated() {
        let limit = Self.absoluteTolerance + Self.relativeTolerance * abs(value)
        guard abs(got - value) <= limit else {
          return .failed("element \(index) is \(got) and \(value) was expected")
        }
      }
    }
    return .passed
  }
}
