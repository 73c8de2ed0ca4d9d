import FixedPoint
import Primitives
import Testing

@testable import Sumcheck

/// Keys and proofs as bytes from outside: what decodes compiles or is refused by name, in little
/// time and memory, whatever it says.
@Suite struct KeyTests {
  private static let parameters = Parameters(limbBits: 8, messageLog: 8, rateLog: 1)

  /// The reason for which a program that is valid and small as bytes is not compiled.
  private func obstacle(
    _ program: Program, _ mode: Mode = .commit(Self.parameters), batch: Int = 1
  ) throws -> String {
    let key = VerifierKey(program: program, mode: mode, batch: batch)
    let decoded = try VerifierKey(canonicalBytes: key.canonicalBytes)
    do throws(CircuitError) {
      _ = try Verifier(decoded)
      return "none"
    } catch {
      return error.reason
    }
  }

  private static let tooLarge = "the slice needs more than 2^24 cells; cut the model further"
  private static let tooMuchWork =
    "verifying would take more than 2^30 products; cut the model further"

  private static let tooManySteps =
    "verifying it in the clear would take more than 2^32 steps; cut the model further"

  /// An input of 2^23 elements moved as it is: a hundred bytes of key, and half a gigabyte of them.
  @Test func refusesAViewOfMillionsOfPositions() throws {
    let size = 1 << 23
    let program = try SmallProgram.chain(
      [size],
      [
        .arrangement(Arrangement(axes: [.init(whole: 0, count: size)])),
        .arrangement(Arrangement(axes: [.init(source: 0, indices: [5])])),
      ])
    #expect(try obstacle(program) == Self.tooLarge)
    let larger = try SmallProgram.chain(
      [2 * size + 1], [.reshape(Reshape(shape: [1, 2 * size + 1]))])
    #expect(try obstacle(larger) == Self.tooLarge)
  }

  /// Windows of 2^15 cells over an axis of 2^15: all their positions would take gigabytes.
  @Test func refusesAveragesWhoseWindowsShareEverything() throws {
    let size = 1 << 15
    let program = try SmallProgram.chain(
      [1, 1, size, 1],
      [
        .averagePool(
          AveragePool(
            window: Window(kernel: (size, 1), pads: (size / 2, 0, size / 2, 0)), multiplier: 1,
            shift: 15, exponent: 0))
      ])
    #expect(try obstacle(program) == Self.tooLarge)
  }

  /// Each pair of operations doubles the ways that lead to the input, and no size.
  @Test func refusesWaysThatMultiply() throws {
    var operators: [Operator] = []
    var reading: [Int: [Int]] = [:]
    for _ in 0..<30 {
      reading[operators.count] = [operators.count, operators.count]
      operators.append(.concatenation(Concatenation(axis: 0, operandCount: 2)))
      operators.append(.arrangement(Arrangement(axes: [.init(source: 0, indices: [1, 2])])))
    }
    operators.append(.relu(Relu()))
    let program = try SmallProgram.chain([2], operators, reading: reading)
    #expect(try obstacle(program) == Self.tooMuchWork)
  }

  /// A thousand activations, each of one element of a large input.
  @Test func refusesManyReadersOfALargeTensor() throws {
    var operators: [Operator] = []
    var reading: [Int: [Int]] = [:]
    for index in 0..<1100 {
      reading[operators.count] = [0]
      operators.append(.arrangement(Arrangement(axes: [.init(source: 0, indices: [index])])))
      operators.append(.relu(Relu()))
    }
    let program = try SmallProgram.chain([1 << 20], operators, reading: reading)
    #expect(try obstacle(program) == Self.tooMuchWork)
  }

  /// A kernel of 2^16 cells in as many places: few products of the program, many of its verifier.
  @Test func refusesAKernelAsLongAsItsResult() throws {
    let size = 1 << 16
    let rows = LinearRows(weights: .init(repeating: 1, count: size), biases: [0], shifts: [16])
    let program = try SmallProgram.chain(
      [1, 1, size, 1],
      [
        .convolution(
          Convolution(
            rows: rows, groups: 1,
            window: Window(kernel: (size, 1), pads: (size / 2, 0, size / 2, 0)), exponent: 0))
      ])
    #expect(try obstacle(program) == Self.tooMuchWork)
    #expect(try obstacle(program, .clear) == Self.tooManySteps)
  }

  /// What is run again for every proof: a pool of 2^32 comparisons, or one of a batch.
  @Test func refusesARestThatTakesMinutes() throws {
    func pool(_ size: Int) throws -> Program {
      try SmallProgram.chain(
        [1, 2, size, 1],
        [
          .maxPool(
            MaxPool(window: Window(kernel: (size, 1), pads: (size / 2 - 1, 0, size / 2 - 1, 0))))
        ])
    }
    #expect(try obstacle(pool(1 << 16), .clear) == Self.tooManySteps)
    #expect(try obstacle(pool(1 << 10), .clear) == "none")
    #expect(try obstacle(pool(1 << 10), .clear, batch: 4096) == Self.tooManySteps)
  }

  /// A function's rows are derived once, however often it is used; and only as many functions as
  /// their tables have room.
  @Test func derivesAFunctionOnce() throws {
    let sigmoid = Operator.function(UnaryFunction(.sigmoid, exponent: 12))
    let program = try SmallProgram.chain(
      [1], [.rescale(Rescaling(exponent: 12))] + .init(repeating: sigmoid, count: 40))
    #expect(try Circuit(program, Self.parameters).functions.count == 1)
  }

