import Foundation

/// BatchNormalization of any rank, InstanceNormalization and LRN.
enum Normalization {
  static let names = ["BatchNormalization", "InstanceNormalization", "LRN"]

  static func read(_ reader: NodeReader) throws(ModelError) -> GeneralLayer {
    let shape = try reader.shape(0)
    guard shape.count > 1 else { throw reader.fail(.shape("\(shape) has no channels")) }
    try reader.requireFloats()
    let (channels, area) = (shape[1], shape.dropFirst(2).reduce(1, *))
    switch reader.operatorName {
    case "LRN": return try acrossChannels(reader, shape)
    case "BatchNormalization":
      try reader.allow(["epsilon", "momentum", "training_mode", "spatial"], operands: 5...5)
      guard reader.integer("training_mode", default: 0) == 0,
        reader.integer("spatial", default: 1) == 1
      else { throw reader.fail(.unsupportedFeature("BatchNormalization is in training mode")) }
    default: try reader.allow(["epsilon"], operands: 3...3)
    }
    guard reader.operands.dropFirst().allSatisfy({ $0.shape == [channels] }) else {
      throw reader.fail(.shape("its parameters are not one number per channel of \(shape)"))
    }
    let epsilon = reader.float("epsilon", default: 1e-5)
    return GeneralLayer(shape: shape) { operands in
      var values = operands[0].values
      for plane in 0..<values.count / area {
        let (channel, range) = (plane % channels, plane * area..<(plane + 1) * area)
        var mean: Float
        var variance: Float
        if operands.count == 5 {
          (mean, variance) = (operands[3].values[channel], operands[4].values[channel])
        } else {
          mean = values[range].reduce(0, +) / Float(area)
          variance = values[range].reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Float(area)
        }
        let factor = operands[1].values[channel] / (variance + epsilon).squareRoot()
        for index in range {
          values[index] = (values[index] - mean) * factor + operands[2].values[channel]
        }
      }
      return values
    }
  }

  private static func acrossChannels(
    _ reader: NodeReader, _ shape: [Int]
  ) throws(ModelError) -> GeneralLayer {
    try reader.allow(["alpha", "beta", "bias", "size"], operands: 1...1)
    let size = reader.integer("size", default: 0)
    guard (1...65536).contains(size) else { throw reader.fail(.shape("LRN has size \(size)")) }
    let alpha = reader.float("alpha", default: 1e-4) / Float(size)
    let beta = reader.float("beta", default: 0.75)
    let bias = reader.float("bias", default: 1)
    let (channels, area) = (shape[1], shape.dropFirst(2).reduce(1, *))
    return GeneralLayer(shape: shape) { operands in
      let values = operands[0].values
      return values.indices.map { index in
        let channel = index / area % channels
        let low = max(0, channel - (size - 1) / 2)
        let high = min(channels - 1, channel + size / 2)
        var sum: Float = 0
        for other in low...high {
          let value = values[index + (other - channel) * area]
          sum += value * value
        }
        return values[index] / pow(bias + alpha * sum, beta)
      }
    }
  }
}
