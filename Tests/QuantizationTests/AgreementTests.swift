import FixedPoint
import ModelGraph
import Quantization
import Testing

@Suite struct AgreementTests {
  /// Scored on vectors that did not calibrate.
  @Test(arguments: [
    ("digits_mlp", 60, 360), ("digits_lenet5", 8, 40), ("digits_resnet8", 3, 6),
    ("text_transformer", 6, 10),
  ])
  func integersAgreeWithTheFloatModel(name: String, calibrated: Int, count: Int) throws {
    let model = try DigitModel(name)
    let agreement = try model.agreement(
      model.quantizer(calibratedOn: calibrated), on: calibrated..<count)
    #expect(agreement.scored == count - calibrated)
    #expect(agreement.agreement >= 0.99)
    #expect(agreement.rangeFaultRate == 0)
    let (accuracy, floatAccuracy) = (agreement.accuracy, agreement.floatAccuracy)
    #expect(try #require(accuracy) >= #require(floatAccuracy) - 0.01)
    #expect(agreement.disagreements.count <= 3)
  }

  @Test func moreBitsOfWeightAreCloser() throws {
    let model = try DigitModel("digits_mlp")
    var settings = Quantizer.Settings()
    let errors = try [3, 8, 12].map { bits in
      settings.weightBits = bits
      return try model.agreement(
        model.quantizer(calibratedOn: 32, settings: settings), on: 32..<96
      ).maxAbsError
    }
    #expect(errors[0] > 4 * errors[1])
    #expect(errors[1] > 4 * errors[2])
  }

  @Test func namesTheNodeThatFaultsAndTheSample() throws {
    let model = try DigitModel("digits_mlp")
    let quantizer = try model.quantizer(calibratedOn: 8)
    var agreement = Agreement(graph: model.graph, program: try quantizer.program())
    try agreement.add([model.vectors.tensor(9)])
    // Pixels of full brightness against the sign of the weights: far outside of what calibrated.
    var hard = model.vectors.tensor(9)
    for index in hard.values.indices { hard.values[index] = index.isMultiple(of: 2) ? 1.9 : -1.9 }
    try agreement.add([hard])
    var outside = hard
    outside.values[0] = 1000
    try agreement.add([outside])
    #expect(agreement.scored == 3)
    #expect(agreement.rangeFaults["input"] == 1)
    #expect(agreement.rangeFaultRate > 0.3)
    let last = try #require(agreement.disagreements.last)
    #expect(last.fault == "input")
    #expect(last.integerAnswer == nil)
    #expect(last.counted(from: 10).sample == 12)
    // Without labels there is no accuracy.
    #expect(agreement.accuracy == nil)
  }

  @Test func theFirstOfEqualOutputsIsTheTop() {
    #expect(Agreement.top([1, 3, 3, 2]) == 1)
    #expect(Agreement.top([]) == nil)
  }
}

