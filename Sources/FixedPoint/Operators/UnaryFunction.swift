package import Primitives

/// A function of one element: round(f(x)), half up, at the result's exponent.
///
/// The kernel holds the result for each of the 2^16 operands, derived by integer arithmetic alone
/// from the function, its parameters and the two exponents. Where f is not defined, or leaves
/// int16, an operand is a range fault.
package struct UnaryFunction: OperatorFamily {
  static let tag: UInt8 = 15
  /// Exponents of the operand and of the result.
  package static let exponents: ClosedRange<Int8> = -16...15
  /// Parameters are value · 2^32.
  package static let parameterBits = 32

  package enum Kind: UInt8, Sendable, CaseIterable {
    case abs = 1
    /// max(x, 0) + min(0, α·(exp(x / α) - 1)); α > 0.
    case celu = 2
    /// min(max(x, low), high); low <= high.
    case clip = 3
    /// x where x >= 0, else α·(exp(x) - 1).
    case elu = 4
    case erf = 5
    case exp = 6
    /// x·(1 + erf(x / √2)) / 2
    case gelu = 7
    /// x·(1 + tanh(√(2/π)·(x + 0.044715·x³))) / 2
    case geluByTanh = 8
    /// max(0, min(1, α·x + β))
    case hardSigmoid = 9
    /// x·max(0, min(1, x/6 + 1/2))
    case hardSwish = 10
    /// x where x >= 0, else α·x.
    case leakyRelu = 11
    /// Defined for x > 0.
    case log = 12
    case negate = 13
    /// x^p; defined for x > 0, for x = 0 where p >= 0, and for x < 0 where p is whole.
    case power = 14
    /// 1 / x; defined for x ≠ 0.
    case reciprocal = 15
    /// γ·x where x > 0, else γ·α·(exp(x) - 1).
    case selu = 16
    /// 1 / (1 + exp(-x))
    case sigmoid = 17
    case sign = 18
    /// ln(1 + exp(x))
    case softplus = 19
    /// x / (1 + |x|)
    case softsign = 20
    /// Defined for x >= 0.
    case sqrt = 21
    case tanh = 22

    package var parameterCount: Int {
      switch self {
      case .celu, .elu, .leakyRelu, .power: 1
      case .clip, .hardSigmoid, .selu: 2
      default: 0
      }
    }
  }

  package let kind: Kind
  /// In the order in which the formula above names them.
  package let parameters: [Int64]
  package let exponent: Int8

  package init(_ kind: Kind, parameters: [Int64] = [], exponent: Int8) {
    (self.kind, self.parameters, self.exponent) = (kind, parameters, exponent)
  }

  var operandCount: Int { 1 }
  var tableElementCount: Int { 1 << 16 }

  func result(of operands: [Tensor]) throws(ProgramError.Problem) -> Tensor {
    for exponent in [operands[0].exponent, exponent] where !Self.exponents.contains(exponent) {
      throw .parameters("an exponent of \(exponent) is outside \(Self.exponents)")
    }
    // Products of a parameter and an argument stay below 2^127.
    guard parameters.count == kind.parameterCount,
      kind == .clip || parameters.allSatisfy({ $0.magnitude <= 1 << 47 })
    else { throw .parameters("its parameters \(parameters) are out of bounds") }
    switch kind {
    case .celu where parameters[0] <= 0: throw .parameters("its α is not positive")
    case .clip where parameters[0] > parameters[1]: throw .parameters("its bounds are reversed")
    default: break
    }
    return Tensor(shape: operands[0].shape, exponent: exponent)
  }

  func steps(of operands: [Tensor], giving result: Tensor) -> Int { result.elementCount }

  func kernel(operands: [Tensor], result: Tensor) -> any Kernel {
    FunctionKernel(self, operand: operands[0].exponent, count: result.elementCount)
  }

  /// The result for the operand `integer` · 2^-`exponent`; nil for a range fault.
  package func callAsFunction(_ integer: Int16, at exponent: Int8) -> Int16? {
    let bits = ElementaryFunction.fractionBits
    guard let value = value(Int128(integer) << (bits - Int128(exponent))) else { return nil }
    let shift = bits - Int128(self.exponent)
    return Int16(exactly: (value + (1 << (shift - 1))) >> shift)
  }

  private func value(_ x: ElementaryFunction.Fixed) -> ElementaryFunction.Fixed? {
    typealias Elementary = ElementaryFunction
    let one = Elementary.one
    switch kind {
    case .abs: return Swift.abs(x)
    case .celu:
      guard x < 0 else { return x }
      let ratio = Elementary.floor(x << 32, over: Int128(parameters[0]))
      return scaled(Elementary.exp(ratio) - one, by: 0)
    case .clip:
      let bounds = parameters.map { Int128($0) << 16 }
      return min(max(x, bounds[0]), bounds[1])
    case .elu: return x >= 0 ? x : scaled(Elementary.exp(x) - one, by: 0)
    case .erf: return Elementary.erf(x)
    case .exp: return Elementary.exp(x)
    case .gelu:
      let argument = Elementary.product(x, Elementary.rootOfHalf)
      guard Swift.abs(argument) < 4 * one else { return max(x, 0) }
      return Elementary.product(x, one + Elementary.erf(argument)) >> 1
    case .geluByTanh:
      guard Swift.abs(x) < 8 * one else { return max(x, 0) }
      let cube = Elementary.product(Elementary.product(x, x), x)
      let inner = x + Elementary.floor(cube * 44_715, over: 1_000_000)
      let argument = Elementary.product(Elementary.rootOfTwoOverPi, inner)
      return Elementary.product(x, one + Elementary.tanh(argument)) >> 1
    case .hardSigmoid:
      return max(0, min(one, scaled(x, by: 0) + Int128(parameters[1]) << 16))
    case .hardSwish:
      guard Swift.abs(x) < 3 * one else { return max(x, 0) }
      return Elementary.floor(Elementary.product(x, x + 3 * one), over: 6)
    case .leakyRelu: return x >= 0 ? x : scaled(x, by: 0)
    case .log: return x > 0 ? Elementary.log(x) : nil
    case .negate: return -x
    case .power: return power(x)
    case .reciprocal:
      guard x != 0 else { return nil }
      let value = (one << Elementary.fractionBits) / Swift.abs(x)
      return x < 0 ? -value : value
    case .selu:
      return x > 0 ? scaled(x, by: 1) : scaled(scaled(Elementary.exp(x) - one, by: 0), by: 1)
    case .sigmoid: return Elementary.sigmoid(x)
    case .sign: return Int128(x.signum()) * one
    case .softplus: return max(x, 0) + Elementary.log(one + Elementary.exp(-Swift.abs(x)))
    case .softsign:
      let value = one - (one << Elementary.fractionBits) / (one + Swift.abs(x))
      return x < 0 ? -value : value
    case .sqrt: return x >= 0 ? Elementary.squareRoot(x) : nil
    case .tanh: return Elementary.tanh(x)
    }
  }

  /// floor(x · parameter / 2^32)
  private func scaled(_ x: Int128, by parameter: Int) -> Int128 {
    (x * Int128(parameters[parameter])) >> 32
  }

  private func power(_ x: Int128) -> Int128? {
    let exponent = parameters[0]
    guard x != 0 else {
      return exponent > 0 ? 0 : exponent == 0 ? ElementaryFunction.one : nil
    }
    let isWhole = exponent & 0xFFFF_FFFF == 0
    guard x > 0 || isWhole else { return nil }
    let value = ElementaryFunction.exp(scaled(ElementaryFunction.log(Swift.abs(x)), by: 0))
    return x < 0 && (exponent >> 32) & 1 == 1 ? -value : value
  }
}

