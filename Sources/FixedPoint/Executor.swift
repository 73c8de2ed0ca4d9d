import CFixedPoint
import Primitives
import Statements

/// Runs a program: the reference meaning of `fixed16/1`. Immutable and safe to share.
///
/// Making one packs the weights; after that, runs that do not overlap use one memory again and
/// again, and allocate only the outputs they return. Neither the number of threads nor the
/// instructions change a byte of any result, nor which range fault is found.
package struct Executor: Sendable {
  package let program: Program
  package let threads: Int
  package let instructions: Instructions
  private let plan: Plan
  private let arenas: Arenas
  private let retainingPlan: Plan
  private let retainingArenas: Arenas

  /// Processors that this process may use.
  package static let processors = Int(fixed16_processors())

  /// Up to `threads` threads, shared by all executors of the process, help with each run; layers
  /// that take a few microseconds stay on the caller's. `instructions` must be ones that this
  /// processor has.
  package init(
    program: Program, threads: Int = Self.processors, instructions: Instructions = .best
  ) {
    self.program = program
    self.threads = threads
    self.instructions = instructions
    let kernels = program.operations.indices.map { index in
      program.operations[index].operator.family.kernel(
        operands: program.operands(of: index),
        result: program.tensors[program.inputs.count + index])
    }
    plan = Plan(program, kernels: kernels, keepsTensors: false)
    arenas = Arenas(plan)
    retainingPlan = Plan(program, kernels: kernels, keepsTensors: true)
    retainingArenas = Arenas(retainingPlan)
  }

  /// Inputs and outputs are the raw little-endian bytes of the boundary tensors, in the program's
  /// order; the plain SHA-256 of each is the tensor's digest. A range fault is a deterministic
  /// outcome: the first operation, and in it the lowest row-major element, that leaves int16.
  ///
  /// - Parameter isCancelled: Asked before every operation; true gives the run up.
  package func run(
    _ inputs: [[UInt8]], isCancelled: () -> Bool = { false }
  ) throws(ExecutionError) -> [[UInt8]] {
    let arena = arenas.take()
    defer { arenas.give(arena) }
    try run(inputs, plan, arena, isCancelled)
    return outputs(plan, arena)
  }

  /// The same, keeping every tensor of the program.
  package func runRetaining(
    _ inputs: [[UInt8]], isCancelled: () -> Bool = { false }
  ) throws(ExecutionError) -> RetainedTensors {
    let arena = retainingArenas.take()
    do {
      try run(inputs, retainingPlan, arena, isCancelled)
    } catch {
      retainingArenas.give(arena)
      throw error
    }
    return RetainedTensors(
      outputs: outputs(retainingPlan, arena), program: program, plan: retainingPlan, arena: arena,
      arenas: retainingArenas)
  }

  private func run(
    _ inputs: [[UInt8]], _ plan: Plan, _ arena: Arena, _ isCancelled: () -> Bool
  ) throws(ExecutionError) {
    guard inputs.count == program.inputs.count else {
      throw .inputCount(expected: program.inputs.count, got: inputs.count)
    }
    for (bytes, input) in zip(inputs, program.inputs) where bytes.count != input.byteCount {
      throw .byteCount(tensor: input.name, expected: input.byteCount, got: bytes.count)
    }
    for (index, bytes) in inputs.enumerated() {
      if let tensor = plan.tensor(index, in: arena) { load(bytes, into: tensor) }
    }
    for (index, step) in plan.steps.enumerated() {
      guard let result = plan.tensor(step.result, in: arena) else { continue }
      if isCancelled() { throw .cancelled }
      let invocation = Invocation(
        operands: arena.operands[index], result: result,
        scratch: arena.memory + plan.scratchOffset, instructions: instructions)
      if let element = step.run(invocation, threads: threads) {
        let node = program.operations[step.operation].name
        throw .rangeFault(RangeFault(operation: step.operation, node: node, element: element))
      }
    }
  }

  private func outputs(_ plan: Plan, _ arena: Arena) -> [[UInt8]] {
    program.outputTensors.map { tensor in
      guard let values = plan.tensor(tensor, in: arena) else { return [] }
      return store(values, count: program.tensors[tensor].elementCount)
    }
  }

  private func load(_ bytes: [UInt8], into tensor: UnsafeMutablePointer<Int16>) {
    bytes.withUnsafeBytes { buffer in
      UnsafeMutableRawBufferPointer(start: tensor, count: buffer.count).copyMemory(from: buffer)
    }
    guard !Self.isLittleEndian else { return }
    for index in 0..<bytes.count / 2 { tensor[index] = Int16(littleEndian: tensor[index]) }
  }

  private func store(_ tensor: UnsafeMutablePointer<Int16>, count: Int) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: count * 2) { buffer, written in
      let bytes = UnsafeMutableRawBufferPointer(buffer)
      if Self.isLittleEndian {
        bytes.copyMemory(from: UnsafeRawBufferPointer(start: tensor, count: count * 2))
      } else {
        for index in 0..<count {
          bytes.storeBytes(
            of: tensor[index].littleEndian, toByteOffset: index * 2, as: Int16.self)
        }
      }
      written = count * 2
    }
  }

  private static var isLittleEndian: Bool { Int16(1).littleEndian == 1 }
}

