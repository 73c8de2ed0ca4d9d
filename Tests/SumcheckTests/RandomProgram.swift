import FixedPoint
import Statements

@testable import Sumcheck

/// A program drawn from a seed: a graph of operations that have relations, with small shapes, and
/// weights, biases and shifts of any size.
struct RandomProgram {
  private var generator: SeededGenerator
  private var tensors: [Tensor] = []
  private var operations: [Program.Operation] = []
  private let inputCount: Int
  private let hasFunctions: Bool

  /// Elements of a tensor.
  private static let sizeLimit = 160

  /// A program and inputs on which it has a value; a draw that has none is drawn again.
  static func run(
    seed: UInt64, hasFunctions: Bool = false
  ) throws -> (program: Program, inputs: [[UInt8]]) {
    for attempt in 0..<200 {
      var draw = RandomProgram(seed: seed &* 1000 &+ UInt64(attempt), hasFunctions: hasFunctions)
      guard let program = draw.program(), let inputs = draw.inputs(of: program) else { continue }
      return (program, inputs)
    }
    throw NoProgram()
  }

  struct NoProgram: Error {}

  private init(seed: UInt64, hasFunctions: Bool) {
    generator = SeededGenerator(seed: seed)
    self.hasFunctions = hasFunctions
    inputCount = Int.random(in: 1...2, using: &generator)
    for _ in 0..<inputCount { tensors.append(Tensor(shape: shape(), exponent: exponent())) }
  }

  // MARK: Draws

  private mutating func pick(_ range: ClosedRange<Int>) -> Int {
    Int.random(in: range, using: &generator)
  }

  private mutating func chance(_ part: Int) -> Bool { pick(1...part) == 1 }

  private mutating func exponent() -> Int8 { Int8(pick(-3...6)) }

  private mutating func shape() -> [Int] {
    switch pick(0...7) {
    case 0: return []
    case 1: return [pick(1...9)]
    case 2: return [pick(1...3), pick(1...12)]
    case 3: return [pick(1...2), pick(1...5), pick(1...6)]
    default: return [pick(1...2), pick(1...4), pick(1...6), pick(1...6)]
    }
  }

  /// Any integers, or small ones, or the extremes alone.
  private mutating func weight() -> Int16 {
    switch pick(0...9) {
    case 0: return 32767
    case 1: return -32767
    case 2: return .min
    case 3: return 0
    default: return Int16(pick(-90...90))
    }
  }

  private mutating func rows(_ count: Int, columns: Int) -> LinearRows {
    let isExtreme = chance(3)
    let weights = (0..<count * columns).map { _ in isExtreme ? weight() : Int16(pick(-60...60)) }
    let shifts = (0..<count).map { row -> UInt8 in
      // As large as keeps results in range, mostly: half the bits of the sum and an operand of 2^9.
      let sum = weights[row * columns..<(row + 1) * columns].reduce(1) { $0 + Int($1.magnitude) }
      let wanted = sum.ceilingLog + pick(-4...2)
      return chance(8) ? UInt8([0, 1, 17, 31][pick(0...3)]) : UInt8(min(max(wanted, 0), 31))
    }
    let biases = shifts.map { shift in
      let scale = Int64(1) << Int64(shift)
      return chance(6)
        ? Int64(pick(-32000...32000)) * scale : Int64(pick(-400...400)) * max(scale / 4, 1)
    }
    return LinearRows(weights: weights, biases: biases, shifts: shifts)
  }

  private mutating func window(_ height: Int, _ width: Int, pads: Bool) -> Window {
    let kernel = (pick(1...3), pick(1...3))
    func pad(_ kernel: Int) -> Int { pads ? pick(0...(kernel - 1)) : 0 }
    return Window(
      kernel: kernel, stride: (pick(1...3), pick(1...2)),
      pads: (pad(kernel.0), pad(kernel.1), pad(kernel.0), pad(kernel.1)),
      dilation: chance(3) ? (pick(1...2), pick(1...2)) : (1, 1))
  }

  // MARK: Operations

  private mutating func append(_ step: Operator, _ reads: [Int]) {
    guard let result = try? step.result(of: reads.map { tensors[$0] }),
      result.elementCount <= Self.sizeLimit, result.shape.count <= 5
    else { return }
    operations.append(.init(name: "node-\(operations.count)", inputs: reads, operator: step))
    tensors.append(result)
  }

