import CSumcheckKernels

/// The prover's side of `LogUpVerifier`, whose description holds the protocol.
struct LogUpProver {
  let circuit: Circuit
  let witness: Witness
  let alpha: Extension
  let gamma: Extension
  let parallel: Parallel

  func prove(
    _ proof: inout ProofWriter, _ supervision: Supervision
  ) throws(Cancelled) -> (claims: [Claim], accumulators: [AccumulatorProof]) {
    var claims: [Claim] = []
    var accumulators: [AccumulatorProof] = []
    let leafCount = Double(circuit.leafCount)
    var done = 0.0
    for tree in circuit.trees {
      try supervision.checkpoint(.lookups, done)
      let share = Double(1 << tree.log) / leafCount
      var layers = try Layers(try leaves(of: tree), log: tree.log, parallel)
      let point = try layers.prove(&proof) { part in
        supervision.advance(.lookups, done + share * part)
      }
      done += share
      try open(tree, at: point, &proof, &claims, &accumulators)
    }
    return (claims, accumulators)
  }

  // MARK: Leaves

  private func leaves(
    of tree: Circuit.Tree
  ) throws(Cancelled) -> (numerators: IntegerVector, q: ExtensionVector) {
    let numerators = try IntegerVector(count: 1 << tree.log, parallel)
    let q = ExtensionVector(unfilled: 1 << tree.log)
    var offset = 0
    for block in tree.blocks {
      let size = circuit.layout(block).size
      switch block {
      case .lookup(let index):
        try circuit.lookups[index].mask.mark(numerators.values + offset, parallel)
        try fillDenominators(index, q, from: offset)
      case .table(let index):
        let (table, column) = circuit.tables[index]
        let counts = witness.vector.values + circuit.columns[column].offset
        let rows = circuit.rows(of: table)
        for row in 0..<size { numerators.values[offset + row] = -counts[row] }
        let base = alpha - gamma * gamma * Extension(table.tag)
        try fill(q, from: offset, rows.first, rows.second, base)
      }
      offset += size
    }
    try parallel.forEachPart(of: 1 << tree.log - offset, cost: 2) { part in
      for index in part { q[offset + index] = .one }
    }
    return (numerators, q)
  }

  private func fillDenominators(
    _ index: Int, _ q: ExtensionVector, from offset: Int
  ) throws(Cancelled) {
    let lookup = circuit.lookups[index]
    let first = witness.firsts[index]
    let base = alpha - gamma * gamma * Extension(lookup.tag)
    let layout = Layout(lookup.shape)
    switch lookup.second {
    case .value:
      try fill(q, from: offset, first, witness.seconds[index], base)
    case .bits(.uniform(let bits)):
      try fill(q, from: offset, first, nil, base - gamma * Extension(bits))
    case .bits(.along(let axis, let bits)):
      let inner = 1 << layout.logs[(axis + 1)...].reduce(0, +)
      try parallel.forEachPart(
        of: layout.size / inner, cost: Self.denominatorCost * Double(inner)
      ) { part in
        for plane in part {
          let position = plane & (1 << layout.logs[axis] - 1)
          let constant = position < bits.count ? base - gamma * Extension(bits[position]) : base
          sumcheck_denominators_int32(
            q.view(from: offset + plane * inner), first.values + plane * inner, nil,
            constant.kernel, gamma.kernel, inner)
        }
      }
    }
  }

  private static let denominatorCost = 4.0

  private func fill(
    _ q: ExtensionVector, from offset: Int, _ first: IntegerVector, _ second: IntegerVector?,
    _ constant: Extension
  ) throws(Cancelled) {
    try parallel.forEachPart(of: first.count, cost: Self.denominatorCost) { part in
      sumcheck_denominators_int32(
        q.view(from: offset + part.lowerBound), first.values + part.lowerBound,
        second.map { $0.values + part.lowerBound }, constant.kernel, gamma.kernel, part.count)
    }
  }

  // MARK: Opening the leaves

  private func open(
    _ tree: Circuit.Tree, at point: [Extension], _ proof: inout ProofWriter,
    _ claims: inout [Claim], _ accumulators: inout [AccumulatorProof]
  ) throws(Cancelled) {
    for block in tree.blocks {
      let log = circuit.layout(block).log
      let local = point[(tree.log - log)...]
      let equality = EqualityTable(local)
      switch block {
      case .lookup(let index):
        let lookup = circuit.lookups[index]
        let first = try parallel.evaluate(witness.firsts[index], equality)
        proof.append(first)
        var remaining = first
        if let accumulator = lookup.first.accumulator {
          let claim = try AccumulatorProof(
            circuit, accumulator, at: Array(local), witness, parallel)
          proof.append(claim.value)
          remaining -= claim.value
          accumulators.append(claim)
        }
        claims.append(circuit.claim(lookup.first.form, at: local, is: remaining))
        if case .value(let form) = lookup.second, let second = witness.seconds[index] {
          let value = try parallel.evaluate(second, equality)
          proof.append(value)
          claims.append(circuit.claim(form, at: local, is: value))
        }
      case .table(let index):
        let column = circuit.tables[index].column
        let multiplicity = try parallel.evaluate(
          witness.vector, from: circuit.columns[column].offset, equality)
        proof.append(multiplicity)
        claims.append(
          circuit.claim(
            LinearForm(shape: circuit.columns[column].layout.shape, [.init(.column(column))]),
            at: local, is: multiplicity))
      }
    }
  }
}

