import FixedPoint
import Statements

@testable import Sumcheck

/// One run of a program, with what proves and checks it.
struct Run {
  let circuit: Circuit
  let verifier: Verifier
  var tensors: [[Int16]]
  var inputs: [[UInt8]]
  var outputs: [[UInt8]]
  var context = [UInt8](repeating: 7, count: 32)

  init(
    _ program: Program, inputs: [[UInt8]],
    _ parameters: Parameters = Parameters(limbBits: 8, messageLog: 8, rateLog: 1)
  ) throws {
    circuit = try Circuit(program, parameters)
    verifier = try Verifier(circuit)
    self.inputs = inputs
    outputs = try Executor(program: program).run(inputs)
    tensors = try Prover(circuit, threads: 1).run([inputs]).tensors
  }

  init(
    _ program: Program, seed: UInt64,
    _ parameters: Parameters = Parameters(limbBits: 8, messageLog: 8, rateLog: 1)
  ) throws {
    var generator = SeededGenerator(seed: seed)
    try self.init(
      program,
      inputs: program.inputs.map { input in
        Self.bytes(
          (0..<input.elementCount).map { _ in Int16.random(in: -300...300, using: &generator) })
      }, parameters)
  }

  var prover: Prover { Prover(circuit, threads: 1) }

  var instance: Instance { Instance(inputs: inputs, outputs: outputs, context: context) }

  var transcript: Transcript {
    Transcript(statement: [instance], keyDigest: circuit.key.digest)
  }

  func prove(threads: Int = 1) throws -> [UInt8] {
    try Prover(circuit, threads: threads).prove(
      tensors: tensors, inputs: inputs, outputs: outputs, context: context)
  }

  func prove(_ witness: Witness) throws -> [UInt8] {
    try prover.prove(witness, inputs: inputs, outputs: outputs, context: context)
  }

  func verify(_ proof: [UInt8]) throws {
    try verifier.verify(
      inputs: inputs, outputs: outputs, context: context, proof: proof)
  }

  /// The error with which a proof is refused, nil where it is accepted.
  func refusal(_ proof: [UInt8]) -> VerificationError? {
    do throws(VerificationError) {
      try verifier.verify(inputs: inputs, outputs: outputs, context: context, proof: proof)
      return nil
    } catch {
      return error
    }
  }

  /// The run with one element of one tensor changed, and everything after it computed from the lie:
  /// only the relation of that tensor's own operation is broken.
  func lying(tensor: Int, element: Int, by delta: Int) throws -> Run {
    var run = self
    run.tensors[tensor][element] = Int16(truncatingIfNeeded: Int(tensors[tensor][element]) + delta)
    let program = circuit.program
    for (index, operation) in program.operations.enumerated() {
      let result = program.inputs.count + index
      guard result > tensor else { continue }
      let operands = operation.inputs.map { program.tensors[$0] }
      let single = try Program(
        inputs: operands.map { boundary($0) },
        operations: [
          .init(
            name: operation.name, inputs: Array(operation.inputs.indices),
            operator: operation.operator)
        ], outputTensors: [operation.inputs.count], outputs: [boundary(program.tensors[result])])
      run.tensors[result] = Self.integers(
        try Executor(program: single).run(operation.inputs.map { Self.bytes(run.tensors[$0]) })[0])
    }
    run.outputs = program.outputTensors.map { Self.bytes(run.tensors[$0]) }
    return run
  }

  static func bytes(_ integers: [Int16]) -> [UInt8] {
    integers.flatMap { [UInt8(truncatingIfNeeded: $0), UInt8(truncatingIfNeeded: $0 >> 8)] }
  }

  static func integers(_ bytes: [UInt8]) -> [Int16] {
    stride(from: 0, to: bytes.count, by: 2).map {
      Int16(bitPattern: UInt16(bytes[$0]) | UInt16(bytes[$0 + 1]) << 8)
    }
  }
}

