import FixedPoint

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

  init(of circuit: ClearCircuit) {
    let elements = circuit.batch * circuit.program.tensors.reduce(0) { $0 + $1.elementCount }
    cells = elements
    proofBytes = circuit.proofLength
    // The tensors, the largest sum's accumulators and its folded operand and weights.
    let largest = circuit.sums.map { 4 * $0.cellCount + 64 << $0.rounds }.max() ?? 0
    memoryBytes = 2 * elements + largest + proofBytes
  }

  init(of circuit: Circuit) {
    let parameters = circuit.parameters
    let (vector, leaves) = (1 << circuit.vectorLog, circuit.leafCount)
    cells = circuit.cellCount + leaves
    // The encoded matrix and its hashes stay from the commitment to the end; so do the vector, the
    // lookups' integers and the tensors.
    let kept =
      8 * circuit.rowCount << parameters.codeLog + 64 << parameters.codeLog + 4 * vector
      + 8 * leaves + 2 * circuit.batch * circuit.program.tensors.reduce(0) { $0 + $1.elementCount }
      + 8 * circuit.weightRows.count << parameters.codeLog
    // One tree at a time: numerators, denominators and the layers above; or the opening's weights
    // and folded vector.
    let largest = circuit.trees.map(\.log).max() ?? 0
    memoryBytes = kept + max(60 << largest, 24 * vector)
    // A round sends 32 bytes, a layer 64 more, a block or claim 16 to 48.
    let layers = circuit.trees.reduce(0) { $0 + $1.log * ($1.log - 1) / 2 * 32 + 64 * $1.log + 32 }
    let values =
      32 * (circuit.lookups.count + circuit.tables.count) + 16 * 32 * circuit.accumulators.count
      + circuit.checks.reduce(0) { $0 + Layout($1.shape).log * 16 * $1.factors.count }
    proofBytes =
      32 + layers + values + 32 * circuit.vectorLog
      + parameters.openingBytes(cells: circuit.cellCount + circuit.weightCellCount)
  }
}
