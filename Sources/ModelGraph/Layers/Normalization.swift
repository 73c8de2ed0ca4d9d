import Foundation

/// (x - mean) / √(variance + epsilon) · scale + bias. Operands: x, scale, then bias where there is
/// one, and for the batch kind mean and variance.
package struct Normalization: Sendable {
  package enum Kind: Sendable {
    /// Over what is given per channel (axis 1).
    case batch
    /// Over the image axes of each channel.
    case instance
    /// Over the axes from the given one on, along which scale and bias lie.
    case layer(axis: Int)
  }

  package let kind: Kind
  package let epsilon: Float

  static let names = ["BatchNormalization", "InstanceNormalization", "LayerNormalization"]

  static func read(_ reader: NodeReader) throws(ModelError) -> GeneralLayer {
    let shape = try reader.shape(0)
    let epsilon = reader.float("epsilon", default: 1e-5)
    if reader.operatorName == "LayerNormalization" {
      try reader.allow(["axis", "epsilon", "stash_type"], operands: 2...3)
      let axis = try reader.axis(reader.integer("axis", default: -1), rank: shape.count)
      let normalized = Array(shape[axis...])
      for operand in reader.operands.dropFirst()
      where Shape.broadcast(operand.shape, normalized) != normalized {
        throw reader.fail(.shape("a scale or bias of \(operand.shape) does not fit \(normalized)"))
      }
      return Normalization(kind: .layer(axis: axis), epsilon: epsilon).layer(shape)
    }
    guard shape.count > 1 else { throw reader.fail(.shape("\(shape) has no channels")) }
    let isBatch = reader.operatorName == "BatchNormalization"
    if isBatch {
      try reader.allow(["epsilon", "momentum", "training_mode", "spatial"], operands: 5...5)
      guard reader.integer("training_mode", default: 0) == 0,
        reader.integer("spatial", default: 1) == 1
      else { throw reader.fail(.unsupportedFeature("BatchNormalization is in training mode")) }
    } else {
      try reader.allow(["epsilon"], operands: 3...3)
    }
    guard reader.operands.dropFirst().allSatisfy({ $0.shape == [shape[1]] }) else {
      throw reader.fail(.shape("its parameters are not one number per channel of \(shape)"))
    }
    return Normalization(kind: isBatch ? .batch : .instance, epsilon: epsilon).layer(shape)
  }

  private func layer(_ shape: [Int]) -> GeneralLayer {
    GeneralLayer(.normalization(self), shape: shape)
  }

  func evaluate<Number: Scalar>(_ operands: [DenseTensor<Number>]) -> [Number] {
    let shape = operands[0].shape
    var values = operands[0].values
    if case .layer(let axis) = kind {
      let normalized = Array(shape[axis...])
      let count = normalized.reduce(1, *)
      let parameters = operands.dropFirst().map {
        Shape.expand($0.values, from: $0.shape, to: normalized)
      }
      for start in stride(from: 0, to: values.count, by: count) {
        let (mean, factor) = statistics(values[start..<start + count])
        for index in 0..<count {
          let scaled = (values[start + index] - mean) * factor * parameters[0][index]
          values[start + index] = scaled + (parameters.count > 1 ? parameters[1][index] : 0)
        }
      }
      return values
    }
    let (channels, area) = (shape[1], shape.dropFirst(2).reduce(1, *))
    for plane in 0..<values.count / area {
      let (channel, range) = (plane % channels, plane * area..<(plane + 1) * area)
      var (mean, factor) = statistics(values[range])
      if case .batch = kind {
        mean = operands[3].values[channel]
        factor = 1 / (operands[4].values[channel] + Number(epsilon)).squareRoot()
      }
      factor *= operands[1].values[channel]
      for index in range {
        values[index] = (values[index] - mean) * factor + operands[2].values[channel]
      }
    }
    return values
  }

  private func statistics<Number: Scalar>(
    _ values: ArraySlice<Number>
  ) -> (mean: Number, factor: Number) {
    let mean = values.reduce(0, +) / Number(values.count)
    let variance = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Number(values.count)
    return (mean, 1 / (variance + Number(epsilon)).squareRoot())
  }
}

/// LRN: x / (bias + alpha / size · Σ x² over `size` neighbouring channels)^beta.
package struct LocalResponse: Sendable {
  package let size: Int
  package let alpha: Float
  package let beta: Float
  package let bias: Float

  static let names = ["LRN"]

  static func read(_ reader: NodeReader) throws(ModelError) -> GeneralLayer {
    try reader.allow(["alpha", "beta", "bias", "size"], operands: 1...1)
    let shape = try reader.shape(0)
    guard shape.count > 1 else { throw reader.fail(.shape("\(shape) has no channels")) }
    let size = reader.integer("size", default: 0)
    guard (1...65536).contains(size) else { throw reader.fail(.shape("LRN has size \(size)")) }
    let response = LocalResponse(
      size: size, alpha: reader.float("alpha", default: 1e-4),
      beta: reader.float("beta", default: 0.75), bias: reader.float("bias", default: 1))
    return GeneralLayer(.localResponse(response), shape: shape)
  }

  /// Channels summed for `channel` of `count`.
  package func neighbours(of channel: Int, among count: Int) -> ClosedRange<Int> {
    max(0, channel - (size - 1) / 2)...min(count - 1, channel + size / 2)
  }

  func evaluate<Number: Scalar>(_ operand: DenseTensor<Number>) -> [Number] {
    let shape = operand.shape
    let (channels, area) = (shape[1], shape.dropFirst(2).reduce(1, *))
    let values = operand.values
    return values.indices.map { index in
      let channel = index / area % channels
      var sum: Double = 0
      for other in neighbours(of: channel, among: channels) {
        let value = Double(values[index + (other - channel) * area])
        sum += value * value
      }
      return Number(
        Double(values[index])
          / pow(Double(bias) + Double(alpha) / Double(size) * sum, Double(beta)))
    }
  }
}