/// Keys as the suites of the committed mode use them: one inference, public weights.
extension Circuit {
  var key: VerifierKey {
    VerifierKey(program: program, mode: .commit(parameters), batch: batch)
  }
}

extension Verifier {
  init(_ circuit: Circuit) throws { try self.init(circuit.key) }

  func verify(
    inputs: [[UInt8]], outputs: [[UInt8]], context: [UInt8], proof: [UInt8]
  ) throws(VerificationError) {
    try verify([Instance(inputs: inputs, outputs: outputs, context: context)], proof: proof)
  }
}

extension Prover {
  init(_ circuit: Circuit, keyDigest: [UInt8]? = nil, threads: Int) {
    self.init(
      .commit(CommitProver(circuit, threads: threads)),
      keyDigest: keyDigest ?? circuit.key.digest, threads: threads)
  }

  func prove(
    tensors: [[Int16]], inputs: [[UInt8]], outputs: [[UInt8]], context: [UInt8],
    _ supervision: Supervision = .none
  ) throws -> [UInt8] {
    try prove(
      [Instance(inputs: inputs, outputs: outputs, context: context)], tensors: tensors, supervision)
  }

  /// From a witness that need not be one.
  func prove(
    _ witness: Witness, inputs: [[UInt8]], outputs: [[UInt8]], context: [UInt8]
  ) throws -> [UInt8] {
    guard case .commit(let prover) = scheme else { return [] }
    let instance = Instance(inputs: inputs, outputs: outputs, context: context)
    var proof = ProofWriter(
      transcript: Transcript(statement: [instance], keyDigest: keyDigest))
    try prover.prove(witness, Parallel(threads: 1), &proof, .none)
    proof.seal()
    return proof.bytes
  }
}

func boundary(_ tensor: Tensor) -> BoundarySpecification {
  BoundarySpecification(
    name: "t", elementType: .int16, shape: tensor.shape, exponent: tensor.exponent)!
}

/// Programs of a few dozen elements.
enum SmallProgram {
  /// A chain over one input; every operation reads the result before it, or what it says.
  static func chain(
    _ shape: [Int], _ operators: [Operator], reading: [Int: [Int]] = [:], outputs: [Int]? = nil
  ) throws -> Program {
    let input = Tensor(shape: shape, exponent: 0)
    var tensors = [input]
    var operations: [Program.Operation] = []
    for (index, step) in operators.enumerated() {
      let reads = reading[index] ?? (step.operandCount == 0 ? [] : [index])
      operations.append(.init(name: "node-\(index)", inputs: reads, operator: step))
      tensors.append(try step.result(of: reads.map { tensors[$0] }))
    }
    let numbers = outputs ?? [operators.count]
    return try Program(
      inputs: [boundary(input)], operations: operations, outputTensors: numbers,
      outputs: numbers.map { boundary(tensors[$0]) })
  }

  static func rows(
    _ count: Int, columns: Int, shifts: [UInt8], seed: UInt64, magnitude: Int16 = 100
  ) -> LinearRows {
    var generator = SeededGenerator(seed: seed)
    return LinearRows(
      weights: (0..<count * columns).map { _ in
        Int16.random(in: -magnitude...magnitude, using: &generator)
      },
      biases: (0..<count).map { _ in Int64.random(in: -5000...5000, using: &generator) },
      shifts: (0..<count).map { shifts[$0 % shifts.count] })
  }

  static func convolution(
    _ count: Int, channels: Int, _ window: Window, groups: Int = 1, shifts: [UInt8] = [6],
    seed: UInt64 = 1, magnitude: Int16 = 100
  ) -> Operator {
    .convolution(
      Convolution(
        rows: rows(
          count, columns: channels / groups * window.cellCount, shifts: shifts, seed: seed,
          magnitude: magnitude), groups: groups, window: window, exponent: 0))
  }

