import FixedPoint

@testable import Sumcheck

/// A prover in the plain: field elements throughout, one cell at a time, without a kernel. It
/// proves whatever it is given, and deviates where it is told to, so that it can be forced on with
/// witnesses that no integers express. From an honest witness it makes the built prover's bytes.
struct PlainProver {
  /// A row of a table, without its tag.
  struct Row: Hashable {
    var first, second: Goldilocks
  }

  typealias Fraction = (numerator: Extension, denominator: Extension)

  let circuit: Circuit
  /// Row-major, by number.
  var tensors: [[Goldilocks]]
  /// Whole blocks, padding included.
  var columns: [[Goldilocks]]

  // MARK: Deviations

  /// A table's rows, given the true ones.
  var usedRows: (Circuit.Table, [Row]) -> [Row] = { $1 }
  /// What is sent as the root of each tree, given the true one.
  var sentRoot: (_ tree: Int, Fraction) -> Fraction = { $1 }
  /// The challenges of the lookups, given those that the transcript draws.
  var lookupChallenges: ((Extension, Extension)) -> (Extension, Extension) = { $0 }
  /// The matrix that is committed to, given the witness's.
  var committedRows: ([[Goldilocks]]) -> [[Goldilocks]] = { $0 }
  /// The statement, where it is false: then what the opening has to show is what the verifier makes
  /// of it, and not what the witness gives.
  var statement: Instance?
  /// The row combination that is sent, given the true one, what its inner product with `equality`
  /// has to be, and `equality`.
  var sentCombination: ([Extension], Extension, _ equality: [Extension]) -> [Extension] = {
    combination, _, _ in combination
  }
  /// The column that is opened, given the committed one, the rows' weights, and what the sum of its
  /// weighted elements has to be.
  var openedColumn: ([Goldilocks], _ weights: [Extension], Extension) -> [Goldilocks] = {
    column, _, _ in column
  }

  init(_ run: Run) throws { try self.init(run.circuit, run.tensors) }

  init(_ circuit: Circuit, _ integers: [[Int16]]) throws {
    self.circuit = circuit
    tensors = integers.map { $0.map { Goldilocks(Int64($0)) } }
    let vector = try Witness(circuit, tensors: integers).vector
    columns = circuit.columns.map { column in
      (0..<column.layout.size).map { Goldilocks(Int64(vector.values[column.offset + $0])) }
    }
  }

  // MARK: Witness

  /// Sets one element of a tensor, in its column too if it has one.
  mutating func set(tensor: Int, element: Int, to value: Goldilocks) {
    tensors[tensor][element] = value
    if case .column(let column) = circuit.sources[tensor] {
      let layout = circuit.columns[column].layout
      columns[column] = padded(tensors[tensor], layout, over: columns[column])
    }
  }

  /// High limbs, signs and multiplicities as they follow from the tensors, whatever these are: an
  /// element that is too large keeps its low limb in range.
  mutating func settle() {
    for (index, column) in circuit.columns.enumerated() {
      switch column.content {
      case .high(let quantity):
        let shift = UInt64(circuit.parameters.limbBits)
        columns[index] = block(quantity).map { Goldilocks(canonical: $0.value >> shift) }
      case .sign(let high):
        columns[index] = columns[high].map { $0.value >= 1 << 7 ? .one : .zero }
      default: break
      }
    }
    recount()
  }

  /// Counts the lookups anew, those that name a row.
  mutating func recount() {
    struct Place: Hashable { let row: Row, tag: Int64 }
    var places: [Place: (column: Int, row: Int)] = [:]
    for (table, column) in circuit.tables {
      for (index, row) in rows(of: table).enumerated() {
        places[Place(row: row, tag: table.tag)] = (column, index)
      }
      columns[column] = columns[column].map { _ in .zero }
    }
    for lookup in circuit.lookups {
      let (firsts, seconds) = (block(lookup.first), seconds(of: lookup))
      for (cell, isInside) in lookup.mask.cells.enumerated() where isInside {
        let row = Row(first: firsts[cell], second: seconds[cell])
        if let place = places[Place(row: row, tag: lookup.tag)] {
          columns[place.column][place.row] = columns[place.column][place.row] + .one
        }
      }
    }
  }

  private func rows(of table: Circuit.Table) -> [Row] {
    let rows = circuit.rows(of: table)
    return usedRows(
      table,
      zip(rows.first.buffer, rows.second.buffer).map {
        Row(first: Goldilocks(Int64($0)), second: Goldilocks(Int64($1)))
      })
  }

