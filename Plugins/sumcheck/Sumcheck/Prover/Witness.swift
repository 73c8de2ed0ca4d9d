import FixedPoint

/// All integers of one run: every tensor, every committed column, and what each lookup names.
struct Witness {
  let tensors: [[Int16]]
  /// The committed vector, padded to 2^vectorLog.
  let vector: IntegerVector
  /// Per lookup, over its block: the first and, unless it is bits, the second part of its key.
  let firsts: [IntegerVector]
  let seconds: [IntegerVector?]

  /// `tensors` has the integers of every tensor of the circuit's program, row-major. Nothing is
  /// checked here: from integers that the program does not give follows a proof that no verifier
  /// accepts.
  init(_ circuit: Circuit, tensors: [[Int16]], _ parallel: Parallel = Parallel(threads: 1)) {
    var assembly = Assembly(circuit: circuit, tensors: tensors, parallel: parallel)
    for column in circuit.columns.indices { assembly.fill(column) }
    var (firsts, seconds) = ([IntegerVector](), [IntegerVector?]())
    for lookup in circuit.lookups {
      firsts.append(assembly.integers(lookup.first))
      switch lookup.second {
      case .bits: seconds.append(nil)
      case .value(let form): seconds.append(assembly.integers(.init(form: form)))
      }
    }
    for (lookup, first) in zip(circuit.lookups, firsts) { assembly.count(lookup, first) }
    self.tensors = tensors
    self.firsts = firsts
    self.seconds = seconds
    vector = assembly.vector
  }

  /// The padded integers of a form.
  func integers(_ form: LinearForm, _ circuit: Circuit) -> IntegerVector {
    var assembly = Assembly(
      circuit: circuit, tensors: tensors, vector: vector, parallel: Parallel(threads: 1))
    return assembly.integers(.init(form: form))
  }
}

/// Fills the vector, column by column. Integers wrap at 32 bits, which honest ones never reach.
private struct Assembly {
  let circuit: Circuit
  let tensors: [[Int16]]
  let vector: IntegerVector
  private let parallel: Parallel
  private var accumulators: [Int: [Int32]] = [:]

  init(
    circuit: Circuit, tensors: [[Int16]], vector: IntegerVector? = nil, parallel: Parallel
  ) {
    (self.circuit, self.tensors, self.parallel) = (circuit, tensors, parallel)
    self.vector = vector ?? IntegerVector(count: 1 << circuit.vectorLog)
  }

  private func cells(_ column: Int) -> UnsafeMutablePointer<Int32> {
    vector.values + circuit.columns[column].offset
  }

  /// Multiplicities are left for `count`.
  mutating func fill(_ column: Int) {
    let layout = circuit.columns[column].layout
    let cells = cells(column)
    switch circuit.columns[column].content {
    case .tensor(let tensor):
      let values = tensors[tensor]
      let width = layout.shape.last ?? 1
      layout.forEachRow { element, cell in
        for index in 0..<width { cells[cell + index] = Int32(values[element + index]) }
      }
    case .high(let quantity):
      let low = integers(quantity)
      let shift = Int32(circuit.parameters.limbBits)
      for index in 0..<layout.size { cells[index] = low.values[index] >> shift }
    case .sign(let high):
      let limbs = self.cells(high)
      for index in 0..<layout.size { cells[index] = limbs[index] >= 1 << 7 ? 1 : 0 }
    case .multiplicities: break
    case .weights(let accumulator): circuit.fillWeights(of: accumulator, cells)
    }
  }

  /// Adds a lookup's cells to the multiplicities of its tables.
  func count(_ lookup: Circuit.Lookup, _ first: IntegerVector) {
    let layout = Layout(lookup.shape)
    let width = lookup.shape.last ?? 1
    func counts(bits: Int64?) -> (rows: UnsafeMutablePointer<Int32>, size: Int)? {
      let table = circuit.tables.first { entry in
        if let bits { return entry.table == .range(bits: Int(bits)) }
        return entry.table.tag == lookup.tag
      }
      return table.map { (cells($0.column), 1 << $0.table.log) }
    }
    let inside = lookup.mask.axes.last ?? [true]
    let isWhole = inside.allSatisfy { $0 }
    layout.forEachRow { element, cell in
      // The position along every axis but the last.
      var (rest, position) = (element / width, [Int](repeating: 0, count: lookup.shape.count))
      for axis in lookup.shape.indices.dropLast().reversed() {
        position[axis] = rest % lookup.shape[axis]
        rest /= lookup.shape[axis]
        if !lookup.mask.axes[axis][position[axis]] { return }
      }
      var bits: Int64?
      var perCell: [Int64]?
      if case .bits(let scale) = lookup.second {
        switch scale {
        case .uniform(let value): bits = value
        case .along(lookup.shape.count - 1, let values): perCell = values
        case .along(let axis, let values): bits = values[position[axis]]
        }
      }
      if let perCell {
        for index in 0..<width where inside[index] {
          guard let table = counts(bits: perCell[index]) else { continue }
          let row = Int(first.values[cell + index])
          if row >= 0, row < table.size { table.rows[row] &+= 1 }
        }
        return
      }
      guard let table = counts(bits: bits) else { return }
      for index in 0..<width where isWhole || inside[index] {
        let row = Int(first.values[cell + index])
        // Corrupted integers need not be rows.
        if row >= 0, row < table.size { table.rows[row] &+= 1 }
      }
    }
  }

