import SwiftProtobuf

/// One case of ONNX's own backend tests: a model, and data sets of inputs with their outputs.
package struct ConformanceCase: Sendable {
  package enum Outcome: Sendable, Equatable {
    case passed
    case failed(String)
    /// The case is in scope and the product refuses it: a gap.
    case refused(String)
    case notApplicable(OutOfScope)
  }

  /// Why a case asks for something that the product does not claim. Decided from the case alone,
  /// whatever the evaluator makes of it.
  package enum OutOfScope: String, Sendable, CaseIterable {
    case operators = "an operator out of scope"
    case opset = "an opset out of scope"
    case training = "a training form"
    case types =
      "strings, sequences, optionals, complex numbers or floats and integers below 8 bits"
    case interpolation = "a Resize that interpolates"
  }

  /// The runner's tolerances: |got - expected| <= absolute + relative · |expected|.
  package static let relativeTolerance = 1e-3
  package static let absoluteTolerance = 1e-7

  private let model: Onnx_ModelProto

  /// The bytes come with ONNX and not from a user, so that this decodes without bounds.
  package init(model bytes: [UInt8]) throws(ModelError) {
    do {
      model = try Onnx_ModelProto(serializedBytes: bytes)
    } catch {
      throw ModelError(.malformed("the file is no ONNX model"))
    }
  }

  package var operators: [String] { Set(model.graph.node.map(\.opType)).sorted() }

  package var opset: Int64 {
    model.opsetImport.first { ["", "ai.onnx"].contains($0.domain) }?.version ?? 0
  }

  private var inputs: [Onnx_ValueInfoProto] {
    let initializers = Set(model.graph.initializer.map(\.name))
    return model.graph.input.filter { !initializers.contains($0.name) }
  }

  /// `inputs` and `outputs` are the files of one data set, in their order.
  package func outcome(inputs: [[UInt8]], outputs: [[UInt8]]) -> Outcome {
    do {
      if let reason = try outOfScope(inputs) { return .notApplicable(reason) }
      return try run(
        inputs.map { try Onnx_TensorProto(serializedBytes: $0) },
        outputs.map { try Onnx_TensorProto(serializedBytes: $0) })
    } catch let error as ModelError {
      return .refused(error.sentence)
    } catch {
      return .failed("its data is no tensor")
    }
  }

  /// For the `light` models, whose runner feeds i / n as element i of n.
  package func outcomeOfRamp(outputs: [[UInt8]]) -> Outcome {
    var ramps: [[UInt8]] = []
    for input in inputs {
      let dims = input.type.tensorType.shape.dim.map { max(1, $0.dimValue) }
      let count = dims.reduce(1, *)
      let proto = Onnx_TensorProto.with {
        $0.dims = dims
        $0.dataType = Int32(Onnx_TensorProto.DataType.float.rawValue)
        $0.floatData = (0..<count).map { Float(Double($0) / Double(count)) }
      }
      guard let bytes: [UInt8] = try? proto.serializedBytes() else { continue }
      ramps.append(bytes)
    }
    return outcome(inputs: ramps, outputs: outputs)
  }

  private func outOfScope(_ inputs: [[UInt8]]) throws -> OutOfScope? {
    let graph = model.graph
    guard model.functions.isEmpty,
      graph.node.allSatisfy({ $0.usesDefaultDomain && Layer.names.contains($0.opType) })
    else { return .operators }
    let ends = graph.input + graph.output
    guard ends.allSatisfy({ $0.type.hasNumbers }), graph.node.allSatisfy(\.castsToNumbers) else {
      return .types
    }
    guard ModelFile.opsets.contains(opset) else { return .opset }
    let tensors = try inputs.map { try Onnx_TensorProto(serializedBytes: $0) }
    let states = Dictionary(
      zip(self.inputs.map(\.name), tensors.map { $0.rawData.contains { $0 != 0 } }),
      uniquingKeysWith: { first, _ in first })
    guard !graph.node.contains(where: { $0.trains(with: states, opset: opset) }) else {
      return .training
    }
    guard !graph.node.contains(where: \.interpolates) else { return .interpolation }
    return nil
  }

  /// Inputs from which the graph computes shapes, axes, indices and the like: a model has them as
  /// constants, and the tests give them as inputs.
  private var boundInputs: Set<String> {
    var producers: [String: Onnx_NodeProto] = [:]
    for node in model.graph.node { for output in node.output { producers[output] = node } }
    let read = Set(model.graph.node.flatMap(\.input))
    // What nothing reads may as well be constant.
    var bound = Set(inputs.map(\.name)).subtracting(read)
    var waiting = model.graph.node.flatMap { node in
      node.input.enumerated().filter { node.isParameter($0.offset) }.map(\.element)
    }
    var seen: Set<String> = []
    while let name = waiting.popLast() {
      guard seen.insert(name).inserted else { continue }
      if let producer = producers[name] {
        // A shape is constant whatever the tensor.
        if producer.opType != "Shape" { waiting += producer.input }
      } else {
        bound.insert(name)
      }
    }
    return bound
  }

  private func run(_ inputs: [Onnx_TensorProto], _ outputs: [Onnx_TensorProto]) throws -> Outcome {
    var model = model
    let bound = boundInputs
    var tensors: [TypedTensor] = []
    for (var proto, input) in zip(inputs, self.inputs) {
      if bound.contains(input.name) {
        proto.name = input.name
        model.graph.initializer.append(proto)
      } else {
        tensors.append(try tensor(proto, at: input.name))
      }
    }
    let graph = try Graph(bytes: try model.serializedBytes())
    let results = try graph.evaluate(tensors)
    guard results.count == outputs.count else {
      return .failed("\(results.count) outputs came and \(outputs.count) were expected")
    }
    for (result, output) in zip(results, outputs) {
      if let difference = difference(result, try tensor(output, at: output.name)) {
        return .failed(difference)
      }
    }
    return .passed
  }

  private func tensor(
    _ proto: Onnx_TensorProto, at name: String
  ) throws(ModelError) -> TypedTensor {
    let value = try TensorReader.read(proto, named: name, at: name, finite: false)
    guard let tensor = value.tensor else { throw ModelError(.malformed("it is no tensor")) }
    return tensor
  }

  private func difference(_ result: TypedTensor, _ wanted: TypedTensor) -> String? {
    guard result.type == wanted.type else {
      return "type \(result.type) came and \(wanted.type) was expected"
    }
    guard result.shape == wanted.shape else {
      return "shape \(result.shape) came and \(wanted.shape) was expected"
    }
    for (index, (got, value)) in zip(result.doubles.values, wanted.doubles.values).enumerated() {
      let limit = Self.absoluteTolerance + Self.relativeTolerance * abs(value)
      guard got == value || abs(got - value) <= limit || got.isNaN && value.isNaN else {
        let numbers = [got, value].map { result.type == .float ? "\(Float($0))" : "\($0)" }
        return "element \(index) is \(numbers[0]) and \(numbers[1]) was expected"
      }
    }
    return nil
  }
}

