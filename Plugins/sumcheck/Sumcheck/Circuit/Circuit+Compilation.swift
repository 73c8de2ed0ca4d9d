package import FixedPoint

extension Circuit {
  /// Throws, naming the operation, where the program has something that cannot be proven.
  package init(
    _ program: Program, _ parameters: Parameters, batch: Int = 1
  ) throws(CircuitError) {
    var builder = CircuitBuilder(try program.rearrangedForProof(), parameters)
    try builder.compile()
    try builder.check(batch: batch)
    if batch > 1 { builder.addLeadingAxis(of: batch) }
    var columns = builder.columns
    var tables: [(Table, Int)] = []
    for table in Self.tables(of: builder.lookups, functions: builder.functions.count) {
      tables.append((table, columns.count))
      columns.append(
        Column(content: .multiplicities(table), layout: Layout([1 << table.log])))
    }
    let weights = Set(builder.weightColumns)
    let end = Self.place(&columns, columns.indices.filter { !weights.contains($0) }, from: 0)
    // Weights begin at a row of their own, and at a multiple of their largest block.
    let rowCount = max(1, end.dividedUp(by: 1 << parameters.messageLog))
    let alignment = weights.reduce(1 << parameters.messageLog) {
      max($0, columns[$1].layout.size)
    }
    let weightStart =
      (rowCount << parameters.messageLog).dividedUp(by: alignment) * alignment
    let weightEnd = Self.place(&columns, builder.weightColumns, from: weightStart)
    let trees = Self.trees(lookups: builder.lookups, tables: tables.map(\.0))
    guard end <= CircuitBuilder.sizeLimit, weightEnd <= 2 * CircuitBuilder.sizeLimit,
      trees.reduce(0, { $0 + 1 << $1.log }) <= CircuitBuilder.sizeLimit
    else {
      throw CircuitError(
        node: "program", reason: "the slice needs more than 2^24 cells; cut the model further")
    }
    self.program = builder.program
    self.parameters = parameters
    self.batch = batch
    sources = builder.sources
    lookups = builder.lookups
    accumulators = builder.accumulators
    checks = builder.checks
    links = builder.links
    functions = builder.functions
    self.columns = columns
    self.tables = tables
    self.trees = trees
    cellCount = end
    self.rowCount = rowCount
    weightRows =
      weights.isEmpty
      ? rowCount..<rowCount
      : weightStart >> parameters.messageLog..<weightEnd.dividedUp(by: 1 << parameters.messageLog)
    vectorLog = parameters.messageLog + weightRows.upperBound.ceilingLog
  }

  /// Gives the columns their offsets, the largest first, so that every block begins at a multiple
  /// of its size; gives their end.
  private static func place(_ columns: inout [Column], _ chosen: [Int], from start: Int) -> Int {
    var end = start
    for index in chosen.sorted(by: {
      (columns[$1].layout.size, $0) < (columns[$0].layout.size, $1)
    }) {
      columns[index].offset = end
      end += columns[index].layout.size
    }
    return end
  }

  /// Those that the lookups name, in a fixed order.
  private static func tables(of lookups: [Lookup], functions: Int) -> [Table] {
    let bits = lookups.reduce(into: Set<Int64>()) { bits, lookup in
      if case .bits(let scale) = lookup.second { bits.formUnion(scale.values) }
    }
    let valued = [Table.relu, .sign] + (0..<functions).map { .function($0) }
    let tags = Set(lookups.map(\.tag))
    return valued.filter { tags.contains($0.tag) }
      + bits.sorted().map { .range(bits: Int($0)) }
  }

