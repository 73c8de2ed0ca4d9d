import Primitives
import Statements
import Testing

struct ManifestTests {
  private let x: BoundarySpecification
  private let y: BoundarySpecification

  init() throws {
    x = try Samples.boundary("x", .int16, [1, 4], exponent: 8)
    y = try Samples.boundary("y", .int16, [1, 4], exponent: 8)
  }

  private func slice(
    _ name: String, from source: Manifest.Source, cost: UInt64 = 40
  ) throws -> Manifest.Slice {
    try Samples.slice(name, sources: [source], inputs: [x], outputs: [y], cost: cost)
  }

  private func manifest(
    name: String = "tiny", semantics: String = "fixed16/1", inputs: [BoundarySpecification]? = nil,
    _ slices: [Manifest.Slice], outputs: [Manifest.Source] = [.slice(0, output: 0)]
  ) throws -> Manifest {
    try Manifest(
      name: name, semantics: semantics, inputs: inputs ?? [x], slices: slices, outputs: outputs)
  }

  @Test func listsConsumersAndProducersOfADiamond() throws {
    let join = try Samples.slice(
      "join", sources: [.slice(2, output: 0), .slice(1, output: 0), .slice(2, output: 0)],
      inputs: [x, x, x], outputs: [y])
    let diamond = try manifest(
      [
        slice("top", from: .input(0)), slice("left", from: .slice(0, output: 0)),
        slice("right", from: .slice(0, output: 0)), join,
      ], outputs: [.slice(3, output: 0)])
    #expect(diamond.consumers(of: 0) == [1, 2])
    #expect(diamond.consumers(of: 3) == [])
    #expect(diamond.producers(of: 3) == [1, 2])
    #expect(diamond.producers(of: 0) == [])
    #expect(diamond.totalCost == Cost(units: 160))
    #expect(try Manifest(canonicalBytes: diamond.canonicalBytes).id == diamond.id)
  }

