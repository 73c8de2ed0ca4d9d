import FixedPoint
import Foundation
import Primitives
import Testing

/// UnaryFunction: tables derived by integer arithmetic.
@Suite struct FunctionTests {
  struct Case: Sendable, CustomTestStringConvertible {
    let kind: UnaryFunction.Kind
    let parameters: [Double]
    let function: @Sendable (Double) -> Double

    init(
      _ kind: UnaryFunction.Kind, _ parameters: [Double] = [],
      _ function: @escaping @Sendable (Double) -> Double
    ) {
      (self.kind, self.parameters, self.function) = (kind, parameters, function)
    }

    var testDescription: String { "\(kind)\(parameters)" }

    func operation(exponent: Int8) -> UnaryFunction {
      UnaryFunction(
        kind, parameters: parameters.map { Int64(($0 * 0x1p32).rounded()) }, exponent: exponent)
    }
  }

  static let cases = [
    Case(.abs) { abs($0) },
    Case(.celu, [0.75]) { max($0, 0) + min(0, 0.75 * (exp($0 / 0.75) - 1)) },
    Case(.clip, [-1.25, 3]) { min(max($0, -1.25), 3) },
    Case(.elu, [1.5]) { $0 < 0 ? 1.5 * (exp($0) - 1) : $0 },
    Case(.erf) { erf($0) },
    Case(.exp) { exp($0) },
    Case(.gelu) { $0 * (1 + erf($0 / 2.0.squareRoot())) / 2 },
    Case(.geluByTanh) {
      $0 * (1 + tanh((2 / Double.pi).squareRoot() * ($0 + 0.044715 * $0 * $0 * $0))) / 2
    },
    Case(.hardSigmoid, [0.2, 0.5]) { max(0, min(1, 0.2 * $0 + 0.5)) },
    Case(.hardSwish) { $0 * max(0, min(1, $0 / 6 + 0.5)) },
    Case(.leakyRelu, [0.01]) { $0 < 0 ? 0.01 * $0 : $0 },
    Case(.log) { $0 > 0 ? log($0) : .nan },
    Case(.negate) { -$0 },
    Case(.power, [-0.75]) { $0 > 0 ? pow($0, -0.75) : .nan },
    Case(.power, [3]) { $0 * $0 * $0 },
    Case(.power, [0.3]) { $0 < 0 ? .nan : pow($0, 0.3) },
    Case(.reciprocal) { 1 / $0 },
    Case(.selu, [1.6732632423543772, 1.0507009873554805]) {
      1.0507009873554805 * ($0 > 0 ? $0 : 1.6732632423543772 * (exp($0) - 1))
    },
    Case(.sigmoid) { 1 / (1 + exp(-$0)) },
    Case(.sign) { $0 > 0 ? 1 : $0 < 0 ? -1 : 0 },
    Case(.softplus) { max($0, 0) + log1p(exp(-abs($0))) },
    Case(.softsign) { $0 / (1 + abs($0)) },
    Case(.sqrt) { $0 >= 0 ? $0.squareRoot() : .nan },
    Case(.tanh) { tanh($0) },
  ]

  /// The exact value may lie on either side of a half: within one unit, and within 0.51 of it.
  @Test(arguments: cases) func isTheFunctionToItsLastPlace(_ example: Case) {
    for (operand, exponent) in [(12, 12), (8, 14), (15, 9), (3, 3), (-2, -3)] as [(Int8, Int8)] {
      let operation = example.operation(exponent: exponent)
      let unit = Double(sign: .plus, exponent: -Int(exponent), significand: 1)
      var worst = 0.0
      // A prime step meets every residue of the operand's low bits.
      for integer in stride(from: -32768, through: 32767, by: 61) {
        let x = Double(sign: .plus, exponent: -Int(operand), significand: 1) * Double(integer)
        let exact = example.function(x) / unit
        if let value = operation(Int16(integer), at: operand) {
          worst = max(worst, abs(Double(value) - exact))
        } else {
          #expect(!(exact > -32768.4 && exact < 32767.4), "\(x) has a result of \(exact)")
        }
        if exact.isNaN || exact > 32768 || exact < -32769 {
          #expect(operation(Int16(integer), at: operand) == nil)
        }
      }
      #expect(worst <= 0.501, "exponents \(operand), \(exponent)")
    }
  }