  /// The quantity over its padded block.
  func block(_ quantity: Circuit.Quantity) -> [Goldilocks] {
    let shape = quantity.form.shape
    var values = cells(quantity.form)
    if let accumulator = quantity.accumulator {
      values = zip(values, self.accumulator(accumulator)).map { $0 + $1 }
    }
    return padded(values, Layout(shape))
  }

  func seconds(of lookup: Circuit.Lookup) -> [Goldilocks] {
    switch lookup.second {
    case .value(let form): return padded(cells(form), Layout(form.shape))
    case .bits(.uniform(let bits)):
      return .init(repeating: Goldilocks(bits), count: Layout(lookup.shape).size)
    case .bits(.along(let axis, let bits)):
      let layout = Layout(lookup.shape)
      let inner = layout.logs[(axis + 1)...].reduce(0, +)
      return (0..<layout.size).map { cell in
        let position = cell >> inner & (1 << layout.logs[axis] - 1)
        return position < bits.count ? Goldilocks(bits[position]) : .zero
      }
    }
  }

  private func padded(
    _ values: [Goldilocks], _ layout: Layout, over base: [Goldilocks]? = nil
  ) -> [Goldilocks] {
    var result = base ?? .init(repeating: .zero, count: layout.size)
    let width = layout.shape.last ?? 1
    layout.forEachRow { element, cell in
      for index in 0..<width { result[cell + index] = values[element + index] }
    }
    return result
  }

  /// A form's values, row-major.
  private func cells(_ form: LinearForm) -> [Goldilocks] {
    var sums = scales(form.constant, form.shape)
    for term in form.terms {
      let view = apply(
        term.view, values(of: term.wire), of: circuit.shape(of: term.wire), form.shape)
      let scales = scales(term.scale, form.shape)
      for index in sums.indices { sums[index] = sums[index] + scales[index] * view[index] }
    }
    return sums
  }

  private func scales(_ scale: Scale, _ shape: [Int]) -> [Goldilocks] {
    let count = shape.reduce(1, *)
    switch scale {
    case .uniform(let value): return .init(repeating: Goldilocks(value), count: count)
    case .along(let axis, let values):
      let inner = shape[(axis + 1)...].reduce(1, *)
      return (0..<count).map { Goldilocks(values[$0 / inner % shape[axis]]) }
    }
  }

  /// Whether the witness satisfies what the leaves of the lookups leave to be shown.
  func satisfies(_ claim: Claim) -> Bool {
    claim.terms.reduce(Extension.zero) { sum, term in
      zip(term.functional.dense, values(of: term.wire)).reduce(sum) { $0 + $1.0 * $1.1 }
    } == claim.value
  }

  private func values(of wire: Wire) -> [Goldilocks] {
    switch wire {
    case .tensor(let tensor): return tensors[tensor]
    case .output(let output): return tensors[circuit.program.outputTensors[output]]
    case .one: return [.one]
    case .column(let column):
      var values: [Goldilocks] = []
      let layout = circuit.columns[column].layout
      layout.forEachRow { _, cell in
        values += columns[column][cell..<cell + (layout.shape.last ?? 1)]
      }
      return values
    }
  }

  private func apply(
    _ view: View, _ values: [Goldilocks], of source: [Int], _ shape: [Int]
  ) -> [Goldilocks] {
    guard case .axes(let maps) = view else { return values }
    let strides = source.indices.map { source[($0 + 1)...].reduce(1, *) }
    // The sources of each cell, axis by axis.
    var offsets: [[Int]] = [[0]]
    for map in maps {
      let stride = map.source.map { strides[$0] } ?? 0
      offsets = offsets.flatMap { own in
        map.positions.map { reads in own.flatMap { offset in reads.map { offset + $0 * stride } } }
      }
    }
    return offsets.map { $0.reduce(.zero) { $0 + values[$1] } }
  }

  private func accumulator(_ index: Int) -> [Goldilocks] {
    switch circuit.accumulators[index] {
    case .product(let left, let right): return zip(cells(left), cells(right)).map { $0 * $1 }
    case .weighted(let sum):
      let count = sum.resultShape.reduce(1, *)
      return (0..<count).map { element in
        terms(of: sum, element).reduce(.zero) {
          $0 + tensors[sum.source][$1.position] * Goldilocks(Int64($1.weight))
        }
      }
    }
  }

