import Foundation

/// A function of one element. Formulas are those of the ONNX operators of the same names.
package enum UnaryFunction: Sendable, Hashable {
  case abs
  case celu(alpha: Float)
  case clip(low: Float, high: Float)
  case elu(alpha: Float)
  case erf
  case exp
  case gelu
  /// Gelu with tanh(√(2/π)·(x + 0.044715·x³)) in place of erf(x/√2).
  case geluByTanh
  case hardSigmoid(alpha: Float, beta: Float)
  case hardSwish
  case leakyRelu(alpha: Float)
  case log
  case negate
  case reciprocal
  case selu(alpha: Float, gamma: Float)
  case sigmoid
  case sign
  case softplus
  case softsign
  case sqrt
  case tanh

  static let names = [
    "Abs", "Celu", "Elu", "Erf", "Exp", "Gelu", "HardSigmoid", "HardSwish", "LeakyRelu",
    "Log", "Neg", "Reciprocal", "Selu", "Sigmoid", "Sign", "Softplus", "Softsign", "Sqrt", "Tanh",
  ]

  static func read(_ reader: NodeReader) throws(ModelError) -> GeneralLayer {
    let shape = try reader.shape(0)
    return GeneralLayer(.function(try function(reader)), shape: shape)
  }

  private static func function(_ reader: NodeReader) throws(ModelError) -> UnaryFunction {
    let alpha = { reader.float("alpha", default: $0) }
    switch reader.operatorName {
    case "Celu":
      try reader.allow(["alpha"], operands: 1...1)
      return .celu(alpha: alpha(1))
    case "Elu":
      try reader.allow(["alpha"], operands: 1...1)
      return .elu(alpha: alpha(1))
    case "LeakyRelu":
      try reader.allow(["alpha"], operands: 1...1)
      return .leakyRelu(alpha: alpha(0.01))
    case "HardSigmoid":
      try reader.allow(["alpha", "beta"], operands: 1...1)
      return .hardSigmoid(alpha: alpha(0.2), beta: reader.float("beta", default: 0.5))
    case "Selu":
      try reader.allow(["alpha", "gamma"], operands: 1...1)
      return .selu(
        alpha: alpha(1.67326319217681884765625),
        gamma: reader.float("gamma", default: 1.05070102214813232421875))
    case "Gelu":
      try reader.allow(["approximate"], operands: 1...1)
      switch reader.text("approximate", default: "none") {
      case "none": return .gelu
      case "tanh": return .geluByTanh
      case let mode: throw reader.fail(.unsupportedFeature("Gelu approximates by '\(mode)'"))
      }
    default: break
    }
    try reader.allow([], operands: 1...1)
    switch reader.operatorName {
    case "Abs": return .abs
    case "Erf": return .erf
    case "Exp": return .exp
    case "HardSwish": return .hardSwish
    case "Log": return .log
    case "Neg": return .negate
    case "Reciprocal": return .reciprocal
    case "Sigmoid": return .sigmoid
    case "Sign": return .sign
    case "Softplus": return .softplus
    case "Softsign": return .softsign
    case "Sqrt": return .sqrt
    default: return .tanh
    }
  }

  func evaluate<Number: Scalar>(_ operand: DenseTensor<Number>) -> [Number] {
    let function = closure
    return operand.values.map { Number(function(Double($0))) }
  }

  /// The function in `Double`, which the evaluator rounds to its tensors' type.
  package var closure: @Sendable (Double) -> Double {
    switch self {
    case .abs: { Swift.abs($0) }
    case .celu(let alpha):
      { [alpha = Double(alpha)] in
        max($0, 0) + min(0, alpha * (Foundation.exp($0 / alpha) - 1))
      }
    case .clip(let low, let high):
      { [low = Double(low), high = Double(high)] in min(max($0, low), high) }
    case .elu(let alpha):
      { [alpha = Double(alpha)] in $0 < 0 ? alpha * (Foundation.exp($0) - 1) : $0 }
    case .erf: { Foundation.erf($0) }
    case .exp: { Foundation.exp($0) }
    case .gelu: { 0.5 * $0 * (1 + Foundation.erf($0 / 2.0.squareRoot())) }
    case .geluByTanh:
      {
        let inner = (2 / Double.pi).squareRoot() * ($0 + 0.044715 * $0 * $0 * $0)
        return 0.5 * $0 * (1 + Foundation.tanh(inner))
      }
    case .hardSigmoid(let alpha, let beta):
      { [alpha = Double(alpha), beta = Double(beta)] in max(0, min(1, alpha * $0 + beta)) }
    case .hardSwish: { $0 * max(0, min(1, $0 / 6 + 0.5)) }
    case .leakyRelu(let alpha): { [alpha = Double(alpha)] in $0 < 0 ? alpha * $0 : $0 }
    case .log: { Foundation.log($0) }
    case .negate: { -$0 }
    case .reciprocal: { 1 / $0 }
    case .selu(let alpha, let gamma):
      { [alpha = Double(alpha), gamma = Double(gamma)] in
        $0 > 0 ? gamma * $0 : gamma * alpha * (Foundation.exp($0) - 1)
      }
    case .sigmoid: { 1 / (1 + Foundation.exp(-$0)) }
    case .sign: { $0 > 0 ? 1 : $0 < 0 ? -1 : 0 }
    case .softplus: { max($0, 0) + log1p(Foundation.exp(-Swift.abs($0))) }
    case .softsign: { $0 / (1 + Swift.abs($0)) }
    case .sqrt: { $0.squareRoot() }
    case .tanh: { Foundation.tanh($0) }
    }
  }
}

/// Clip whose bounds are scalar operands that the model computes.
package struct Clip: Sendable {
  /// Places of the bounds among the operands.
  package let low: Int?
  package let high: Int?

  static let names = ["Clip"]

  /// The bounds are attributes before version 11 and optional scalar operands since.
  static func read(_ reader: NodeReader) throws(ModelError) -> GeneralLayer {
    let shape = try reader.shape(0)
    let (least, greatest) = (-Float.infinity, Float.infinity)
    if reader.opset < 11 {
      try reader.allow(["min", "max"], operands: 1...1)
      let bounds = (reader.float("min", default: least), reader.float("max", default: greatest))
      return GeneralLayer(.function(.clip(low: bounds.0, high: bounds.1)), shape: shape)
    }
    try reader.allow([], operands: 1...3)
    let low = reader.hasSlot(1) ? try reader.constantScalar(1) : least
    let high = reader.hasSlot(2) ? try reader.constantScalar(2) : greatest
    if let low, let high {
      return GeneralLayer(.function(.clip(low: low, high: high)), shape: shape)
    }
    let clip = Clip(
      low: reader.hasSlot(1) ? try reader.place(1) : nil,
      high: reader.hasSlot(2) ? try reader.place(2) : nil)
    return GeneralLayer(.clip(clip), shape: shape)
  }

  func evaluate<Number: Scalar>(_ operands: [DenseTensor<Number>]) -> [Number] {
    let least = low.map { operands[$0].values[0] } ?? -.infinity
    let greatest = high.map { operands[$0].values[0] } ?? .infinity
    return operands[0].values.map { min(max($0, least), greatest) }
  }
}
