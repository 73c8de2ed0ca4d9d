import Foundation
import ModelGraph
import Quantization

/// A sample model of the repository, with its vectors.
struct DigitModel {
  let graph: Graph
  let vectors: SampleVectors

  init(_ name: String) throws {
    let models = URL(filePath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent().deletingLastPathComponent().appending(path: "Models")
    graph = try Graph(bytes: [UInt8](Data(contentsOf: models.appending(path: "\(name).onnx"))))
    vectors = try SampleVectors(path: models.appending(path: "\(name).vectors.json").path())
  }

  /// Calibrated on the first `count` vectors.
  func quantizer(
    calibratedOn count: Int, rule: Calibration.Rule = .maximum,
    settings: Quantizer.Settings = Quantizer.Settings()
  ) throws -> Quantizer {
    let graph = try graph.simplified()
    let calibration = try Calibration(graph, samples: vectors.samples(0..<count), rule: rule)
    return try Quantizer(graph, calibration: calibration, settings: settings)
  }

  /// Scored on the vectors of `range`.
  func agreement(_ quantizer: Quantizer, on range: Range<Int>) throws -> Agreement {
    var agreement = Agreement(graph: graph, program: try quantizer.program())
    for index in range {
      try agreement.add([vectors.tensor(index)], label: vectors.labels?[index])
    }
    return agreement
  }
}
