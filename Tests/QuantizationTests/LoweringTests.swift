import FixedPoint
import ModelGraph
import Primitives
import Quantization
import Statements
import SwiftProtobuf
import Testing

/// Every operator as integers, against the float evaluator.
@Suite struct LoweringTests {
  /// `tolerance` is in units of the result's last place: half a unit is what rounding costs.
  struct Case: CustomTestStringConvertible, Sendable {
    let name: String
    let model: @Sendable () -> OneNode
    let tolerance: Double

    init(_ name: String, _ tolerance: Double, _ model: @escaping @Sendable () -> OneNode) {
      (self.name, self.tolerance, self.model) = (name, tolerance, model)
    }

    var testDescription: String { name }
  }

  static let movements = [
    Case("Transpose", 0) { OneNode("Transpose", [integers("perm", [2, 0, 1])]).input([2, 3, 4]) },
    Case("Slice backwards", 0) {
      OneNode("Slice").input([4, 5]).integers([3, 0]).integers([-9, 4]).integers([0, 1])
        .integers([-2, 3])
    },
    Case("Pad constant", 0.5) {
      OneNode("Pad").input([2, 3]).integers([1, 0, 0, 2]).constant([], [9])
    },
    Case("Pad edge", 0) {
      OneNode("Pad", [text("mode", "edge")]).input([2, 3]).integers([1, 2, 0, 2])
    },
    Case("Pad reflect", 0) {
      OneNode("Pad", [text("mode", "reflect")]).input([3, 3]).integers([1, 2, 0, 2])
    },
    Case("Gather rows", 0) { OneNode("Gather").input([4, 3]).integers([2, 0, 2, -1]) },
    Case("Expand", 0) { OneNode("Expand").input([3, 1]).integers([2, 1, 4]) },
    Case("Squeeze", 0) { OneNode("Squeeze").input([3, 1, 2]).integers([1]) },
    Case("Unsqueeze", 0) { OneNode("Unsqueeze").input([3, 2]).integers([0, 3]) },
    Case("Upsample", 0) {
      OneNode("Upsample").opset(9).input([1, 2, 3, 3]).constant([4], [1, 1, 2, 3])
    },
    Case("Resize", 0) {
      OneNode("Resize", [text("mode", "nearest")]).input([1, 2, 4, 4]).omitted()
        .constant([4], [1, 1, 1.5, 0.5])
    },
    Case("Concat", 0.5) {
      OneNode("Concat", [integer("axis", 1)]).input([2, 3]).input([2, 1], -0.1...0.1)
        .constant([2, 2], [1, 2, 3, -4])
    },
    Case("Concat of many", 0) {
      (0..<20).reduce(OneNode("Concat", [integer("axis", 0)])) { model, _ in
        model.input([2, 3])
      }
    },
  ]

  static let arithmetic = [
    Case("Add broadcast", 1) { OneNode("Add").input([2, 3, 4]).input([3, 1]) },
    Case("Add constant first", 1) { OneNode("Add").random([3, 1]).input([2, 3, 4]) },
    Case("Sub", 1) { OneNode("Sub").input([2, 3]).input([3]) },
    Case("Sub from constant", 1) { OneNode("Sub").random([2, 1]).input([2, 3]) },
    Case("Mul", 1) { OneNode("Mul").input([2, 3, 4]).input([2, 1, 4], -0.3...0.3) },
    Case("Mul by constant", 1) { OneNode("Mul").input([1, 3, 4]).random([3, 1]) },
    Case("Mul by small constant", 1) { OneNode("Mul").input([4]).constant([], [0.0001]) },
    Case("Div by constant", 1) { OneNode("Div").input([3, 4]).constant([4], [3, -7, 0.3, 11]) },
    Case("Div", 1) { OneNode("Div").input([3, 4]).input([4], 1...4) },
    Case("Div of constant", 1) { OneNode("Div").random([2, 1]).input([2, 5], 0.5...3) },
    Case("Pow 2", 1) { OneNode("Pow").input([3, 4]).constant([], [2]) },
    Case("Pow 3", 1) { OneNode("Pow").input([3, 4]).constant([1, 1], [3]) },
    Case("Pow 0.5", 1) { OneNode("Pow").input([3, 4], 0...4).constant([], [0.5]) },
    Case("Pow -1.5", 1) { OneNode("Pow").input([3, 4], 0.5...4).constant([], [-1.5]) },
    Case("PRelu one slope", 1) { OneNode("PRelu").input([2, 3, 2]).constant([1], [0.2]) },
    Case("PRelu slopes", 1.5) { OneNode("PRelu").input([2, 3, 2]).random([3, 1]) },
    Case("Min", 0.5) { OneNode("Min").input([2, 3]).input([3], -0.5...0.5) },
    Case("Max of three", 0.5) {
      OneNode("Max").input([2, 3]).input([3], 0...1).constant([2, 1], [0.25, -3])
    },
    Case("Sum", 1.5) { OneNode("Sum").input([2, 3]).input([2, 3]).input([3]) },
    Case("Mean", 1.5) { OneNode("Mean").input([2, 3]).input([2, 3]).input([3]) },
    Case("Clip", 0.51) { OneNode("Clip").input([3, 4]).constant([], [-1.3]).constant([], [2]) },
    Case("Clip above", 0.51) { OneNode("Clip").input([3, 4]).omitted().constant([], [2]) },
    Case("Clip computed", 0.5) { OneNode("Clip").input([3, 4]).input([], -1 ... -0.5).omitted() },
  ]

