import CSumcheckKernels

/// The prover's side of `LogUpVerifier`, whose description holds the protocol.
struct LogUpProver {
  let circuit: Circuit
  let witness: Witness
  let alpha: Extension
  let gamma: Extension
  let parallel: Parallel

  /// Below this many pairs a round stays on one thread.
  private static let grain = 1 << 12

  func prove(
    _ proof: inout ProofWriter, _ supervision: Supervision
  ) throws(Cancelled) -> (claims: [Claim], accumulators: [AccumulatorProof]) {
    var claims: [Claim] = []
    var accumulators: [AccumulatorProof] = []
    for tree in circuit.trees {
      try supervision.checkpoint(.lookups, 0)
      let layers = Layers(leaves(of: tree), log: tree.log, parallel)
      let point = try layers.prove(&proof, supervision)
      open(tree, at: point, &proof, &claims, &accumulators)
    }
    return (claims, accumulators)
  }

  // MARK: Leaves

  private func leaves(of tree: Circuit.Tree) -> (numerators: IntegerVector, q: ExtensionVector) {
    let numerators = IntegerVector(count: 1 << tree.log)
    let q = ExtensionVector(unfilled: 1 << tree.log)
    var offset = 0
    for block in tree.blocks {
      let size = circuit.layout(block).size
      switch block {
      case .lookup(let index):
        fillNumerators(circuit.lookups[index].mask, numerators.values + offset)
        fillDenominators(index, q, from: offset)
      case .table(let index):
        let (table, column) = circuit.tables[index]
        let counts = witness.vector.values + circuit.columns[column].offset
        let rows = circuit.rows(of: table)
        for row in 0..<size { numerators.values[offset + row] = -counts[row] }
        sumcheck_denominators_int32(
          q.view(from: offset), rows.first, rows.second,
          (alpha - gamma * gamma * Extension(table.tag)).kernel, gamma.kernel, size)
      }
      offset += size
    }
    for index in offset..<(1 << tree.log) { q[index] = .one }
    return (numerators, q)
  }

  private func fillNumerators(_ mask: Mask, _ numerators: UnsafeMutablePointer<Int32>) {
    let layout = Layout(mask.axes.map(\.count))
    let width = layout.shape.last ?? 1
    let inside = mask.axes.last ?? [true]
    layout.forEachRow { element, cell in
      var rest = element / width
      for axis in mask.axes.indices.dropLast().reversed() {
        if !mask.axes[axis][rest % layout.shape[axis]] { return }
        rest /= layout.shape[axis]
      }
      for index in 0..<width where inside[index] { numerators[cell + index] = 1 }
    }
  }

  private func fillDenominators(_ index: Int, _ q: ExtensionVector, from offset: Int) {
    let lookup = circuit.lookups[index]
    let first = witness.firsts[index].values
    let base = alpha - gamma * gamma * Extension(lookup.tag)
    let layout = Layout(lookup.shape)
    switch lookup.second {
    case .value:
      let second = witness.seconds[index]?.values
      parallel.forEachPart(of: layout.size, grain: Self.grain) { part in
        sumcheck_denominators_int32(
          q.view(from: offset + part.lowerBound), first + part.lowerBound,
          second.map { $0 + part.lowerBound }, base.kernel, gamma.kernel, part.count)
      }
    case .bits(.uniform(let bits)):
      let constant = base - gamma * Extension(bits)
      parallel.forEachPart(of: layout.size, grain: Self.grain) { part in
        sumcheck_denominators_int32(
          q.view(from: offset + part.lowerBound), first + part.lowerBound, nil, constant.kernel,
          gamma.kernel, part.count)
      }
    case .bits(.along(let axis, let bits)):
      let inner = 1 << layout.logs[(axis + 1)...].reduce(0, +)
      for plane in 0..<layout.size / inner {
        let position = plane & (1 << layout.logs[axis] - 1)
        let constant = position < bits.count ? base - gamma * Extension(bits[position]) : base
        sumcheck_denominators_int32(
          q.view(from: offset + plane * inner), first + plane * inner, nil, constant.kernel,
          gamma.kernel, inner)
      }
    }
  }

  // MARK: Opening the leaves

