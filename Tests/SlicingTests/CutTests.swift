import FixedPoint
import ModelGraph
import Primitives
import Quantization
import Slicing
import Statements
import Testing

/// Where models are cut, and what is refused.
@Suite struct CutTests {
  /// stem, then a left branch of two convolutions and a right one of one, joined, then a head.
  private static func branches(groups: Int = 1) throws -> Quantizer {
    var random = Seeded(state: 5)
    var builder = ModelBuilder(input: [1, 4, 8, 8])
    func convolve(_ name: String, _ operand: String, groups: Int = 1) -> String {
      builder.convolution(
        of: (operand, [1, 4, 8, 8]), channels: 4, kernel: [3, 3], pads: [1, 1, 1, 1],
        groups: groups, named: name, &random)!
    }
    let stem = builder.node(
      "Relu", [convolve("stem", "x")], named: "stem-relu", giving: [1, 4, 8, 8])
    let left = convolve("left2", convolve("left1", stem))
    let right = convolve("right", stem, groups: groups)
    let joined = builder.node("Add", [left, right], named: "sum", giving: [1, 4, 8, 8])
    let head = convolve("head", joined)
    return try builder.quantized(outputs: [head]).quantizer
  }

  private func nodes(_ model: SlicedModel) throws -> [[String]] {
    try model.manifest.slices.indices.map { try model.program(of: $0).operations.map(\.name) }
  }

  private func sliced(_ rules: SlicingRules, groups: Int = 1) throws -> SlicedModel {
    try SlicedModel(name: "branches", quantizer: Self.branches(groups: groups), rules: rules)
  }

