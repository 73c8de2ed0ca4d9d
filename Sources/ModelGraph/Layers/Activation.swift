import Foundation

/// Functions of one element.
enum Activation {
  static let names = [
    "Abs", "Cast", "Clip", "Elu", "Erf", "Exp", "Gelu", "HardSigmoid", "HardSwish", "LeakyRelu",
    "Log", "Neg", "Reciprocal", "Sigmoid", "Softplus", "Sqrt", "Tanh",
  ]

  static func read(_ reader: NodeReader) throws(ModelError) -> GeneralLayer {
    if reader.operatorName == "Clip" { return try clip(reader) }
    let shape = try reader.shape(0)
    let function = try function(reader)
    return GeneralLayer(shape: shape) { $0[0].values.map(function) }
  }

  private static func function(
    _ reader: NodeReader
  ) throws(ModelError) -> @Sendable (Float) -> Float {
    let alpha = { reader.float("alpha", default: $0) }
    switch reader.operatorName {
    case "Elu":
      try reader.allow(["alpha"], operands: 1...1)
      let slope = alpha(1)
      return { $0 < 0 ? slope * (exp($0) - 1) : $0 }
    case "LeakyRelu":
      try reader.allow(["alpha"], operands: 1...1)
      let slope = alpha(0.01)
      return { $0 < 0 ? slope * $0 : $0 }
    case "HardSigmoid":
      try reader.allow(["alpha", "beta"], operands: 1...1)
      let (slope, offset) = (alpha(0.2), reader.float("beta", default: 0.5))
      return { max(0, min(1, slope * $0 + offset)) }
    case "Gelu":
      try reader.allow(["approximate"], operands: 1...1)
      switch reader.text("approximate", default: "none") {
      case "none": return { 0.5 * $0 * (1 + erf($0 / Float(2).squareRoot())) }
      case "tanh":
        let factor = (2 / Float.pi).squareRoot()
        return { 0.5 * $0 * (1 + tanh(factor * ($0 + 0.044715 * $0 * $0 * $0))) }
      case let mode: throw reader.fail(.unsupportedFeature("Gelu approximates by '\(mode)'"))
      }
    case "Cast":
      try reader.allow(["to", "saturate"], operands: 1...1)
      guard reader.integer("to", default: 1) == Onnx_TensorProto.DataType.float.rawValue else {
        throw reader.fail(.unsupportedType("Cast gives something other than float32"))
      }
      return { $0 }
    default: break
    }
    try reader.allow([], operands: 1...1)
    switch reader.operatorName {
    case "Abs": return { abs($0) }
    case "Erf": return { erf($0) }
    case "Exp": return { exp($0) }
    case "HardSwish": return { $0 * max(0, min(1, $0 / 6 + 0.5)) }
    case "Log": return { log($0) }
    case "Neg": return { -$0 }
    case "Reciprocal": return { 1 / $0 }
    case "Sigmoid": return { 1 / (1 + exp(-$0)) }
    case "Softplus": return { max($0, 0) + log1p(exp(-abs($0))) }
    case "Sqrt": return { $0.squareRoot() }
    default: return { tanh($0) }
    }
  }

  /// The bounds are attributes before version 11 and optional scalar operands since.
  private static func clip(_ reader: NodeReader) throws(ModelError) -> GeneralLayer {
    let shape = try reader.shape(0)
    if reader.opset < 11 {
      try reader.allow(["min", "max"], operands: 1...1)
      let low = reader.float("min", default: -.greatestFiniteMagnitude)
      let high = reader.float("max", default: .greatestFiniteMagnitude)
      return GeneralLayer(shape: shape) { $0[0].values.map { min(max($0, low), high) } }
    }
    try reader.allow([], operands: 1...3)
    var bounds: [Int?] = []
    for slot in 1...2 {
      guard reader.hasSlot(slot) else {
        bounds.append(nil)
        continue
      }
      guard try reader.shape(slot).reduce(1, *) == 1 else {
        throw reader.fail(.shape("a bound of Clip is no scalar"))
      }
      bounds.append(try reader.floatSlot(slot))
    }
    let (low, high) = (bounds[0], bounds[1])
    return GeneralLayer(shape: shape) { operands in
      let least = low.map { operands[$0].values[0] } ?? -.greatestFiniteMagnitude
      let greatest = high.map { operands[$0].values[0] } ?? .greatestFiniteMagnitude
      return operands[0].values.map { min(max($0, least), greatest) }
    }
  }
}
