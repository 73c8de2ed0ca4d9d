import FixedPoint
import Statements
import Testing

/// Every path of every kernel against loops that read the definitions of docs/program.md word by
/// word, and against each other.
@Suite struct KernelTests {
  /// What a run must give: the integers, or where it leaves int16.
  enum Outcome: Equatable {
    case integers([Int16])
    case fault(operation: Int, element: Int)

    /// Requantises row-major accumulators.
    init(_ sums: [(sum: Int64, shift: UInt8)], operation: Int = 0) {
      let values = sums.map { $1 == 0 ? $0 : ($0 + 1 << (Int64($1) - 1)) >> Int64($1) }
      if let element = values.firstIndex(where: { Int16(exactly: $0) == nil }) {
        self = .fault(operation: operation, element: element)
      } else {
        self = .integers(values.map { Int16($0) })
      }
    }
  }

  static let available = Instructions.allCases.filter { $0 == .portable || $0 == .best }

  func outcome(
    _ program: Program, _ inputs: [[Int16]], _ instructions: Instructions, threads: Int = 1
  ) throws -> Outcome {
    let executor = Executor(program: program, threads: threads, instructions: instructions)
    let inputs = inputs.map(bytes)
    let first = Result { () throws(ExecutionError) in try executor.run(inputs) }
    // The second run finds the memory as the first left it.
    #expect(Result { () throws(ExecutionError) in try executor.run(inputs) } == first)
    let retained = Result { () throws(ExecutionError) in try executor.runRetaining(inputs).outputs }
    #expect(retained == first)
    switch first {
    case .success(let outputs): return .integers(integers(outputs[0]))
    case .failure(.rangeFault(let fault)):
      return .fault(operation: fault.operation, element: fault.element)
    case .failure(let error): throw error
    }
  }

  func expect(_ program: Program, _ inputs: [[Int16]], gives expected: Outcome) throws {
    for instructions in Self.available {
      #expect(try outcome(program, inputs, instructions) == expected)
    }
  }

  /// Weights and inputs of every character: small, 8-bit, wide, extreme, and mixtures, so that sums
  /// stay in 32 bits, need several runs, or one for each step.
  struct Values {
    var random: Seeded
    let kind: Int

    init(seed: Int) { (random, kind) = (Seeded(state: UInt64(seed)), seed % 6) }

    mutating func draw(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &random) }
    mutating func pick(_ choices: [Int]) -> Int { choices[draw(0...choices.count - 1)] }

    mutating func weight() -> Int16 {
      switch kind {
      case 0: Int16(draw(-30...30))
      case 1: Int16(pick([-128, 127]))
      case 2: Int16(draw(-32768...32767))
      case 3: .min
      case 4: Int16(pick([-32768, 32767, -32768, 0, 127, -1]))
      default: Int16(draw(0...40) == 0 ? draw(-32768...32767) : draw(-127...127))
      }
    }

    mutating func input() -> Int16 {
      switch draw(0...3) {
      case 0: Int16(pick([-32768, 32767]))
      case 1: kind == 3 ? .min : Int16(draw(-32768...32767))
      default: kind == 3 ? .min : Int16(draw(-3000...3000))
      }
    }

    /// Mostly large enough that sums of `count` products fit, sometimes not.
    mutating func shift(of count: Int) -> UInt8 {
      let bits = [11, 13, 21, 28, 26, 16][kind] + (Int.bitWidth - count.leadingZeroBitCount) / 2
      return UInt8(min(31, max(0, bits + draw(-1...3))))
    }

