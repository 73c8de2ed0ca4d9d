import Foundation
import ModelGraph
import SwiftProtobuf
import Testing

@Suite struct RefusalTests {
  @Test func acceptsTheModelThatTheOthersSpoil() throws {
    let graph = try Graph(bytes: try smallModel().serializedBytes())
    let result = try graph.evaluate([FloatTensor(shape: [1, 2], values: [1, -1])])
    #expect(result[0].values == [0, 0, 0])
    #expect(graph.values[graph.outputs[0]].shape == [1, 3])
  }

  @Test func namesTheUnknownOperator() throws {
    var model = smallModel()
    model.graph.node[1].opType = "Frobnicate"
    #expect(try refusal(model) == ("unsupported-operator", "relu"))
    #expect(
      try ModelFile(bytes: model.serializedBytes()).unsupportedNodes.map(\.operatorName)
        == ["Frobnicate"])
  }

  @Test func namesTheNodeWithWrongShapes() throws {
    var model = smallModel()
    model.graph.input = [value("x", [1, 5])]
    #expect(try refusal(model) == ("shape-mismatch", "gemm"))
  }

  @Test(arguments: [-1, .min, .max, 1 << 40] as [Int64])
  func refusesAxesOutOfBounds(axis: Int64) throws {
    var model = smallModel()
    model.graph.input = [value("x", [1, axis])]
    #expect(try refusal(model) == ("shape-mismatch", "x"))
    model = smallModel()
    model.graph.initializer[0].dims = [axis, axis]
    #expect(try refusal(model) == ("shape-mismatch", "w"))
  }

  @Test func refusesACycle() throws {
    var model = smallModel()
    model.graph.node[0].input[0] = "y"
    #expect(try refusal(model).code == "cyclic-model")
  }

  @Test func refusesANameDefinedTwice() throws {
    var model = smallModel()
    model.graph.node[1].output = ["h"]
    #expect(try refusal(model) == ("duplicate-name", "h"))
    model = smallModel()
    model.graph.initializer.append(model.graph.initializer[0])
    #expect(try refusal(model) == ("duplicate-name", "w"))
  }

  @Test func refusesAMissingInitialiser() throws {
    var model = smallModel()
    model.graph.initializer = []
    #expect(try refusal(model) == ("missing-value", "gemm"))
    model = smallModel()
    model.graph.output[0].name = "nothing"
    #expect(try refusal(model).code == "missing-value")
  }

  @Test func refusesDataInAnotherFile() throws {
    var model = smallModel()
    model.graph.initializer[0].dataLocation = .external
    #expect(try refusal(model) == ("external-data", "w"))
  }

  @Test func refusesConstantsThatAreNotNumbers() throws {
    var model = smallModel()
    model.graph.initializer[0].floatData[2] = .nan
    #expect(try refusal(model) == ("malformed-model", "w"))
    model.graph.initializer[0].floatData = [1]
    #expect(try refusal(model) == ("shape-mismatch", "w"))
  }

  @Test func refusesUnknownAttributesAndVersions() throws {
    var model = smallModel()
    model.graph.node[1] = node("relu", "Relu", ["h"], "y", [("slope", 1)])
    #expect(try refusal(model) == ("unsupported-feature", "relu"))
    model = smallModel()
    model.opsetImport[0].version = 99
    #expect(try refusal(model).code == "unsupported-feature")
  }

  @Test func refusesMorePartsThanItsBoundBeforeTheyAreAllocated() throws {
    // 2^20 empty nodes: two bytes each on the wire.
    let nodes = [UInt8](repeating: 0, count: 1 << 21).enumerated().map { index, _ in
      index.isMultiple(of: 2) ? UInt8(0x0A) : 0
    }
    // Of this thread alone, since other work of the machine is no sign of allocation.
    func seconds() -> Int {
      var time = timespec()
      clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
      return time.tv_sec
    }
    let start = seconds()
    #expect(throws: ModelError.self) {
      try Graph(bytes: [0x3A, 0x80, 0x80, 0x80, 0x01] + nodes)
    }
    #expect(seconds() - start <= 2)
  }

  @Test func refusesDeepNesting() throws {
    // A graph in an attribute of a node of a graph, forty times.
    var bytes: [UInt8] = []
    func varint(_ value: Int) -> [UInt8] {
      value < 128 ? [UInt8(value)] : [UInt8(value & 127 | 128)] + varint(value >> 7)
    }
    for _ in 0..<40 {
      for key in [UInt8(0x32), 0x2A, 0x0A] { bytes = [key] + varint(bytes.count) + bytes }
    }
    bytes = [0x3A] + varint(bytes.count) + bytes
    do {
      _ = try Graph(bytes: bytes)
      Issue.record("accepted")
    } catch {
      #expect(error.code == "model-too-large")
    }
  }

  @Test func refusesTensorsOfABillionElements() throws {
    let billion: Int64 = 1_000_000_000
    #expect(
      try refusal(model([billion], [], [node("relu", "Relu", ["x"], "y")]))
        == ("shape-mismatch", "x"))
    var tensor = constant("w", [billion], [])
    #expect(
      try refusal(model([1], [tensor], [node("add", "Add", ["x", "w"], "y")]))
        == ("shape-mismatch", "w"))
    tensor.rawData = .init([0, 0, 0, 0])
    tensor.dims = [1 << 20]
    #expect(
      try refusal(model([1], [tensor], [node("add", "Add", ["x", "w"], "y")]))
        == ("shape-mismatch", "w"))
    for (operation, operand) in [
      ("ConstantOfShape", [billion]), ("Expand", [billion]), ("Pad", [0, billion]),
      ("Resize", [billion]),
    ] {
      let inputs: [String] =
        switch operation {
        case "ConstantOfShape": ["s"]
        case "Resize": ["x", "", "", "s"]
        default: ["x", "s"]
        }
      let grown = node("grow", operation, inputs, "y")
      #expect(
        try refusal(model([1], [integers("s", operand)], [grown])) == ("shape-mismatch", "grow"))
    }
  }

  @Test func refusesHugeAttributesNamingTheirNode() throws {
    var spoilt = smallModel()
    spoilt.graph.node[1].attribute = [
      .with {
        $0.name = "axes"; $0.type = .ints; $0.ints = .init(repeating: 1, count: 70_000)
      }
    ]
    #expect(try refusal(spoilt) == ("model-too-large", "relu"))
    spoilt.graph.node[1].attribute[0].ints = []
    spoilt.graph.node[1].attribute[0].s = .init(repeating: 65, count: 1000)
    #expect(try refusal(spoilt) == ("model-too-large", "relu"))
    spoilt.graph.node[1].attribute = []
    spoilt.graph.node[1].opType = String(repeating: "R", count: 1000)
    #expect(try refusal(spoilt) == ("model-too-large", "relu"))
    spoilt = smallModel()
    spoilt.graph.initializer[0].int64Data = .init(repeating: 1, count: 5 << 20)
    #expect(try refusal(spoilt) == ("model-too-large", "w"))
  }

  @Test func refusesWrongTypesNamingWhereTheyAre() throws {
    var spoilt = smallModel()
    spoilt.graph.input[0].type.tensorType.elemType = 8
    #expect(try refusal(spoilt) == ("unsupported-type", "x"))
    spoilt.graph.input[0].type.tensorType.elemType = 7
    #expect(try refusal(spoilt) == ("unsupported-type", "gemm"))
    spoilt = smallModel()
    spoilt.graph.initializer[0].dataType = 14
    #expect(try refusal(spoilt) == ("unsupported-type", "w"))
    let indices = integers("i", [1, 2])
    #expect(
      try refusal(model([2], [indices], [node("add", "Add", ["x", "i"], "y")]))
        == ("unsupported-type", "add"))
    let cast = node("cast", "Cast", ["x"], "i", [("to", 7)])
    #expect(
      try refusal(model([2], [], [cast, node("tanh", "Tanh", ["i"], "y")]))
        == ("unsupported-type", "tanh"))
    #expect(
      try refusal(model([2], [], [node("cast", "Cast", ["x"], "y", [("to", 8)])]))
        == ("unsupported-type", "cast"))
    #expect(
      try refusal(
        model([2], [constant("s", [1], [2])], [node("shape", "Reshape", ["x", "s"], "y")]))
        == ("unsupported-feature", "shape"))
  }

  @Test func refusesToFoldBeyondItsBound() throws {
    // Half a gigabyte of sums that no input changes, and a convolution of constants.
    let shape = integers("s", [1, 8, 1 << 11, 1 << 12])
    let fill = node("fill", "ConstantOfShape", ["s"], "f")
    #expect(
      try refusal(
        model(
          [1], [shape],
          [fill, node("add", "Add", ["f", "f"], "g"), node("y", "Add", ["x", "g"], "y")]))
        == ("model-too-large", "add"))
    let kernel = constant("k", [1, 8, 1, 1], .init(repeating: 1, count: 8))
    #expect(
      try refusal(
        model(
          [1], [shape, kernel],
          [fill, node("conv", "Conv", ["f", "k"], "g"), node("y", "Add", ["x", "g"], "y")]))
        == ("unsupported-feature", "conv"))
  }

  @Test func refusesToKeepMorePlacesThanItsBound() throws {
    // Each Slice of a vector of 2^21 keeps as many indices.
    let bounds = [integers("start", [0]), integers("end", [1 << 21])]
    let slices = (0..<8).map { node("slice\($0)", "Slice", ["x", "start", "end"], "y\($0)") }
    var spoilt = model([1 << 21], bounds, slices)
    spoilt.graph.output = slices.map { slice in .with { $0.name = slice.output[0] } }
    #expect(try refusal(spoilt) == ("model-too-large", "slice2"))
  }

  @Test func refusesTruncatedFiles() throws {
    let bytes = try sampleBytes("digits_mlp.onnx")
    for count in stride(from: 0, to: bytes.count, by: 997) {
      #expect(throws: ModelError.self) { try Graph(bytes: Array(bytes.prefix(count))) }
    }
  }

  @Test func refusesRandomBytes() {
    var random = Seeded(state: 11)
    for _ in 0..<300 {
      let bytes = (0..<Int.random(in: 0...400, using: &random)).map { _ in
        UInt8.random(in: 0...255, using: &random)
      }
      #expect(throws: ModelError.self) { try Graph(bytes: bytes) }
    }
  }

  @Test func neverTrapsOnMutatedFiles() throws {
    let bytes: [UInt8] = try smallModel().serializedBytes()
    var random = Seeded(state: 12)
    for _ in 0..<5000 {
      var mutated = bytes
      for _ in 0..<Int.random(in: 1...3, using: &random) {
        mutated[Int.random(in: 0..<mutated.count, using: &random)] =
          UInt8.random(in: 0...255, using: &random)
      }
      _ = try? Graph(bytes: mutated).simplified()
    }
  }
}
