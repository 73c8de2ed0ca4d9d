import FixedPoint
import Primitives
import Statements
import Testing

/// Programs of random operators with random parameters, most of which are refused. What is accepted
/// must run to an outcome, and to the same one however it is run.
@Suite struct RandomProgramTests {
  @Test(arguments: 1...60) func whateverIsAcceptedRunsToOneOutcome(seed: Int) throws {
    var random = Seeded(state: UInt64(seed))
    var builder = ProgramBuilder(random: random)
    for _ in 0..<120 { builder.tryOperator() }
    random.state &+= 1
    #expect(builder.operations.count > 4)
    let last = try #require(builder.tensors.last)
    let program = try Program(
      inputs: builder.inputs, operations: builder.operations,
      outputTensors: [builder.tensors.count - 1],
      outputs: [boundary("y", last.shape, exponent: last.exponent)])
    #expect(try Program(canonicalBytes: program.canonicalBytes) == program)
    for range in [-3...3, -2000...2000, .min ... .max] as [ClosedRange<Int16>] {
      let inputs = program.inputs.map {
        bytes(randomValues($0.elementCount, in: range, &random))
      }
      let outcomes = [(1, Instructions.portable), (2, .best)].map { threads, instructions in
        Result<[[UInt8]], any Error> {
          try Executor(program: program, threads: threads, instructions: instructions).run(inputs)
        }
      }
      switch (outcomes[0], outcomes[1]) {
      case (.success(let left), .success(let right)): #expect(left == right)
      case (.failure(let left), .failure(let right)):
        #expect(left as? ExecutionError == right as? ExecutionError)
      default: Issue.record("two ways of running have two outcomes")
      }
    }
  }
}

/// Grows a program by operators that fit what is there.
private struct ProgramBuilder {
  var random: Seeded
  let inputs = [
    boundary("a", [2, 3, 4]), boundary("b", [3, 4], exponent: 6),
    boundary("c", [1, 2, 5, 4], exponent: 10),
  ]
  var operations: [Program.Operation] = []
  lazy var tensors = inputs.map { Tensor(shape: $0.shape, exponent: $0.exponent) }

  init(random: Seeded) { self.random = random }

  private mutating func draw(_ range: ClosedRange<Int>) -> Int {
    Int.random(in: range, using: &random)
  }

  private mutating func flag() -> Bool { Bool.random(using: &random) }

  mutating func tryOperator() {
    let operation = randomOperator()
    let operands = (0..<operation.operandCount).map { _ in draw(0...tensors.count - 1) }
    guard let tensor = try? operation.result(of: operands.map { tensors[$0] }),
      tensor.shape.count <= 5, tensor.elementCount <= 200
    else { return }
    operations.append(
      .init(name: "node\(operations.count)", inputs: operands, operator: operation))
    tensors.append(tensor)
  }

  private mutating func randomOperator() -> Operator {
    let exponent = Int8(draw(-2...14))
    switch draw(0...16) {
    case 0: return .relu(Relu())
    case 1: return .rescale(Rescaling(exponent: exponent, saturates: flag()))
    case 2: return .multiply(Multiplication(exponent: exponent))
    case 3: return .divide(Division(exponent: exponent))
    case 4: return .extremum(Extremum(isMaximum: flag()))
    case 5: return .softmax(Softmax(isLogarithm: flag(), exponent: exponent))
    case 6:
      return .normalize(Normalization(epsilon: UInt64(draw(0...1 << 40)), exponent: exponent))
    case 7: return .tensorProduct(TensorProduct(exponent: exponent))
    case 8:
      let kind = UnaryFunction.Kind.allCases.randomElement(using: &random) ?? .abs
      let parameters = (0..<kind.parameterCount).map { _ in Int64(draw(-1 << 34...1 << 34)) }
      return .function(UnaryFunction(kind, parameters: parameters, exponent: exponent))
    case 9:
      let axes = (0...3).filter { _ in draw(0...2) == 0 }
      let sum = Reduction.Operation.sum(
        multiplier: UInt32(draw(1...65536)), shift: UInt8(draw(10...20)), exponent: exponent)
      return .reduce(
        Reduction([.maximum, .minimum, sum].randomElement(using: &random) ?? sum, axes: axes))
    case 10: return .concatenation(Concatenation(axis: draw(0...3), operandCount: draw(1...3)))
    case 11:
      // Axes of the tensor that happens to be last, in any order.
      let shape = tensors[tensors.count - 1].shape
      var axes = shape.indices.shuffled(using: &random).map { source in
        Arrangement.Axis(
          source: source, indices: (0..<draw(1...4)).map { _ in draw(0...shape[source] - 1) })
      }
      if flag() { axes.insert(.init(source: nil, indices: [0, nil]), at: 0) }
      return .arrangement(Arrangement(axes: axes, fill: flag() ? 7 : 0))
    case 12:
      let count = tensors[tensors.count - 1].elementCount
      let divisor = (1...6).filter { count.isMultiple(of: $0) }.randomElement(using: &random) ?? 1
      return .reshape(Reshape(shape: [divisor, count / divisor]))
    case 13:
      let window = Window(
        kernel: (draw(1...3), draw(1...3)), stride: (draw(1...2), draw(1...2)),
        pads: (draw(0...1), draw(0...1), draw(0...1), draw(0...1)))
      return flag()
        ? .maxPool(MaxPool(window: window))
        : .averagePool(
          AveragePool(window: window, multiplier: 7282, shift: 16, exponent: exponent))
    case 14:
      let rows = draw(1...4)
      let columns = [3, 4, 5].randomElement(using: &random) ?? 3
      return .matrixProduct(MatrixProduct(rows: linearRows(rows, columns), exponent: exponent))
    case 15:
      let rows = draw(1...3)
      return .convolution(
        Convolution(
          rows: linearRows(rows, 2 * 6), groups: 1,
          window: Window(kernel: (3, 2), pads: (1, 0, 1, 1)), exponent: exponent))
    default:
      let alignments = (UInt8(draw(0...4)), UInt8(draw(0...4)))
      let aligned = Int(tensors[tensors.count - 1].exponent) + Int(alignments.0)
      let shift = draw(0...4)
      return .add(
        Addition(
          leftAlignment: alignments.0, rightAlignment: alignments.1, subtracts: flag(),
          shift: UInt8(shift), exponent: Int8(aligned - shift)))
    }
  }

  private mutating func linearRows(_ rows: Int, _ columns: Int) -> LinearRows {
    LinearRows(
      weights: randomValues(rows * columns, in: -99...99, &random),
      biases: (0..<rows).map { _ in Int64(draw(-999...999)) },
      shifts: (0..<rows).map { _ in UInt8(draw(0...9)) })
  }
}
