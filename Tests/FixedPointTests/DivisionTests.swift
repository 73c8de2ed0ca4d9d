import FixedPoint
import Statements
import Testing

/// What threads, shared memory and joined operations must not change.
@Suite struct DivisionTests {
  /// Large enough that its layers are shared between threads: a convolution of each kind, the
  /// operations between them, and a product. `bias` of the second convolution makes it fault.
  private func network(bias: Int64 = 0) throws -> Program {
    var random = Seeded(state: 3)
    func rows(_ count: Int, _ columns: Int, shift: UInt8, bias: Int64 = 0) -> LinearRows {
      LinearRows(
        weights: (0..<count * columns).map { _ in Int16.random(in: -100...100, using: &random) },
        biases: .init(repeating: bias, count: count), shifts: .init(repeating: shift, count: count))
    }
    func convolution(_ rows: LinearRows, groups: Int = 1, stride: Int = 1) -> Operator {
      .convolution(
        Convolution(
          rows: rows, groups: groups,
          window: Window(kernel: (3, 3), stride: (stride, stride), pads: (1, 1, 1, 1)), exponent: 8)
      )
    }
    return try Program(
      inputs: [boundary("x", [1, 3, 32, 32])],
      operations: [
        .init(name: "slide", inputs: [0], operator: convolution(rows(24, 27, shift: 9))),
        .init(name: "relu1", inputs: [1], operator: .relu(Relu())),
        .init(
          name: "pairs", inputs: [2], operator: convolution(rows(12, 216, shift: 10, bias: bias))),
        .init(
          name: "add", inputs: [3, 3],
          operator: .add(Addition(leftAlignment: 0, rightAlignment: 0, shift: 1, exponent: 7))),
        .init(name: "relu2", inputs: [4], operator: .relu(Relu())),
        .init(
          name: "depthwise", inputs: [5],
          operator: .convolution(
            Convolution(
              rows: rows(12, 9, shift: 8), groups: 12,
              window: Window(kernel: (3, 3), stride: (2, 2), pads: (1, 1, 1, 1)), exponent: 8))),
        .init(
          name: "max", inputs: [6],
          operator: .maxPool(MaxPool(window: Window(kernel: (2, 2), stride: (2, 2))))),
        .init(name: "flat", inputs: [7], operator: .reshape(Reshape(shape: [1, 768]))),
        .init(
          name: "gemm", inputs: [8],
          operator: .matrixProduct(
            MatrixProduct(rows: rows(60, 768, shift: 13), exponent: 8))),
      ],
      outputTensors: [9], outputs: [boundary("y", [1, 60])])
  }

  private func input(_ limit: Int16) -> [[UInt8]] {
    var random = Seeded(state: 5)
    return [bytes((0..<3072).map { _ in Int16.random(in: -limit...limit, using: &random) })]
  }

  @Test func threadsAndInstructionsChangeNoByte() throws {
    let program = try network()
    let expected = try Executor(program: program, threads: 1, instructions: .portable).run(
      input(2000))
    #expect(Set(integers(expected[0])).count > 20)
    for threads in [2, 3, 7] {
      let executor = Executor(program: program, threads: threads)
      for _ in 0..<2 { #expect(try executor.run(input(2000)) == expected) }
    }
  }

  @Test func threadsFindTheSameFault() throws {
    // The bias alone leaves int16 almost everywhere, or only where the sum helps it.
    for bias in [Int64(1) << 26, 32_900_000] {
      let program = try network(bias: bias)
      let fault = Result { () throws(ExecutionError) in
        try Executor(program: program, threads: 1, instructions: .portable).run(input(2000))
      }
      guard case .failure(.rangeFault(let first)) = fault else {
        Issue.record("no fault at a bias of \(bias)")
        continue
      }
      #expect(first.node == "pairs")
      for threads in [1, 3] {
        #expect(throws: ExecutionError.rangeFault(first)) {
          try Executor(program: program, threads: threads).run(input(2000))
        }
      }
    }
  }