  private func open(
    _ tree: Circuit.Tree, at point: [Extension], _ proof: inout ProofWriter,
    _ claims: inout [Claim], _ accumulators: inout [AccumulatorProof]
  ) {
    for block in tree.blocks {
      let log = circuit.layout(block).log
      let local = point[(tree.log - log)...]
      // Blocks of one size share their point.
      let equality = EqualityTable(local)
      switch block {
      case .lookup(let index):
        let lookup = circuit.lookups[index]
        let first = evaluate(witness.firsts[index].values, equality)
        proof.append(first)
        var remaining = first
        if let accumulator = lookup.first.accumulator {
          let claim = AccumulatorProof(
            circuit, accumulator, at: Array(local), witness, parallel)
          proof.append(claim.value)
          remaining -= claim.value
          accumulators.append(claim)
        }
        claims.append(circuit.claim(lookup.first.form, at: local, is: remaining))
        if case .value(let form) = lookup.second, let second = witness.seconds[index] {
          let value = evaluate(second.values, equality)
          proof.append(value)
          claims.append(circuit.claim(form, at: local, is: value))
        }
      case .table(let index):
        let column = circuit.tables[index].column
        let multiplicity = evaluate(
          witness.vector.values + circuit.columns[column].offset, equality)
        proof.append(multiplicity)
        claims.append(
          circuit.claim(
            LinearForm(shape: circuit.columns[column].layout.shape, [.init(.column(column))]),
            at: local, is: multiplicity))
      }
    }
  }

  private func evaluate(
    _ values: UnsafeMutablePointer<Int32>, _ equality: EqualityTable
  ) -> Extension {
    let tensor = equality.tensor
    return parallel.sum(
      of: equality.highCount, grain: max(1, Self.grain / equality.lowCount), +
    ) { part in
      Extension(sumcheck_evaluate_int32(values, tensor, part.lowerBound, part.upperBound))
    }
  }
}

extension Circuit {
  /// Both columns of a table, as integers.
  func rows(of table: Table) -> (first: [Int32], second: [Int32]) {
    let first = Array(0..<Int32(1 << table.log))
    switch table {
    case .range(let bits): return (first, first.map { _ in Int32(bits) })
    case .relu: return (first, first.map { max($0 - 1 << 15, 0) })
    case .sign: return (first, first.map { $0 >= 1 << 7 ? 1 : 0 })
    case .function(let index):
      return (functions[index].firsts, functions[index].seconds.map { Int32($0) })
    }
  }
}

/// The layers of one tree: fractions over the cube, each the sums of the next layer's pairs.
private struct Layers {
  private let log: Int
  private let numerators: IntegerVector
  private let leaves: ExtensionVector
  /// Layer j of 2^j fractions for j below the leaves'.
  private let p: [ExtensionVector]
  private let q: [ExtensionVector]
  private let parallel: Parallel

  private static let grain = 1 << 11

  init(
    _ leaves: (numerators: IntegerVector, q: ExtensionVector), log: Int, _ parallel: Parallel
  ) {
    self.log = log
    (numerators, self.leaves) = (leaves.numerators, leaves.q)
    self.parallel = parallel
    var (p, q): ([ExtensionVector], [ExtensionVector]) = ([], [])
    for level in (0..<log).reversed() {
      let half = 1 << level
      let (sums, products) = (ExtensionVector(unfilled: half), ExtensionVector(unfilled: half))
      if level == log - 1 {
        let numerators = leaves.numerators.values
        let q = leaves.q
        parallel.forEachPart(of: half, grain: Self.grain) { part in
          sumcheck_fraction_sum_leaves(
            sums.view, products.view, numerators, numerators + half, q.view, q.view(from: half),
            part.lowerBound, part.upperBound)
        }
      } else if let (below, belowQ) = zip(p, q).first(where: { _ in true }) {
        let layer = Self.fractions(below, belowQ)
        parallel.forEachPart(of: half, grain: Self.grain) { part in
          sumcheck_fraction_sum(
            sums.view, products.view, layer, part.lowerBound, part.upperBound)
        }
      }
      p.insert(sums, at: 0)
      q.insert(products, at: 0)
    }
    (self.p, self.q) = (p, q)
  }

  private static func fractions(_ p: ExtensionVector, _ q: ExtensionVector) -> sumcheck_fractions {
    let half = p.count / 2
    return sumcheck_fractions(
      p0: p.view, p1: p.view(from: half), q0: q.view, q1: q.view(from: half))
  }

