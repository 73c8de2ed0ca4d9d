package import FixedPoint
import Primitives

package enum QuantizationError: CodedError, Equatable {
  case noSamples
  case notFinite(String)
  case unrepresentable(node: String, String)
  case unsupported(node: String, String)
  case unknownNode(String)
  case program(ProgramError)
  case inputOutOfRange(tensor: String, element: Int, value: Float, limit: Float)
  case elementCount(tensor: String, expected: Int, got: Int)

  package var code: String {
    switch self {
    case .noSamples: "no-calibration-samples"
    case .notFinite: "calibration-not-finite"
    case .unrepresentable: "not-representable"
    case .unsupported: "unsupported-feature"
    case .unknownNode: "unknown-node"
    case .program(let error): error.code
    case .inputOutOfRange: "input-out-of-range"
    case .elementCount: "wrong-tensor-size"
    }
  }

  package var sentence: String {
    switch self {
    case .noSamples:
      "Calibration needs at least one sample input; give vectors of the model's task."
    case .notFinite(let node):
      "At '\(node)', calibration met an infinity or not-a-number; check the sample inputs."
    case .unrepresentable(let node, let what):
      "At '\(node)', \(what); calibrate on other samples or rescale the layer."
    case .unsupported(let node, let what): "At '\(node)', \(what); export the model without it."
    case .unknownNode(let name):
      "The model computes no node '\(name)'; 'bourse model inspect' lists its nodes."
    case .program(let error): error.sentence
    case .inputOutOfRange(let tensor, let element, let value, let limit):
      "Element \(element) of input '\(tensor)' is \(value) and must stay within ±\(limit); scale the input as the model's training did."
    case .elementCount(let tensor, let expected, let got):
      "Tensor '\(tensor)' has \(expected) elements and \(got) came; send as many as its shape."
    }
  }
}
