/// LogUp (Haböck, ePrint 2022/1530) by GKR over fractions (Papini and Haböck, ePrint 2023/1284).
///
/// Every cell of a lookup's mask adds 1/(α - key), every row of a table -m/(α - key), with
/// key = first + γ·second + γ²·tag; together they are 0. As rational functions in α and γ they are
/// so only if every lookup is a row: distinct triples give distinct linear polynomials in α, so no
/// pole cancels, and there are fewer than p lookups. All columns, multiplicities included, are
/// committed before α and γ. Error at most 2·(lookups + rows)/|E| for the draw.
struct LogUpVerifier {
  let circuit: Circuit
  let alpha: Extension
  let gamma: Extension

  /// An accumulator's claimed value at a point of its result.
  struct AccumulatorClaim {
    let accumulator: Int
    let point: [Extension]
    let value: Extension
  }

  /// Sums all trees; gives the claims that the leaves leave.
  func verify(
    _ proof: inout ProofReader, _ constraints: Constraints
  ) throws(VerificationError) -> (claims: [Claim], accumulators: [AccumulatorClaim]) {
    var claims: [Claim] = []
    var accumulators: [AccumulatorClaim] = []
    var sum = (numerator: Extension.zero, denominator: Extension.one)
    for tree in circuit.trees {
      let root = (numerator: try proof.element(), denominator: try proof.element())
      sum = (
        sum.numerator * root.denominator + root.numerator * sum.denominator,
        sum.denominator * root.denominator
      )
      let leaf = try descend(from: root, log: tree.log, &proof, constraints)
      try openLeaves(
        tree, at: leaf.point, numerator: leaf.numerator, denominator: leaf.denominator, &proof,
        constraints, &claims, &accumulators)
    }
    try constraints.require(sum.numerator.isZero, .rootNumerator)
    try constraints.require(!sum.denominator.isZero, .rootDenominator)
    return (claims, accumulators)
  }

  /// From the root to the leaves: each layer's two claims, combined by λ, become claims on the two
  /// halves of the next layer, and τ joins these.
  private func descend(
    from root: (numerator: Extension, denominator: Extension), log: Int,
    _ proof: inout ProofReader, _ constraints: Constraints
  ) throws(VerificationError) -> (
    point: [Extension], numerator: Extension, denominator: Extension
  ) {
    var (numerator, denominator) = root
    var point: [Extension] = []
    for _ in 0..<log {
      let lambda = proof.transcript.challenge()
      let (next, value) = try proof.equalitySumcheck(
        numerator + lambda * denominator, at: point, degree: 2)
      let p = (try proof.element(), try proof.element())
      let q = (try proof.element(), try proof.element())
      try constraints.require(
        value == p.0 * q.1 + p.1 * q.0 + lambda * (q.0 * q.1), .layer)
      let tau = proof.transcript.challenge()
      numerator = p.0 + tau * (p.1 - p.0)
      denominator = q.0 + tau * (q.1 - q.0)
      point = [tau] + next
    }
    return (point, numerator, denominator)
  }

  /// Splits the leaves' claim by blocks. For each the prover names the values at the point; they
  /// are claims on what the block was made of.
  private func openLeaves(
    _ tree: Circuit.Tree, at point: [Extension], numerator: Extension, denominator: Extension,
    _ proof: inout ProofReader, _ constraints: Constraints, _ claims: inout [Claim],
    _ accumulators: inout [AccumulatorClaim]
  ) throws(VerificationError) {
    var (numerators, denominators) = (Extension.zero, Extension.zero)
    var (offset, covered) = (0, Extension.zero)
    for block in tree.blocks {
      let log = circuit.layout(block).log
      let weight = Multilinear.equality(point[..<(tree.log - log)], index: offset >> log)
      let local = point[(tree.log - log)...]
      offset += 1 << log
      covered += weight
      let leaf: (numerator: Extension, denominator: Extension)
      switch block {
      case .lookup(let index):
        leaf = try openLookup(circuit.lookups[index], at: local, &proof, &claims, &accumulators)
      case .table(let index): leaf = try openTable(index, at: local, &proof, &claims)
      }
      numerators += weight * leaf.numerator
      denominators += weight * leaf.denominator
    }
    // Empty leaves are 0/1.
    denominators += .one - covered
    try constraints.require(numerators == numerator, .leafNumerator)
    try constraints.require(denominators == denominator, .leafDenominator)
  }

  private func openLookup(
    _ lookup: Circuit.Lookup, at point: ArraySlice<Extension>, _ proof: inout ProofReader,
    _ claims: inout [Claim], _ accumulators: inout [AccumulatorClaim]
  ) throws(VerificationError) -> (numerator: Extension, denominator: Extension) {
    let first = try proof.element()
    var remaining = first
    if let accumulator = lookup.first.accumulator {
      let value = try proof.element()
      accumulators.append(.init(accumulator: accumulator, point: Array(point), value: value))
      remaining -= value
    }
    claims.append(circuit.claim(lookup.first.form, at: point, is: remaining))
    let second: Extension
    switch lookup.second {
    case .bits(let bits): second = bits.value(at: point, shape: lookup.shape)
    case .value(let form):
      second = try proof.element()
      claims.append(circuit.claim(form, at: point, is: second))
    }
    return (
      lookup.mask.value(at: point), self.denominator(first: first, second: second, tag: lookup.tag)
    )
  }

  private func openTable(
    _ index: Int, at point: ArraySlice<Extension>, _ proof: inout ProofReader,
    _ claims: inout [Claim]
  ) throws(VerificationError) -> (numerator: Extension, denominator: Extension) {
    let (table, column) = circuit.tables[index]
    let multiplicity = try proof.element()
    claims.append(
      circuit.claim(
        LinearForm(shape: circuit.columns[column].layout.shape, [.init(.column(column))]),
        at: point, is: multiplicity))
    let row = circuit.row(of: table, at: point)
    return (
      -multiplicity, denominator(first: row.first, second: row.second, tag: table.tag)
    )
  }

  private func denominator(first: Extension, second: Extension, tag: Int64) -> Extension {
    alpha - first - gamma * (second + gamma * Extension(tag))
  }
}

extension Circuit {
  /// The extensions of both columns of a table at a point.
  func row(
    of table: Table, at point: ArraySlice<Extension>
  ) -> (first: Extension, second: Extension) {
    let first = Multilinear.index(point)
    switch table {
    case .range(let bits): return (first, Extension(Int64(bits)))
    case .sign: return (first, point.first ?? .zero)
    case .relu:
      // The ramp begins where the top bit is set, and its value is the other bits.
      return (first, (point.first ?? .zero) * Multilinear.index(point.dropFirst()))
    case .function(let index):
      let rows = functions[index]
      let weights = Multilinear.equality(Array(point), count: rows.seconds.count)
      let second = DotProduct(weights[...]).of(rows.seconds[...])
      // Rows that repeat another stand elsewhere than the index says.
      let moved = rows.firsts.indices.reduce(first) { sum, row in
        let distance = Int64(rows.firsts[row]) - Int64(row)
        return distance == 0 ? sum : sum + weights[row] * Goldilocks(distance)
      }
      return (moved, second)
    }
  }
}
