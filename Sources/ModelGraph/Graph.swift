/// A validated model: every value has a shape, every node a supported layer, and nodes stand in an
/// order in which each comes after all that it reads.
package struct Graph: Sendable {
  /// A tensor of the model: an input, a constant, or the result of a node.
  package struct Value: Sendable {
    package enum Origin: Sendable, Hashable {
      case input
      case floats([Float])
      case integers([Int64])
      case node
    }

    package let name: String
    package let shape: [Int]
    package let origin: Origin

    package var elementCount: Int { shape.reduce(1, *) }
    package var isConstant: Bool {
      switch origin {
      case .floats, .integers: true
      case .input, .node: false
      }
    }
    var isInteger: Bool {
      if case .integers = origin { true } else { false }
    }
    /// Nil unless the value is a float constant.
    package var constant: FloatTensor? {
      if case .floats(let values) = origin {
        FloatTensor(shape: shape, values: values)
      } else {
        nil
      }
    }
  }

  package struct Node: Sendable {
    package let name: String
    package let layer: Layer
    /// Indices into `values`, constants included.
    package let inputs: [Int]
    package let output: Int
    /// The node as the file had it, so that a sub-model can repeat it.
    let proto: Onnx_NodeProto

    /// The operator as ONNX names it.
    package var operatorName: String { proto.opType }
  }

  package let name: String
  package let opset: Int64
  package let values: [Value]
  package let nodes: [Node]
  /// Indices into `values`.
  package let inputs: [Int]
  package let outputs: [Int]

  /// Learned numbers that `node` reads.
  package func parameterCount(of node: Node) -> Int {
    node.inputs.reduce(0) { $0 + (values[$1].constant?.values.count ?? 0) }
  }

  package func multiplications(of node: Node) -> Int {
    node.layer.multiplications(node.inputs.map { values[$0].shape }, values[node.output].shape)
  }
}
