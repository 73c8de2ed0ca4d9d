import SwiftProtobuf

/// Attributes and constant operands of one node, read with their limits.
struct NodeReader {
  let name: String
  let proto: Onnx_NodeProto
  /// The operands by position; nil where one is omitted.
  let slots: [Graph.Value?]
  let opset: Int64

  /// The operands that are there.
  var operands: [Graph.Value] { slots.compactMap(\.self) }

  var operatorName: String { proto.opType }

  func fail(_ problem: ModelError.Problem) -> ModelError { ModelError(problem, at: name) }

  /// Throws where an attribute is not among `names`, or the number of operands is out of range.
  func allow(_ names: [String], operands range: ClosedRange<Int>) throws(ModelError) {
    for attribute in proto.attribute where !names.contains(attribute.name) {
      throw fail(.unsupportedFeature("\(operatorName) has the attribute '\(attribute.name)'"))
    }
    guard range.contains(operands.count) else {
      throw fail(
        .malformed("\(operatorName) has \(operands.count) inputs and takes \(range)"))
    }
  }

  private func attribute(_ name: String) -> Onnx_AttributeProto? {
    proto.attribute.first { $0.name == name }
  }

  func integer(_ name: String, default value: Int) -> Int {
    attribute(name).map { Int($0.i) } ?? value
  }

  func float(_ name: String, default value: Float) -> Float { attribute(name)?.f ?? value }

  func text(_ name: String, default value: String) -> String {
    attribute(name).map { String(decoding: $0.s, as: UTF8.self) } ?? value
  }

  /// Exactly `count` integers within 0...2^16, or the default.
  func integers(_ name: String, count: Int, default value: [Int]) throws(ModelError) -> [Int] {
    guard let attribute = attribute(name), !attribute.ints.isEmpty else { return value }
    guard attribute.ints.count == count, attribute.ints.allSatisfy({ (0...65536).contains($0) })
    else {
      throw fail(.unsupportedFeature("'\(name)' is not \(count) numbers within 0...65536"))
    }
    return attribute.ints.map { Int($0) }
  }

  func hasAttribute(_ name: String) -> Bool { attribute(name) != nil }
}
