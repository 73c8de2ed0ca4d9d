/// A validated model: every value has a shape, every node a supported layer, and nodes stand in an
/// order in which each comes after all that it reads.
package struct Graph: Sendable {
  /// A tensor of the model: an input, a constant, or the result of a node.
  package struct Value: Sendable {
    package enum Origin: Sendable, Hashable {
      case input
      case node
      /// A constant of a float type of at most 32 bits.
      case floats([Float])
      case doubles([Double])
      /// A constant of integers or of bools.
      case integers([Int64])
      /// A constant every element of which is this number: ConstantOfShape may ask for gigabytes.
      case filled(Double)
    }

    package let name: String
    package let shape: [Int]
    package let type: NumericType
    package let origin: Origin

    package var elementCount: Int { shape.reduce(1, *) }
    package var isConstant: Bool {
      switch origin {
      case .input, .node: false
      case .floats, .doubles, .integers, .filled: true
      }
    }

    /// Nil unless the value is a constant of floats of at most 32 bits. Where it is `filled`, the
    /// tensor is made anew each time.
    package var constant: FloatTensor? {
      switch origin {
      case .floats(let values): FloatTensor(shape: shape, values: values)
      case .filled(let number) where type.isComputedInFloat:
        FloatTensor(shape: shape, repeating: Float(number))
      default: nil
      }
    }

    /// Nil unless the value is constant.
    var tensor: TypedTensor? {
      switch origin {
      case .input, .node: nil
      case .floats(let values):
        TypedTensor(FloatTensor(shape: shape, values: values), roundedTo: type)
      case .doubles(let values):
        TypedTensor(DenseTensor(shape: shape, values: values), roundedTo: type)
      case .integers(let values):
        TypedTensor(DenseTensor(shape: shape, values: values.map { Double($0) }), roundedTo: type)
      case .filled(let number) where type.isComputedInFloat:
        TypedTensor(FloatTensor(shape: shape, repeating: Float(number)), roundedTo: type)
      case .filled(let number):
        TypedTensor(DenseTensor(shape: shape, repeating: number), roundedTo: type)
      }
    }
  }

  package struct Node: Sendable {
    package let name: String
    package let layer: Layer
    /// Indices into `values`, constants included, without omitted inputs.
    package let inputs: [Int]
    /// Those of `inputs` that the layer computes with: shapes, axes and the like, which it resolved
    /// when it was read, are missing.
    package let operands: [Int]
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
    node.operands.reduce(0) { $0 + (values[$1].isConstant ? values[$1].elementCount : 0) }
  }

  package func multiplications(of node: Node) -> Int {
    node.layer.multiplications(node.inputs.map { values[$0].shape }, values[node.output].shape)
  }
}