@Suite struct PrecisionTests {
  @Test func everyNodeIsComparedWithTheFloatModel() throws {
    let model = try DigitModel("digits_lenet5")
    let quantizer = try model.quantizer(calibratedOn: 8)
    var precision = try Precision(quantizer)
    var agreement = Agreement(graph: model.graph, program: try quantizer.program())
    for index in 8..<12 {
      try precision.add([model.vectors.tensor(index)])
      try agreement.add([model.vectors.tensor(index)])
    }
    let layers = precision.layers
    #expect(layers.map(\.node) == quantizer.graph.nodes.map(\.name))
    for layer in layers {
      #expect(layer.maxAbsError >= layer.meanAbsError)
      #expect(try #require(layer.relativeMaxError) < 0.05, "\(layer.node)")
      #expect(try #require(layer.signalToNoiseDecibels) > 25, "\(layer.node)")
      #expect(layer.rangeFaults == 0)
      let isLinear = ["Conv", "Gemm"].contains(layer.operator)
      #expect((layer.accumulatorBits != nil) == isLinear, "\(layer.node)")
      if let bits = layer.accumulatorBits { #expect((20..<62).contains(bits)) }
      #expect((layer.weightExponents != nil) == isLinear, "\(layer.node)")
    }
    // Cut around every node or whole, the integers are the same.
    #expect(layers.last?.maxAbsError == agreement.maxAbsError)
  }

  @Test func countsTheFaultAtItsNode() throws {
    let graph = try OneNode("Conv").input([1, 1, 1, 2]).constant([1, 1, 1, 2], [1, 1]).graph()
    let calm = [FloatTensor(shape: [1, 1, 1, 2], values: [1, -1])]
    let quantizer = try Quantizer(
      graph, calibration: Calibration(graph, samples: [calm]))
    var precision = try Precision(quantizer)
    try precision.add([FloatTensor(shape: [1, 1, 1, 2], values: [1.5, 1.5])])
    #expect(precision.layers.map(\.rangeFaults) == [1])
  }

  /// Rows whose largest weights are 1 and 1/64 have exponents that differ by six.
  @Test func everyRowHasAWeightExponentOfItsOwn() throws {
    let graph = try OneNode("Conv").input([1, 1, 1, 1], -1...1)
      .constant([2, 1, 1, 1], [1, 1.0 / 64]).graph()
    let sample = [FloatTensor(shape: [1, 1, 1, 1], values: [1])]
    let quantizer = try Quantizer(graph, calibration: Calibration(graph, samples: [sample]))
    let exponents = try #require(quantizer.program().weightExponents(of: 0))
    #expect(exponents == 6...12)
  }

  /// Σ|w| · 2^15 and the rounding term, from the weights that are there.
  @Test func accumulatorsAreBoundedByTheActualWeights() throws {
    let graph = try OneNode("Conv").input([1, 1, 1, 2]).constant([1, 1, 1, 2], [64, -32]).graph()
    let sample = [FloatTensor(shape: [1, 1, 1, 2], values: [1, -1])]
    let quantizer = try Quantizer(graph, calibration: Calibration(graph, samples: [sample]))
    let program = try quantizer.program()
    guard case .convolution(let convolution) = program.operations[0].operator else {
      Issue.record("no convolution")
      return
    }
    let sum = convolution.rows.weights.reduce(0) { $0 + Int($1.magnitude) } << 15
    let shift = Int(convolution.rows.shifts[0])
    let bound = sum + (shift == 0 ? 0 : 1 << (shift - 1))
    #expect(program.accumulatorBits(of: 0) == Int.bitWidth - bound.leadingZeroBitCount)
  }
}

@Suite struct SaturationTests {
  private static func graph() throws -> Graph {
    try OneNode("Conv").input([1, 1, 1, 2], -2...2).constant([1, 1, 1, 2], [1, 1]).graph()
  }

  private static func run(_ settings: Quantizer.Settings, _ values: [Float]) throws -> [Float] {
    let graph = try graph()
    let calm = [FloatTensor(shape: [1, 1, 1, 2], values: [1, -0.5])]
    let program = try Quantizer(
      graph, calibration: Calibration(graph, samples: [calm]), settings: settings
    ).program()
    let bytes = try BoundaryValues.bytes(values, as: program.inputs[0])
    return try BoundaryValues.floats(
      Executor(program: program).run([bytes])[0], as: program.outputs[0])
  }

  @Test func aSaturatedNodeClipsWhereAnotherFaults() throws {
    #expect(throws: ExecutionError.self) { try Self.run(Quantizer.Settings(), [1.5, 1]) }
    var settings = Quantizer.Settings()
    settings.saturating = ["node"]
    let clipped = try Self.run(settings, [1.5, 1])[0]
    #expect(clipped > 0.5 && clipped < 1.001)
    #expect(abs(try Self.run(settings, [0.25, 0.125])[0] - 0.375) < 0.001)
    #expect(try Self.run(settings, [-1.5, -1.5])[0] < -0.5)
  }

  @Test func refusesNodesThatCannotSaturate() throws {
    var settings = Quantizer.Settings()
    settings.saturating = ["elsewhere"]
    #expect(throws: QuantizationError.unknownNode("elsewhere")) {
      try Self.run(settings, [0, 0])
    }
    settings.saturating = ["node"]
    let relu = try OneNode("Relu").input([2]).graph()
    let sample = [FloatTensor(shape: [2], values: [1, -1])]
    #expect(throws: QuantizationError.self) {
      try Quantizer(
        relu, calibration: Calibration(relu, samples: [sample]), settings: settings)
    }
  }
}

@Suite struct IntegerMeaningTests {
  @Test func findsNodesWithoutIntegerMeaningUnseen() throws {
    #expect(try Quantizer.refusals(in: OneNode("Relu").input([2]).graph()).isEmpty)
    // A weight of a million says nothing about the layer's meaning.
    let large = OneNode("Conv").input([1, 1, 1, 1]).constant([1, 1, 1, 1], [1e6])
    #expect(try Quantizer.refusals(in: large.graph()).isEmpty)
    let powers = OneNode("Pow").input([2]).constant([2], [1, 2])
    let refusals = try Quantizer.refusals(in: powers.graph())
    #expect(refusals.map(\.node) == ["node"])
    #expect(refusals.map(\.operatorName) == ["Pow"])
    #expect(refusals.first?.error.code == "unsupported-feature")
  }
}
