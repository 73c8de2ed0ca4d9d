import ArgumentParser
import FixedPoint
import Foundation
import ModelGraph
import Quantization

extension ModelCommand {
  struct Check: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Measure how well the integer program agrees with the float model.",
      discussion: """
        The first half of the vectors calibrates and the other half is scored, so that no vector \
        does both; with --calibrate others calibrate, and all vectors are scored. Vectors are a \
        JSON file, an .npy array whose first axis counts them, or a folder of pictures or arrays, \
        in which each sub-folder is a class. Without vectors, seeded random inputs calibrate and \
        others are scored: every element uniform within --range.

        EXAMPLES
          bourse model check lenet5.onnx --vectors lenet5.vectors.json
          bourse model check lenet5.onnx --vectors digits/ --resize bilinear --labels names.txt
          bourse model check lenet5.onnx --vectors lenet5.vectors.json --per-layer
          bourse model check lenet5.onnx --range 0...1 --seed 7 --min-agreement 0.99 --json
        """)

    @Argument(help: "An ONNX file.") var file: String
    @Option(help: "Sample inputs, with labels where they are known.") var vectors: String?
    @Option(help: "Other sample inputs to calibrate on.") var calibrate: String?
    @Option(help: "Without vectors: how many inputs calibrate, and as many are scored.")
    var samples = 32
    @Option(help: "Without vectors: the seed of the inputs.") var seed: UInt64 = 1
    @Option(help: "Without vectors: LOW...HIGH of the inputs (--range=-1...1).")
    var range = SampleRange(bounds: -1...1)
    @Flag(help: "Compare every node's result with the float model's.") var perLayer = false
    @Option(help: "Fail with 1 where less than this share agrees (0.99).")
    var minAgreement: Double?
    @OptionGroup var quantization: QuantizationOptions
    @OptionGroup var inputs: InputOptions
    @OptionGroup var labels: LabelOption
    @OptionGroup var output: JSONOption

    func validate() throws {
      guard samples > 0, samples <= 1 << 16 else {
        throw ValidationError("--samples is 1 to 65536.")
      }
      if let minAgreement, !(0...1).contains(minAgreement) {
        throw ValidationError("--min-agreement is a share, 0 to 1.")
      }
    }

    func run() async throws {
      let graph = try Graph(try readModel(file))
      let names = try labels.load()
      let source = try source(graph, names)
      let progress = Progress(isShown: !output.json)
      let quantizer = try quantization.quantizer(for: graph, samples: source.calibrating) {
        progress.show("calibrated on \($0) of \(source.calibratingCount) inputs")
      }
      let program = try quantizer.program()
      var agreement = Agreement(graph: graph, program: program)
      var precision = perLayer ? try Precision(quantizer) : nil
      for (sample, label) in source.scored {
        try agreement.add(sample, label: label)
        try precision?.add(sample)
        progress.show("scored \(agreement.scored) of \(source.scoredCount) inputs")
      }
      progress.finish()
      let report = CheckReport(
        source, agreement, precision, quantizer, program, rule: quantization.calibration)
      if output.json {
        try printJSON(report, keys: .convertToSnakeCase)
      } else {
        print(report.text(names))
      }
      if let minAgreement, agreement.agreement < minAgreement {
        FileHandle.standardError.write(
          Data(
            """
            Error: \(describe(share: agreement.agreement)) agree and --min-agreement is \
            \(describe(share: minAgreement)); look at --per-layer, or try --weight-bits 12.\n
            """.utf8))
        throw ExitCode.failure
      }
    }

    private func source(_ graph: Graph, _ names: ClassNames?) throws -> CheckSource {
      guard let vectors else {
        guard calibrate == nil else {
          throw ValidationError("--calibrate needs --vectors to score.")
        }
        return CheckSource(SeededInputs(graph, seed: seed, range: range.bounds), count: samples)
      }
      let scored = try inputs.vectors(vectors, for: graph, classes: names)
      if let calibrate {
        return CheckSource(
          calibrating: try inputs.vectors(calibrate, for: graph), scored: scored)
      }
      guard scored.inputs.count >= 2 else {
        throw ValidationError(
          "Two vectors are needed, one to calibrate and one to score; or give --calibrate.")
      }
      return CheckSource(split: scored)
    }
  }
}