  @Test func refusesASliceThatConsumesItself() throws {
    #expect(throws: ManifestError.sourceUnusable(slice: "a", input: "x")) {
      _ = try manifest([slice("a", from: .slice(0, output: 0))])
    }
  }

  @Test func refusesASourceThatComesLater() throws {
    #expect(throws: ManifestError.sourceUnusable(slice: "a", input: "x")) {
      _ = try manifest([slice("a", from: .slice(1, output: 0)), slice("b", from: .input(0))])
    }
  }

  @Test func refusesACycle() throws {
    #expect(throws: ManifestError.sourceUnusable(slice: "a", input: "x")) {
      _ = try manifest([
        slice("a", from: .slice(1, output: 0)), slice("b", from: .slice(0, output: 0)),
      ])
    }
  }

  @Test(arguments: [
    Manifest.Source.input(1), .input(-1), .slice(-1, output: 0), .slice(0, output: 1),
    .slice(0, output: -1), .slice(.max, output: 0),
  ])
  func refusesASourceThatDoesNotExist(_ source: Manifest.Source) throws {
    #expect(throws: ManifestError.sourceUnusable(slice: "b", input: "x")) {
      _ = try manifest([slice("a", from: .input(0)), slice("b", from: source)])
    }
    #expect(throws: ManifestError.self) {
      _ = try manifest([slice("a", from: .input(0))], outputs: [source])
    }
  }

  @Test func refusesASourceOfAnotherSpecification() throws {
    for (type, shape, exponent) in [
      (.int32, [1, 4], 8), (.int16, [4], 8), (.int16, [1, 4], 9),
    ] as [(ElementType, [Int], Int8)] {
      let other = try Samples.boundary("z", type, shape, exponent: exponent)
      #expect(throws: ManifestError.sourceUnusable(slice: "a", input: "x")) {
        _ = try manifest(inputs: [other], [slice("a", from: .input(0))])
      }
    }
  }

  @Test func refusesMoreOrFewerSourcesThanInputs() throws {
    for sources in [[], [.input(0), .input(0)]] as [[Manifest.Source]] {
      let slice = try Samples.slice("a", sources: sources, inputs: [x], outputs: [y])
      #expect(throws: ManifestError.sourcesMismatch(slice: "a")) { _ = try manifest([slice]) }
    }
  }

  @Test func refusesACostOfNothingOrOfTooMuch() throws {
    for cost: UInt64 in [0, (1 << 40) + 1, .max] {
      #expect(throws: ManifestError.costOutOfRange(slice: "a", Cost(units: cost))) {
        _ = try manifest([slice("a", from: .input(0), cost: cost)])
      }
    }
    #expect(try manifest([slice("a", from: .input(0), cost: 1 << 40)]).totalCost == .maximum)
  }

  @Test func refusesMoreFlipsThanTrials() throws {
    let influence = Influence(flips: 4, trials: 3)
    let bad = Manifest.Slice(
      name: "a", onnx: .zero, program: .zero, sources: [.input(0)], inputs: [x], outputs: [y],
      cost: Cost(units: 1), influence: influence)
    #expect(throws: ManifestError.influenceOutOfRange(slice: "a", influence)) {
      _ = try manifest([bad])
    }
    #expect(throws: CanonicalError.self) {
      _ = try Influence(canonicalBytes: influence.canonicalBytes)
    }
  }

  @Test func refusesAManifestOfAnotherVersion() throws {
    var bytes = try manifest([slice("a", from: .input(0))]).canonicalBytes
    #expect(bytes[0] == Manifest.version)
    for version: UInt8 in [0, 1, 3, 255] {
      bytes[0] = version
      let error = #expect(throws: CanonicalError.self) { _ = try Manifest(canonicalBytes: bytes) }
      #expect(error?.sentence.contains("version \(version)") == true)
    }
  }

  /// a feeds b and c, which d joins; e hangs on a, and nobody needs it.
  @Test func derivesCriticalityFromCostsSourcesAndInfluence() throws {
    func slice(_ name: String, _ sources: [Manifest.Source], _ cost: UInt64, flips: UInt32) throws
      -> Manifest.Slice
    {
      Manifest.Slice(
        name: name, onnx: .zero, program: .zero, sources: sources,
        inputs: sources.map { _ in x }, outputs: [y], cost: Cost(units: cost),
        influence: Influence(flips: flips, trials: 8))
    }
    let a = Manifest.Source.slice(0, output: 0)
    let model = try manifest(
      [
        slice("a", [.input(0)], 10, flips: 8), slice("b", [a], 20, flips: 4),
        slice("c", [a, a], 30, flips: 2),
        slice("d", [.slice(1, output: 0), .slice(2, output: 0)], 39, flips: 1),
        slice("e", [a], 1, flips: 0),
      ], outputs: [.slice(3, output: 0)])
    let got = model.criticalities
    #expect(got.map(\.costShare.parts) == [100_000, 200_000, 300_000, 390_000, 10_000])
    #expect(got.map(\.fanOut) == [3, 1, 1, 1, 0])
    #expect(got.map(\.fanOutShare.parts) == [1_000_000, 333_333, 333_333, 333_333, 0])
    #expect(got.map(\.distance) == [2, 1, 1, 0, nil])
    #expect(got.map(\.nearness.parts) == [333_333, 500_000, 500_000, 1_000_000, 0])
    #expect(got.map(\.influence.share.parts) == [1_000_000, 500_000, 250_000, 125_000, 0])
    #expect(got.map(\.combined.parts) == [596_666, 393_333, 323_333, 400_333, 3_000])
  }

  @Test func refusesEmptyLists() throws {
    let good = try slice("a", from: .input(0))
    #expect(throws: ManifestError.countOutOfRange("slices", 0, limit: Manifest.sliceLimit)) {
      _ = try manifest([])
    }
    #expect(throws: ManifestError.self) { _ = try manifest(inputs: [], [good]) }
    #expect(throws: ManifestError.self) { _ = try manifest([good], outputs: []) }
    let mute = try Samples.slice("a", sources: [.input(0)], inputs: [x], outputs: [])
    #expect(throws: ManifestError.self) { _ = try manifest([mute]) }
  }

  @Test func refusesListsAboveTheirLimit() throws {
    let many = [BoundarySpecification](repeating: x, count: Manifest.boundaryLimit + 1)
    #expect(throws: ManifestError.self) {
      _ = try manifest(inputs: many, [slice("a", from: .input(0))])
    }
    let good = try slice("a", from: .input(0))
    let crowd = [Manifest.Slice](repeating: good, count: Manifest.sliceLimit + 1)
    #expect(throws: ManifestError.self) { _ = try manifest(crowd) }
  }

  /// What is published must be what a reader can decode.
  @Test func refusesNamesThatNoReaderWouldDecode() throws {
    let long = String(repeating: "n", count: 257)
    let good = try slice("a", from: .input(0))
    #expect(throws: ManifestError.self) { _ = try manifest(name: long, [good]) }
    #expect(throws: ManifestError.self) { _ = try manifest(semantics: long, [good]) }
    #expect(throws: ManifestError.self) { _ = try manifest([slice(long, from: .input(0))]) }
  }

  @Test func refusesAForgedManifestInTheDecoder() throws {
    let honest = try manifest([slice("a", from: .input(0))]).canonicalBytes
    // The answer's source is the last record: tag, slice, output.
    var forward = honest
    forward[forward.count - 8] = 1
    let error = #expect(throws: CanonicalError.self) {
      _ = try Manifest(canonicalBytes: forward)
    }
    #expect(error?.sentence.contains("(answer)") == true)
  }
}
