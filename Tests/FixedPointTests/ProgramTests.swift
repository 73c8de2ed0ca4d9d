import FixedPoint
import Primitives
import Statements
import Testing

@Suite struct ProgramTests {
  @Test func decodesToTheSameProgramAndIdentity() throws {
    let program = try everyFamily()
    let decoded = try Program(canonicalBytes: program.canonicalBytes)
    #expect(decoded == program)
    #expect(decoded.id == program.id)
    #expect(try everyFamily(seed: 2).id != program.id)
  }

  @Test func refusesMutatedBytesWithoutTrapping() throws {
    let bytes = try everyFamily().canonicalBytes
    var random = Seeded(state: 7)
    var refused = 0
    for _ in 0..<4000 {
      var mutated = bytes
      for _ in 0..<Int.random(in: 1...4, using: &random) {
        let index = Int.random(in: 0..<mutated.count, using: &random)
        mutated[index] =
          Bool.random(using: &random) ? 0xFF : UInt8.random(in: 0...255, using: &random)
      }
      guard let program = try? Program(canonicalBytes: mutated) else {
        refused += 1
        continue
      }
      // What decodes is valid, so it must also run without trapping.
      _ = try? Executor(program: program).run(
        program.inputs.map { [UInt8](repeating: 0x7F, count: $0.byteCount) })
    }
    #expect(refused > 1000)
  }

  @Test func refusesEveryTruncation() throws {
    let bytes = try everyFamily().canonicalBytes
    for count in bytes.indices {
      #expect(throws: CanonicalError.self) { try Program(canonicalBytes: bytes.prefix(count)) }
    }
    #expect(throws: CanonicalError.self) { try Program(canonicalBytes: bytes + [0]) }
  }

  @Test func refusesAnAccumulatorThatCouldReachItsLimit() throws {
    func make(bias: Int64) throws -> Program {
      try program(
        .matrixProduct(
          MatrixProduct(
            rows: LinearRows(weights: [.max], biases: [bias], shifts: [0]), exponent: 8)),
        from: [1], to: [1])
    }
    let products = Int64(Int16.max) << 15
    _ = try make(bias: (1 << 62) - products - 1)
    #expect(throws: ProgramError(node: "node", problem: .accumulator)) {
      try make(bias: (1 << 62) - products)
    }
    #expect(throws: ProgramError(node: "node", problem: .accumulator)) { try make(bias: .min) }
  }

  @Test func refusesATensorReadBeforeItExists() {
    #expect(throws: ProgramError(node: "loop", problem: .tensorOutOfRange(1))) {
      try Program(
        inputs: [boundary("x", [1])],
        operations: [.init(name: "loop", inputs: [1], operator: .relu(Relu()))],
        outputTensors: [1], outputs: [boundary("y", [1])])
    }
  }

  @Test func refusesAWindowOfPaddingOnly() {
    #expect(throws: ProgramError.self) {
      try program(
        .maxPool(MaxPool(window: Window(kernel: (2, 2), stride: (2, 2), pads: (2, 2, 0, 0)))),
        from: [1, 1, 4, 4], to: [1, 1, 3, 3])
    }
  }

  @Test func refusesAShiftBeyondItsLimit() {
    #expect(throws: ProgramError(node: "node", problem: .shift(32))) {
      try program(
        .matrixProduct(
          MatrixProduct(rows: LinearRows(weights: [1], biases: [0], shifts: [32]), exponent: 8)),
        from: [1], to: [1])
    }
  }

  @Test func refusesABoundaryThatDisagreesWithItsTensor() {
    #expect(throws: ProgramError.self) { try program(.relu(Relu()), from: [4], to: [5]) }
    #expect(throws: ProgramError.self) {
      try program(.relu(Relu()), from: [4], to: [4], exponent: 9)
    }
  }

  @Test func refusesPatchesLargerThanMemory() {
    let window = Window(kernel: (1, 65536), pads: (0, 65536, 0, 65536))
    #expect(throws: ProgramError(node: "node", problem: .tooLarge)) {
      try program(
        .convolution(
          Convolution(
            rows: LinearRows(
              weights: .init(repeating: 1, count: 65536), biases: [0], shifts: [0]),
            groups: 1, window: window, exponent: 8)),
        from: [1, 1, 1, 1], to: [1, 1, 1, 65538])
    }
  }
}
