import ModelGraph
import SwiftProtobuf
import Testing

/// What scripts/onnx-conformance does not look at: refusals, folding, and the comparison itself.
@Suite struct OperatorTests {
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

  @Test func castsToIntegersAndBackTowardsZero() throws {
    let cast = node("cast", "Cast", ["x"], "i", [("to", 7)])
    let graph = try Graph(
      bytes: model([1, 4], [], [cast, node("back", "Cast", ["i"], "y", [("to", 1)])])
        .serializedBytes())
    let input = FloatTensor(shape: [1, 4], values: [1.5, -1.5, .nan, 0.25])
    #expect(try graph.evaluate([input])[0].values == [1, -1, 0, 0])
    #expect(throws: ModelError.self) { try graph.simplified() }
  }

  @Test func givesThePlacesAndTheMaskOfSecondResults() throws {
    var pool = node("pool", "MaxPool", ["x"], "a")
    pool.attribute = [
      .with {
        $0.name = "kernel_shape"; $0.type = .ints; $0.ints = [2, 2]
      }
    ]
    pool.output = ["a", "places"]
    var drop = node("drop", "Dropout", ["a"], "b")
    drop.output = ["b", "mask"]
    let graph = try Graph(
      bytes: model(
        [1, 1, 2, 2], [],
        [
          pool, drop, node("castP", "Cast", ["places"], "p", [("to", 1)]),
          node("castM", "Cast", ["mask"], "m", [("to", 1)]), node("sum", "Add", ["p", "m"], "y"),
        ]
      ).serializedBytes())
    let input = FloatTensor(shape: [1, 1, 2, 2], values: [1, 2, 4, 3])
    #expect(try graph.evaluate([input])[0].values == [3])
  }

  @Test func computesIntegersAsCsDo() throws {
    let model = model([4], [], [node("div", "Div", ["x", "d"], "y")]) {
      $0.graph.input[0].type.tensorType.elemType = 3
      $0.graph.initializer = [
        .with {
          $0.name = "d"; $0.dataType = 3; $0.dims = [4]; $0.int32Data = [2, -2, 3, -1]
        }
      ]
    }
    let subject = try ConformanceCase(model: model.serializedBytes())
    func bytes(_ values: [Int32]) throws -> [UInt8] {
      try Onnx_TensorProto.with {
        $0.dataType = 3; $0.dims = [4]; $0.int32Data = values
      }.serializedBytes()
    }
    let (input, output) = (try bytes([7, 7, -7, -128]), try bytes([3, -3, -2, -128]))
    #expect(subject.outcome(inputs: [input], outputs: [output]) == .passed)
  }

  @Test func alignsOperandsAsVersionSixDid() throws {
    let add = node("add", "Add", ["x", "c"], "y", [("broadcast", 1), ("axis", 0)])
    let model = model([2, 2], [constant("c", [2], [10, 20])], [add]) {
      $0.opsetImport[0].version = 6
    }
    let result = try Graph(bytes: model.serializedBytes())
      .evaluate([FloatTensor(shape: [2, 2], values: [1, 2, 3, 4])])[0]
    #expect(result.values == [11, 12, 23, 24])
  }

  /// The blocked product sums in the order of the plain loops, whatever its blocks and threads do.
  @Test(arguments: [(1, 3), (2, 600)])
  func convolvesAsThePlainLoopsDo(groups: Int, perGroup: Int) throws {
    let (rows, size, stride, dilation) = (5 * groups, [7, 9], 2, 2)
    let channels = groups * perGroup
    var random = Seeded(state: 5)
    func numbers(_ count: Int) -> [Float] {
      (0..<count).map { _ in Float.random(in: -1...1, using: &random) }
    }
    let (weights, biases) = (numbers(rows * perGroup * 4), numbers(rows))
    var convolution = node("conv", "Conv", ["x", "w", "b"], "y", [("group", Int64(groups))])
    for (name, values) in [("strides", [2, 1]), ("dilations", [2, 2]), ("pads", [1, 0, 2, 1])] {
      convolution.attribute.append(
        .with {
          $0.name = name; $0.type = .ints; $0.ints = values.map { Int64($0) }
        })
    }
    let shape = [Int64(channels), Int64(size[0]), Int64(size[1])]
    let graph = try Graph(
      bytes: model(
        [1] + shape,
        [
          constant("w", [Int64(rows), Int64(perGroup), 2, 2], weights),
          constant("b", [Int64(rows)], biases),
        ], [convolution]
      ).serializedBytes())
    let input = numbers(channels * size[0] * size[1])
    let result = try graph.evaluate([FloatTensor(shape: [1] + shape.map { Int($0) }, values: input)]
    )
    var expected: [Float] = []
    for row in 0..<rows {
      for y in 0..<4 {
        for x in 0..<8 {
          var sum = biases[row]
          for channel in 0..<perGroup {
            for cell in 0..<4 {
              let place = (y * stride - 1 + cell / 2 * dilation, x + cell % 2 * dilation)
              guard 0..<size[0] ~= place.0, 0..<size[1] ~= place.1 else { continue }
              let plane = row / 5 * perGroup + channel
              sum +=
                input[(plane * size[0] + place.0) * size[1] + place.1]
                * weights[(row * perGroup + channel) * 4 + cell]
            }
          }
          expected.append(sum)
        }
      }
    }
    #expect(result[0] == FloatTensor(shape: [1, rows, 4, 8], values: expected))
  }

  @Test func joinsTensorsWithoutElementsButDoesNotQuantiseThem() throws {
    let slice = node("slice", "Slice", ["x", "zero", "zero"], "e")
    let graph = try Graph(
      bytes: model(
        [2], [integers("zero", [0])],
        [slice, node("join", "Concat", ["e", "x"], "y", [("axis", 0)])]
      ).serializedBytes())
    #expect(try graph.evaluate([FloatTensor(shape: [2], values: [3, 4])])[0].values == [3, 4])
    #expect(throws: ModelError.self) { try graph.simplified() }
  }

  @Test func keepsAFilledConstantAsOneNumber() throws {
    // 2^26 elements, of which a run reads none.
    let graph = try Graph(
      bytes: model(
        [1, 1], [integers("s", [1 << 20, 64]), integers("t", [64, 1 << 20])],
        [
          node("fill", "ConstantOfShape", ["s"], "f"), node("turn", "Reshape", ["f", "t"], "g"),
          node("shape", "Shape", ["g"], "n"), node("cast", "Cast", ["n"], "c", [("to", 1)]),
          node("add", "Add", ["x", "c"], "y"),
        ]
      ).serializedBytes())
    #expect(graph.values.first { $0.name == "g" }?.origin == .filled(0))
    let result = try graph.evaluate([FloatTensor(shape: [1, 1], values: [1])])
    #expect(result[0].values == [65, 1_048_577])
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