  mutating func integers(_ quantity: Circuit.Quantity) -> IntegerVector {
    let form = quantity.form
    let layout = Layout(form.shape)
    let result = IntegerVector(count: layout.size)
    var sums: [Int32]
    if let accumulator = quantity.accumulator {
      sums = accumulators[accumulator] ?? accumulate(circuit.accumulators[accumulator])
      accumulators[accumulator] = sums
    } else {
      sums = [Int32](repeating: 0, count: layout.elementCount)
    }
    sums.withUnsafeMutableBufferPointer { sums in
      guard let sums = sums.baseAddress else { return }
      form.constant.forEachRun(of: form.shape) { value, range in
        if value == 0 { return }
        let value = Int32(truncatingIfNeeded: value)
        for index in range { sums[index] &+= value }
      }
      for term in form.terms { add(term, shape: form.shape, to: sums) }
      let width = form.shape.last ?? 1
      // Remainders of at most 16 bits need no more of the accumulator.
      let mask: Int32 =
        quantity.accumulator.map { circuit.accumulators[$0].isNarrow } ?? false ? 0xFFFF : -1
      layout.forEachRow { element, cell in
        for index in 0..<width { result.values[cell + index] = sums[element + index] & mask }
      }
    }
    return result
  }

  private func add(
    _ term: LinearForm.Term, shape: [Int], to sums: UnsafeMutablePointer<Int32>
  ) {
    switch term.wire {
    case .column(let column):
      // A column that is no tensor has the form's own shape and is read as it is.
      let cells = cells(column)
      let layout = Layout(shape)
      let width = shape.last ?? 1
      let scales = term.scale.uniformValue
      layout.forEachRow { element, cell in
        for index in 0..<width { sums[element + index] &+= scales &* cells[cell + index] }
      }
    case .output(let output):
      add(tensors[circuit.program.outputTensors[output]], term, shape: shape, to: sums)
    case .tensor(let tensor): add(tensors[tensor], term, shape: shape, to: sums)
    case .one: add([1], term, shape: shape, to: sums)
    }
  }

  private func add(
    _ values: [Int16], _ term: LinearForm.Term, shape: [Int], to sums: UnsafeMutablePointer<Int32>
  ) {
    guard case .axes(let maps) = term.view else {
      values.withUnsafeBufferPointer { values in
        term.scale.forEachRun(of: shape) { scale, range in
          let scale = Int32(truncatingIfNeeded: scale)
          for index in range { sums[index] &+= scale &* Int32(values[index]) }
        }
      }
      return
    }
    let source = circuit.shape(of: term.wire)
    var strides = [Int](repeating: 1, count: source.count)
    for axis in source.indices.dropLast().reversed() {
      strides[axis] = strides[axis + 1] * source[axis + 1]
    }
    let scale = term.scale.uniformValue
    // Offsets of every combination of the outer axes' sources, then the innermost axis.
    func descend(_ axis: Int, element: Int, offset: Int) {
      let map = maps[axis]
      let stride = map.source.map { strides[$0] } ?? 0
      if axis == shape.count - 1 {
        values.withUnsafeBufferPointer { values in
          for (position, reads) in map.positions.enumerated() {
            for read in reads {
              sums[element + position] &+= scale &* Int32(values[offset + read * stride])
            }
          }
        }
        return
      }
      let inner = shape[(axis + 1)...].reduce(1, *)
      for (position, reads) in map.positions.enumerated() {
        for read in reads {
          descend(axis + 1, element: element + position * inner, offset: offset + read * stride)
        }
      }
    }
    if shape.isEmpty {
      sums[0] &+= scale &* Int32(values[0])
    } else {
      descend(0, element: 0, offset: 0)
    }
  }

  /// The accumulator modulo 2^32, or 2^16 where it is narrow, row-major.
  private func accumulate(_ accumulator: Circuit.Accumulator) -> [Int32] {
    switch accumulator {
    case .weighted(let sum): return sum.accumulate(tensors[sum.source], parallel)
    case .product(let left, let right):
      var (a, b) = ([Int32](), [Int32]())
      for (form, isLeft) in [(left, true), (right, false)] {
        var sums = [Int32](repeating: 0, count: form.shape.reduce(1, *))
        sums.withUnsafeMutableBufferPointer { buffer in
          guard let buffer = buffer.baseAddress else { return }
          for term in form.terms { add(term, shape: form.shape, to: buffer) }
        }
        if isLeft { a = sums } else { b = sums }
      }
      return zip(a, b).map { $0 &* $1 }
    }
  }
}

extension Scale {
  /// Of a scale that is known to be uniform.
  var uniformValue: Int32 {
    guard case .uniform(let value) = self else { return 0 }
    return Int32(truncatingIfNeeded: value)
  }

  /// Calls `body` with each value and a range of row-major indices of `shape` that have it.
  func forEachRun(of shape: [Int], _ body: (Int64, Range<Int>) -> Void) {
    switch self {
    case .uniform(let value): body(value, 0..<shape.reduce(1, *))
    case .along(let axis, let values):
      let inner = shape[(axis + 1)...].reduce(1, *)
      for outer in 0..<shape[..<axis].reduce(1, *) {
        for (position, value) in values.enumerated() {
          let start = (outer * shape[axis] + position) * inner
          body(value, start..<start + inner)
        }
      }
    }
  }
}
