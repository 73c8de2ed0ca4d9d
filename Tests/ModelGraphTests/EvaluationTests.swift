import Foundation
import ModelGraph
import SwiftProtobuf
import Testing

@Suite struct EvaluationTests {
  private struct Vectors: Decodable {
    let inputShape: [Int]
    let inputs: [[Float]]
    let outputs: [[Float]]

    private enum CodingKeys: String, CodingKey {
      case inputShape = "input_shape"
      case inputs, outputs
    }
  }

  @Test(arguments: [("digits_lenet5", 16), ("digits_mlp", 360)])
  func equalsTheOutputsOfONNXRuntime(name: String, count: Int) throws {
    let graph = try Graph(bytes: sampleBytes("\(name).onnx"))
    let vectors = try JSONDecoder().decode(
      Vectors.self, from: Data(contentsOf: sampleURL("\(name).vectors.json")))
    for index in 0..<count {
      let input = FloatTensor(shape: vectors.inputShape, values: vectors.inputs[index])
      let result = try graph.evaluate([input])[0].values
      for (got, expected) in zip(result, vectors.outputs[index]) {
        #expect(abs(got - expected) < 1e-3)
      }
    }
  }

  @Test func foldsNormalisationWithoutChangingTheFunction() throws {
    var model = smallModel()
    model.graph.input = [value("x", [1, 2, 2, 2])]
    model.graph.initializer = [
      constant("w", [2, 2, 1, 1], [1, -2, 3, 0.5]), constant("s", [2], [2, 3]),
      constant("b", [2], [0.5, -1]), constant("m", [2], [0.1, 0.2]),
      constant("v", [2], [0.5, 2]),
    ]
    model.graph.node = [
      node("first", "BatchNormalization", ["x", "s", "b", "m", "v"], "a"),
      node("conv", "Conv", ["a", "w"], "c"),
      node("second", "BatchNormalization", ["c", "s", "b", "m", "v"], "d"),
      node("drop", "Dropout", ["d"], "e"),
      node("relu", "Relu", ["e"], "y"),
    ]
    let graph = try Graph(bytes: model.serializedBytes())
    let simplified = try graph.simplified()
    #expect(simplified.nodes.map(\.operatorName) == ["Conv", "Conv", "Relu"])
    let input = FloatTensor(shape: [1, 2, 2, 2], values: [1, 2, -3, 4, 5, -6, 7, 8])
    let plain = try graph.evaluate([input])[0].values
    for (got, expected) in zip(try simplified.evaluate([input])[0].values, plain) {
      #expect(abs(got - expected) < 1e-4)
    }
  }

  @Test func aWrittenGraphReadsBackAsTheSameFunction() throws {
    let graph = try Graph(bytes: sampleBytes("digits_lenet5.onnx")).simplified()
    let bytes = try graph.onnxBytes(
      nodes: Array(graph.nodes.indices), inputs: graph.inputs, outputs: graph.outputs,
      name: "copy")
    let copy = try Graph(bytes: bytes)
    let input = FloatTensor(
      shape: [1, 1, 28, 28], values: (0..<784).map { Float($0 % 17) / 16 })
    #expect(try copy.evaluate([input]) == graph.evaluate([input]))
  }
}
