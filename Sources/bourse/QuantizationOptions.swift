import ArgumentParser
import ModelGraph
import Quantization

/// How a model becomes integers: the same options wherever that happens, so that what was checked
/// is what is published.
struct QuantizationOptions: ParsableArguments {
  @Option(
    help: "What fits in a value's range: max, or percentile:P of its elements (percentile:99.99).")
  var calibration = Calibration.Rule.maximum
  @Option(help: "How many times its calibrated magnitude a value may reach before it is a fault.")
  var headRoom = Quantizer.Settings().headRoom
  @Option(
    help: "Bits of a weight, 2 to 16: more are closer to the float model and dearer to prove.")
  var weightBits = Quantizer.Settings().weightBits

  @Option(help: "Nodes, with commas, whose results are clipped rather than a range fault.")
  var saturate: String?

  func validate() throws {
    guard headRoom >= 1, headRoom <= 1024 else {
      throw ValidationError("--head-room is a factor of 1 to 1024.")
    }
    guard Quantizer.Settings.weightBitsRange.contains(weightBits) else {
      throw ValidationError("--weight-bits is 2 to 16.")
    }
  }

  var settings: Quantizer.Settings {
    var settings = Quantizer.Settings()
    settings.headRoom = headRoom
    settings.weightBits = weightBits
    settings.saturating = Set((saturate ?? "").split(separator: ",").map(String.init))
    return settings
  }

  /// Calibrates on `samples` and quantises. `onSample` is told how many were seen.
  func quantizer(
    for graph: Graph, samples: some Sequence<[FloatTensor]>, onSample: (Int) -> Void = { _ in }
  ) throws -> Quantizer {
    let graph = try graph.simplified()
    var calibration = Calibration(graph, rule: calibration)
    for sample in samples {
      try calibration.add(sample)
      onSample(calibration.sampleCount)
    }
    return try Quantizer(graph, calibration: calibration, settings: settings)
  }
}

extension Calibration.Rule: ExpressibleByArgument {
  init?(argument: String) { self.init(argument) }
}
