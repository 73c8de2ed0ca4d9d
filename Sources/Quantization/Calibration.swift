package import ModelGraph

/// The largest magnitude that every value of a graph took over sample inputs.
package struct Calibration: Sendable {
  /// Ratio by which a value may exceed what the samples showed before it is a range fault.
  package static let headRoom: Float = 2

  package let maxMagnitudes: [Float]
  package let sampleCount: Int

  /// Each sample holds one tensor per model input. Throws where one does not fit the model.
  package init(_ graph: Graph, samples: [[FloatTensor]]) throws(ModelError) {
    var largest = [Float](repeating: 0, count: graph.values.count)
    for sample in samples {
      for (index, tensor) in try graph.evaluateAll(sample).enumerated() {
        if let tensor { largest[index] = max(largest[index], tensor.maxMagnitude) }
      }
    }
    maxMagnitudes = largest
    sampleCount = samples.count
  }
}