  /// Operand elements and weights that meet in one element of a weighted sum.
  private func terms(
    of sum: WeightedSum, _ element: Int
  ) -> [(position: Int, weight: Int16)] {
    let columns = sum.rows.weights.count / sum.rows.rowCount
    guard let window = sum.window else {
      let (row, output) = element.quotientAndRemainder(dividingBy: sum.rows.rowCount)
      return (0..<columns).map { (row * columns + $0, sum.rows.weights[output * columns + $0]) }
    }
    let (result, source) = (Array(sum.resultShape.suffix(3)), Array(sum.sourceShape.suffix(3)))
    let (x, y) = (element % result[2], element / result[2] % result[1])
    let channel = element / (result[2] * result[1]) % result[0]
    let image = element / (result[2] * result[1] * result[0])
    let (groupRows, groupChannels) = (result[0] / sum.groups, source[0] / sum.groups)
    var found: [(Int, Int16)] = []
    for c in 0..<groupChannels {
      let from = channel / groupRows * groupChannels + c
      for ky in 0..<window.kernelHeight {
        let line = y * window.strideHeight + ky * window.dilationHeight - window.padTop
        guard (0..<source[1]).contains(line) else { continue }
        for kx in 0..<window.kernelWidth {
          let place = x * window.strideWidth + kx * window.dilationWidth - window.padLeft
          guard (0..<source[2]).contains(place) else { continue }
          let weight = (c * window.kernelHeight + ky) * window.kernelWidth + kx
          found.append(
            (
              ((image * source[0] + from) * source[1] + line) * source[2] + place,
              sum.rows.weights[channel * columns + weight]
            ))
        }
      }
    }
    return found
  }

  // MARK: Proof

  func prove(_ transcript: Transcript) -> [UInt8] {
    var proof = ProofWriter(transcript: transcript)
    let rowLength = 1 << circuit.parameters.messageLog
    var vector = [Goldilocks](repeating: .zero, count: 1 << circuit.vectorLog)
    for (column, values) in zip(circuit.columns, columns) {
      vector.replaceSubrange(column.offset..<column.offset + values.count, with: values)
    }
    func rows(_ range: Range<Int>) -> [[Goldilocks]] {
      range.map { Array(vector[$0 * rowLength..<($0 + 1) * rowLength]) }
    }
    let witness = tree(committedRows(rows(0..<circuit.rowCount)))
    proof.append(Blake3.bytes(witness.levels[witness.levels.count - 1][0]))
    let (alpha, gamma) = lookupChallenges(
      (proof.transcript.challenge(), proof.transcript.challenge()))
    var (claims, accumulators) = proveLookups(alpha, gamma, &proof)
    for (accumulator, point, value) in accumulators {
      claims += prove(accumulator, at: point, value, &proof)
    }
    accumulators = []
    for check in circuit.checks {
      let point = proof.transcript.challenges(Layout(check.shape).log)
      claims += prove(check, at: point, &proof)
    }
    for link in circuit.links {
      let point = proof.transcript.challenges(Layout(link.shape).log)
      claims.append(circuit.claim(link, at: point[...], is: .zero))
    }
    let weights = circuit.weightRows.isEmpty ? [] : [tree(rows(circuit.weightRows))]
    open(claims, vector, [witness] + weights, &proof)
    proof.seal()
    return proof.bytes
  }

  private typealias Tree = (leaves: [[Goldilocks]], levels: [[SIMD8<UInt32>]])

  private func tree(_ rows: [[Goldilocks]]) -> Tree {
    let words = rows.map { row in
      ReedSolomon.encode(row.map { Extension($0, .zero) }, rateLog: circuit.parameters.rateLog)
        .map(\.c0)
    }
    let leaves = (0..<1 << circuit.parameters.codeLog).map { position in words.map { $0[position] }
    }
    var levels = [leaves.map { MerkleColumns.leaf($0) }]
    while let below = levels.last, below.count > 1 {
      levels.append(
        (0..<below.count / 2).map { MerkleColumns.node(below[2 * $0], below[2 * $0 + 1]) })
    }
    return (leaves, levels)
  }

  typealias AccumulatorClaim = (accumulator: Int, point: [Extension], value: Extension)

