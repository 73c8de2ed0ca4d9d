/// The operators of ONNX that a graph may hold. A new family is a file in `Layers`, a case here,
/// and a line in `read`.
package enum Layer: Sendable {
  case convolution(ConvolutionLayer)
  case pool(PoolLayer)
  case gemm(GemmLayer)
  case matMul
  case add
  case relu
  case batchNormalization(BatchNormalizationLayer)
  case reshape(ReshapeLayer)
  case identity
  case general(GeneralLayer)

  package static let names = Set(
    [
      "Add", "Cast", "Constant", "ConstantOfShape", "Dropout", "Flatten", "Identity", "Relu",
      "Reshape",
      "Shape", "Split", "Squeeze", "Unsqueeze",
    ] + GeneralLayer.names
  ).sorted()

  /// A layer that the integer side knows where the node is one, else one of the float evaluator.
  /// `Constant`, `Shape` and `ConstantOfShape` are no layers: they become constant values.
  static func read(_ reader: NodeReader) throws(ModelError) -> Layer {
    do {
      let layer = try readExact(reader)
      _ = try layer.resultShape(reader.operands, at: reader.name)
      return layer
    } catch {
      guard let layer = try GeneralLayer.read(reader) else { throw error }
      return .general(layer)
    }
  }

  private static func readExact(_ reader: NodeReader) throws(ModelError) -> Layer {
    guard reader.slots.indices.allSatisfy({ reader.slots[$0] != nil || reader.isParameter($0) })
    else { throw reader.fail(.malformed("an input of \(reader.operatorName) is omitted")) }
    // The integer side takes no constant where an activation is expected; what only evaluates does.
    guard reader.operands.first?.isConstant == false || !takesActivationFirst(reader) else {
      throw reader.fail(.unsupportedFeature("its first operand is constant"))
    }
    return switch reader.operatorName {
    case "Conv": .convolution(try ConvolutionLayer(reader))
    case "MaxPool", "AveragePool", "GlobalAveragePool": .pool(try PoolLayer(reader))
    case "Gemm": .gemm(try GemmLayer(reader))
    case "MatMul": try plain(.matMul, reader, operands: 2...2)
    case "Add": try plain(.add, reader, operands: 2...2)
    case "Relu": try plain(.relu, reader, operands: 1...1)
    case "BatchNormalization": .batchNormalization(try BatchNormalizationLayer(reader))
    case "Flatten", "Reshape", "Squeeze", "Unsqueeze": .reshape(try ReshapeLayer(reader))
    case "Cast":
      // The evaluator rounds every result to the type of its value.
      try plain(
        .identity, reader, attributes: ["to", "saturate", "round_mode"], operands: 1...1)
    case "Dropout":
      try inferenceDropout(reader)
    case "Identity": try plain(.identity, reader, operands: 1...1)
    default: throw ModelError(.unsupportedOperator(reader.operatorName), at: reader.name)
    }
  }

  private static func takesActivationFirst(_ reader: NodeReader) -> Bool {
    [
      "AveragePool", "BatchNormalization", "Conv", "Gemm", "GlobalAveragePool", "MatMul", "MaxPool",
    ].contains(reader.operatorName)
  }

  /// The ratio does not matter in inference, which the third operand may deny.
  private static func inferenceDropout(_ reader: NodeReader) throws(ModelError) -> Layer {
    if reader.hasSlot(2) {
      guard let mode = reader.slots[2], mode.elementCount == 1, mode.tensor?.doubles.values == [0]
      else {
        throw reader.fail(.unsupportedFeature("Dropout is in training mode, or may be"))
      }
    }
    return try plain(.identity, reader, attributes: ["ratio", "seed"], operands: 1...3)
  }

  private static func plain(
    _ layer: Layer, _ reader: NodeReader, attributes: [String] = [], operands: ClosedRange<Int>
  ) throws(ModelError) -> Layer {
    try reader.allow(attributes, operands: operands)
    return layer
  }

  /// Shape of the result; throws where the operands do not fit.
  func resultShape(_ operands: [Graph.Value], at node: String) throws(ModelError) -> [Int] {
    switch self {
    case .convolution(let layer): try layer.resultShape(operands, at: node)
    case .pool(let layer): try layer.resultShape(operands, at: node)
    case .gemm(let layer): try layer.resultShape(operands, at: node)
    case .matMul: try MatMul.resultShape(operands, at: node)
    case .add: try Elementwise.resultShape(operands, at: node)
    case .relu, .identity: operands[0].shape
    case .batchNormalization(let layer): try layer.resultShape(operands, at: node)
    case .reshape(let layer): layer.shape
    case .general(let layer): layer.shape
    }
  }

  /// The layer, with sums in the order of the definition. Its operands are in the node's order,
  /// without the omitted ones and the parameters.
  func evaluate<Number: Scalar>(
    _ operands: [DenseTensor<Number>], into shape: [Int]
  ) -> DenseTensor<Number> {
    let values: [Number] =
      switch self {
      case .convolution(let layer):
        layer.evaluate(operands.map(\.floats), into: shape).map { Number($0) }
      case .pool(let layer): layer.evaluate(operands[0], into: shape)
      case .gemm(let layer): layer.evaluate(operands.map(\.floats), into: shape).map { Number($0) }
      case .matMul:
        MatMul.layer.evaluate(operands.map(\.floats), into: shape).map { Number($0) }
      case .add: Elementwise.add(operands, into: shape)
      case .relu: operands[0].values.map { max($0, 0) }
      case .batchNormalization(let layer): layer.evaluate(operands)
      case .general(let layer): layer.evaluate(operands)
      case .reshape, .identity: operands[0].values
      }
    return DenseTensor(shape: shape, values: values)
  }

  /// Multiply-accumulates of one run.
  func multiplications(_ operands: [[Int]], _ result: [Int]) -> Int {
    let count = result.reduce(1, *)
    return switch self {
    case .convolution: count * operands[1].dropFirst().reduce(1, *)
    case .gemm(let layer): count * operands[0][layer.transposesLeft ? 0 : 1]
    case .matMul: count * (operands[0].last ?? 1)
    case .batchNormalization: count
    case .general(let layer): layer.multiplications
    case .pool, .add, .relu, .reshape, .identity: 0
    }
  }
}
