import FixedPoint
import Statements

/// What a proof of a circuit takes, before it is made.
package struct Estimate: Sendable {
  /// Cells committed and looked up: proving time is proportional to it.
  package let cells: Int
  package let memoryBytes: Int
  package let proofBytes: Int

  package init(of key: ProverKey) throws(CircuitError) {
    switch key.mode {
    case .clear: self.init(of: try ClearCircuit(key.program, batch: key.batch))
    case .commit(let parameters):
      self.init(of: try Circuit(key.program, parameters, batch: key.batch))
    }
  }

  /// What a prover's process holds before its first session: the runtime, the host and the plugin.
  /// Measured with the release build.
  private static let processBytes = 15_000_000

  /// What a session holds between proofs, and a run: of each weight its copies in the key and in
  /// the programs, and those that two executors have packed; of each element of a tensor the
  /// executor's and the witness's; of each byte of the boundary the copies on its way.
  private static func sessionBytes(_ program: Program, batch: Int) -> Int {
    let weights = program.operations.reduce(0) { sum, operation in
      switch operation.operator {
      case .convolution(let convolution): sum + convolution.rows.weights.count
      case .matrixProduct(let product): sum + product.rows.weights.count
      case .constant(let constant): sum + constant.values.count
      default: sum
      }
    }
    let elements = program.tensors.reduce(0) { $0 + $1.elementCount }
    let boundary = (program.inputs + program.outputs).reduce(0) { $0 + $1.byteCount }
    return 12 * weights + 2 * elements + batch * (2 * elements + 4 * boundary)
  }

  init(of circuit: ClearCircuit) {
    let elements = circuit.batch * circuit.program.tensors.reduce(0) { $0 + $1.elementCount }
    cells = elements
    proofBytes = circuit.proofLength
    // The largest sum's accumulators, its folded operand and weights, and the proof as it grows.
    let largest = circuit.sums.map { 4 * $0.cellCount + 64 << $0.rounds }.max() ?? 0
    memoryBytes =
      Self.processBytes + Self.sessionBytes(circuit.program, batch: circuit.batch) + largest
      + 2 * proofBytes
  }

  init(of circuit: Circuit) {
    let parameters = circuit.parameters
    cells = circuit.cellCount + circuit.leafCount
    // A round sends 32 bytes, a layer 64 more, a block or claim 16 to 48.
    let layers = circuit.trees.reduce(0) { $0 + $1.log * ($1.log - 1) / 2 * 32 + 64 * $1.log + 32 }
    let values =
      32 * (circuit.lookups.count + circuit.tables.count) + 16 * 32 * circuit.accumulators.count
      + circuit.checks.reduce(0) { $0 + Layout($1.shape).log * 16 * $1.factors.count }
    proofBytes =
      32 + layers + values + 32 * circuit.vectorLog
      + parameters.openingBytes(cells: circuit.cellCount + circuit.weightCellCount)
    // Vectors of several sizes come and go, and the allocator keeps more than they hold: measured
    // over twenty proofs, a tenth to a half.
    let vectors = Self.vectorBytes(circuit)
    memoryBytes =
      Self.processBytes + Self.sessionBytes(circuit.program, batch: circuit.batch)
      + 64 * circuit.weightRows.count << parameters.codeLog
      + vectors + vectors * 3 / 10 + 2 * proofBytes
  }

  /// What the vectors of a proof hold at most.
  static func vectorBytes(_ circuit: Circuit) -> Int {
    let parameters = circuit.parameters
    let vector = 1 << circuit.vectorLog
    // From the commitment to the end: the encoded matrix and its hashes, the vector, and the
    // integers of each lookup's block.
    var kept = 8 * circuit.rowCount << parameters.codeLog + 64 << parameters.codeLog + 4 * vector
    for lookup in circuit.lookups {
      let size = 4 * Layout(lookup.shape).size
      if case .value = lookup.second { kept += size }
      kept += size
    }
    // From the leaves to the end: the operands of each accumulator's sumcheck.
    for accumulator in circuit.accumulators {
      switch accumulator {
      case .weighted(let sum): kept += 32 * Layout(sum.innerShape).size
      case .product(let left, _): kept += 32 * Layout(left.shape).size
      }
    }
    // Besides, one after the other: a tree's numerators, denominators and the layers above
    // them; a check's factors; the opening's weights and the folded vector.
    let tree = circuit.trees.map { 52 << $0.log }.max() ?? 0
    let check =
      circuit.checks.map {
        (16 * $0.factors.count + 8) * Layout($0.shape).size
      }.max() ?? 0
    return kept + max(tree, check, 24 * vector)
  }
}