  /// Alone, for a verifier of the lookups under challenges that no transcript drew.
  func proveLookups(
    _ alpha: Extension, _ gamma: Extension, _ proof: inout ProofWriter
  ) -> (claims: [Claim], accumulators: [AccumulatorClaim]) {
    var (claims, accumulators) = ([Claim](), [AccumulatorClaim]())
    func denominator(_ first: Goldilocks, _ second: Goldilocks, _ tag: Int64) -> Extension {
      alpha - Extension(first, .zero) - gamma * (Extension(second, .zero) + gamma * Extension(tag))
    }
    for (number, tree) in circuit.trees.enumerated() {
      var (p, q) = ([Extension](), [Extension]())
      for block in tree.blocks {
        switch block {
        case .lookup(let index):
          let lookup = circuit.lookups[index]
          p += lookup.mask.cells.map { $0 ? .one : .zero }
          q += zip(self.block(lookup.first), seconds(of: lookup)).map {
            denominator($0, $1, lookup.tag)
          }
        case .table(let index):
          let (table, column) = circuit.tables[index]
          p += columns[column].map { -Extension($0, .zero) }
          q += rows(of: table).map { denominator($0.first, $0.second, table.tag) }
        }
      }
      let empty = 1 << tree.log - p.count
      p += .init(repeating: .zero, count: empty)
      q += .init(repeating: .one, count: empty)
      let point = descend(p, q, number, &proof)
      openLeaves(tree, at: point, &proof, &claims, &accumulators)
    }
    return (claims, accumulators)
  }

  private func descend(
    _ p: [Extension], _ q: [Extension], _ tree: Int, _ proof: inout ProofWriter
  ) -> [Extension] {
    var layers = [(p, q)]
    while let (p, q) = layers.last, p.count > 1 {
      let half = p.count / 2
      layers.append(
        (
          (0..<half).map { p[$0] * q[half + $0] + p[half + $0] * q[$0] },
          (0..<half).map { q[$0] * q[half + $0] }
        ))
    }
    let root = sentRoot(tree, (layers[layers.count - 1].0[0], layers[layers.count - 1].1[0]))
    proof.append(root.numerator)
    proof.append(root.denominator)
    var claim = root
    var point: [Extension] = []
    for (p, q) in layers.dropLast().reversed() {
      let lambda = proof.transcript.challenge()
      let half = p.count / 2
      let (next, ends) = equalityRounds(
        [p[..<half], p[half...], q[..<half], q[half...]].map { Array($0) },
        [(.one, [0, 3]), (.one, [1, 2]), (lambda, [2, 3])], at: point,
        claim.numerator + lambda * claim.denominator, degree: 2, &proof)
      for end in ends { proof.append(end) }
      let tau = proof.transcript.challenge()
      claim = (ends[0] + tau * (ends[1] - ends[0]), ends[2] + tau * (ends[3] - ends[2]))
      point = [tau] + next
    }
    return point
  }

  private func openLeaves(
    _ tree: Circuit.Tree, at point: [Extension], _ proof: inout ProofWriter,
    _ claims: inout [Claim], _ accumulators: inout [AccumulatorClaim]
  ) {
    for block in tree.blocks {
      let local = Array(point.suffix(circuit.layout(block).log))
      func evaluate(_ values: [Goldilocks]) -> Extension { Self.evaluate(values, at: local) }
      switch block {
      case .table(let index):
        let column = circuit.tables[index].column
        let value = evaluate(columns[column])
        proof.append(value)
        let form = LinearForm(
          shape: circuit.columns[column].layout.shape, [.init(.column(column))])
        claims.append(circuit.claim(form, at: local[...], is: value))
      case .lookup(let index):
        let lookup = circuit.lookups[index]
        let first = evaluate(self.block(lookup.first))
        proof.append(first)
        var remaining = first
        if let accumulator = lookup.first.accumulator {
          let layout = Layout(lookup.shape)
          let value = evaluate(padded(self.accumulator(accumulator), layout))
          proof.append(value)
          accumulators.append((accumulator, local, value))
          remaining -= value
        }
        claims.append(circuit.claim(lookup.first.form, at: local[...], is: remaining))
        if case .value(let form) = lookup.second {
          let value = evaluate(seconds(of: lookup))
          proof.append(value)
          claims.append(circuit.claim(form, at: local[...], is: value))
        }
      }
    }
  }

