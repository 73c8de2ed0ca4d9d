/// In which order and where in memory a program is computed.
struct Plan: Sendable {
  struct Step: Sendable {
    let kernel: any Kernel
    /// The kernel again where it can be divided, and how; asked once, not in every run.
    private let divided: (kernel: any DividedKernel, stages: [KernelStage])?
    /// Index of the operation that a fault of this step names.
    let operation: Int
    /// Numbers of the tensors read, and of the one written.
    let operands: [Int]
    let result: Int

    init(kernel: any Kernel, operation: Int, operands: [Int], result: Int) {
      self.kernel = kernel
      divided = (kernel as? any DividedKernel).map { ($0, $0.stages) }
      (self.operation, self.operands, self.result) = (operation, operands, result)
    }

    /// Computes the step, on up to `threads` threads; gives the lowest fault.
    func run(_ invocation: Invocation, threads: Int) -> Int? {
      guard let divided else {
        return kernel.run(
          invocation.operands, into: invocation.result, scratch: invocation.scratch)
      }
      for (index, stage) in divided.stages.enumerated() {
        let task = StageTask(kernel: divided.kernel, stage: index, invocation: invocation)
        if let fault = task.run(stage, threads: threads) { return fault }
      }
      return nil
    }
  }

  /// Memory is not shared in programs of more steps, for which looking for gaps would take long.
  private static let sharingLimit = 4096

  let steps: [Step]
  /// Where each tensor starts in the memory of a run, in elements; nil where it is never written.
  let offsets: [Int?]
  let scratchOffset: Int
  let elementCount: Int

  /// With `keepsTensors` every tensor of the program exists at the end. Otherwise tensors whose
  /// lives do not overlap share memory, and a Relu joins the operation before it where nothing else
  /// reads the tensor between them: a range fault is the operation's in any case.
  init(_ program: Program, kernels: [any Kernel], keepsTensors: Bool) {
    let inputs = program.inputs.count
    steps =
      keepsTensors
      ? program.operations.indices.map { index in
        Step(
          kernel: kernels[index], operation: index, operands: program.operations[index].inputs,
          result: inputs + index)
      } : Self.fused(program, kernels)

    // The last step that reads each tensor; those read by nobody live as long as their own step.
    var lastUse = [Int](repeating: -1, count: program.tensors.count)
    for (index, step) in steps.enumerated() {
      lastUse[step.result] = max(lastUse[step.result], index)
      for operand in step.operands { lastUse[operand] = index }
    }
    for tensor in program.outputTensors { lastUse[tensor] = steps.count }
    if keepsTensors || steps.count > Self.sharingLimit { lastUse = lastUse.map { _ in .max } }

    var memory = Memory()
    var offsets = [Int?](repeating: nil, count: program.tensors.count)
    for input in 0..<inputs {
      offsets[input] = memory.place(
        program.tensors[input].elementCount, at: -1, until: lastUse[input])
    }
    for (index, step) in steps.enumerated() {
      offsets[step.result] = memory.place(
        program.tensors[step.result].elementCount, at: index, until: lastUse[step.result])
    }
    self.offsets = offsets
    scratchOffset = memory.count
    elementCount =
      memory.count + steps.reduce(0) { max($0, $1.kernel.scratchCount) } + Invocation.operandSlack
  }

  func tensor(_ number: Int, in arena: Arena) -> UnsafeMutablePointer<Int16>? {
    offsets[number].map { arena.memory + $0 }
  }

  private static func fused(_ program: Program, _ kernels: [any Kernel]) -> [Step] {
    let inputs = program.inputs.count
    var readers = [Int](repeating: 0, count: program.tensors.count)
    for operation in program.operations {
      for input in operation.inputs { readers[input] += 1 }
    }
    for tensor in program.outputTensors { readers[tensor] += 1 }
    // By operation: the Relu that joins it.
    var joined: [Int: Int] = [:]
    for (index, operation) in program.operations.enumerated() {
      guard case .relu = operation.operator, let producer = operation.inputs.first,
        producer >= inputs, readers[producer] == 1,
        kernels[producer - inputs] is any RectifiableKernel
      else { continue }
      joined[producer - inputs] = index
    }
    let absorbed = Set(joined.values)
    return program.operations.indices.compactMap { index in
      guard !absorbed.contains(index) else { return nil }
      let operands = program.operations[index].inputs
      guard let relu = joined[index], let kernel = kernels[index] as? any RectifiableKernel else {
        return Step(
          kernel: kernels[index], operation: index, operands: operands, result: inputs + index)
      }
      return Step(
        kernel: kernel.rectified, operation: index, operands: operands, result: inputs + relu)
    }
  }
}

/// Memory given out for spans of steps, lowest first.
private struct Memory {
  private struct Block {
    let range: Range<Int>
    let lastUse: Int
  }

  /// Tensors start at multiples of this: a cache line.
  private static let alignment = 32

  /// Blocks that are given back some day, in the order of their ranges.
  private var blocks: [Block] = []
  private(set) var count = 0

  /// Room for `elements` and what may be read beyond them, shared with nothing that is alive at any
  /// step from `step`, which never descends, to `until`; for ever where that is `.max`.
  mutating func place(_ elements: Int, at step: Int, until: Int) -> Int {
    let size =
      (elements + Invocation.operandSlack + Self.alignment - 1) / Self.alignment * Self.alignment
    guard until < .max else {
      defer { count += size }
      return count
    }
    blocks.removeAll { $0.lastUse < step }
    var start = 0
    var index = 0
    while index < blocks.count, blocks[index].range.lowerBound - start < size {
      start = blocks[index].range.upperBound
      index += 1
    }
    blocks.insert(Block(range: start..<start + size, lastUse: until), at: index)
    count = max(count, start + size)
    return start
  }
}