  /// One inference costs little; 2^12 of them list every position 2^12 times.
  @Test func refusesABatchOfManyViews() throws {
    let concatenation = Operator.concatenation(Concatenation(axis: 0, operandCount: 8))
    var (operators, reading) = ([Operator](), [Int: [Int]]())
    for index in 0..<200 {
      reading[index] = .init(repeating: 0, count: 8)
      operators.append(concatenation)
    }
    let program = try SmallProgram.chain([1], operators, reading: reading)
    #expect(try obstacle(program) == "none")
    #expect(try obstacle(program, batch: 4096) == Self.tooLarge)
    let activation = try SmallProgram.chain([1 << 13], [.relu(Relu())])
    #expect(try obstacle(activation, batch: 4096) == Self.tooLarge)
  }

  private static func program() throws -> Program {
    try SmallProgram.chain(
      [1, 1, 4, 4],
      [
        SmallProgram.convolution(2, channels: 1, Window(kernel: (2, 2))), .relu(Relu()),
        .maxPool(MaxPool(window: Window(kernel: (2, 2)))),
        .arrangement(
          Arrangement(
            axes: [
              .init(source: 0, indices: [0]), .init(source: 1, indices: [1, 0]),
              .init(source: 3, indices: [nil, 0, 1]), .init(source: 2, indices: [1, 0]),
            ], fill: 3)),
        .reshape(Reshape(shape: [12])),
        .add(Addition(leftAlignment: 0, rightAlignment: 0, shift: 1, exponent: -1)),
      ], reading: [5: [5, 5]])
  }

  /// Mutants of a key and its every prefix. What decodes is compiled, and then a proof of the true
  /// key is refused by it.
  @Test(arguments: ["mode=clear", "mode=commit", "weights=committed batch=2"])
  func survivesEveryMutantOfAKey(_ options: String) throws {
    let run = try KeyedRun(Self.program(), options)
    let proof = try run.prove()
    let bytes = try run.key.verifierKey().canonicalBytes
    var generator = SeededGenerator(seed: 4)
    var (decoded, compiled) = (0, 0)
    func tryKey(_ bytes: [UInt8]) {
      guard let key = try? VerifierKey(canonicalBytes: bytes) else { return }
      decoded += 1
      #expect(key.canonicalBytes == bytes)
      guard let verifier = try? Verifier(key) else { return }
      compiled += 1
      #expect(throws: VerificationError.self) { try verifier.verify(run.instances, proof: proof) }
    }
    for length in 0..<bytes.count { tryKey(Array(bytes[..<length])) }
    tryKey(bytes + [0])
    #expect(decoded == 0)
    for _ in 0..<400 {
      var mutant = bytes
      for _ in 0...Int.random(in: 0...2, using: &generator) {
        let place = Int.random(in: 0..<bytes.count, using: &generator)
        mutant[place] =
          Bool.random(using: &generator)
          ? UInt8.random(in: 0...255, using: &generator) : mutant[place] ^ 1 << UInt8(place % 8)
      }
      if mutant != bytes { tryKey(mutant) }
    }
    for _ in 0..<150 {
      let length = Int.random(in: 0...300, using: &generator)
      tryKey(
        Array(bytes.prefix(4))
          + (0..<length).map { _ in UInt8.random(in: 0...255, using: &generator) })
    }
    // The fuzzer reaches both what decodes and what compiles.
    #expect(decoded > 15 && compiled > 15, "\(decoded) decoded, \(compiled) compiled")
  }

  @Test func readsNoProofOfAnotherLength() throws {
    let run = try Run(Self.program(), seed: 1)
    let proof = try run.prove()
    for length in 0..<120 { #expect(run.refusal(Array(proof[..<length])) == .length) }
    for length in proof.count - 40..<proof.count {
      #expect(run.refusal(Array(proof[..<length])) == .length)
    }
    for tail in [1, 8, 16, 32, proof.count] {
      #expect(run.refusal(proof + [UInt8](repeating: 0, count: tail)) == .length)
    }
    #expect(run.refusal(proof + proof) == .length)
  }

  @Test func refusesOtherNumbersOfTensorsAndBytes() throws {
    let run = try Run(Self.program(), seed: 1)
    let proof = try run.prove()
    let verifier = run.verifier
    func refusal(_ inputs: [[UInt8]], _ outputs: [[UInt8]]) -> VerificationError? {
      do throws(VerificationError) {
        try verifier.verify(inputs: inputs, outputs: outputs, context: run.context, proof: proof)
        return nil
      } catch {
        return error
      }
    }
    let (inputs, outputs) = (run.inputs, run.outputs)
    #expect(refusal([], outputs) == .boundaryCount)
    #expect(refusal(inputs, []) == .boundaryCount)
    #expect(refusal(inputs + [[]], outputs) == .boundaryCount)
    #expect(refusal(inputs, outputs + outputs) == .boundaryCount)
    for change in [-2, -1, 1, 2] {
      func resized(_ tensors: [[UInt8]]) -> [[UInt8]] {
        tensors.map {
          change < 0 ? Array($0.dropLast(-change)) : $0 + .init(repeating: 0, count: change)
        }
      }
      #expect(refusal(resized(inputs), outputs) == .boundaryLength)
      #expect(refusal(inputs, resized(outputs)) == .boundaryLength)
    }
    #expect(refusal([[]], outputs) == .boundaryLength)
  }
}
