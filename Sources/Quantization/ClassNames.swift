import Foundation
import Primitives
import TensorFiles

/// What a model's classes are called, by index: one name per line, or a JSON array of names.
package struct ClassNames: Sendable, Equatable {
  package static let countLimit = 1 << 16
  package static let nameLimit = 256
  private static let byteLimit = 1 << 22

  package let names: [String]

  package init(path: String) throws(ClassNamesError) {
    func fail(_ problem: String) -> ClassNamesError {
      ClassNamesError(path: path, problem: problem)
    }
    let bytes: Data
    do {
      bytes = try TensorFile.bytes(path, limit: Self.byteLimit)
    } catch {
      throw fail("it cannot be read or is above 4 MB")
    }
    var names: [String]
    if bytes.first(where: { $0 > UInt8(ascii: " ") }) == UInt8(ascii: "[") {
      guard let array = try? JSONDecoder().decode([String].self, from: bytes) else {
        throw fail("it is no JSON array of texts")
      }
      names = array
    } else {
      guard let text = String(data: bytes, encoding: .utf8) else { throw fail("it is not UTF-8") }
      names = text.split(omittingEmptySubsequences: false) { $0 == "\n" || $0 == "\r\n" }
        .map(String.init)
      if names.last == "" { names.removeLast() }
    }
    guard !names.isEmpty, names.count <= Self.countLimit else {
      throw fail("it has \(names.count) names and must have 1 to \(Self.countLimit)")
    }
    // A name goes to the terminal: nothing in it may steer one.
    let bad = names.firstIndex { name in
      name.isEmpty || name.utf8.count > Self.nameLimit
        || name.unicodeScalars.contains { $0.properties.generalCategory == .control }
    }
    if let bad {
      throw fail("name \(bad) is empty, above \(Self.nameLimit) bytes, or holds control characters")
    }
    self.names = names
  }

  /// Nil where the class has none.
  package func name(of index: Int) -> String? { names.indices.contains(index) ? names[index] : nil }

  /// `7 (seven)`, or the index alone where there is no name.
  package func describe(_ index: Int) -> String {
    name(of: index).map { "\(index) (\($0))" } ?? "\(index)"
  }
}

package struct ClassNamesError: CodedError, Equatable {
  package let path: String
  package let problem: String

  package var code: String { "unusable-labels" }
  package var sentence: String {
    "The labels in '\(path)' cannot be used: \(problem); write one name per line, in class order."
  }
}