  @Test func runsAtTheSameTimeDoNotDisturbEachOther() async throws {
    let executor = Executor(program: try network(), threads: 2)
    let expected = try (1...4).map { try executor.run(input(Int16($0) * 500)) }
    try await withThrowingTaskGroup(of: Bool.self) { group in
      for task in 0..<8 {
        group.addTask {
          try executor.run(input(Int16(task % 4 + 1) * 500)) == expected[task % 4]
        }
      }
      for try await isEqual in group { #expect(isEqual) }
    }
  }

  /// Random graphs, in which tensors are read once, often, or never: memory that a tensor leaves is
  /// used again, and a Relu joins what it alone reads.
  @Test(arguments: 1...40) func sharedMemoryHoldsTheSameTensors(seed: Int) throws {
    var random = Seeded(state: UInt64(seed))
    var operations: [Program.Operation] = []
    for index in 0..<20 {
      func operand() -> Int {
        Int.random(
          in: Bool.random(using: &random) ? max(0, index - 2)...index + 1 : 0...index + 1,
          using: &random)
      }
      let name = "operation\(index)"
      switch Int.random(in: 0..<3, using: &random) {
      case 0: operations.append(.init(name: name, inputs: [operand()], operator: .relu(Relu())))
      case 1:
        operations.append(
          .init(
            name: name, inputs: [operand(), operand()],
            operator: .add(Addition(leftAlignment: 0, rightAlignment: 0, shift: 0, exponent: 8))))
      default:
        operations.append(
          .init(
            name: name, inputs: [operand()],
            operator: .matrixProduct(
              MatrixProduct(
                rows: LinearRows(
                  weights: (0..<81).map { _ in Int16.random(in: -90...90, using: &random) },
                  biases: .init(repeating: Int64(index), count: 9),
                  shifts: .init(repeating: 8, count: 9)), exponent: 8))))
      }
    }
    let outputs = [Int.random(in: 2...21, using: &random), 21]
    let program = try Program(
      inputs: [boundary("x", [5, 9]), boundary("y", [5, 9])], operations: operations,
      outputTensors: outputs, outputs: [boundary("u", [5, 9]), boundary("v", [5, 9])])
    let executor = Executor(program: program)
    for limit in [Int16(5), 20_000] {
      let inputs = (0..<2).map { _ in
        bytes((0..<45).map { _ in Int16.random(in: -limit...limit, using: &random) })
      }
      let shared = Result { () throws(ExecutionError) in try executor.run(inputs) }
      let retained = Result { () throws(ExecutionError) in try executor.runRetaining(inputs) }
      #expect(shared == retained.map(\.outputs))
      guard case .success(let tensors) = retained else { continue }
      #expect(tensors.withTensor(0) { bytes(Array($0)) } == inputs[0])
      for (output, tensor) in zip(tensors.outputs, outputs) {
        #expect(tensors.withTensor(tensor) { bytes(Array($0)) } == output)
      }
    }
  }

  @Test func aFaultBeforeAReluNamesTheOperationThatLeftInt16() throws {
    let program = try Program(
      inputs: [boundary("x", [1, 2])],
      operations: [
        .init(
          name: "gemm", inputs: [0],
          operator: .matrixProduct(
            MatrixProduct(
              rows: LinearRows(weights: [1, 0, 2, 2], biases: [0, 0], shifts: [0, 0]), exponent: 8))
        ),
        .init(name: "relu", inputs: [1], operator: .relu(Relu())),
      ],
      outputTensors: [2], outputs: [boundary("y", [1, 2])])
    let executor = Executor(program: program)
    #expect(integers(try executor.run([bytes([-7, 9])])[0]) == [0, 4])
    #expect(throws: ExecutionError.rangeFault(RangeFault(operation: 0, node: "gemm", element: 1))) {
      try executor.run([bytes([-20000, 1])])
    }
  }
}
