import FixedPoint

/// The prover's side of `ClearVerifier`, whose description holds the protocol.
struct ClearProver: Sendable {
  let circuit: ClearCircuit

  /// `tensors` holds the integers of every tensor of the program, over the batch.
  func prove(
    _ tensors: [[Int16]], _ parallel: Parallel, _ proof: inout ProofWriter,
    _ supervision: Supervision
  ) throws(Cancelled) {
    for (index, sum) in circuit.sums.enumerated() {
      try supervision.checkpoint(.witness, Double(index) / Double(circuit.sums.count))
      if sum.output == nil { proof.append(Integers.bytes(tensors[sum.tensor])) }
      proof.append(try remainders(sum, tensors, parallel))
    }
    for (index, sum) in circuit.sums.enumerated() {
      try supervision.checkpoint(.relations, Double(index) / Double(circuit.sums.count))
      let point = proof.transcript.challenges(Layout(sum.weighted.resultShape).log)
      _ = try ProductRounds.prove(
        try sum.weighted.foldedOperand(tensors[sum.weighted.source], at: point, parallel),
        try sum.weighted.foldedWeights(at: point, parallel), parallel, &proof)
    }
  }

  /// accumulator + 2^(s-1) - 2^s·q of every cell, packed.
  private func remainders(
    _ sum: ClearCircuit.Sum, _ tensors: [[Int16]], _ parallel: Parallel
  ) throws(Cancelled) -> [UInt8] {
    let rows = sum.weighted.rows
    let quotients = tensors[sum.tensor]
    let accumulators = try sum.weighted.accumulate(tensors[sum.weighted.source], parallel)
    var packed: [UInt8] = []
    packed.reserveCapacity(sum.remainderBytes + 8)
    var (pending, pendingCount) = (UInt64(0), UInt64(0))
    sum.forEachRun { channel, cells in
      let shift = Int32(rows.shifts[channel])
      // Modulo 2^32, and of that the shift's lowest bits: all that a remainder has.
      let constant =
        Int32(truncatingIfNeeded: rows.biases[channel]) &+ (shift == 0 ? 0 : 1 << (shift - 1))
      let mask = UInt32(1) << UInt32(shift) - 1
      for cell in cells {
        let remainder = accumulators.values[cell] &+ constant &- Int32(quotients[cell]) << shift
        pending |= UInt64(UInt32(bitPattern: remainder) & mask) << pendingCount
        pendingCount += UInt64(shift)
        while pendingCount >= 8 {
          packed.append(UInt8(truncatingIfNeeded: pending))
          (pending, pendingCount) = (pending >> 8, pendingCount - 8)
        }
      }
    }
    if pendingCount > 0 { packed.append(UInt8(truncatingIfNeeded: pending)) }
    return packed
  }
}