extension Parallel {
  /// The extension of the block that begins at `start`, at the point of an equality.
  func evaluate(
    _ vector: IntegerVector, from start: Int = 0, _ equality: EqualityTable
  ) throws(Cancelled) -> Extension {
    let values = vector.values + start
    let tensor = equality.tensor
    return try sum(of: equality.highCount, cost: Double(equality.lowCount), +) { part in
      Extension(sumcheck_evaluate_int32(values, tensor, part.lowerBound, part.upperBound))
    }
  }
}

extension Mask {
  /// Writes 1 to every cell of the block that takes part, and leaves the others as they are.
  func mark(_ cells: UnsafeMutablePointer<Int32>, _ parallel: Parallel) throws(Cancelled) {
    let layout = Layout(axes.map(\.count))
    let width = layout.shape.last ?? 1
    let inside = axes.last ?? [true]
    let isWhole = inside.allSatisfy { $0 }
    try parallel.forEachRow(of: layout) { _, cell, position in
      for (axis, place) in position.enumerated() where !axes[axis][place] { return }
      for index in 0..<width where isWhole || inside[index] { cells[cell + index] = 1 }
    }
  }
}

extension Circuit {
  /// Both columns of a table, as integers.
  func rows(of table: Table) -> (first: IntegerVector, second: IntegerVector) {
    let count = 1 << table.log
    let (first, second) = (IntegerVector(unfilled: count), IntegerVector(unfilled: count))
    for row in 0..<count {
      first.values[row] = Int32(truncatingIfNeeded: row)
      second.values[row] =
        switch table {
        case .range(let bits): Int32(truncatingIfNeeded: bits)
        case .relu: max(Int32(truncatingIfNeeded: row) - 1 << 15, 0)
        case .sign: row >= 1 << 7 ? 1 : 0
        case .function: 0
        }
    }
    if case .function(let index) = table {
      for row in 0..<count {
        first.values[row] = functions[index].firsts[row]
        second.values[row] = Int32(functions[index].seconds[row])
      }
    }
    return (first, second)
  }
}

/// The layers of one tree: fractions over the cube, each the sums of the next layer's pairs.
private struct Layers {
  private let log: Int
  private let numerators: IntegerVector
  private let leaves: ExtensionVector
  /// Those above the leaves, the root last; each is released once it has been proven.
  private var layers: [(p: ExtensionVector, q: ExtensionVector)] = []
  private let parallel: Parallel

  /// Nanoseconds for a sum of two fractions, and for a pair of one of a layer's rounds.
  private static let sumCost = 12.0
  private static let roundCost = 24.0

  init(
    _ leaves: (numerators: IntegerVector, q: ExtensionVector), log: Int, _ parallel: Parallel
  ) throws(Cancelled) {
    self.log = log
    (numerators, self.leaves) = (leaves.numerators, leaves.q)
    self.parallel = parallel
    for level in (0..<log).reversed() {
      let half = 1 << level
      let (p, q) = (ExtensionVector(unfilled: half), ExtensionVector(unfilled: half))
      if let below = layers.last {
        let layer = Self.fractions(below.p, below.q)
        try parallel.forEachPart(of: half, cost: Self.sumCost) { part in
          sumcheck_fraction_sum(p.view, q.view, layer, part.lowerBound, part.upperBound)
        }
      } else {
        let (numerators, denominators) = (leaves.numerators.values, leaves.q)
        try parallel.forEachPart(of: half, cost: Self.sumCost) { part in
          sumcheck_fraction_sum_leaves(
            p.view, q.view, numerators, numerators + half, denominators.view,
            denominators.view(from: half), part.lowerBound, part.upperBound)
        }
      }
      layers.append((p, q))
    }
  }

  private static func fractions(_ p: ExtensionVector, _ q: ExtensionVector) -> sumcheck_fractions {
    let half = p.count / 2
    return sumcheck_fractions(
      p0: p.view, p1: p.view(from: half), q0: q.view, q1: q.view(from: half))
  }

