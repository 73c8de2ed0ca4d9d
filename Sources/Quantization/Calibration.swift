package import ModelGraph
package import Primitives

/// How large every value of a graph is over sample inputs, gathered sample by sample in memory that
/// does not grow with their number.
package struct Calibration: Sendable {
  /// Which magnitude of a value has to fit, with head-room, in int16.
  package enum Rule: Hashable, Sendable {
    /// The largest that any sample showed.
    case maximum
    /// The smallest that this share of all its elements over all samples does not exceed, to the
    /// thirty-second part of a power of two. Inputs of the model take their maximum all the same:
    /// an input that does not fit is refused before any work.
    case percentile(PartsPerMillion)
  }

  package let rule: Rule
  package private(set) var sampleCount = 0
  private let graph: Graph
  /// By value; NaN where a sample showed what is not finite.
  private var maxima: [Float]
  /// By value; empty under `maximum`, and for the model's inputs.
  private var histograms: [MagnitudeHistogram]

  package init(_ graph: Graph, rule: Rule = .maximum) {
    (self.graph, self.rule) = (graph, rule)
    maxima = [Float](repeating: 0, count: graph.values.count)
    histograms = [MagnitudeHistogram](repeating: MagnitudeHistogram(), count: graph.values.count)
  }

  /// `samples` hold one tensor per model input each.
  package init(
    _ graph: Graph, samples: [[FloatTensor]], rule: Rule = .maximum
  ) throws(ModelError) {
    self.init(graph, rule: rule)
    for sample in samples { try add(sample) }
  }

  /// Takes one tensor per model input; throws where one does not fit the model.
  package mutating func add(_ sample: [FloatTensor]) throws(ModelError) {
    for (index, tensor) in try graph.evaluateAll(sample).enumerated() {
      guard let tensor else { continue }
      for value in tensor.values {
        let magnitude = abs(value)
        maxima[index] = magnitude.isFinite ? Swift.max(maxima[index], magnitude) : .nan
      }
      if rule != .maximum, graph.values[index].origin == .node {
        histograms[index].add(tensor.values)
      }
    }
    sampleCount += 1
  }

  /// The magnitude of value `index` under the rule; NaN where it was not finite.
  package func magnitude(of index: Int) -> Float {
    guard case .percentile(let share) = rule, !histograms[index].isEmpty, maxima[index].isFinite
    else { return maxima[index] }
    return min(histograms[index].quantile(share), maxima[index])
  }
}

extension Calibration.Rule: CustomStringConvertible {
  /// `max`, or `percentile:P` with 0 < P <= 100 and at most four decimals.
  package init?(_ text: String) {
    if text == "max" {
      self = .maximum
      return
    }
    let prefix = "percentile:"
    guard text.hasPrefix(prefix), let percent = Double(text.dropFirst(prefix.count)),
      percent > 0, percent <= 100, (percent * 10_000).rounded() >= 1
    else { return nil }
    self = .percentile(PartsPerMillion(clamping: UInt32((percent * 10_000).rounded())))
  }

  package var description: String {
    switch self {
    case .maximum: "max"
    case .percentile(let share): "percentile:\(Double(share.parts) / 10_000)"
    }
  }
}
