import FixedPoint
import Foundation
import ModelGraph

/// Softmax and the normalisations by mean and variance.
extension Lowering {
  mutating func softmax(
    _ node: Graph.Node, _ form: ModelGraph.Softmax
  ) throws(QuantizationError) -> Operand {
    var lanes = try operand(node, 0)
    let shape = lanes.shape
    let outer = shape.reduce(1, *) / (form.count * form.stride)
    let isSpread = form.stride > 1
    if isSpread {
      lanes = try reshaped(lanes, to: [outer, form.count, form.stride], node.name)
      lanes = try transposed(lanes, [0, 2, 1], node.name)
    } else if shape.last != form.count {
      lanes = try reshaped(lanes, to: [outer, form.count], node.name)
    }
    // A result of exactly 1 must fit.
    let exponent = form.isLogarithm ? exponent(of: node) : exponent(of: node).clamped(to: 0...14)
    var result = try emit(
      .softmax(FixedPoint.Softmax(isLogarithm: form.isLogarithm, exponent: Int8(exponent))),
      node.name, reading: [lanes])
    if isSpread { result = try transposed(result, [0, 2, 1], node.name) }
    return try reshaped(result, to: shape, node.name)
  }

  mutating func normalization(
    _ node: Graph.Node, _ form: ModelGraph.Normalization
  ) throws(QuantizationError) -> Operand {
    let operand = try operand(node, 0)
    let shape = operand.shape
    let result: Operand
    switch form.kind {
    case .batch:
      let (scale, bias) = (try constant(node, 1).values, try constant(node, 2).values)
      let (mean, variance) = (try constant(node, 3).values, try constant(node, 4).values)
      let factors = scale.indices.map { scale[$0] / (variance[$0] + form.epsilon).squareRoot() }
      result = try affine(
        operand, as: [shape[0], shape[1], shape[2...].reduce(1, *)], factors: factors,
        offsets: factors.indices.map { bias[$0] - mean[$0] * factors[$0] }, node)
    case .instance:
      let (scale, bias) = (try constant(node, 1).values, try constant(node, 2).values)
      let area = shape[2...].reduce(1, *)
      let lanes = try normalized(
        reshaped(operand, to: [shape[0] * shape[1], area], node.name), form.epsilon,
        smallestScale: scale.map(abs).min() ?? 0, largestBias: bias.map(abs).max() ?? 0, node)
      result = try affine(
        lanes, as: [shape[0], shape[1], area], factors: scale, offsets: bias, node)
    case .layer(let axis):
      let normalizedShape = Array(shape[axis...])
      let width = normalizedShape.reduce(1, *)
      var parameters: [[Float]] = []
      for place in 1..<node.operands.count {
        let parameter = try constant(node, place)
        parameters.append(
          Shape.expand(parameter.values, from: parameter.shape, to: normalizedShape))
      }
      let scale = parameters[0]
      let bias = parameters.count > 1 ? parameters[1] : scale.map { _ in 0 }
      let outer = shape[..<axis].reduce(1, *)
      let lanes = try normalized(
        reshaped(operand, to: [outer, width], node.name), form.epsilon,
        smallestScale: scale.map(abs).min() ?? 0, largestBias: bias.map(abs).max() ?? 0, node)
      result = try affine(
        lanes, as: [outer, width, 1], factors: scale, offsets: bias, node)
    }
    return try reshaped(result, to: shape, node.name)
  }

  /// Every lane of the last axis with mean 0 and variance 1. No element is above √(n - 1), and none
  /// above what the node's own range leaves after scale and bias.
  private mutating func normalized(
    _ lanes: Operand, _ epsilon: Float, smallestScale: Float, largestBias: Float,
    _ node: Graph.Node
  ) throws(QuantizationError) -> Operand {
    let width = Double(lanes.shape.last ?? 1)
    let range = 32767 / PowerOfTwo.value(exponent(of: node)) + Double(largestBias)
    let largest = min(max(1, width - 1).squareRoot(), range / Double(smallestScale))
    let exponent = Self.exponent(fitting: largest).clamped(to: -16...14)
    let scaled = (Double(epsilon) * width * width * PowerOfTwo.value(2 * lanes.exponent)).rounded()
    guard scaled >= 0, scaled < 0x1p62 else {
      throw .unrepresentable(node: node.name, "its epsilon of \(epsilon) is negative or too large")
    }
    return try emit(
      .normalize(
        FixedPoint.Normalization(epsilon: UInt64(scaled), exponent: Int8(exponent))),
      node.name, reading: [lanes])
  }

  /// x · (bias + alpha / size · Σ x²)^-beta, the sum as a product with a banded matrix.
  mutating func localResponse(
    _ node: Graph.Node, _ form: LocalResponse
  ) throws(QuantizationError) -> Operand {
    guard form.bias > 0, form.alpha >= 0 else {
      throw .unsupported(
        node: node.name, "LRN has an integer meaning only for a positive bias and no negative alpha"
      )
    }
    let operand = try operand(node, 0)
    let (shape, channels) = (operand.shape, operand.shape[1])
    // Calibration left a bit of head-room, which a square doubles: √2 of it still fits.
    let square = try multiplied(operand, operand, to: 2 * operand.exponent - 14, node)
    let image = try reshaped(
      square, to: [shape[0], channels, shape[2...].reduce(1, *), 1], node.name)
    var weights = [Float](repeating: 0, count: channels * channels)
    for channel in 0..<channels {
      for other in form.neighbours(of: channel, among: channels) {
        weights[channel * channels + other] = form.alpha / Float(form.size)
      }
    }
    let largest =
      Double(form.bias) + Double(form.alpha) * 32767
      / PowerOfTwo.value(square.exponent)
    let exponent = Self.exponent(fitting: largest)
    let rows = try linear(
      image, weights: weights, biases: .init(repeating: form.bias, count: channels),
      rowCount: channels, to: exponent, node, weightBits: 16)
    var sums = try emit(
      .convolution(
        Convolution(
          rows: rows, groups: 1, window: Window(kernel: (1, 1)), exponent: Int8(exponent))),
      node.name, reading: [image])
    sums = try reshaped(sums, to: shape, node.name)
    let factor = try table(
      .power, [-form.beta], of: sums, node,
      exponent: Self.exponent(fitting: pow(Double(form.bias), -Double(form.beta)) * 1.01))
    return try multiplied(operand, factor, to: self.exponent(of: node), node)
  }
}