/// Every tensor of one run, as a prover's witness needs them. Its memory goes back to the executor
/// when it is released.
package final class RetainedTensors: Sendable {
  /// The raw little-endian bytes of the outputs, as `Executor.run` gives them.
  package let outputs: [[UInt8]]
  private let program: Program
  private let plan: Plan
  private let arena: Arena
  private let arenas: Arenas

  init(outputs: [[UInt8]], program: Program, plan: Plan, arena: Arena, arenas: Arenas) {
    (self.outputs, self.program, self.plan) = (outputs, program, plan)
    (self.arena, self.arenas) = (arena, arenas)
  }

  deinit { arenas.give(arena) }

  /// The integers of tensor `number` of the program, row-major, as long as `body` runs: first the
  /// inputs, then the result of each operation.
  package func withTensor<Result, Failure: Error>(
    _ number: Int, _ body: (UnsafeBufferPointer<Int16>) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    let buffer = UnsafeBufferPointer(
      start: plan.tensor(number, in: arena), count: program.tensors[number].elementCount)
    return try withExtendedLifetime(self) { () throws(Failure) in try body(buffer) }
  }
}

/// Where a run left int16. It is an outcome, not a failure: every honest executor finds the same.
package struct RangeFault: Hashable, Sendable {
  /// Index of the operation in the program.
  package let operation: Int
  package let node: String
  /// Row-major index into the operation's result.
  package let element: Int

  package init(operation: Int, node: String, element: Int) {
    (self.operation, self.node, self.element) = (operation, node, element)
  }
}

package enum ExecutionError: CodedError, Equatable {
  case inputCount(expected: Int, got: Int)
  case byteCount(tensor: String, expected: Int, got: Int)
  case rangeFault(RangeFault)
  /// The caller gave the run up.
  case cancelled

  package var code: String {
    switch self {
    case .inputCount: "wrong-input-count"
    case .byteCount: "wrong-tensor-size"
    case .rangeFault: "range-fault"
    case .cancelled: "run-cancelled"
    }
  }

  package var sentence: String {
    switch self {
    case .inputCount(let expected, let got):
      "The program takes \(expected) input tensors and \(got) came; send one per boundary."
    case .byteCount(let tensor, let expected, let got):
      "Tensor '\(tensor)' has \(expected) bytes and \(got) came; send its raw little-endian integers."
    case .rangeFault(let fault):
      "At '\(fault.node)', element \(fault.element) leaves int16 with this input; calibrate the model on inputs like it."
    case .cancelled: "The run was given up; start it again for its outputs."
    }
  }
}
