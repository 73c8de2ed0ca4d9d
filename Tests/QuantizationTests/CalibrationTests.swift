import ModelGraph
import Primitives
import Quantization
import Testing

@Suite struct CalibrationTests {
  /// y = 2x of one axis.
  private static func doubling(_ count: Int) throws -> Graph {
    try OneNode("Conv").input([1, 1, 1, count]).constant([1, 1, 1, 1], [2]).graph()
  }

  private static func calibration(
    _ graph: Graph, _ samples: [[Float]], rule: Calibration.Rule = .maximum
  ) throws -> Calibration {
    let shape = graph.values[graph.inputs[0]].shape
    return try Calibration(
      graph, samples: samples.map { [FloatTensor(shape: shape, values: $0)] }, rule: rule)
  }

  @Test func maximumIsThatOfAllSamples() throws {
    let graph = try Self.doubling(3)
    let calibration = try Self.calibration(graph, [[1, -2, 0], [0, 0.5, 0.25]])
    #expect(calibration.magnitude(of: graph.inputs[0]) == 2)
    #expect(calibration.magnitude(of: graph.outputs[0]) == 4)
    #expect(calibration.sampleCount == 2)
  }

  /// 99 results of magnitude 2 and one of 200.
  @Test func percentileLeavesOutliersOut() throws {
    let graph = try Self.doubling(100)
    let sample = [Float](repeating: -1, count: 99) + [100]
    let most = try Self.calibration(
      graph, [sample], rule: .percentile(PartsPerMillion(clamping: 990_000)))
    // The upper edge of the bucket that begins with 2: 2 · (1 + 1/32).
    #expect(most.magnitude(of: graph.outputs[0]) == 2.0625)
    // An input that does not fit is refused, so inputs take all.
    #expect(most.magnitude(of: graph.inputs[0]) == 100)
    let all = try Self.calibration(graph, [sample], rule: .percentile(.whole))
    #expect(all.magnitude(of: graph.outputs[0]) == 200)
  }

  @Test func percentileDoesNotDependOnTheOrderOfSamples() throws {
    let graph = try Self.doubling(16)
    var random = Seeded(state: 3)
    let samples = (0..<8).map { _ in (0..<16).map { _ in Float.random(in: -9...9, using: &random) }
    }
    let rule = Calibration.Rule.percentile(PartsPerMillion(clamping: 900_000))
    let forth = try Self.calibration(graph, samples, rule: rule)
    let back = try Self.calibration(graph, samples.reversed(), rule: rule)
    let value = graph.outputs[0]
    #expect(forth.magnitude(of: value) == back.magnitude(of: value))
    let exact = samples.joined().map { abs($0 * 2) }.sorted()[Int(0.9 * 128)]
    #expect(forth.magnitude(of: value) >= exact * (1 - 1 / 16))
    #expect(forth.magnitude(of: value) <= exact * (1 + 1 / 16))
  }

  @Test func refusesWhatIsNotFinite() throws {
    let graph = try Self.doubling(2)
    for rule in [Calibration.Rule.maximum, .percentile(.whole)] {
      // Finite as input, infinite once doubled.
      let calibration = try Self.calibration(graph, [[3e38, 0], [1, 1]], rule: rule)
      #expect(throws: QuantizationError.notFinite("node")) {
        try Quantizer(graph, calibration: calibration)
      }
    }
  }

  @Test func refusesToQuantiseWithoutSamples() throws {
    let graph = try Self.doubling(2)
    #expect(throws: QuantizationError.noSamples) {
      try Quantizer(graph, calibration: Calibration(graph))
    }
  }

  @Test(arguments: [
    ("max", Calibration.Rule.maximum),
    ("percentile:99.99", .percentile(PartsPerMillion(clamping: 999_900))),
    ("percentile:100", .percentile(.whole)), ("percentile:0", nil), ("percentile:101", nil),
    ("percentile:", nil), ("percentile:nan", nil), ("mean", nil), ("", nil),
  ])
  func readsRules(text: String, rule: Calibration.Rule?) {
    #expect(Calibration.Rule(text) == rule)
    if let rule { #expect(Calibration.Rule(rule.description) == rule) }
  }

  @Test func headRoomIsAFactorOfWhatWasSeen() throws {
    let graph = try Self.doubling(2)
    let calibration = try Self.calibration(graph, [[1, -3]])
    var settings = Quantizer.Settings()
    for (factor, limit) in [(1.0, 8.0), (2.0, 16.0), (5.0, 32.0)] {
      settings.headRoom = factor
      let room = try Quantizer(graph, calibration: calibration, settings: settings)
        .headRoom(of: graph.outputs[0])
      #expect(room.magnitude == 6)
      #expect(abs(room.limit - limit) < 0.001)
      #expect(try #require(room.bits) > 0)
    }
    let rooms = try Quantizer(graph, calibration: calibration).headRooms
    #expect(rooms.map(\.value).sorted() == ["x0", "y"])
    #expect(rooms.map { $0.bits ?? .infinity } == rooms.map { $0.bits ?? .infinity }.sorted())
  }

  @Test func seededInputsAreTheSameEverywhere() throws {
    let graph = try Self.doubling(3)
    var inputs = SeededInputs(graph, seed: 0, range: 0...1)
    let first = inputs.next()
    // The first words of SplitMix64 from 0: E220A839…, 6E789E6A…, 06C45D18….
    #expect(
      first[0].values == [
        Float(0xE220A8) * 0x1p-24, Float(0x6E789E) * 0x1p-24, Float(0x06C45D) * 0x1p-24,
      ])
    #expect(inputs.next() != first)
    var others = SeededInputs(graph, seed: 1, range: -2...2)
    for _ in 0..<100 {
      #expect(others.next()[0].values.allSatisfy { (-2...2).contains($0) })
    }
  }
}
