/// BatchNormalization in inference. Operands: input, scale, bias, mean, variance, one per channel.
package struct BatchNormalizationLayer: Sendable {
  package let epsilon: Float

  init(_ reader: NodeReader) throws(ModelError) {
    try reader.allow(["epsilon", "momentum", "training_mode", "spatial"], operands: 5...5)
    epsilon = reader.float("epsilon", default: 1e-5)
    guard reader.integer("training_mode", default: 0) == 0,
      reader.integer("spatial", default: 1) == 1
    else {
      throw reader.fail(.unsupportedFeature("BatchNormalization is in training mode"))
    }
    guard reader.operands.dropFirst().allSatisfy(\.isConstant) else {
      throw reader.fail(
        .unsupportedFeature("BatchNormalization has parameters computed in the model"))
    }
  }

  func resultShape(_ operands: [Graph.Value], at node: String) throws(ModelError) -> [Int] {
    let shape = operands[0].shape
    guard shape.count == 4, operands.dropFirst().allSatisfy({ $0.shape == [shape[1]] }) else {
      throw ModelError(
        .shape("\(operands.map(\.shape)): images and one number per channel were expected"),
        at: node)
    }
    return shape
  }

  /// y = x · factor + offset per channel.
  package func affine(_ parameters: [FloatTensor]) -> (factors: [Float], offsets: [Float]) {
    let factors = zip(parameters[0].values, parameters[3].values).map { scale, variance in
      scale / (variance + epsilon).squareRoot()
    }
    let offsets = factors.indices.map { channel in
      parameters[1].values[channel] - parameters[2].values[channel] * factors[channel]
    }
    return (factors, offsets)
  }

  func evaluate<Number: Scalar>(_ operands: [DenseTensor<Number>]) -> [Number] {
    Normalization(kind: .batch, epsilon: epsilon).evaluate(operands)
  }
}