  /// Fills trees greedily: each is the largest power of two that its blocks fill, the last is
  /// padded.
  private static func trees(lookups: [Lookup], tables: [Table]) -> [Tree] {
    let blocks: [(block: Block, log: Int)] =
      lookups.enumerated().map { (.lookup($0.offset), Layout($0.element.shape).log) }
      + tables.enumerated().map { (.table($0.offset), $0.element.log) }
    let order = blocks.indices.sorted { (blocks[$1].log, $0) < (blocks[$0].log, $1) }
    var rest = order[...]
    var trees: [Tree] = []
    while !rest.isEmpty {
      let total = rest.reduce(0) { $0 + 1 << blocks[$1].log }
      let padded = total.ceilingLog
      // More than three quarters full, or small: one tree holds them all.
      let isLast = total > 3 << max(padded - 2, 0) || padded <= 12
      let log = isLast ? padded : padded - 1
      var taken = 0
      var members: [Block] = []
      while let next = rest.first, taken + 1 << blocks[next].log <= 1 << log {
        members.append(blocks[next].block)
        taken += 1 << blocks[next].log
        rest.removeFirst()
      }
      trees.append(Tree(log: log, blocks: members))
    }
    return trees
  }
}

extension Program {
  /// The same function, in the form that costs least to prove.
  func rearrangedForProof() throws(CircuitError) -> Program {
    var rewriting = Rewriting(self)
    rewriting.divideLargePools()
    rewriting.movePoolsBeforeRamps()
    do {
      return try Program(
        inputs: inputs, operations: rewriting.operations,
        outputTensors: rewriting.outputTensors, outputs: outputs)
    } catch {
      throw CircuitError(node: error.node ?? "program", reason: error.sentence)
    }
  }
}

/// Equivalences of programs.
private struct Rewriting {
  private let inputCount: Int
  private(set) var operations: [Program.Operation]
  private(set) var outputTensors: [Int]

  init(_ program: Program) {
    inputCount = program.inputs.count
    (operations, outputTensors) = (program.operations, program.outputTensors)
  }

  /// A maximum over a rectangle is one over its columns of one over its rows.
  mutating func divideLargePools() {
    var result: [Program.Operation] = []
    // Old tensor numbers to new ones.
    var number = Array(0..<inputCount)
    for operation in operations {
      let reads = operation.inputs.map { number[$0] }
      if case .maxPool(let pool) = operation.operator,
        pool.window.cellCount > CircuitBuilder.windowLimit
      {
        let passes = pool.window.passes
        result.append(
          .init(name: operation.name, inputs: reads, operator: .maxPool(MaxPool(window: passes.0))))
        result.append(
          .init(
            name: operation.name, inputs: [inputCount + result.count - 1],
            operator: .maxPool(MaxPool(window: passes.1))))
      } else {
        result.append(
          .init(name: operation.name, inputs: reads, operator: operation.operator))
      }
      number.append(inputCount + result.count - 1)
    }
    operations = result
    outputTensors = outputTensors.map { number[$0] }
  }

  /// A maximum commutes with a ramp, and what a pool leaves is smaller.
  mutating func movePoolsBeforeRamps() {
    var readers: [Int: Int] = [:]
    for operation in operations {
      for input in operation.inputs { readers[input, default: 0] += 1 }
    }
    for index in operations.indices.dropFirst() {
      // Only neighbours trade places, so that every operation still reads lower numbers.
      let (ramp, pool) = (operations[index - 1], operations[index])
      let between = inputCount + index - 1
      guard case .maxPool = pool.operator, case .relu = ramp.operator, pool.inputs == [between],
        readers[between] == 1, !outputTensors.contains(between)
      else { continue }
      operations[index - 1] = .init(name: pool.name, inputs: ramp.inputs, operator: pool.operator)
      operations[index] = .init(name: ramp.name, inputs: pool.inputs, operator: ramp.operator)
    }
  }
}

extension Window {
  /// Along rows, then along columns.
  fileprivate var passes: (Window, Window) {
    (
      Window(
        kernel: (1, kernelWidth), stride: (1, strideWidth), pads: (0, padLeft, 0, padRight),
        dilation: (1, dilationWidth)),
      Window(
        kernel: (kernelHeight, 1), stride: (strideHeight, 1), pads: (padTop, 0, padBottom, 0),
        dilation: (dilationHeight, 1))
    )
  }
}