  static func matrix(
    _ count: Int, columns: Int, shifts: [UInt8] = [7], seed: UInt64 = 2
  ) -> Operator {
    .matrixProduct(
      MatrixProduct(rows: rows(count, columns: columns, shifts: shifts, seed: seed), exponent: 0))
  }

  /// Every relation once: an image network in the small, of odd sizes.
  static func network() throws -> Program {
    try chain(
      [1, 2, 5, 7],
      [
        convolution(
          3, channels: 2, Window(kernel: (3, 3), pads: (1, 1, 1, 1)), shifts: [6, 4, 9]),
        .relu(Relu()),
        .maxPool(MaxPool(window: Window(kernel: (2, 2), stride: (2, 2), pads: (0, 0, 1, 1)))),
        .averagePool(
          AveragePool(window: Window(kernel: (2, 2)), multiplier: 3, shift: 3, exponent: 0)),
        .reshape(Reshape(shape: [1, 18])),
        matrix(5, columns: 18),
        .relu(Relu()),
        .add(Addition(leftAlignment: 1, rightAlignment: 1, shift: 1, exponent: 0)),
      ], reading: [7: [6, 7]])
  }

  /// Every kind of operation that has a relation without a table of 2^16 rows, and every kind of
  /// output: tensors, an input, moved elements.
  static func zoo() throws -> Program {
    try chain(
      [1, 4, 5, 6],
      [
        convolution(
          6, channels: 4,
          Window(kernel: (3, 2), stride: (2, 1), pads: (1, 0, 0, 1), dilation: (1, 2)), groups: 2,
          shifts: [9, 10, 8]),
        .relu(Relu()),
        .maxPool(MaxPool(window: Window(kernel: (2, 2), stride: (1, 2), pads: (0, 1, 1, 0)))),
        .averagePool(
          AveragePool(window: Window(kernel: (2, 2)), multiplier: 3, shift: 4, exponent: 0)),
        .multiply(Multiplication(exponent: -8)),
        .rescale(Rescaling(exponent: -10)),
        .rescale(Rescaling(exponent: 1)),
        .add(
          Addition(
            leftAlignment: 0, rightAlignment: 1, subtracts: true, shift: 1, exponent: 0)),
        .constant(Constant(shape: [6, 1, 1], exponent: 0, values: [3, -40, 5, -6, 700, -8])),
        .add(Addition(leftAlignment: 0, rightAlignment: 0, shift: 0, exponent: 0)),
        .reshape(Reshape(shape: [1, 36])),
        matrix(5, columns: 36, shifts: [7, 18, 5, 0, 9].map { max($0, 4) }),
        .concatenation(Concatenation(axis: 1, operandCount: 2)),
        .arrangement(
          Arrangement(
            axes: [
              .init(source: 0, indices: [0]),
              .init(source: 1, indices: [9, 8, nil, 7, 6, 5, 4, 3, 2, nil, 1, 0]),
            ], fill: 77)),
      ],
      reading: [
        3: [3], 4: [3, 3], 5: [5], 6: [3], 7: [7, 3], 9: [8, 9], 12: [12, 12],
      ], outputs: [14, 4, 6, 13, 0, 12])
  }

  /// LeNet-5 in its full size, with weights drawn at random.
  static func lenet() throws -> Program {
    let pool = Operator.maxPool(MaxPool(window: Window(kernel: (2, 2), stride: (2, 2))))
    return try chain(
      [1, 1, 28, 28],
      [
        convolution(
          6, channels: 1, Window(kernel: (5, 5), pads: (2, 2, 2, 2)), shifts: [7]),
        .relu(Relu()), pool,
        convolution(16, channels: 6, Window(kernel: (5, 5)), shifts: [9, 8]),
        .relu(Relu()), pool,
        .reshape(Reshape(shape: [1, 400])),
        matrix(120, columns: 400, shifts: [9]), .relu(Relu()),
        matrix(84, columns: 120, shifts: [9]), .relu(Relu()),
        matrix(10, columns: 84, shifts: [8]),
      ])
  }
}