/// What calibrates and what is scored; never the same input.
private struct CheckSource {
  let calibrating: AnySequence<[FloatTensor]>
  let calibratingCount: Int
  let scored: AnySequence<([FloatTensor], label: Int?)>
  let scoredCount: Int
  /// What the scored inputs' numbers are counted from, in the file that they came from.
  let firstScored: Int
  let description: String

  /// The first half of `vectors` calibrates.
  init(split vectors: SampleVectors) {
    let half = vectors.inputs.count / 2
    self.init(vectors, 0..<half, vectors, half..<vectors.inputs.count)
  }

  init(calibrating: SampleVectors, scored: SampleVectors) {
    self.init(calibrating, calibrating.inputs.indices, scored, scored.inputs.indices)
  }

  private init(
    _ calibrating: SampleVectors, _ first: Range<Int>, _ scored: SampleVectors,
    _ second: Range<Int>
  ) {
    self.calibrating = AnySequence(first.lazy.map { [calibrating.tensor($0)] })
    self.scored = AnySequence(second.lazy.map { ([scored.tensor($0)], scored.labels?[$0]) })
    (calibratingCount, scoredCount) = (first.count, second.count)
    firstScored = second.lowerBound
    description = "vectors"
  }

  /// The first `count` inputs calibrate, as many after them are scored.
  init(_ seeded: SeededInputs, count: Int) {
    let inputs = sequence(state: seeded) { $0.next() }
    calibrating = AnySequence(inputs.prefix(count))
    scored = AnySequence(inputs.dropFirst(count).prefix(count).lazy.map { ($0, nil) })
    (calibratingCount, scoredCount) = (count, count)
    firstScored = count
    description = "seeded inputs"
  }
}

/// `LOW...HIGH` on the command line.
struct SampleRange: ExpressibleByArgument, CustomStringConvertible {
  let bounds: ClosedRange<Float>

  init(bounds: ClosedRange<Float>) { self.bounds = bounds }

  init?(argument: String) {
    let parts = argument.split(separator: "...", omittingEmptySubsequences: false)
    guard parts.count == 2, let low = Float(parts[0]), let high = Float(parts[1]), low.isFinite,
      high.isFinite, low <= high
    else { return nil }
    bounds = low...high
  }

  var description: String { "\(bounds.lowerBound)...\(bounds.upperBound)" }
}

/// What `model check` prints. Its JSON keys are in snake case.
private struct CheckReport: Encodable {
  struct Faults: Encodable {
    let place: String
    let samples: Int
  }

  struct Accumulator: Encodable {
    let node: String
    let bits: Int
  }

  let calibratedOn: Int
  let calibration: String
  let headRoomFactor: Double
  let weightBits: Int
  let source: String
  let scored: Int
  let agreement: Double
  /// Null without labels.
  let accuracy: OrNull<Double>
  let floatAccuracy: OrNull<Double>
  let maxAbsError: Double
  let rangeFaultRate: Double
  let rangeFaults: [Faults]
  let disagreements: [Agreement.Disagreement]
  /// Of every value, least first.
  let headRoom: [HeadRoom]
  /// Of every operation that sums, most first, of 62 bits.
  let accumulators: [Accumulator]
  let layers: [Precision.Layer]?

  init(
    _ source: CheckSource, _ agreement: Agreement, _ precision: Precision?,
    _ quantizer: Quantizer, _ program: Program, rule: Calibration.Rule
  ) {
    calibratedOn = source.calibratingCount
    calibration = rule.description
    headRoomFactor = quantizer.settings.headRoom
    weightBits = quantizer.settings.weightBits
    self.source = source.description
    scored = agreement.scored
    self.agreement = agreement.agreement
    accuracy = OrNull(value: agreement.accuracy)
    floatAccuracy = OrNull(value: agreement.floatAccuracy)
    maxAbsError = agreement.maxAbsError
    rangeFaultRate = agreement.rangeFaultRate
    rangeFaults = agreement.rangeFaults.sorted { ($1.value, $0.key) < ($0.value, $1.key) }
      .map { Faults(place: $0.key, samples: $0.value) }
    disagreements = agreement.disagreements.map { $0.counted(from: source.firstScored) }
    headRoom = quantizer.headRooms
    accumulators = program.operations.enumerated().compactMap { index, operation in
      program.accumulatorBits(of: index).map { Accumulator(node: operation.name, bits: $0) }
    }.sorted { $0.bits > $1.bits }
    layers = precision?.layers
  }

