import Foundation
package import ModelGraph
import Primitives

/// Sample inputs of a model, as JSON: `input_shape`, `inputs` (flat), and, where they are known,
/// the float `outputs` and the `labels`.
package struct SampleVectors: Sendable, Decodable {
  package static let byteLimit = 1 << 28

  package let inputShape: [Int]
  package let inputs: [[Float]]
  package let outputs: [[Float]]?
  package let labels: [Int]?

  private enum CodingKeys: String, CodingKey {
    case inputShape = "input_shape"
    case inputs, outputs, labels
  }

  package init(path: String) throws(SampleVectorsError) {
    let url = URL(fileURLWithPath: path)
    let size = (try? url.resourceValues(forKeys: [.fileSizeKey]))?.fileSize
    guard let size, size <= Self.byteLimit, let data = try? Data(contentsOf: url) else {
      throw SampleVectorsError(path: path, problem: "it cannot be read or is above 256 MB")
    }
    do {
      self = try JSONDecoder().decode(Self.self, from: data)
    } catch {
      throw SampleVectorsError(path: path, problem: "it is not JSON with input_shape and inputs")
    }
    let count = Shape.elementCount(inputShape)
    guard !inputs.isEmpty, inputs.allSatisfy({ $0.count == count }),
      outputs.map({ $0.count == inputs.count }) ?? true,
      labels.map({ $0.count == inputs.count }) ?? true
    else {
      throw SampleVectorsError(
        path: path, problem: "its inputs, outputs and labels do not fit input_shape and each other")
    }
  }

  package func tensor(_ index: Int) -> FloatTensor {
    FloatTensor(shape: inputShape, values: inputs[index])
  }

  /// Samples for `Calibration`: a model of one input.
  package func samples(_ range: Range<Int>) -> [[FloatTensor]] { range.map { [tensor($0)] } }
}

package struct SampleVectorsError: CodedError, Equatable {
  package let path: String
  package let problem: String

  package var code: String { "unusable-vectors" }
  package var sentence: String {
    "The vectors in '\(path)' cannot be used: \(problem); see Models/README.md for the form."
  }
}