  private func prove(
    _ accumulator: Int, at point: [Extension], _ value: Extension, _ proof: inout ProofWriter
  ) -> [Claim] {
    switch circuit.accumulators[accumulator] {
    case .product(let left, let right):
      return prove([.init(form: left), .init(form: right)], at: point, value, &proof)
    case .weighted(let sum):
      let layout = Layout(sum.innerShape)
      var a = [Extension](repeating: .zero, count: layout.size)
      var b = a
      for cell in a.indices {
        let corner = (0..<layout.log).map { bit in
          Extension(Int64(cell >> (layout.log - bit - 1) & 1))
        }
        a[cell] = zip(
          sum.operandFunctional(at: point[...], inner: corner[...]).dense, tensors[sum.source]
        ).reduce(.zero) { $0 + $1.0 * $1.1 }
        let channel = Layout(sum.resultShape).split(point[...])[sum.channelAxis]
        b[cell] = sum.weight(
          channel: Multilinear.equality(Array(channel), count: sum.rows.rowCount),
          inner: corner[...])
      }
      let (inner, ends) = Self.productRounds(a, b, &proof)
      proof.append(ends.0)
      let operand = Claim(
        terms: [(.tensor(sum.source), sum.operandFunctional(at: point[...], inner: inner[...]))],
        value: ends.0)
      guard let column = sum.column else { return [operand] }
      proof.append(ends.1)
      let weights = Claim(
        terms: [(.column(column), sum.weightFunctional(at: point[...], inner: inner[...]))],
        value: ends.1)
      return [operand, weights]
    }
  }

  private func prove(
    _ check: Circuit.ProductCheck, at point: [Extension], _ proof: inout ProofWriter
  ) -> [Claim] {
    switch check.result {
    case .outside(let mask):
      return prove(check.factors, at: point, .one - mask.value(at: point[...]), &proof)
    case .form(let form):
      let value = Self.evaluate(padded(cells(form), Layout(form.shape)), at: point)
      proof.append(value)
      return [circuit.claim(form, at: point[...], is: value)]
        + prove(check.factors, at: point, value, &proof)
    }
  }

  private func prove(
    _ factors: [Circuit.ProductCheck.Factor], at point: [Extension], _ claim: Extension,
    _ proof: inout ProofWriter
  ) -> [Claim] {
    let values = factors.map { factor in
      var values = padded(cells(factor.form), Layout(factor.form.shape))
      if let mask = factor.outside {
        for (cell, isInside) in mask.cells.enumerated() where !isInside {
          values[cell] = values[cell] + .one
        }
      }
      return values.map { Extension($0, .zero) }
    }
    let (inner, ends) = equalityRounds(
      values, [(.one, Array(factors.indices))], at: point, claim, degree: factors.count, &proof)
    for end in ends { proof.append(end) }
    return zip(factors, ends).map { factor, end in
      let outside = factor.outside.map { .one - $0.value(at: inner[...]) } ?? Extension.zero
      return circuit.claim(factor.form, at: inner[...], is: end - outside)
    }
  }

  private func open(
    _ claims: [Claim], _ vector: [Goldilocks], _ trees: [Tree], _ proof: inout ProofWriter
  ) {
    let parameters = circuit.parameters
    let beta = proof.transcript.challenge()
    let known = statement.map { PublicTensors([$0], of: circuit.program) }
    var weights = [Extension](repeating: .zero, count: vector.count)
    var (total, power) = (Extension.zero, Extension.one)
    for claim in claims {
      let resolved = circuit.resolve(claim)
      total += power * claim.value
      for (tensor, functional) in resolved.public {
        if let known { total -= power * known.evaluate(tensor, functional) }
      }
      for (column, functional) in resolved.columns {
        let (dense, block) = (functional.dense, circuit.columns[column])
        let width = functional.shape.last ?? 1
        Layout(functional.shape).forEachRow { element, cell in
          for index in 0..<width {
            weights[block.offset + cell + index] += power * dense[element + index]
          }
        }
      }
      power *= beta
    }
    let (point, ends) = Self.productRounds(
      vector.map { Extension($0, .zero) }, weights, claim: &total, &proof)
    let opened = known == nil ? ends.0 : total * ends.1.inverse
    let rowVariables = circuit.vectorLog - parameters.messageLog
    let rows = Multilinear.equality(
      Array(point[..<rowVariables]), count: circuit.weightRows.upperBound)
    let length = 1 << parameters.messageLog
    let honest = (0..<length).map { place in
      rows.indices.reduce(Extension.zero) { $0 + rows[$1] * vector[$1 * length + place] }
    }
    let combination = sentCombination(
      honest, opened, Multilinear.equality(Array(point[rowVariables...]), count: length))
    for element in combination { proof.append(element) }
    let positions = proof.transcript.positions(parameters.queryCount, log: parameters.codeLog)
    let word = ReedSolomon.encode(combination, rateLog: parameters.rateLog)
    for (leaves, levels) in trees {
      for position in positions {
        for element in openedColumn(leaves[position], rows, word[position]) {
          proof.append(unabsorbed: element.value)
        }
      }
      MerkleColumns.forEachSibling(positions, log: parameters.codeLog) { level, index in
        proof.append(unabsorbed: Blake3.bytes(levels[level][index]))
      }
    }
  }