  /// Not one entry may change: every machine and every later version must give these bytes.
  @Test func tablesAreTheSameForEver() {
    var bytes: [UInt8] = []
    for example in Self.cases {
      let operation = example.operation(exponent: 11)
      for integer in stride(from: -32768, through: 32767, by: 97) {
        let value = operation(Int16(integer), at: 10) ?? Int16.min
        bytes += [UInt8(truncatingIfNeeded: value), UInt8(truncatingIfNeeded: value >> 8)]
      }
    }
    #expect(
      Digest.of(bytes).description
        == "994b8fb725f0966ab106f0c220e0c44f714b504e5269dc8ba4099b3d8c32f09d")
  }

  @Test func namesTheFirstElementWithoutAResult() throws {
    let log = Operator.function(UnaryFunction(.log, exponent: 10))
    #expect(try result(of: log, [([2], [1024, 2048], 10)]).values == [0, 710])
    #expect(throws: ExecutionError.rangeFault(RangeFault(operation: 0, node: "node", element: 1))) {
      try result(of: log, [([3], [1, 0, -1], 10)])
    }
    let exp = Operator.function(UnaryFunction(.exp, exponent: 8))
    #expect(throws: ExecutionError.rangeFault(RangeFault(operation: 0, node: "node", element: 0))) {
      try result(of: exp, [([1], [5 << 10], 10)])
    }
  }

  /// Arguments of 2^79 and parameters of 2^47: no intermediate may wrap.
  @Test(arguments: UnaryFunction.Kind.allCases) func staysExactAtItsLargestArguments(
    kind: UnaryFunction.Kind
  ) throws {
    let saturated: [UnaryFunction.Kind: (negative: Int16, positive: Int16)] = [
      .erf: (-16384, 16384), .sigmoid: (0, 16384), .sign: (-16384, 16384),
      .softsign: (-16384, 16384), .tanh: (-16384, 16384),
    ]
    for parameter in [1 << 47, 1, -1 << 47] as [Int64] {
      let parameters = kind == .clip ? [-1 << 46, 1 << 46] : [parameter, 1 << 47]
      let function = UnaryFunction(
        kind, parameters: Array(parameters.prefix(kind.parameterCount)), exponent: 14)
      guard
        (try? Operator.function(function).result(of: [Tensor(shape: [1], exponent: -16)])) != nil
      else { continue }
      let ends = (function(.min, at: -16), function(.max, at: -16))
      if let want = saturated[kind] {
        #expect(ends == (want.negative, want.positive))
      }
    }
  }

  @Test func refusesMoreTablesThanMemory() {
    let functions = (0..<2048).map {
      Program.Operation(
        name: "f\($0)", inputs: [0], operator: .function(UnaryFunction(.tanh, exponent: 14)))
    }
    #expect(throws: ProgramError(node: "f2047", problem: .tooLarge)) {
      try Program(
        inputs: [boundary("x", [1])], operations: functions, outputTensors: [1],
        outputs: [boundary("y", [1], exponent: 14)])
    }
  }

  @Test func refusesParametersOutOfBounds() {
    func refuse(_ function: UnaryFunction, _ exponent: Int8 = 4) {
      #expect(throws: ProgramError.Problem.self) {
        try Operator.function(function).result(of: [Tensor(shape: [1], exponent: exponent)])
      }
    }
    refuse(UnaryFunction(.tanh, exponent: 16))
    refuse(UnaryFunction(.tanh, exponent: 4), -17)
    refuse(UnaryFunction(.tanh, parameters: [1], exponent: 4))
    refuse(UnaryFunction(.elu, exponent: 4))
    refuse(UnaryFunction(.elu, parameters: [.min], exponent: 4))
    refuse(UnaryFunction(.celu, parameters: [0], exponent: 4))
    refuse(UnaryFunction(.clip, parameters: [1, 0], exponent: 4))
  }
}
