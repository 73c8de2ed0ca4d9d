import FixedPoint
import Testing

@testable import Sumcheck

@Suite struct RoundTripTests {
  static let parameters = [
    Parameters(limbBits: 8, messageLog: 8, rateLog: 1),
    Parameters(limbBits: 8, messageLog: 8, rateLog: 2),
  ]

  @Test func provesLeNet5() throws {
    let program = try SmallProgram.lenet()
    let cheapest = try Parameters.cheapest(for: program, batch: 1, commitsWeights: false)
    let run = try Run(program, seed: 1, cheapest.parameters)
    let proof = try run.prove()
    try run.verify(proof)
    #expect(try run.prove(threads: 2) == proof)
    let bytes = Estimate(of: run.circuit).proofBytes
    #expect(Double(abs(bytes - proof.count)) < 0.1 * Double(proof.count), "\(bytes)")
  }

  @Test(arguments: parameters)
  func provesEveryRelation(_ parameters: Parameters) throws {
    let run = try Run(try SmallProgram.network(), seed: 5, parameters)
    try run.verify(try run.prove())
  }

  @Test func provesWithTablesOf16Bits() throws {
    let run = try Run(
      try SmallProgram.chain([1, 3], [SmallProgram.matrix(4, columns: 3), .relu(Relu())]), seed: 5,
      Parameters(limbBits: 16, messageLog: 10, rateLog: 1))
    try run.verify(try run.prove())
  }

  @Test func movesElements() throws {
    let program = try SmallProgram.chain(
      [1, 3, 5],
      [
        .arrangement(
          Arrangement(
            axes: [
              .init(source: 2, indices: [nil, 4, 3, 2, nil]), .init(source: 0, indices: [0]),
              .init(source: 1, indices: [2, 0, 1, 1]),
            ], fill: -9)),
        .arrangement(
          Arrangement(
            axes: [.init(source: 1, indices: [0]), .init(source: nil, indices: [0, nil, 0])]
              + [
                .init(source: 0, indices: [0, 1, 2, 3, 4]), .init(source: 2, indices: [3, 1]),
              ])),
        .reshape(Reshape(shape: [3, 10])),
        .concatenation(Concatenation(axis: 0, operandCount: 2)),
        .rescale(Rescaling(exponent: -2)),
        .reshape(Reshape(shape: [60])),
      ], reading: [3: [3, 3]], outputs: [6, 2, 0, 6])
    let run = try Run(program, seed: 8)
    try run.verify(try run.prove())
    for output in run.outputs.indices {
      var wrong = run
      wrong.outputs[output][4] ^= 1
      #expect(wrong.refusal(try wrong.prove()) != nil, "output \(output)")
    }
  }

  /// Shapes, strides, padding, dilations, groups, shifts and weights drawn at random, extremes
  /// among them.
  @Test(arguments: 0..<12)
  func provesARandomConvolution(seed: UInt64) throws {
    var generator = SeededGenerator(seed: seed)
    func pick(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &generator) }
    let groups = pick(1...2)
    let channels = groups * pick(1...3)
    let window = Window(
      kernel: (pick(1...3), pick(1...3)), stride: (pick(1...2), pick(1...3)),
      pads: (pick(0...2), pick(0...1), pick(0...1), pick(0...2)),
      dilation: (pick(1...2), pick(1...2)))
    let magnitude: Int16 = seed % 3 == 0 ? 32767 : 90
    let shifts: [[UInt8]] = [[31, 17], [14, 16], [15]]
    let program = try SmallProgram.chain(
      [pick(1...2), channels, pick(5...7), pick(5...6)],
      [
        SmallProgram.convolution(
          groups * pick(1...3), channels: channels, window, groups: groups,
          shifts: shifts[Int(seed % 3)], seed: seed, magnitude: magnitude),
        .relu(Relu()),
      ])
    let run = try Run(program, seed: seed)
    try run.verify(try run.prove())
  }

  /// With operands of other shapes, and functions of which one has no value for some integers.
  @Test func provesArithmetic() throws {
    let program = try SmallProgram.chain(
      [2, 3, 4],
      [
        .arrangement(
          Arrangement(
            axes: [.init(source: 0, indices: [1]), .init(source: 1, indices: [2, 0, 1])]
              + [.init(source: 2, indices: [1])])),
        .multiply(Multiplication(exponent: -4)),
        .add(
          Addition(
            leftAlignment: 4, rightAlignment: 0, subtracts: true, shift: 1, exponent: -1)),
        .function(UnaryFunction(.sigmoid, exponent: 10)),
        .function(UnaryFunction(.sqrt, exponent: 8)),
        .multiply(Multiplication(exponent: 9)),
      ], reading: [1: [0, 1], 2: [2, 1], 5: [4, 5]])
    let run = try Run(
      program, seed: 3, Parameters(limbBits: 8, messageLog: 13, rateLog: 1))
    try run.verify(try run.prove())
  }

  @Test func dividesLargePools() throws {
    let program = try SmallProgram.chain(
      [1, 2, 7, 6],
      [
        .relu(Relu()),
        .maxPool(MaxPool(window: Window(kernel: (3, 3), stride: (2, 2), pads: (1, 1, 1, 1)))),
      ])
    let run = try Run(program, seed: 4)
    try run.verify(try run.prove())
    #expect(run.circuit.program.operations.count == 3)
  }
}