  // MARK: Sumchecks

  static func evaluate(_ values: [Goldilocks], at point: [Extension]) -> Extension {
    zip(Multilinear.equality(point, count: values.count), values).reduce(.zero) {
      $0 + $1.0 * $1.1
    }
  }

  /// Of Σ eq(point, ·)·Σ coefficient·Π factors; gives the point and the factors there.
  private func equalityRounds(
    _ factors: [[Extension]], _ terms: [(coefficient: Extension, factors: [Int])],
    at point: [Extension], _ claim: Extension, degree: Int, _ proof: inout ProofWriter
  ) -> (point: [Extension], ends: [Extension]) {
    var (factors, challenges) = (factors, [Extension]())
    for round in point.indices {
      let half = factors[0].count / 2
      let equality = Multilinear.equality(Array(point[(round + 1)...]), count: half)
      var polynomial = [Extension](repeating: .zero, count: degree + 1)
      for cell in 0..<half {
        for term in terms {
          var product = [equality[cell] * term.coefficient]
          for factor in term.factors {
            let (zero, one) = (factors[factor][cell], factors[factor][half + cell])
            let slope = one - zero
            product = (0...product.count).map { power in
              (power < product.count ? product[power] * zero : .zero)
                + (power > 0 ? product[power - 1] * slope : .zero)
            }
          }
          for (power, value) in product.enumerated() { polynomial[power] += value }
        }
      }
      proof.append(polynomial[0])
      for coefficient in polynomial.dropFirst(2) { proof.append(coefficient) }
      let challenge = proof.transcript.challenge()
      factors = factors.map { Self.folded($0, challenge) }
      challenges.append(challenge)
    }
    return (challenges, factors.map { $0[0] })
  }

  static func productRounds(
    _ left: [Extension], _ right: [Extension], _ proof: inout ProofWriter
  ) -> (point: [Extension], ends: (Extension, Extension)) {
    var claim = Extension.zero
    return productRounds(left, right, claim: &claim, &proof)
  }

  /// Leaves in `claim` what the verifier makes of it.
  private static func productRounds(
    _ left: [Extension], _ right: [Extension], claim: inout Extension, _ proof: inout ProofWriter
  ) -> (point: [Extension], ends: (Extension, Extension)) {
    var (left, right, point) = (left, right, [Extension]())
    while left.count > 1 {
      let half = left.count / 2
      var (zero, leading) = (Extension.zero, Extension.zero)
      for cell in 0..<half {
        zero += left[cell] * right[cell]
        leading += (left[half + cell] - left[cell]) * (right[half + cell] - right[cell])
      }
      proof.append(zero)
      proof.append(leading)
      let challenge = proof.transcript.challenge()
      let linear = claim - zero - zero - leading
      claim = zero + challenge * (linear + challenge * leading)
      (left, right) = (folded(left, challenge), folded(right, challenge))
      point.append(challenge)
    }
    return (point, (left[0], right[0]))
  }

  private static func folded(_ values: [Extension], _ challenge: Extension) -> [Extension] {
    let half = values.count / 2
    return (0..<half).map { values[$0] + challenge * (values[half + $0] - values[$0]) }
  }
}

extension Mask {
  /// Over the padded block.
  var cells: [Bool] {
    zip(axes, Layout(axes.map(\.count)).logs).reduce([true]) { cells, axis in
      let padded = axis.0 + [Bool](repeating: false, count: 1 << axis.1 - axis.0.count)
      return cells.flatMap { cell in padded.map { cell && $0 } }
    }
  }
}
