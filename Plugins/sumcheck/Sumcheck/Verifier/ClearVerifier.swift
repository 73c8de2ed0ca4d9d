import FixedPoint

/// Decides a clear proof, which states the quotient and remainder of every weighted sum.
///
/// The rest of the program is run again from the stated quotients, by the definition of its
/// semantics. That gives every sum its operand, and 2^s·q + r - 2^(s-1) is its accumulator: below
/// 2^63 in magnitude, as the accumulator of a valid program is below 2^62, so that equality modulo
/// p is equality of integers, and r < 2^s leaves one q. Each sum is checked at a point drawn after
/// all of this is fixed; error at most log2(cells)/|E| for the point and 2/|E| for each round.
struct ClearVerifier: Sendable {
  let circuit: ClearCircuit
  private let executor: Executor

  init(_ circuit: ClearCircuit) {
    self.circuit = circuit
    executor = Executor(program: circuit.rest, threads: 1)
  }

  func verify(
    _ instances: [Instance], _ proof: inout ProofReader, _ constraints: Constraints
  ) throws(VerificationError) {
    var quotients: [[Int16]] = []
    var remainders: [[UInt32]] = []
    for sum in circuit.sums {
      if let output = sum.output {
        quotients.append(Integers.of(instances.map { $0.outputs[output] }))
      } else {
        quotients.append(Integers.of([try proof.bytes(sum.quotientBytes)]))
      }
      remainders.append(
        try Self.unpack(try proof.bytes(sum.remainderBytes), sum, constraints))
    }
    let operands = try runRest(instances, quotients, constraints)
    for (index, sum) in circuit.sums.enumerated() {
      let point = proof.transcript.challenges(Layout(sum.weighted.resultShape).log)
      let claim = Self.accumulator(sum, quotients[index], remainders[index], at: point)
      let (inner, value) = try proof.productSumcheck(claim, rounds: sum.rounds)
      let channel = Layout(sum.weighted.resultShape).split(point[...])[sum.weighted.channelAxis]
      let weights = sum.weighted.weight(
        channel: Multilinear.equality(Array(channel), count: sum.weighted.rows.rowCount),
        inner: inner[...])
      let operand = sum.weighted.operandFunctional(at: point[...], inner: inner[...])
        .evaluate(on: operands[sum.operand] ?? [])
      try constraints.require(value == operand * weights, .weightedSum)
    }
  }

  /// Runs what is no weighted sum, inference by inference; gives the sums' operands, over the
  /// batch, by the rest's output.
  private func runRest(
    _ instances: [Instance], _ quotients: [[Int16]], _ constraints: Constraints
  ) throws(VerificationError) -> [Int: [Int16]] {
    var operands: [Int: [Int16]] = [:]
    for (place, instance) in instances.enumerated() {
      let own = quotients.map { all in
        let count = all.count / instances.count
        return Integers.bytes(all[place * count..<(place + 1) * count])
      }
      let outputs: [[UInt8]]
      do {
        outputs = try executor.run(instance.inputs + own)
      } catch {
        throw .recomputation
      }
      let given = outputs.prefix(circuit.program.outputs.count)
      try constraints.require(given.elementsEqual(instance.outputs), .recomputation)
      for output in given.count..<outputs.count {
        operands[output, default: []] += Integers.of([outputs[output]])
      }
    }
    return operands
  }

  /// Remainders of as many bits as their channel's shift.
  private static func unpack(
    _ bytes: ArraySlice<UInt8>, _ sum: ClearCircuit.Sum, _ constraints: Constraints
  ) throws(VerificationError) -> [UInt32] {
    var remainders = [UInt32](repeating: 0, count: sum.cellCount)
    // Bits that are read from bytes and not yet used, the next one lowest.
    var (pending, pendingCount, next) = (UInt64(0), 0, bytes.startIndex)
    sum.forEachRun { channel, cells in
      let shift = Int(sum.weighted.rows.shifts[channel])
      for cell in cells {
        while pendingCount < shift {
          pending |= UInt64(bytes[next]) << UInt64(pendingCount)
          (pendingCount, next) = (pendingCount + 8, next + 1)
        }
        remainders[cell] = UInt32(pending & (1 << UInt64(shift) - 1))
        (pending, pendingCount) = (pending >> UInt64(shift), pendingCount - shift)
      }
    }
    try constraints.require(pending == 0, .packing)
    return remainders
  }

  /// The extension of the accumulator, without its bias, at a point of the result.
  private static func accumulator(
    _ sum: ClearCircuit.Sum, _ quotients: [Int16], _ remainders: [UInt32], at point: [Extension]
  ) -> Extension {
    let weighted = sum.weighted
    let axes = zip(Layout(weighted.resultShape).split(point[...]), weighted.resultShape).map {
      Multilinear.equality(Array($0), count: $1)
    }
    func product(_ axes: some Collection<[Extension]>) -> [Extension] {
      axes.reduce([.one]) { product, axis in product.flatMap { left in axis.map { left * $0 } } }
    }
    let runs = product(axes[...weighted.channelAxis])
    let cellWeights = product(axes[(weighted.channelAxis + 1)...])
    var (total, run) = (Extension.zero, 0)
    sum.forEachRun { channel, cells in
      let shift = Int64(weighted.rows.shifts[channel])
      let constant = weighted.rows.biases[channel] + (shift == 0 ? 0 : 1 << (shift - 1))
      var partial = Extension.zero
      for (cell, weight) in zip(cells, cellWeights) {
        let scaled = Int64(quotients[cell]) << shift + Int64(remainders[cell])
        partial += weight * Goldilocks(scaled - constant)
      }
      total += runs[run] * partial
      run += 1
    }
    return total
  }
}
