import Primitives
import Statements

/// Runs a program: the reference meaning of `fixed16/1`. Immutable and safe to share; each run
/// allocates its own tensors.
package struct Executor: Sendable {
  package let program: Program
  private let kernels: [any Kernel]
  /// Where each tensor starts in the one allocation of a run, in elements.
  private let offsets: [Int]
  private let elementCount: Int
  private let scratchCount: Int

  package init(program: Program) {
    self.program = program
    kernels = program.operations.indices.map { index in
      program.operations[index].operator.family.kernel(
        operands: program.operands(of: index),
        result: program.tensors[program.inputs.count + index])
    }
    var offsets: [Int] = []
    var count = 0
    for tensor in program.tensors {
      offsets.append(count)
      count += tensor.elementCount
    }
    self.offsets = offsets
    elementCount = count
    scratchCount = kernels.reduce(0) { max($0, $1.scratchCount) }
  }

  /// Inputs and outputs are the raw little-endian bytes of the boundary tensors, in the program's
  /// order; the plain SHA-256 of each is the tensor's digest. A range fault is a deterministic
  /// outcome: the first operation, and in it the lowest row-major element, that leaves int16.
  package func run(_ inputs: [[UInt8]]) throws(ExecutionError) -> [[UInt8]] {
    guard inputs.count == program.inputs.count else {
      throw .inputCount(expected: program.inputs.count, got: inputs.count)
    }
    for (bytes, input) in zip(inputs, program.inputs) where bytes.count != input.byteCount {
      throw .byteCount(tensor: input.name, expected: input.byteCount, got: bytes.count)
    }
    let memory = UnsafeMutablePointer<Int16>.allocate(capacity: elementCount + scratchCount)
    memory.initialize(repeating: 0, count: elementCount + scratchCount)
    defer { memory.deallocate() }
    for (index, bytes) in inputs.enumerated() {
      load(bytes, into: memory + offsets[index])
    }
    let scratch = memory + elementCount
    for (index, kernel) in kernels.enumerated() {
      let operation = program.operations[index]
      let operands = operation.inputs.map { UnsafePointer(memory + offsets[$0]) }
      let result = memory + offsets[program.inputs.count + index]
      if let element = kernel.run(operands, into: result, scratch: scratch) {
        throw .rangeFault(RangeFault(operation: index, node: operation.name, element: element))
      }
    }
    return program.outputTensors.map { tensor in
      store(memory + offsets[tensor], count: program.tensors[tensor].elementCount)
    }
  }

  private func load(_ bytes: [UInt8], into tensor: UnsafeMutablePointer<Int16>) {
    bytes.withUnsafeBytes { buffer in
      for index in 0..<bytes.count / 2 {
        tensor[index] = Int16(
          littleEndian: buffer.loadUnaligned(fromByteOffset: index * 2, as: Int16.self))
      }
    }
  }

  private func store(_ tensor: UnsafeMutablePointer<Int16>, count: Int) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: count * 2) { buffer, written in
      let bytes = UnsafeMutableRawBufferPointer(buffer)
      for index in 0..<count {
        bytes.storeBytes(of: tensor[index].littleEndian, toByteOffset: index * 2, as: Int16.self)
      }
      written = count * 2
    }
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

  package var code: String {
    switch self {
    case .inputCount: "wrong-input-count"
    case .byteCount: "wrong-tensor-size"
    case .rangeFault: "range-fault"
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
    }
  }
}