    mutating func rows(_ count: Int, columns: Int) -> LinearRows {
      let bias = kind < 2 ? 1 << 20 : 1 << 40
      return LinearRows(
        weights: (0..<count * columns).map { _ in weight() },
        biases: (0..<count).map { _ in
          Int64(draw(0...3) == 0 ? draw(-bias...bias) >> 6 : draw(-200...200))
        },
        shifts: (0..<count).map { _ in shift(of: columns) })
    }
  }

  @Test(arguments: 1...90) func convolutionIsAsDefined(seed: Int) throws {
    var values = Values(seed: seed)
    let groups = values.pick([1, 1, 1, 2, 3, 8])
    let groupChannels = groups == 8 ? values.pick([1, 2]) : values.pick([1, 1, 2, 3, 4, 7])
    let groupRows = values.pick([1, 2, 3, 4, 5, 8, 9, 16, 17, 21])
    let (height, width) = (values.draw(1...9), values.pick([1, 2, 5, 8, 15, 16, 17, 35]))
    let kernel = (values.pick([1, 1, 2, 3, 3, 5]), values.pick([1, 1, 2, 3, 3, 5]))
    let stride = (values.draw(1...3), values.pick([1, 1, 2, 2, 3]))
    let dilation = (values.pick([1, 1, 1, 2]), values.pick([1, 1, 1, 2, 3]))
    let isPadded = values.draw(0...2) > 0
    let pads = isPadded ? (0..<4).map { _ in values.draw(0...3) } : [0, 0, 0, 0]
    let spanHeight = height + pads[0] + pads[2] - dilation.0 * (kernel.0 - 1) - 1
    let spanWidth = width + pads[1] + pads[3] - dilation.1 * (kernel.1 - 1) - 1
    guard spanHeight >= 0, spanWidth >= 0 else { return }
    let (images, channels) = (values.draw(1...2), groups * groupChannels)
    let rowCount = groups * groupRows
    let columns = groupChannels * kernel.0 * kernel.1
    let rows = values.rows(rowCount, columns: columns)
    let input = (0..<images * channels * height * width).map { _ in values.input() }

    let (resultHeight, resultWidth) = (spanHeight / stride.0 + 1, spanWidth / stride.1 + 1)
    var sums: [(Int64, UInt8)] = []
    for image in 0..<images {
      for row in 0..<rowCount {
        for y in 0..<resultHeight {
          for x in 0..<resultWidth {
            var sum = rows.biases[row]
            var weight = row * columns
            for channel in 0..<groupChannels {
              let plane = image * channels + row / groupRows * groupChannels + channel
              for kernelY in 0..<kernel.0 {
                for kernelX in 0..<kernel.1 {
                  let sourceY = y * stride.0 + kernelY * dilation.0 - pads[0]
                  let sourceX = x * stride.1 + kernelX * dilation.1 - pads[1]
                  if sourceY >= 0, sourceY < height, sourceX >= 0, sourceX < width {
                    let value = input[(plane * height + sourceY) * width + sourceX]
                    sum += Int64(value) * Int64(rows.weights[weight])
                  }
                  weight += 1
                }
              }
            }
            sums.append((sum, rows.shifts[row]))
          }
        }
      }
    }
    let program = try program(
      .convolution(
        Convolution(
          rows: rows, groups: groups,
          window: Window(
            kernel: kernel, stride: stride, pads: (pads[0], pads[1], pads[2], pads[3]),
            dilation: dilation), exponent: 5)),
      from: [images, channels, height, width], to: [images, rowCount, resultHeight, resultWidth],
      exponent: 5)
    try expect(program, [input], gives: Outcome(sums))
  }

  @Test(arguments: 1...60) func matrixProductIsAsDefined(seed: Int) throws {
    var values = Values(seed: seed)
    let count = values.pick([1, 1, 2, 3, 5, 6, 7, 13])
    let columns = values.pick([1, 2, 3, 16, 31, 84])
    let rowCount = values.pick([1, 2, 7, 8, 9, 10, 16, 17, 33])
    let rows = values.rows(rowCount, columns: columns)
    let input = (0..<count * columns).map { _ in values.input() }
    var sums: [(Int64, UInt8)] = []
    for index in 0..<count {
      for row in 0..<rowCount {
        var sum = rows.biases[row]
        for column in 0..<columns {
          sum +=
            Int64(input[index * columns + column]) * Int64(rows.weights[row * columns + column])
        }
        sums.append((sum, rows.shifts[row]))
      }
    }
    let program = try program(
      .matrixProduct(MatrixProduct(rows: rows, exponent: 5)), from: [count, columns],
      to: [count, rowCount], exponent: 5)
    try expect(program, [input], gives: Outcome(sums))
  }

  /// The last sum that 32 bits may hold, and one more: in one run, in one step, and together with
  /// bias and rounding term, where wrapping would turn a fault into a result.
  @Test(arguments: [
    (-65535, 0, 31), (-65536, 0, 31), (65535, 16384, 31), (-65535, 0, 16), (-65535, -1, 16),
    (65535, 1, 16), (-65534, 32768, 0), (-32768, 1 << 30, 16), (-32768, (1 << 30) - 32769, 16),
  ])
  func sumsAreExactAtTheBoundOf32Bits(weight: Int, bias: Int64, shift: UInt8) throws {
    // Two weights of the same step, and two of another.
    var weights = [weight / 2 - 1, weight - weight / 2, 1].map {
      Int16(max(-32768, min(32767, $0)))
    }
    weights.append(Int16(weights.reduce(weight) { $0 - Int($1) }))
    let rows = LinearRows(
      weights: weights, biases: [weight < 0 ? bias : -bias], shifts: [shift])
    let exponent = Int8(16 - Int(shift))
    for input in [Int16.min, .max] {
      let sum = weights.reduce(rows.biases[0]) { $0 + Int64($1) * Int64(input) }
      try expect(
        try program(
          .matrixProduct(MatrixProduct(rows: rows, exponent: exponent)), from: [1, 4], to: [1, 1],
          exponent: exponent),
        [.init(repeating: input, count: 4)], gives: Outcome([(sum, shift)]))
    }
  }

  /// Shapes that would take too much memory to prepare.
  @Test func runsAsDefinedWhereNothingCanBePrepared() throws {
    let window = Window(
      kernel: (1, 1), stride: (65536, 65536), pads: (65536, 65536, 65536, 65536))
    let rows = LinearRows(weights: [5], biases: [7], shifts: [0])
    try expect(
      try program(
        .convolution(Convolution(rows: rows, groups: 1, window: window, exponent: 8)),
        from: [1, 1, 1, 1], to: [1, 1, 3, 3]),
      [[100]], gives: .integers([7, 7, 7, 7, 507, 7, 7, 7, 7]))

    let columns = 1 << 20 + 1
    let product = MatrixProduct(
      rows: LinearRows(
        weights: .init(repeating: 1, count: columns), biases: [-257], shifts: [20]), exponent: 8)
    let executor = Executor(program: try program(.matrixProduct(product), from: [columns], to: [1]))
    let output = try executor.run([[UInt8](repeating: 1, count: 2 * columns)])
    #expect(integers(output[0]) == [257])
  }

  @Test(arguments: 1...60) func poolingIsAsDefined(seed: Int) throws {
    var values = Values(seed: 6 * seed)
    let (height, width) = (values.draw(1...8), values.pick([1, 4, 8, 17, 140]))
    let kernel = (values.draw(1...3), values.pick([1, 2, 3, width]))
    let stride = (values.draw(1...3), values.draw(1...3))
    let dilation = (values.draw(1...2), kernel.1 == width ? 1 : values.draw(1...2))
    let pads = (0..<4).map { _ in values.draw(0...1) }
    let spanHeight = height + pads[0] + pads[2] - dilation.0 * (kernel.0 - 1) - 1
    let spanWidth = width + pads[1] + pads[3] - dilation.1 * (kernel.1 - 1) - 1
    guard spanHeight >= 0, spanWidth >= 0 else { return }
    let input = (0..<6 * height * width).map { _ in values.input() }
    let (resultHeight, resultWidth) = (spanHeight / stride.0 + 1, spanWidth / stride.1 + 1)
    let multiplier = UInt32(values.draw(1...40000))
    var maxima: [Int16] = []
    var isPaddingOnly = false
    var sums: [(Int64, UInt8)] = []
    for plane in 0..<6 {
      for y in 0..<resultHeight {
        for x in 0..<resultWidth {
          var cells: [Int16] = []
          for kernelY in 0..<kernel.0 {
            for kernelX in 0..<kernel.1 {
              let sourceY = y * stride.0 + kernelY * dilation.0 - pads[0]
              let sourceX = x * stride.1 + kernelX * dilation.1 - pads[1]
              if sourceY >= 0, sourceY < height, sourceX >= 0, sourceX < width {
                cells.append(input[(plane * height + sourceY) * width + sourceX])
              }
            }
          }
          if cells.isEmpty { isPaddingOnly = true }
          maxima.append(cells.max() ?? 0)
          sums.append((cells.reduce(0) { $0 + Int64($1) } * Int64(multiplier), 16))
        }
      }
    }
    let window = Window(
      kernel: kernel, stride: stride, pads: (pads[0], pads[1], pads[2], pads[3]),
      dilation: dilation)
    let (from, to) = ([2, 3, height, width], [2, 3, resultHeight, resultWidth])
    if !isPaddingOnly {
      try expect(
        try program(.maxPool(MaxPool(window: window)), from: from, to: to), [input],
        gives: .integers(maxima))
    }
    let mean = AveragePool(window: window, multiplier: multiplier, shift: 16, exponent: 8)
    try expect(try program(.averagePool(mean), from: from, to: to), [input], gives: Outcome(sums))
  }

  @Test(arguments: [(0, 0, 0), (0, 3, 4), (15, 0, 15), (15, 14, 31), (31, 31, 31), (2, 1, 1)])
  func additionIsAsDefined(left: UInt8, right: UInt8, shift: UInt8) throws {
    var values = Values(seed: 6)
    let x = (0..<70).map { _ in values.input() }
    let y = (0..<70).map { index in index < 40 ? -(x[index] / 2) : values.input() }
    let sums = zip(x, y).map { ((Int64($0) << Int64(left)) + (Int64($1) << Int64(right)), shift) }
    let program = try Program(
      inputs: [
        boundary("x", [70], exponent: 8), boundary("y", [70], exponent: Int8(8 + left - right)),
      ],
      operations: [
        .init(
          name: "add", inputs: [0, 1],
          operator: .add(
            Addition(
              leftAlignment: left, rightAlignment: right, shift: shift,
              exponent: Int8(8 + Int(left) - Int(shift)))))
      ],
      outputTensors: [2],
      outputs: [boundary("z", [70], exponent: Int8(8 + Int(left) - Int(shift)))])
    try expect(program, [x, y], gives: Outcome(sums))
  }
}