  /// Sends the root and every layer; gives the point at the leaves. `report` takes the part of the
  /// work that is done. The layers are used up.
  mutating func prove(
    _ proof: inout ProofWriter, _ report: (Double) -> Void
  ) throws(Cancelled) -> [Extension] {
    var numerator: Extension
    var denominator: Extension
    if let root = layers.popLast() {
      (numerator, denominator) = (root.p[0], root.q[0])
    } else {
      (numerator, denominator) = (Extension(Int64(numerators.values[0])), leaves[0])
    }
    proof.append(numerator)
    proof.append(denominator)
    var point: [Extension] = []
    for level in 0..<log {
      // Summing took a quarter of the work; then it doubles from layer to layer.
      report(0.25 + 0.75 / Double(1 << (log - level)))
      let lambda = proof.transcript.challenge()
      var rounds = EqualityRounds(claim: numerator + lambda * denominator)
      let pair: Pair
      if let layer = layers.popLast() {
        pair = try prove(layer, lambda, at: point, &rounds, &proof)
      } else {
        pair = try proveLeaves(lambda, at: point, &rounds, &proof)
      }
      for element in [pair.p0, pair.p1, pair.q0, pair.q1] { proof.append(element) }
      let tau = proof.transcript.challenge()
      numerator = pair.p0 + tau * (pair.p1 - pair.p0)
      denominator = pair.q0 + tau * (pair.q1 - pair.q0)
      point = [tau] + rounds.point
    }
    return point
  }

  private typealias Pair = (p0: Extension, p1: Extension, q0: Extension, q1: Extension)

  /// Rounds over a layer of fractions in E; its vectors are folded in place.
  private func prove(
    _ fractions: (p: ExtensionVector, q: ExtensionVector), _ lambda: Extension,
    at point: [Extension], _ rounds: inout EqualityRounds, _ proof: inout ProofWriter
  ) throws(Cancelled) -> Pair {
    let (p, q) = fractions
    let half = p.count / 2
    guard let coordinate = point.first else { return (p[0], p[1], q[0], q[1]) }
    let layer = Self.fractions(p, q)
    let eq = EqualityTable(point.dropFirst())
    let first = try sum(eq) { tensor, part in
      sumcheck_fraction_round(
        layer, lambda.kernel, tensor, half / 2, part.lowerBound, part.upperBound)
    }
    let challenge = rounds.send(first, coordinate: coordinate, &proof)
    return try finish(
      layer, size: half, eq, challenge, lambda, at: point, &rounds, &proof)
  }

  /// All rounds but the first, on a layer whose p1 holds p1 + λ·q1.
  private func finish(
    _ layer: sumcheck_fractions, size: Int, _ equality: EqualityTable, _ challenge: Extension,
    _ lambda: Extension, at point: [Extension], _ rounds: inout EqualityRounds,
    _ proof: inout ProofWriter
  ) throws(Cancelled) -> Pair {
    var (eq, challenge, size) = (equality, challenge, size)
    for coordinate in point.dropFirst(rounds.point.count) {
      eq.dropFirst()
      let (r, quarter) = (challenge.kernel, size / 4)
      let next = try sum(eq) { tensor, part in
        sumcheck_fraction_fold_round(
          layer, r, tensor, quarter, part.lowerBound, part.upperBound)
      }
      challenge = rounds.send(next, coordinate: coordinate, &proof)
      size /= 2
    }
    func last(_ vector: sumcheck_vector) -> Extension {
      sumcheck_fold_extension(vector, vector, 1, challenge.kernel, 0, 1)
      return Extension(sumcheck_extension(c0: vector.c0[0], c1: vector.c1[0]))
    }
    let q1 = last(layer.q1)
    return (last(layer.p0), last(layer.p1) - lambda * q1, last(layer.q0), q1)
  }

  private func proveLeaves(
    _ lambda: Extension, at point: [Extension], _ rounds: inout EqualityRounds,
    _ proof: inout ProofWriter
  ) throws(Cancelled) -> Pair {
    guard log > 3 else {
      let p = ExtensionVector(
        (0..<numerators.count).map { Extension(Int64(numerators.values[$0])) })
      return try prove((p, leaves), lambda, at: point, &rounds, &proof)
    }
    let half = leaves.count / 2
    let (p0, p1) = (numerators.values, numerators.values + half)
    let (q0, q1) = (leaves.view, leaves.view(from: half))
    var eq = EqualityTable(point.dropFirst())
    let first = try sum(eq) { tensor, part in
      sumcheck_fraction_round_leaves(
        p0, p1, q0, q1, lambda.kernel, tensor, half / 2, part.lowerBound, part.upperBound)
    }
    let challenge = rounds.send(first, coordinate: point[0], &proof)
    let folded = ExtensionVector(unfilled: half)
    let layer = sumcheck_fractions(
      p0: folded.view, p1: folded.view(from: half / 2), q0: q0, q1: q1)
    eq.dropFirst()
    let second = try sum(eq) { tensor, part in
      sumcheck_fraction_fold_round_leaves(
        layer, p0, p1, q0, q1, lambda.kernel, challenge.kernel, tensor, half / 4,
        part.lowerBound, part.upperBound)
    }
    let next = rounds.send(second, coordinate: point[1], &proof)
    return try finish(layer, size: half / 2, eq, next, lambda, at: point, &rounds, &proof)
  }

  private func sum(
    _ eq: EqualityTable, _ body: (sumcheck_tensor, Range<Int>) -> sumcheck_quadratic
  ) throws(Cancelled) -> sumcheck_quadratic {
    let tensor = eq.tensor
    return try parallel.sum(
      of: eq.highCount, cost: Self.roundCost * Double(eq.lowCount), +
    ) { part in
      body(tensor, part)
    }
  }
}