  private mutating func appendOperation() {
    // Late tensors rather than early ones, so that graphs are deep.
    let source = max(pick(0...(tensors.count - 1)), pick(0...(tensors.count - 1)))
    let tensor = tensors[source]
    let other = pick(0...(tensors.count - 1))
    let rank = tensor.shape.count
    switch pick(0...(hasFunctions ? 16 : 15)) {
    case 0, 1, 2:
      guard rank == 4 else { return appendMatrix(source) }
      let channels = tensor.shape[1]
      let groups = (1...channels).filter { channels % $0 == 0 }[
        pick(0...((1...channels).filter { channels % $0 == 0 }.count - 1))]
      let window = window(tensor.shape[2], tensor.shape[3], pads: true)
      let count = groups * pick(1...2)
      append(
        .convolution(
          Convolution(
            rows: rows(count, columns: channels / groups * window.cellCount), groups: groups,
            window: window, exponent: exponent())), [source])
    case 3: appendMatrix(source)
    case 4, 5: append(.relu(Relu()), [source])
    case 6:
      guard rank == 4 else { return append(.relu(Relu()), [source]) }
      append(.maxPool(MaxPool(window: window(0, 0, pads: true))), [source])
    case 7:
      guard rank == 4 else { return }
      let window = window(0, 0, pads: true)
      append(
        .averagePool(
          AveragePool(
            window: window, multiplier: UInt32(pick(1...300)), shift: UInt8(pick(5...13)),
            exponent: exponent())), [source])
    case 8, 9:
      let difference = Int(tensor.exponent) - Int(tensors[other].exponent)
      let (left, right) = (max(-difference, 0), max(difference, 0))
      let shift = pick(0...3)
      append(
        .add(
          Addition(
            leftAlignment: UInt8(left), rightAlignment: UInt8(right), subtracts: chance(2),
            shift: UInt8(shift), exponent: Int8(Int(tensor.exponent) + left - shift))),
        [source, other])
    case 10:
      let sum = Int(tensor.exponent) + Int(tensors[other].exponent)
      append(.multiply(Multiplication(exponent: Int8(sum - pick(0...17)))), [source, other])
    case 11:
      append(
        .rescale(Rescaling(exponent: Int8(Int(tensor.exponent) + pick(-9...2)))), [source])
    case 12:
      let count = tensor.elementCount
      let divisors = (1...count).filter { count % $0 == 0 }
      let first = divisors[pick(0...(divisors.count - 1))]
      let rest = (1...(count / first)).filter { (count / first) % $0 == 0 }
      let second = rest[pick(0...(rest.count - 1))]
      append(.reshape(Reshape(shape: [first, second, count / first / second])), [source])
    case 13: appendArrangement(source)
    case 14:
      guard rank > 0 else { return }
      let count = pick(2...3)
      append(
        .concatenation(Concatenation(axis: pick(0...(rank - 1)), operandCount: count)),
        .init(repeating: source, count: count))
    case 15:
      append(
        .constant(
          Constant(
            shape: tensor.shape.suffix(1), exponent: tensor.exponent,
            values: (0..<(tensor.shape.last ?? 1)).map { _ in weight() })), [])
    default:
      let kinds: [UnaryFunction.Kind] = [.sigmoid, .tanh, .abs, .sqrt, .negate, .gelu]
      append(
        .function(UnaryFunction(kinds[pick(0...(kinds.count - 1))], exponent: exponent())),
        [source])
    }
  }

  private mutating func appendMatrix(_ source: Int) {
    guard let columns = tensors[source].shape.last else { return }
    append(
      .matrixProduct(
        MatrixProduct(rows: rows(pick(1...6), columns: columns), exponent: exponent())), [source])
  }

  /// A permutation of axes, each sliced, reversed, repeated or padded, with a new axis among them.
  private mutating func appendArrangement(_ source: Int) {
    let shape = tensors[source].shape
    var hasFills = false
    var axes: [Arrangement.Axis] = shape.indices.shuffled(using: &generator).map { axis in
      let size = shape[axis]
      var indices: [Int?] = (0..<size).map { $0 }
      if chance(3) { indices.reverse() }
      if chance(3), size > 1 { indices.removeFirst() }
      if chance(4) { indices.append(indices[0]) }
      if chance(3) {
        indices.insert(nil, at: pick(0...indices.count))
        hasFills = true
      }
      return .init(source: axis, indices: indices)
    }
    if chance(3) { axes.append(.init(source: nil, indices: [0, 0])) }
    append(
      .arrangement(Arrangement(axes: axes, fill: hasFills ? weight() : 0)), [source])
  }

  // MARK: The whole

  private mutating func program() -> Program? {
    let count = inputCount + pick(3...11)
    for _ in 0..<60 where tensors.count < count { appendOperation() }
    guard !operations.isEmpty else { return nil }
    // The last tensor, and some others, an input among them at times, or one of them twice.
    var outputs = [tensors.count - 1]
    for _ in 0..<pick(0...3) { outputs.append(pick(0...(tensors.count - 1))) }
    return try? Program(
      inputs: tensors[..<inputCount].map { boundary($0) }, operations: operations,
      outputTensors: outputs, outputs: outputs.map { boundary(tensors[$0]) })
  }

  /// Smaller ones where larger ones fault; the extremes among them.
  private mutating func inputs(of program: Program) -> [[UInt8]]? {
    let executor = Executor(program: program, threads: 1)
    for magnitude in [32767, 4000, 500, 60] {
      let inputs = program.inputs.map { input in
        Run.bytes(
          (0..<input.elementCount).map { _ in
            chance(6) ? Int16(magnitude) : Int16(pick(-magnitude...magnitude))
          })
      }
      if (try? executor.run(inputs)) != nil { return inputs }
    }
    return nil
  }
}