/// A result for each int16, or none.
private struct FunctionTable: Sendable {
  struct Key: Hashable {
    let function: UnaryFunction
    let exponent: Int8
  }

  static let kept = KeptTables<Key, FunctionTable>()

  /// By operand + 2^15.
  let values: [Int16]
  /// Empty where every operand has a result.
  let faults: [Bool]

  init(_ key: Key) {
    let results = (Int16.min...Int16.max).map { key.function($0, at: key.exponent) }
    values = results.map { $0 ?? 0 }
    faults = results.contains(nil) ? results.map { $0 == nil } : []
  }
}

private struct FunctionKernel: Kernel {
  /// Deriving a table takes as long as some thousand runs over fewer elements without one.
  private static let tableWorthwhile = 256

  let function: UnaryFunction
  let operand: Int8
  let count: Int
  let table: FunctionTable?

  init(_ function: UnaryFunction, operand: Int8, count: Int) {
    (self.function, self.operand, self.count) = (function, operand, count)
    table =
      count < Self.tableWorthwhile
      ? nil
      : FunctionTable.kept.table(
        FunctionTable.Key(function: function, exponent: operand), FunctionTable.init)
  }

  var scratchCount: Int { 0 }

  func run(
    _ operands: [UnsafePointer<Int16>], into result: UnsafeMutablePointer<Int16>,
    scratch: UnsafeMutablePointer<Int16>
  ) -> Int? {
    let source = operands[0]
    guard let table else {
      for index in 0..<count {
        guard let value = function(source[index], at: operand) else { return index }
        result[index] = value
      }
      return nil
    }
    if !table.faults.isEmpty {
      for index in 0..<count where table.faults[Int(source[index]) + 0x8000] { return index }
    }
    table.values.withUnsafeBufferPointer { values in
      for index in 0..<count { result[index] = values[Int(source[index]) &+ 0x8000] }
    }
    return nil
  }
}

extension UnaryFunction: CanonicalCodable {
  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(kind.rawValue)
    encoder.append(list: parameters)
    encoder.append(exponent)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    let start = decoder.offset
    let tag = try decoder.integer(UInt8.self)
    guard let kind = Kind(rawValue: tag) else {
      throw decoder.failure(.unknownTag(tag, of: "UnaryFunction"), at: start)
    }
    self.kind = kind
    parameters = try decoder.integers(Int64.self, limit: 2)
    exponent = try decoder.integer()
  }
}
