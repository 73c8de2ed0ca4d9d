import Primitives

/// Why a file is no tensor that a model can take.
package struct TensorFileError: CodedError, Equatable {
  package enum Problem: Error, Equatable {
    case unreadable
    case tooLarge(String)
    case malformed(String)
    case unsupported(String)
    case shape(String)
    case notFinite(element: Int)
  }

  package let path: String
  package let problem: Problem

  package init(path: String, _ problem: Problem) { (self.path, self.problem) = (path, problem) }

  package var code: String {
    switch problem {
    case .unreadable: "input-unreadable"
    case .tooLarge: "input-too-large"
    case .malformed: "input-malformed"
    case .unsupported: "input-unsupported"
    case .shape: "input-wrong-shape"
    case .notFinite: "input-not-finite"
    }
  }

  package var sentence: String {
    let what =
      switch problem {
      case .unreadable: "cannot be read; check that the file is there and yours to read"
      case .tooLarge(let what): "is too large: \(what)"
      case .malformed(let what): "is damaged or of no known form: \(what)"
      case .unsupported(let what): "is of a form that is not read: \(what)"
      case .shape(let what): "does not fit the model: \(what)"
      case .notFinite(let element):
        "holds an infinity or not-a-number as element \(element); a model takes finite numbers"
      }
    return "The input '\(path)' \(what)."
  }
}