extension Onnx_TypeProto {
  fileprivate var hasNumbers: Bool {
    guard case .tensorType(let tensor) = value else { return false }
    return NumericType(Onnx_TensorProto.DataType(rawValue: Int(tensor.elemType))) != nil
  }
}

extension Onnx_NodeProto {
  private func attribute(_ name: String) -> Onnx_AttributeProto? {
    attribute.first { $0.name == name }
  }

  fileprivate var castsToNumbers: Bool {
    guard opType == "Cast", let type = attribute("to")?.i else { return true }
    return NumericType(Onnx_TensorProto.DataType(rawValue: Int(type))) != nil
  }

  /// `inputs` says of each input of the model whether it is true.
  fileprivate func trains(with inputs: [String: Bool], opset: Int64) -> Bool {
    switch opType {
    case "BatchNormalization":
      opset < 7
        ? attribute("is_test")?.i != 1 : output.count > 1 || attribute("training_mode")?.i == 1
    case "Dropout": input.count > 2 && inputs[input[2]] != false
    default: false
    }
  }

  fileprivate var interpolates: Bool {
    guard opType == "Resize" || opType == "Upsample" else { return false }
    return attribute("mode").map { String(decoding: $0.s, as: UTF8.self) != "nearest" } ?? false
  }
}