  /// How many rows of what is sorted are shown to people.
  private static let shown = 5

  func text(_ names: ClassNames?) -> String {
    var parts = [measures.text]
    if let layers { parts.append(Self.table(layers).text) }
    if !disagreements.isEmpty { parts.append(differences(names).text) }
    if layers == nil {
      var table = Table([
        ("least head-room", .left), ("calibrated", .right), ("fits up to", .right),
        ("bits", .right),
      ])
      for room in headRoom.prefix(Self.shown) {
        table.append([
          room.value, describe(number: room.magnitude), describe(number: room.limit),
          describe(bits: room.bits),
        ])
      }
      parts.append(table.text)
    }
    return parts.joined(separator: "\n\n")
  }

  private var measures: Table {
    var table = Table([("measure", .left), ("value", .left)])
    table.append(["calibrated on", "\(calibratedOn) \(source), \(calibration)"])
    table.append(["scored", "\(scored) \(source)"])
    table.append(["agrees with float", describe(share: agreement)])
    if let accuracy = accuracy.value, let floatAccuracy = floatAccuracy.value {
      table.append([
        "accuracy", "\(describe(share: accuracy)) (float \(describe(share: floatAccuracy)))",
      ])
    }
    table.append(["largest error", describe(number: maxAbsError)])
    let places = rangeFaults.prefix(Self.shown).map { "\($0.samples) at \($0.place)" }
    table.append([
      "range faults",
      ([describe(share: rangeFaultRate)] + places).joined(separator: ", "),
    ])
    if let widest = accumulators.first {
      table.append(["widest accumulator", "\(widest.bits) of 62 bits, at \(widest.node)"])
    }
    return table
  }

  private static func table(_ layers: [Precision.Layer]) -> Table {
    var table = Table([
      ("node", .left), ("operator", .left), ("shape", .left), ("range", .right),
      ("max error", .right), ("mean error", .right), ("of range", .right), ("dB", .right),
      ("head-room", .right), ("weights", .left), ("accumulator", .right), ("faults", .right),
    ])
    for layer in layers {
      table.append([
        layer.node, layer.operator, describe(shape: layer.shape), describe(number: layer.range),
        describe(number: layer.maxAbsError), describe(number: layer.meanAbsError),
        layer.relativeMaxError.map { String(format: "%.3f %%", $0 * 100) } ?? "-",
        layer.signalToNoiseDecibels.map { String(format: "%.1f", $0) } ?? "exact",
        describe(bits: layer.headRoom.bits),
        layer.weightExponents.map(describe(exponents:)) ?? "-",
        layer.accumulatorBits.map { "\($0) bits" } ?? "-",
        "\(layer.rangeFaults)",
      ])
    }
    return table
  }

  private func differences(_ names: ClassNames?) -> Table {
    var table = Table([
      ("differs at", .right), ("float says", .left), ("integers say", .left), ("label", .left),
    ])
    for item in disagreements.prefix(Self.shown) {
      table.append([
        "\(item.sample)", names.describe(item.floatAnswer),
        item.integerAnswer.map(names.describe) ?? item.fault.map { "range fault at \($0)" } ?? "-",
        item.label.map(names.describe) ?? "-",
      ])
    }
    return table
  }
}

/// One decimal; an infinite number of bits as "-".
private func describe(bits: Double?) -> String { bits.map { String(format: "%.1f", $0) } ?? "-" }

/// What one step of a weight is worth.
private func describe(exponents: ClosedRange<Int>) -> String {
  let ends =
    exponents.count == 1 ? [exponents.lowerBound] : [exponents.lowerBound, exponents.upperBound]
  return ends.map { "2^\(-$0)" }.joined(separator: " to ")
}