  static let functions: [Case] =
    [
      ("Abs", []), ("Celu", [float("alpha", 0.7)]), ("Elu", [float("alpha", 1.2)]), ("Erf", []),
      ("Exp", []), ("Gelu", []), ("Gelu", [text("approximate", "tanh")]), ("HardSigmoid", []),
      ("HardSwish", []), ("LeakyRelu", [float("alpha", 0.1)]), ("Neg", []), ("Relu", []),
      ("Selu", []), ("Sigmoid", []), ("Sign", []), ("Softplus", []), ("Softsign", []), ("Tanh", []),
    ].map { (name: String, attributes: [Onnx_AttributeProto]) in
      Case("\(name) \(attributes.count)", 0.51) {
        OneNode(name, attributes).opset(20).input([3, 40])
      }
    }
    + ["Log", "Reciprocal", "Sqrt"].map { name in
      Case(name, 0.51) { OneNode(name).input([3, 40], 0.25...6) }
    }

  static let reductions = [
    Case("ReduceMean", 1) { OneNode("ReduceMean", [integers("axes", [1])]).input([2, 3, 5]) },
    Case("ReduceMean all", 1) { OneNode("ReduceMean", [integer("keepdims", 0)]).input([2, 3, 5]) },
    Case("ReduceSum", 1) { OneNode("ReduceSum").input([2, 3, 5]).integers([0, 2]) },
    Case("ReduceMax", 0) {
      OneNode("ReduceMax", [integers("axes", [-1]), integer("keepdims", 0)]).input([2, 3, 5])
    },
    Case("ReduceMin", 0) { OneNode("ReduceMin", [integers("axes", [0, 1])]).input([2, 3, 5]) },
    Case("GlobalMaxPool", 0) { OneNode("GlobalMaxPool").input([2, 3, 4, 5]) },
    Case("GlobalAveragePool", 1) { OneNode("GlobalAveragePool").input([2, 3, 3, 5]) },
    Case("GlobalAveragePool 1-D", 1) { OneNode("GlobalAveragePool").input([2, 3, 7]) },
    Case("MaxPool 1-D", 0) {
      OneNode("MaxPool", [integers("kernel_shape", [3]), integers("strides", [2])])
        .input([1, 2, 8])
    },
    Case("MaxPool ceil", 0) {
      OneNode(
        "MaxPool",
        [
          integers("kernel_shape", [3, 3]), integers("strides", [2, 2]), integer("ceil_mode", 1),
          integers("pads", [1, 0, 0, 1]),
        ]
      ).input([1, 2, 6, 7], -4 ... -1)
    },
    Case("MaxPool 3-D", 0) {
      OneNode(
        "MaxPool",
        [
          integers("kernel_shape", [2, 3, 2]), integers("pads", [1, 1, 0, 0, 1, 1]),
          integers("strides", [2, 1, 2]),
        ]
      ).input([2, 2, 5, 4, 5], -4 ... -1)
    },
    Case("MaxPool dilated", 0) {
      OneNode("MaxPool", [integers("kernel_shape", [2, 2]), integers("dilations", [2, 2])])
        .input([1, 2, 5, 5])
    },
    Case("AveragePool", 1) {
      OneNode("AveragePool", [integers("kernel_shape", [3, 2])]).input([1, 2, 5, 5])
    },
    Case("AveragePool without pads", 2) {
      OneNode(
        "AveragePool",
        [integers("kernel_shape", [3, 3]), integers("pads", [1, 1, 1, 1])]
      ).input([1, 2, 5, 5])
    },
    Case("AveragePool same", 2) {
      OneNode("AveragePool", [integers("kernel_shape", [2, 2]), text("auto_pad", "SAME_UPPER")])
        .input([1, 2, 5, 5])
    },
    Case("AveragePool ceil with pads", 2) {
      OneNode(
        "AveragePool",
        [
          integers("kernel_shape", [3, 3]), integers("strides", [2, 2]), integer("ceil_mode", 1),
          integers("pads", [1, 1, 1, 1]), integer("count_include_pad", 1),
        ]
      ).opset(19).input([1, 2, 6, 6])
    },
    Case("AveragePool 1-D", 2) {
      OneNode("AveragePool", [integers("kernel_shape", [3]), integers("pads", [1, 1])])
        .input([2, 2, 7])
    },
    Case("AveragePool 3-D", 2) {
      OneNode(
        "AveragePool",
        [integers("kernel_shape", [2, 2, 3]), integers("pads", [0, 1, 1, 0, 0, 1])]
      ).input([1, 2, 4, 5, 5])
    },
  ]

