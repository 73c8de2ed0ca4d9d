import ModelGraph
import SwiftProtobuf
import Testing

/// What scripts/onnx-conformance does not look at: refusals, folding, and the comparison itself.
@Suite struct OperatorTests {
  private func model(
    _ input: [Int64], _ constants: [Onnx_TensorProto], _ nodes: [Onnx_NodeProto]
  ) -> Onnx_ModelProto {
    var model = smallModel()
    model.graph.input = [value("x", input)]
    model.graph.initializer = constants
    model.graph.node = nodes
    return model
  }

  private func integers(_ name: String, _ values: [Int64]) -> Onnx_TensorProto {
    .with {
      $0.name = name
      $0.dataType = 7
      $0.dims = [Int64(values.count)]
      $0.int64Data = values
    }
  }

  @Test func conformanceTellsAWrongOutputFromARightOne() throws {
    let subject = try ConformanceCase(model: smallModel().serializedBytes())
    let input: [UInt8] = try constant("x", [1, 2], [1, 1]).serializedBytes()
    func outcome(_ values: [Float]) throws -> ConformanceCase.Outcome {
      let output = constant("y", [1, Int64(values.count)], values)
      return subject.outcome(inputs: [input], outputs: [try output.serializedBytes()])
    }
    #expect(try outcome([3, 7, 11]) == .passed)
    #expect(try outcome([3, 7, 11.1]) == .failed("element 2 is 11.0 and 11.1 was expected"))
    #expect(try outcome([3, 7]) == .failed("shape [1, 3] came and [1, 2] was expected"))
    #expect(subject.outcome(inputs: [input], outputs: []) != .passed)
  }

  @Test func broadcastsBothOperands() throws {
    let graph = try Graph(
      bytes: model(
        [2, 1], [constant("c", [1, 3], [1, 2, 4])], [node("mul", "Mul", ["x", "c"], "y")]
      ).serializedBytes())
    let result = try graph.evaluate([FloatTensor(shape: [2, 1], values: [1, -1])])[0]
    #expect(result == FloatTensor(shape: [2, 3], values: [1, 2, 4, -1, -2, -4]))
  }

  @Test func foldsAShapeThatIsComputedFromAStaticOne() throws {
    let graph = try Graph(
      bytes: model(
        [2, 3], [integers("zero", [0]), integers("rest", [-1])],
        [
          node("shape", "Shape", ["x"], "s"), node("first", "Gather", ["s", "zero"], "n"),
          node("join", "Concat", ["rest", "n"], "t", [("axis", 0)]),
          node("reshape", "Reshape", ["x", "t"], "y"),
        ]
      ).serializedBytes())
    #expect(graph.nodes.map(\.name) == ["reshape"])
    #expect(graph.values[graph.outputs[0]].shape == [3, 2])
  }

  @Test func splitsIntoWhatConcatJoins() throws {
    var split = node("split", "Split", ["x"], "a", [("axis", 1)])
    split.output = ["a", "b"]
    let graph = try Graph(
      bytes: model([1, 4], [], [split, node("join", "Concat", ["b", "a"], "y", [("axis", 1)])])
        .serializedBytes())
    let result = try graph.evaluate([FloatTensor(shape: [1, 4], values: [1, 2, 3, 4])])[0]
    #expect(result.values == [3, 4, 1, 2])
  }

  @Test func refusesOperandsThatDoNotFit() throws {
    let three = constant("c", [3], [1, 2, 3])
    #expect(
      try refusal(model([1, 2], [three], [node("sub", "Sub", ["x", "c"], "y")]))
        == ("shape-mismatch", "sub"))
    #expect(
      try refusal(model([1, 2], [three], [node("join", "Concat", ["x", "c"], "y")]))
        == ("shape-mismatch", "join"))
    #expect(
      try refusal(model([1, 2], [], [node("soft", "Softmax", ["x"], "y", [("axis", .min)])]))
        == ("shape-mismatch", "soft"))
    #expect(
      try refusal(model([1, 2], [], [node("clip", "Clip", ["", "x"], "y")])).node == "clip")
  }

  @Test(arguments: [[1 << 20, 1 << 20], [.max, 2], [-1, .min]] as [[Int64]])
  func refusesResultsOutOfBoundsBeforeTheyAreAllocated(shape: [Int64]) throws {
    #expect(
      try refusal(
        model([1, 1], [integers("s", shape)], [node("grow", "Expand", ["x", "s"], "y")]))
        == ("shape-mismatch", "grow"))
    #expect(
      try refusal(
        model([1, 1], [integers("p", shape + shape)], [node("pad", "Pad", ["x", "p"], "y")]))
        == ("shape-mismatch", "pad"))
    #expect(
      try refusal(
        model(
          [1, 1], [integers("s", shape)],
          [
            node("fill", "ConstantOfShape", ["s"], "f"), node("add", "Add", ["x", "f"], "y"),
          ])) == ("shape-mismatch", "fill"))
  }
}
