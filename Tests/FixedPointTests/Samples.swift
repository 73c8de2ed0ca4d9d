import FixedPoint
import Primitives
import Statements
import Testing

/// A seeded generator (SplitMix64), so that every run of a test sees the same programs.
struct Seeded: RandomNumberGenerator {
  var state: UInt64
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}

func boundary(_ name: String, _ shape: [Int], exponent: Int8 = 8) -> BoundarySpecification {
  BoundarySpecification(name: name, elementType: .int16, shape: shape, exponent: exponent)!
}

func bytes(_ values: [Int16]) -> [UInt8] {
  values.flatMap { [UInt8(truncatingIfNeeded: $0), UInt8(truncatingIfNeeded: $0 >> 8)] }
}

func integers(_ bytes: [UInt8]) -> [Int16] {
  stride(from: 0, to: bytes.count, by: 2).map { Int16(bytes[$0]) | Int16(bytes[$0 + 1]) << 8 }
}

/// One operation between one input and one output.
func program(
  _ operation: Operator, from input: [Int], to output: [Int], exponent: Int8 = 8
) throws(ProgramError) -> Program {
  try Program(
    inputs: [boundary("x", input)],
    operations: [.init(name: "node", inputs: [0], operator: operation)],
    outputTensors: [1], outputs: [boundary("y", output, exponent: exponent)])
}

/// Every family of operators in one program.
func everyFamily(seed: UInt64 = 1) throws -> Program {
  var random = Seeded(state: seed)
  func weights(_ count: Int) -> [Int16] {
    (0..<count).map { _ in Int16.random(in: -90...90, using: &random) }
  }
  let convolution = Convolution(
    rows: LinearRows(
      weights: weights(4 * 1 * 9), biases: [100, -200, 300, 0], shifts: [8, 8, 7, 9]),
    groups: 2, window: Window(kernel: (3, 3), pads: (1, 1, 1, 1)), exponent: 8)
  return try Program(
    inputs: [boundary("x", [1, 2, 6, 6])],
    operations: [
      .init(name: "conv", inputs: [0], operator: .convolution(convolution)),
      .init(name: "relu", inputs: [1], operator: .relu(Relu())),
      .init(
        name: "add", inputs: [1, 2],
        operator: .add(
          Addition(leftAlignment: 2, rightAlignment: 2, shift: 3, exponent: 7))),
      .init(
        name: "max", inputs: [3],
        operator: .maxPool(MaxPool(window: Window(kernel: (2, 2), stride: (2, 2))))),
      .init(
        name: "mean", inputs: [4],
        operator: .averagePool(
          AveragePool(window: Window(kernel: (3, 3)), multiplier: 7282, shift: 16, exponent: 7))),
      .init(name: "flat", inputs: [5], operator: .reshape(Reshape(shape: [1, 4]))),
      .init(
        name: "offset", inputs: [],
        operator: .constant(Constant(shape: [1, 4], exponent: 7, values: [1, -2, 300, 4]))),
      .init(
        name: "sum", inputs: [6, 7],
        operator: .add(Addition(leftAlignment: 0, rightAlignment: 0, shift: 0, exponent: 7))),
      .init(
        name: "repeat", inputs: [8],
        operator: .arrangement(
          Arrangement(
            axes: [
              .init(source: 0, indices: [nil, 0, 0]), .init(source: 1, indices: [3, 2, 1, 0]),
            ],
            fill: -5))),
      .init(
        name: "join", inputs: [8, 9], operator: .concatenation(.init(axis: 0, operandCount: 2))),
      .init(
        name: "clamp", inputs: [10], operator: .rescale(Rescaling(exponent: 8, saturates: true))),
      .init(name: "product", inputs: [11, 8], operator: .multiply(Multiplication(exponent: 4))),
      .init(name: "quotient", inputs: [12, 7], operator: .divide(Division(exponent: 2))),
      .init(name: "larger", inputs: [13, 13], operator: .extremum(Extremum(isMaximum: true))),
      .init(
        name: "sigmoid", inputs: [14],
        operator: .function(
          UnaryFunction(.hardSigmoid, parameters: [1 << 29, 1 << 31], exponent: 9))),
      .init(name: "turn", inputs: [15], operator: .reshape(Reshape(shape: [4, 4]))),
      .init(
        name: "pairs", inputs: [15, 16], operator: .tensorProduct(TensorProduct(exponent: 6))),
      .init(name: "shares", inputs: [17], operator: .softmax(Softmax(exponent: 14))),
      .init(
        name: "normal", inputs: [18], operator: .normalize(Normalization(epsilon: 9, exponent: 9))),
      .init(
        name: "total", inputs: [19],
        operator: .reduce(
          Reduction(.sum(multiplier: 3, shift: 4, exponent: 7), axes: [0]))),
      .init(
        name: "gemm", inputs: [20],
        operator: .matrixProduct(
          MatrixProduct(
            rows: LinearRows(weights: weights(12), biases: [1, 2, 3], shifts: [5, 6, 7]),
            exponent: 7))),
    ],
    outputTensors: [21], outputs: [boundary("y", [1, 3], exponent: 7)])
}

/// What one operation gives for operands of the given shapes, values and exponents.
func result(
  of operation: Operator, _ operands: [(shape: [Int], values: [Int16], exponent: Int8)]
) throws -> (values: [Int16], tensor: Tensor) {
  let tensor = try operation.result(
    of: operands.map { Tensor(shape: $0.shape, exponent: $0.exponent) })
  let program = try Program(
    inputs: operands.enumerated().map {
      boundary("x\($0)", $1.shape, exponent: $1.exponent)
    },
    operations: [
      .init(name: "node", inputs: Array(operands.indices), operator: operation)
    ],
    outputTensors: [operands.count],
    outputs: [boundary("y", tensor.shape, exponent: tensor.exponent)])
  // Through the bytes, so that every test of a meaning is one of the encoding too.
  let decoded = try Program(canonicalBytes: program.canonicalBytes)
  #expect(decoded == program)
  let output = try Executor(program: decoded).run(operands.map { bytes($0.values) })
  return (integers(output[0]), tensor)
}

/// Random int16 values of any magnitude.
func randomValues(
  _ count: Int, in range: ClosedRange<Int16> = .min ... .max, _ random: inout Seeded
) -> [Int16] {
  (0..<count).map { _ in Int16.random(in: range, using: &random) }
}