  static let products = [
    Case("Conv 1-D", 1) {
      OneNode("Conv", [integers("strides", [2]), integers("pads", [2, 1]), integer("group", 2)])
        .input([2, 4, 9]).weights([6, 2, 3]).weights([6])
    },
    Case("Conv same", 1) {
      OneNode("Conv", [text("auto_pad", "SAME_LOWER"), integers("strides", [2, 1])])
        .input([1, 2, 6, 5]).weights([3, 2, 3, 2])
    },
    Case("Conv 3-D", 1) {
      OneNode(
        "Conv",
        [
          integers("strides", [1, 2, 1]), integers("pads", [1, 0, 1, 0, 1, 0]),
          integers("dilations", [2, 1, 1]), integer("group", 2),
        ]
      ).input([2, 4, 6, 5, 4]).weights([4, 2, 2, 3, 2]).weights([4])
    },
    Case("ConvTranspose", 1) {
      OneNode("ConvTranspose", [integers("strides", [2, 3]), integers("pads", [1, 0, 0, 2])])
        .input([2, 3, 4, 3]).weights([3, 2, 3, 3]).weights([2])
    },
    Case("ConvTranspose groups", 1) {
      OneNode(
        "ConvTranspose",
        [
          integer("group", 2), integers("strides", [2, 2]), integers("dilations", [2, 1]),
          integers("output_padding", [1, 0]),
        ]
      ).input([1, 4, 3, 4]).weights([4, 3, 2, 3])
    },
    Case("ConvTranspose of stride 1", 1) {
      OneNode("ConvTranspose").input([1, 2, 4, 4]).weights([2, 3, 3, 3])
    },
    Case("ConvTranspose cropped", 1) {
      OneNode("ConvTranspose", [integers("pads", [2, 2, 2, 2])]).input([1, 2, 5, 5])
        .weights([2, 3, 2, 2])
    },
    Case("ConvTranspose 1-D", 1) {
      OneNode("ConvTranspose", [integers("strides", [2])]).input([2, 2, 5]).weights([2, 3, 4])
    },
    Case("ConvTranspose 3-D", 1) {
      OneNode("ConvTranspose", [integers("strides", [2, 1, 2])]).input([1, 2, 3, 3, 2])
        .weights([2, 2, 2, 2, 3]).weights([2])
    },
    Case("Gemm of transposed", 1.5) {
      OneNode("Gemm", [integer("transA", 1), float("alpha", 0.5), float("beta", 2)])
        .input([4, 3]).weights([4, 5]).weights([3, 1])
    },
    Case("Gemm computed", 2) {
      OneNode("Gemm", [integer("transB", 1), float("alpha", 0.3)]).input([2, 3]).input([4, 3])
        .input([4])
    },
    Case("MatMul computed", 1) { OneNode("MatMul").input([2, 3, 4]).input([4, 5]) },
    Case("MatMul batched", 1) { OneNode("MatMul").input([2, 1, 3, 4]).input([3, 4, 2]) },
    Case("MatMul with constants on the left", 1) {
      OneNode("MatMul").weights([3, 4]).input([2, 4, 2])
    },
    Case("MatMul with a stack of constants", 1) {
      OneNode("MatMul").input([2, 3, 4]).weights([2, 4, 2])
    },
    Case("MatMul of vectors", 1) { OneNode("MatMul").input([4]).input([4]) },
    Case("MatMul of a vector", 1) { OneNode("MatMul").input([2, 3, 4]).input([4]) },
    Case("MatMul of a vector and constants", 1) { OneNode("MatMul").input([4]).weights([4, 3]) },
  ]

