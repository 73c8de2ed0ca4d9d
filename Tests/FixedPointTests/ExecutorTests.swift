import FixedPoint
import Primitives
import Statements
import Testing

@Suite struct ExecutorTests {
  @Test func roundsHalfUpTowardsPositiveInfinity() throws {
    let halve = Executor(
      program: try program(
        .matrixProduct(
          MatrixProduct(rows: LinearRows(weights: [1], biases: [0], shifts: [1]), exponent: 7)),
        from: [6, 1], to: [6, 1], exponent: 7))
    let result = try halve.run([bytes([3, -3, 1, -1, -2, 5])])
    #expect(integers(result[0]) == [2, -1, 1, 0, -1, 3])
  }

  @Test func namesTheFirstElementOutOfRange() throws {
    let executor = Executor(
      program: try program(
        .matrixProduct(
          MatrixProduct(
            rows: LinearRows(weights: [1, 2], biases: [0, 0], shifts: [0, 0]), exponent: 8)),
        from: [2, 1], to: [2, 2]))
    #expect(
      integers(try executor.run([bytes([16383, -16384])])[0]) == [16383, 32766, -16384, -32768])
    #expect(throws: ExecutionError.rangeFault(RangeFault(operation: 0, node: "node", element: 3))) {
      try executor.run([bytes([16383, -16385])])
    }
  }

  @Test func refusesWrongByteCounts() throws {
    let executor = Executor(program: try everyFamily())
    #expect(throws: ExecutionError.byteCount(tensor: "x", expected: 144, got: 143)) {
      try executor.run([[UInt8](repeating: 0, count: 143)])
    }
    #expect(throws: ExecutionError.inputCount(expected: 1, got: 0)) { try executor.run([]) }
  }

  /// Asked before every operation, and usable again after it was given up.
  @Test func givesUpBetweenOperations() throws {
    let program = try everyFamily()
    let executor = Executor(program: program)
    let input = [[UInt8](repeating: 0, count: 144)]
    let whole = try executor.run(input)
    var asked = 0
    #expect(throws: ExecutionError.cancelled) {
      try executor.run(input) {
        asked += 1
        return asked == 3
      }
    }
    #expect(asked == 3)
    #expect(throws: ExecutionError.cancelled) {
      try executor.runRetaining(input, isCancelled: { true })
    }
    #expect(try executor.run(input) == whole)
    #expect(try executor.runRetaining(input).outputs == whole)
  }

  /// The extremes: every product is ±2^30, so any 32-bit partial sum would wrap.
  @Test func sumsExactlyAtTheExtremesOfInt16() throws {
    let count = 300
    let executor = Executor(
      program: try program(
        .matrixProduct(
          MatrixProduct(
            rows: LinearRows(
              weights: .init(repeating: .min, count: count), biases: [-Int64(count) << 30],
              shifts: [0]), exponent: 8)),
        from: [1, count], to: [1, 1]))
    #expect(integers(try executor.run([bytes(.init(repeating: .min, count: count))])[0]) == [0])
  }

  /// Against a plain loop that reads the definition word by word.
  @Test(arguments: 1...40) func convolvesAsDefined(seed: Int) throws {
    var random = Seeded(state: UInt64(seed))
    func draw(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &random) }
    let groups = draw(1...2)
    let (channels, rows) = (groups * draw(1...3), groups * draw(1...3))
    let (height, width) = (draw(3...9), draw(3...9))
    let kernel = (draw(1...3), draw(1...3))
    let stride = (draw(1...3), draw(1...3))
    let pads = (draw(0...3), draw(0...3), draw(2...3), draw(2...3))
    let dilation = (draw(1...2), draw(1...2))
    let perRow = channels / groups * kernel.0 * kernel.1
    let limit = seed.isMultiple(of: 2) ? 40 : 3000
    let weights = (0..<rows * perRow).map { _ in Int16(draw(-limit...limit)) }
    let biases = (0..<rows).map { _ in Int64(draw(-1000...1000)) }
    let shifts = (0..<rows).map { _ in UInt8(draw(14...16)) }
    let input = (0..<2 * channels * height * width).map { _ in Int16(draw(-9000...9000)) }

    let resultHeight = (height + pads.0 + pads.2 - dilation.0 * (kernel.0 - 1) - 1) / stride.0 + 1
    let resultWidth = (width + pads.1 + pads.3 - dilation.1 * (kernel.1 - 1) - 1) / stride.1 + 1
    var expected: [Int16] = []
    for image in 0..<2 {
      for row in 0..<rows {
        for y in 0..<resultHeight {
          for x in 0..<resultWidth {
            var sum = biases[row]
            for channel in 0..<channels / groups {
              for ky in 0..<kernel.0 {
                for kx in 0..<kernel.1 {
                  let sourceY = y * stride.0 + ky * dilation.0 - pads.0
                  let sourceX = x * stride.1 + kx * dilation.1 - pads.1
                  guard (0..<height).contains(sourceY), (0..<width).contains(sourceX) else {
                    continue
                  }
                  let source = row / (rows / groups) * (channels / groups) + channel
                  let value = input[
                    ((image * channels + source) * height + sourceY) * width + sourceX]
                  let weight = weights[
                    ((row * (channels / groups) + channel) * kernel.0 + ky) * kernel.1 + kx]
                  sum += Int64(value) * Int64(weight)
                }
              }
            }
            let half = Int64(1) << (Int64(shifts[row]) - 1)
            expected.append(Int16((sum + half) >> Int64(shifts[row])))
          }
        }
      }
    }
    let executor = Executor(
      program: try program(
        .convolution(
          Convolution(
            rows: LinearRows(weights: weights, biases: biases, shifts: shifts), groups: groups,
            window: Window(kernel: kernel, stride: stride, pads: pads, dilation: dilation),
            exponent: 5)),
        from: [2, channels, height, width], to: [2, rows, resultHeight, resultWidth], exponent: 5))
    #expect(integers(try executor.run([bytes(input)])[0]) == expected)
  }

  @Test func pooledMaximumIgnoresPaddingOverNegativeInputs() throws {
    let executor = Executor(
      program: try program(
        .maxPool(MaxPool(window: Window(kernel: (2, 2), stride: (2, 2), pads: (1, 1, 1, 1)))),
        from: [1, 1, 2, 2], to: [1, 1, 2, 2]))
    #expect(integers(try executor.run([bytes([-1, -2, -3, -4])])[0]) == [-1, -2, -3, -4])
  }

  @Test func everyFamilyRunsTogether() throws {
    let executor = Executor(program: try everyFamily())
    let input = bytes((0..<72).map { Int16($0 * 37 % 512 - 256) })
    let first = try executor.run([input])
    #expect(try executor.run([input]) == first)
    #expect(first[0].count == 6)
  }
}
