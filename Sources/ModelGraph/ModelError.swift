import Primitives

/// Why a file is not a model that can be used. Names the node or tensor wherever there is one.
package struct ModelError: CodedError, Equatable {
  package enum Problem: Sendable, Equatable {
    case tooLarge(String)
    case malformed(String)
    case unsupportedOperator(String)
    case unsupportedFeature(String)
    case unsupportedType(String)
    case duplicateName
    case missingValue(String)
    case cycle
    case externalData
    case shape(String)
  }

  package let problem: Problem
  package let node: String?

  package init(_ problem: Problem, at node: String? = nil) {
    (self.problem, self.node) = (problem, node)
  }

  package var code: String {
    switch problem {
    case .tooLarge: "model-too-large"
    case .malformed: "malformed-model"
    case .unsupportedOperator: "unsupported-operator"
    case .unsupportedFeature: "unsupported-feature"
    case .unsupportedType: "unsupported-type"
    case .duplicateName: "duplicate-name"
    case .missingValue: "missing-value"
    case .cycle: "cyclic-model"
    case .externalData: "external-data"
    case .shape: "shape-mismatch"
    }
  }

  package var sentence: String {
    let what =
      switch problem {
      case .tooLarge(let what): "\(what); cut the model into smaller files"
      case .malformed(let what): "\(what); export the model again as ONNX"
      case .unsupportedOperator(let name):
        "operator '\(name)' is not supported; the supported ones are \(Layer.names.joined(separator: ", "))"
      case .unsupportedFeature(let what): "\(what), which is not supported; export without it"
      case .unsupportedType(let what):
        "\(what); export with float32 tensors (int64 only for shapes)"
      case .duplicateName: "the name is defined twice; export the model again"
      case .missingValue(let name):
        "it reads '\(name)', which nothing defines; export the model with its initialisers"
      case .cycle: "its result feeds back into itself; a model must be acyclic"
      case .externalData:
        "its data lies in another file; save the model as one file (save_as_external_data=False)"
      case .shape(let what): "\(what); check the model's shapes"
      }
    return "\(node.map { "At '\($0)'" } ?? "In the model"), \(what)."
  }
}