  static let normalizations = [
    Case("Softmax", 1) { OneNode("Softmax").input([2, 3, 7]) },
    Case("Softmax across", 1) { OneNode("Softmax", [integer("axis", 1)]).input([2, 5, 3]) },
    Case("Softmax of old", 1) { OneNode("Softmax").opset(11).input([2, 3, 4]) },
    Case("LogSoftmax", 1) { OneNode("LogSoftmax").input([2, 3, 7]) },
    Case("LogSoftmax across", 1) { OneNode("LogSoftmax", [integer("axis", 0)]).input([9, 3]) },
    Case("InstanceNormalization", 3) {
      OneNode("InstanceNormalization").input([2, 3, 4, 5]).random([3], 0.5...2).random([3])
    },
    Case("LayerNormalization", 3) {
      OneNode("LayerNormalization").input([2, 3, 16]).random([16], 0.5...2).random([16])
    },
    Case("LayerNormalization of two axes", 3) {
      OneNode("LayerNormalization", [integer("axis", 1), float("epsilon", 0.01)])
        .input([2, 3, 8]).random([3, 8], 0.5...2)
    },
    Case("BatchNormalization", 1) {
      OneNode("BatchNormalization").input([2, 3, 5]).random([3]).random([3]).random([3])
        .random([3], 0.5...2)
    },
    Case("LRN", 2) {
      OneNode("LRN", [integer("size", 3), float("alpha", 0.5), float("bias", 1.5)])
        .input([2, 5, 2, 2])
    },
  ]

  @Test(arguments: movements + arithmetic + functions + reductions + products + normalizations)
  func equalsTheFloatModel(_ example: Case) throws {
    let model = example.model()
    let error = try largestError(of: model.graph(), model.inputs.map(\.range))
    #expect(error <= example.tolerance)
  }

  @Test func refusalsSayWhatHasNoMeaningAndWhy() throws {
    func refusal(_ model: OneNode) throws -> QuantizationError? {
      do {
        _ = try largestError(of: model.graph(), model.inputs.map(\.range))
        return nil
      } catch let error as QuantizationError {
        return error
      }
    }
    #expect(
      try refusal(OneNode("Conv").input([1, 1, 3, 3]).input([1, 1, 2, 2]))
        == .unsupported(
          node: "node", "Conv has an exact integer meaning only where operand 1 is constant"))
    #expect(
      try refusal(OneNode("Pow").input([2]).constant([2], [1, 2]))
        == .unsupported(
          node: "node", "Pow has an exact integer meaning only for one constant exponent"))
    #expect(
      try refusal(OneNode("Pad").input([2]).integers([1, 0]).input([]))
        == .unsupported(node: "node", "its fill value is computed in the model"))
    #expect(
      try refusal(OneNode("Conv").input([1, 1, 2, 2, 2, 2, 2]).random([1, 1, 1, 1, 1, 1, 1]))
        == .unsupported(node: "node", "it has 5 image axes and integers know at most 4"))
  }

  @Test(arguments: 0...1) func looksUpWhatItsIntegersName(axis: Int) throws {
    var example = OneNode("Gather", [integer("axis", axis)]).random([4, 3]).input([2], 0...2)
    example.inputTypes[0] = 7
    let graph = try example.graph()
    func tensor(_ first: Float, _ second: Float) -> [FloatTensor] {
      [FloatTensor(shape: [2], values: [first, second])]
    }
    let quantizer = try Quantizer(
      graph, calibration: Calibration(graph, samples: [tensor(0, 1), tensor(2, 0)]))
    let program = try quantizer.program()
    #expect(program.inputs[0].exponent == 0)
    let input = try BoundaryValues.bytes([-1, 1], as: program.inputs[0])
    let got = try BoundaryValues.floats(
      Executor(program: program).run([input])[0], as: program.outputs[0])
    let expected = try graph.evaluate(tensor(-1, 1))[0].values
    for (got, want) in zip(got, expected) { #expect(abs(got - want) < 0x1p-12) }
    let outside = try BoundaryValues.bytes([0, 4], as: program.inputs[0])
    #expect(throws: ExecutionError.self) { try Executor(program: program).run([outside]) }
  }

  /// Operands that cancelled in calibration and do not in the request.
  @Test func saturatesTheNodesThatItIsTold() throws {
    let graph = try OneNode("Add").input([1]).input([1]).graph()
    func tensors(_ left: Float, _ right: Float) -> [FloatTensor] {
      [left, right].map { FloatTensor(shape: [1], values: [$0]) }
    }
    let calibration = try Calibration(graph, samples: [tensors(1, -0.9)])
    func run(_ saturating: Set<String>, _ operands: [FloatTensor]) throws -> Float {
      var settings = Quantizer.Settings()
      settings.saturating = saturating
      let program = try Quantizer(graph, calibration: calibration, settings: settings).program()
      let inputs = try zip(operands, program.inputs).map {
        try BoundaryValues.bytes($0.values, as: $1)
      }
      return try BoundaryValues.floats(
        Executor(program: program).run(inputs)[0], as: program.outputs[0])[0]
    }
    #expect(throws: ExecutionError.self) { try run([], tensors(1, 1)) }
    #expect(try run(["node"], tensors(1, 1)) == 32767 / 32768)
    #expect(try run(["node"], tensors(-1, -1)) == -1)
    #expect(try abs(run(["node"], tensors(1, -0.75)) - 0.25) < 0x1p-11)
  }
}
