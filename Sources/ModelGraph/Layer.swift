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
      "Add", "Constant", "ConstantOfShape", "Dropout", "Flatten", "Identity", "Relu", "Reshape",
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
    guard reader.slots.allSatisfy({ $0 != nil }), reader.operands.first?.isInteger != true else {
      throw reader.fail(.unsupportedFeature("an input is omitted, or is of integers"))
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
    case "Identity", "Dropout":
      try plain(.identity, reader, attributes: ["ratio", "seed"], operands: 1...3)
    default: throw ModelError(.unsupportedOperator(reader.operatorName), at: reader.name)
    }
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

  /// The layer in plain 32-bit float, in the order of the definition.
  func evaluate(_ operands: [FloatTensor], into shape: [Int]) -> FloatTensor {
    switch self {
    case .convolution(let layer): layer.evaluate(operands, into: shape)
    case .pool(let layer): layer.evaluate(operands, into: shape)
    case .gemm(let layer): layer.evaluate(operands, into: shape)
    case .matMul: MatMul.evaluate(operands, into: shape)
    case .add: Elementwise.add(operands, into: shape)
    case .relu: FloatTensor(shape: shape, values: operands[0].values.map { max($0, 0) })
    case .batchNormalization(let layer): layer.evaluate(operands, into: shape)
    case .general(let layer): FloatTensor(shape: shape, values: layer.evaluate(operands))
    case .reshape, .identity: FloatTensor(shape: shape, values: operands[0].values)
    }
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
