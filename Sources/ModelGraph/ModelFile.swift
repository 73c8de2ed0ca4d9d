import SwiftProtobuf

/// An ONNX file that was decoded within bounds, but whose meaning is not yet checked.
package struct ModelFile: Sendable {
  /// 512 MB.
  package static let byteLimit = 1 << 29
  package static let nodeLimit = 1 << 14
  package static let nameLimit = 512
  package static let opsets: ClosedRange<Int64> = 6...25

  let proto: Onnx_ModelProto

  package init(bytes: [UInt8]) throws(ModelError) {
    guard bytes.count <= Self.byteLimit else {
      throw ModelError(
        .tooLarge("the file has \(bytes.count) bytes and at most \(Self.byteLimit) are read"))
    }
    try WireScan.check(bytes)
    do {
      proto = try Onnx_ModelProto(serializedBytes: bytes)
    } catch {
      throw ModelError(.malformed("the file is no ONNX model"))
    }
    guard proto.hasGraph, !proto.graph.node.isEmpty else {
      throw ModelError(.malformed("the file holds no graph"))
    }
    guard proto.graph.node.count <= Self.nodeLimit else {
      throw ModelError(
        .tooLarge("there are \(proto.graph.node.count) nodes and at most \(Self.nodeLimit) fit"))
    }
  }

  package var name: String { proto.graph.name }

  package struct NodeSummary: Sendable, Hashable {
    package let name: String
    package let operatorName: String
  }

  /// Nodes whose operator the parser does not know, in file order.
  package var unsupportedNodes: [NodeSummary] {
    proto.graph.node.filter { !Layer.names.contains($0.opType) || !$0.usesDefaultDomain }
      .map { NodeSummary(name: $0.displayName, operatorName: $0.opType) }
  }

  /// The version of the operators; throws where it is none that the parser knows.
  func opset() throws(ModelError) -> Int64 {
    guard
      let version = proto.opsetImport.first(where: { ["", "ai.onnx"].contains($0.domain) })?.version
    else {
      throw ModelError(.malformed("the file names no version of the operators"))
    }
    guard Self.opsets.contains(version) else {
      throw ModelError(
        .unsupportedFeature("operators are of version \(version), outside \(Self.opsets)"))
    }
    return version
  }
}

extension Onnx_NodeProto {
  var usesDefaultDomain: Bool { domain.isEmpty || domain == "ai.onnx" }

  /// The node's name or, as names are optional, that of its result.
  var displayName: String { name.isEmpty ? output.first ?? opType : name }
}