  /// Sends the root and every layer; gives the point at the leaves.
  func prove(
    _ proof: inout ProofWriter, _ supervision: Supervision
  ) throws(Cancelled) -> [Extension] {
    var numerator: Extension
    var denominator: Extension
    if log == 0 {
      (numerator, denominator) = (Extension(Int64(numerators.values[0])), leaves[0])
    } else {
      (numerator, denominator) = (p[0][0], q[0][0])
    }
    proof.append(numerator)
    proof.append(denominator)
    var point: [Extension] = []
    for level in 0..<log {
      // The work doubles from layer to layer.
      try supervision.checkpoint(.lookups, 1 / Double(1 << (log - level)))
      let lambda = proof.transcript.challenge()
      var rounds = EqualityRounds(claim: numerator + lambda * denominator)
      let isLeaves = level == log - 1
      let pair =
        isLeaves
        ? proveLeaves(lambda, at: point, &rounds, &proof)
        : prove(p[level + 1], q[level + 1], lambda, at: point, &rounds, &proof)
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
    _ p: ExtensionVector, _ q: ExtensionVector, _ lambda: Extension, at point: [Extension],
    _ rounds: inout EqualityRounds, _ proof: inout ProofWriter
  ) -> Pair {
    let half = p.count / 2
    guard let coordinate = point.first else { return (p[0], p[1], q[0], q[1]) }
    let layer = Self.fractions(p, q)
    let eq = EqualityTable(point.dropFirst())
    let first = sum(eq) { tensor, part in
      sumcheck_fraction_round(
        layer, lambda.kernel, tensor, half / 2, part.lowerBound, part.upperBound)
    }
    let challenge = rounds.send(first, coordinate: coordinate, &proof)
    return finish(
      layer, size: half, eq, challenge, lambda, at: point, &rounds, &proof)
  }

  /// All rounds but the first, on a layer whose p1 holds p1 + λ·q1.
  private func finish(
    _ layer: sumcheck_fractions, size: Int, _ equality: EqualityTable, _ challenge: Extension,
    _ lambda: Extension, at point: [Extension], _ rounds: inout EqualityRounds,
    _ proof: inout ProofWriter
  ) -> Pair {
    var (eq, challenge, size) = (equality, challenge, size)
    for coordinate in point.dropFirst(rounds.point.count) {
      eq.dropFirst()
      let (r, quarter) = (challenge.kernel, size / 4)
      let next = sum(eq) { tensor, part in
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
  ) -> Pair {
    guard log > 3 else {
      let p = ExtensionVector(
        (0..<numerators.count).map { Extension(Int64(numerators.values[$0])) })
      return prove(p, leaves, lambda, at: point, &rounds, &proof)
    }
    let half = leaves.count / 2
    let (p0, p1) = (numerators.values, numerators.values + half)
    let (q0, q1) = (leaves.view, leaves.view(from: half))
    var eq = EqualityTable(point.dropFirst())
    let first = sum(eq) { tensor, part in
      sumcheck_fraction_round_leaves(
        p0, p1, q0, q1, lambda.kernel, tensor, half / 2, part.lowerBound, part.upperBound)
    }
    let challenge = rounds.send(first, coordinate: point[0], &proof)
    let folded = ExtensionVector(unfilled: half)
    let layer = sumcheck_fractions(
      p0: folded.view, p1: folded.view(from: half / 2), q0: q0, q1: q1)
    eq.dropFirst()
    let second = sum(eq) { tensor, part in
      sumcheck_fraction_fold_round_leaves(
        layer, p0, p1, q0, q1, lambda.kernel, challenge.kernel, tensor, half / 4,
        part.lowerBound, part.upperBound)
    }
    let next = rounds.send(second, coordinate: point[1], &proof)
    return finish(layer, size: half / 2, eq, next, lambda, at: point, &rounds, &proof)
  }

  private func sum(
    _ eq: EqualityTable, _ body: (sumcheck_tensor, Range<Int>) -> sumcheck_quadratic
  ) -> sumcheck_quadratic {
    let tensor = eq.tensor
    return parallel.sum(of: eq.highCount, grain: max(1, Self.grain / eq.lowCount), +) { part in
      body(tensor, part)
    }
  }
}