  @Test func parallelBranchesAreSlicesThatDoNotWaitForEachOther() throws {
    let model = try sliced(
      SlicingRules(count: 4, places: [.after("stem-relu"), .before("sum")]))
    try #require(
      nodes(model) == [["stem", "stem-relu"], ["left1", "left2"], ["right"], ["sum", "head"]])
    #expect((0..<4).map { model.manifest.producers(of: $0) } == [[], [0], [0], [1, 2]])
    #expect(model.manifest.consumers(of: 0) == [1, 2])
  }

  @Test func fourSlicesWhereNothingIsAsked() throws {
    #expect(try sliced(SlicingRules()).manifest.slices.count == 4)
  }

  @Test func theDearestSliceIsAsCheapAsCanBe() throws {
    let costs = try sliced(SlicingRules(count: 3)).manifest.slices.map(\.cost.units)
    let total = costs.reduce(0, +)
    // Five equal convolutions: at best two, two and one.
    #expect(costs.allSatisfy { $0 <= total * 2 / 5 + total / 20 })
  }

  @Test func noSliceIsDearerThanTheLimit() throws {
    let whole = try sliced(SlicingRules(count: 1)).manifest.totalCost.units
    let limit = Cost(units: whole / 2)
    let model = try sliced(SlicingRules(maxCost: limit))
    #expect(model.manifest.slices.allSatisfy { $0.cost <= limit })
    #expect(model.manifest.slices.count == 3)
    #expect(throws: SlicingError.pieceTooDear(node: "stem", cost: 11520, limit: 1000)) {
      try sliced(SlicingRules(maxCost: Cost(units: 1000)))
    }
    #expect(throws: SlicingError.slicesTooDear(asked: 2, limit: Int(limit.units), needed: 3)) {
      try sliced(SlicingRules(count: 2, maxCost: limit))
    }
  }

  @Test func aPlaceIsNamedByNodeOrValue() throws {
    for place in [SlicingRules.Place.after("left1"), .after("left1_out"), .before("left2")] {
      let model = try sliced(SlicingRules(places: [place]))
      let slices = try nodes(model)
      #expect(slices.count == 2)
      let first = try #require(slices.firstIndex { $0.contains("left1") })
      #expect(slices[first].last == "left1" && !slices[first].contains("left2"))
    }
  }

  @Test func refusesPlacesThatAreNone() throws {
    #expect(
      throws: SlicingError.unknownName("letf1", nearest: ["left1", "left2", "stem"])
    ) { try sliced(SlicingRules(places: [.after("letf1")])) }
    #expect(throws: SlicingError.nothingAfter("head")) {
      try sliced(SlicingRules(places: [.after("head")]))
    }
    #expect(throws: SlicingError.nothingBefore("stem")) {
      try sliced(SlicingRules(places: [.before("stem")]))
    }
    #expect(throws: SlicingError.tooManyCuts(asked: 2, fewest: 3)) {
      try sliced(SlicingRules(count: 2, places: [.after("stem-relu"), .before("head")]))
    }
    #expect(throws: SlicingError.tooFewPieces(asked: 7, possible: 6)) {
      try sliced(SlicingRules(count: 7))
    }
    #expect(throws: SlicingError.tooFewPieces(asked: 0, possible: 6)) {
      try sliced(SlicingRules(count: 0))
    }
  }

  @Test func refusesNamesThatSeveralNodesHave() throws {
    var random = Seeded(state: 5)
    var builder = ModelBuilder(input: [1, 1, 4, 4])
    let first = try #require(
      builder.convolution(of: builder.values[0], channels: 1, kernel: [1, 1], named: "a", &random))
    builder.node("Relu", [first], named: "b", giving: [1, 1, 4, 4])
    builder.model.graph.node[0].name = "same"
    builder.model.graph.node[1].name = "same"
    let quantizer = try builder.quantized(outputs: ["b_out"]).quantizer
    #expect(throws: SlicingError.ambiguousName("same", values: ["a_out", "b_out"])) {
      try SlicedModel(
        name: "s", quantizer: quantizer, rules: SlicingRules(places: [.after("same")]))
    }
    let cut = try SlicedModel(
      name: "s", quantizer: quantizer, rules: SlicingRules(places: [.after("a_out")]))
    #expect(cut.manifest.slices.count == 2)
  }

  // MARK: Divided convolutions

  private func divide(_ node: String?, _ split: ConvolutionSplit) -> SlicingRules {
    SlicingRules(divisions: [SlicingRules.Division(node: node, split: split)])
  }

  @Test func tilesReadTheWholeOperandAndTheConsumerJoinsThem() throws {
    let model = try sliced(divide("right", ConvolutionSplit(rows: 2, columns: 2)))
    let slices = try nodes(model)
    let tiles = (0..<4).map { "right.tile-\($0 / 2)-\($0 % 2)" }
    for tile in tiles { #expect(slices.contains(["\(tile).crop", tile])) }
    let last = try #require(slices.last)
    #expect(last.prefix(3) == ["right.join.joined-3-0", "right.join.joined-3-1", "right.join"])
    #expect(last.contains("sum"))
    for (slice, names) in zip(model.manifest.slices, slices) where names.count == 2 {
      if names[0].hasSuffix("crop") {
        #expect(slice.inputs.map(\.shape) == [[1, 4, 8, 8]])
        #expect(slice.outputs.map(\.shape) == [[1, 4, 4, 4]])
      }
    }
  }

  @Test func activationsAreComputedWithinTheTile() throws {
    let model = try sliced(divide("stem", ConvolutionSplit(channels: 2)))
    let slices = try nodes(model)
    #expect(slices[0] == ["stem.channels-0", "stem-relu.channels-0"])
    #expect(slices[1] == ["stem.channels-1", "stem-relu.channels-1"])
  }

  @Test func theDearestConvolutionIsDividedWhereNoneIsNamed() throws {
    var random = Seeded(state: 5)
    var builder = ModelBuilder(input: [1, 2, 8, 8])
    let first = try #require(
      builder.convolution(
        of: builder.values[0], channels: 2, kernel: [1, 1], named: "cheap", &random))
    let second = try #require(
      builder.convolution(
        of: (first, [1, 2, 8, 8]), channels: 6, kernel: [3, 3], named: "dear", &random))
    let quantizer = try builder.quantized(outputs: [second]).quantizer
    var rules = divide(nil, ConvolutionSplit(rows: 2, columns: 1))
    rules.divisions.append(.init(node: "dear", split: ConvolutionSplit(channels: 3)))
    let model = try SlicedModel(name: "two", quantizer: quantizer, rules: rules)
    #expect(try nodes(model).count { $0[0].hasPrefix("dear.channels-") } == 6)
  }

  @Test func refusesDivisionsThatCannotBe() throws {
    func sentence(_ rules: SlicingRules, groups: Int = 1) -> String? {
      #expect(throws: SlicingError.self) { try sliced(rules, groups: groups) }?.sentence
    }
    let tiles = sentence(divide("right", ConvolutionSplit(rows: 9, columns: 2)))
    #expect(tiles?.contains("its result of 8 × 8 cannot be divided into 9 × 2 tiles") == true)
    let channels = sentence(divide("right", ConvolutionSplit(channels: 5)))
    #expect(channels?.contains("ask for 1 to 4") == true)
    let grouped = sentence(divide("right", ConvolutionSplit(channels: 3)), groups: 2)
    #expect(grouped?.contains("in 2 groups") == true)
    #expect(sentence(divide("sum", ConvolutionSplit(rows: 2)))?.contains("a Add cannot") == true)
    var twice = divide("right", ConvolutionSplit(rows: 2))
    twice.divisions += twice.divisions
    #expect(throws: SlicingError.dividedTwice(node: "right")) { try sliced(twice) }
    let unknown = divide("wrong", ConvolutionSplit(rows: 2))
    #expect(throws: SlicingError.unknownName("wrong", nearest: ["stem", "left1", "left2"])) {
      try sliced(unknown)
    }
  }

  // MARK: Running

  /// Of two slices that run side by side one leaves int16, or both do: the lowest is named, every
  /// time.
  @Test(arguments: [(true, true), (false, true), (true, false)])
  func theErrorIsThatOfTheLowestSlice(left: Bool, right: Bool) async throws {
    var builder = ModelBuilder(input: [1, 4, 8, 8])
    for (name, faults) in [("left", left), ("right", right)] {
      // Over samples of both signs the sums of all cancel; over a constant they do not.
      let weight = (0..<144).map { Float(faults || $0.isMultiple(of: 2) ? 1 : -1) }
      builder.constant("\(name).w", [4, 4, 3, 3], weight)
      builder.node("Conv", ["x", "\(name).w"], named: name, giving: [1, 4, 6, 6])
    }
    builder.node("Add", ["left_out", "right_out"], named: "sum", giving: [1, 4, 6, 6])
    let model = try SlicedModel(
      name: "two", quantizer: builder.quantized(outputs: ["sum_out"]).quantizer,
      rules: SlicingRules(count: 3))
    #expect(model.manifest.producers(of: 1) == [])
    let executor = try SlicedExecutor(model)
    let input = (0..<256).flatMap { _ in [0xff, 0x7f] as [UInt8] }
    for _ in 0..<20 {
      let error = await #expect(throws: ExecutionError.self) { try await executor.run([input]) }
      guard case .rangeFault(let fault) = error else { throw try #require(error) }
      #expect(fault.node == (left ? "left" : "right"))
    }
  }

  @Test func refusesInputsThatTheModelDoesNotTake() async throws {
    let executor = try SlicedExecutor(sliced(SlicingRules()))
    await #expect(throws: ExecutionError.inputCount(expected: 1, got: 0)) {
      try await executor.run([])
    }
    await #expect(throws: ExecutionError.byteCount(tensor: "x", expected: 512, got: 1)) {
      try await executor.run([[0]])
    }
  }
}
