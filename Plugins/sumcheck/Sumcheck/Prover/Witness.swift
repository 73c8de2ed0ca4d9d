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
  init(
    _ circuit: Circuit, tensors: [[Int16]], _ parallel: Parallel = Parallel(threads: 1)
  ) throws(Cancelled) {
    var assembly = Assembly(
      circuit: circuit, tensors: tensors,
      vector: try IntegerVector(count: 1 << circuit.vectorLog, parallel), parallel: parallel)
    for column in circuit.columns.indices { try assembly.fill(column) }
    var (firsts, seconds) = ([IntegerVector](), [IntegerVector?]())
    for lookup in circuit.lookups {
      firsts.append(try assembly.integers(lookup.first))
      switch lookup.second {
      case .bits: seconds.append(nil)
      case .value(let form): seconds.append(try assembly.integers(.init(form: form)))
      }
    }
    try assembly.count(firsts)
    self.tensors = tensors
    self.firsts = firsts
    self.seconds = seconds
    vector = assembly.vector
  }

  /// The padded integers of a form.
  func integers(
    _ form: LinearForm, _ circuit: Circuit, _ parallel: Parallel
  ) throws(Cancelled) -> IntegerVector {
    var assembly = Assembly(
      circuit: circuit, tensors: tensors, vector: vector, parallel: parallel)
    return try assembly.integers(.init(form: form))
  }
}

/// Fills the vector, column by column. Integers wrap at 32 bits, which honest ones never reach.
private struct Assembly {
  let circuit: Circuit
  let tensors: [[Int16]]
  let vector: IntegerVector
  private let parallel: Parallel
  private var accumulators: [Int: Memory<Int32>] = [:]

  init(circuit: Circuit, tensors: [[Int16]], vector: IntegerVector, parallel: Parallel) {
    (self.circuit, self.tensors) = (circuit, tensors)
    (self.vector, self.parallel) = (vector, parallel)
  }

  private func cells(_ column: Int) -> UnsafeMutablePointer<Int32> {
    vector.values + circuit.columns[column].offset
  }

  /// Multiplicities are left for `count`.
  mutating func fill(_ column: Int) throws(Cancelled) {
    let layout = circuit.columns[column].layout
    let cells = cells(column)
    switch circuit.columns[column].content {
    case .tensor(let tensor):
      let width = layout.shape.last ?? 1
      try tensors[tensor].withUnsafeBufferPointer { values throws(Cancelled) in
        try parallel.forEachRow(of: layout) { element, cell, _ in
          for index in 0..<width { cells[cell + index] = Int32(values[element + index]) }
        }
      }
    case .high(let quantity):
      let whole = try integers(quantity)
      let shift = Int32(circuit.parameters.limbBits)
      try parallel.forEachPart(of: layout.size, cost: 1) { part in
        for index in part { cells[index] = whole.values[index] >> shift }
      }
    case .sign(let high):
      let limbs = self.cells(high)
      try parallel.forEachPart(of: layout.size, cost: 1) { part in
        for index in part { cells[index] = limbs[index] >= 1 << 7 ? 1 : 0 }
      }
    case .multiplicities: break
    case .weights(let accumulator): try circuit.fillWeights(of: accumulator, cells, parallel)
    }
  }

  // MARK: Multiplicities

  /// Cells that are counted between two questions whether the proof is still wanted.
  private static let stretch = 1 << 19

  /// Fills the multiplicities of all tables. Threads share no table: each counts a stretch of the
  /// lookups of one, then of the next.
  func count(_ firsts: [IntegerVector]) throws(Cancelled) {
    let stretches = circuit.tables.map { entry in self.stretches(ofTag: entry.table.tag) }
    for index in 0..<(stretches.map(\.count).max() ?? 0) {
      try parallel.forEachPart(of: stretches.count, cost: 2 * Double(Self.stretch)) { part in
        for table in part where index < stretches[table].count {
          for (lookup, rows) in stretches[table][index] {
            count(circuit.lookups[lookup], firsts[lookup], rows, in: circuit.tables[table])
          }
        }
      }
    }
  }

  /// All rows of all lookups of a tag, in runs of about so many cells.
  private func stretches(ofTag tag: Int64) -> [[(lookup: Int, rows: Range<Int>)]] {
    var result: [[(lookup: Int, rows: Range<Int>)]] = []
    var room = 0
    for (index, lookup) in circuit.lookups.enumerated() where lookup.tag == tag {
      let layout = Layout(lookup.shape)
      let width = max(lookup.shape.last ?? 1, 1)
      var rows = 0..<layout.rowCount
      while !rows.isEmpty {
        if room <= 0 {
          result.append([])
          room = Self.stretch
        }
        let taken = rows.prefix(room / width + 1)
        result[result.count - 1].append((index, taken))
        room -= taken.count * width
        rows = taken.upperBound..<rows.upperBound
      }
    }
    return result
  }

  /// Adds a lookup's cells to the multiplicities of one of its tables.
  private func count(
    _ lookup: Circuit.Lookup, _ first: IntegerVector, _ range: Range<Int>,
    in entry: (table: Circuit.Table, column: Int)
  ) {
    let layout = Layout(lookup.shape)
    let width = lookup.shape.last ?? 1
    let (rows, size) = (cells(entry.column), UInt32(1 << entry.table.log))
    let inside = lookup.mask.axes.last ?? [true]
    let isWhole = inside.allSatisfy { $0 }
    var bits: Scale?
    if case .bits(let scale) = lookup.second { bits = scale }
    var expected: Int64?
    if case .range(let bits) = entry.table { expected = Int64(bits) }
    if case .uniform(let own) = bits, own != expected { return }
    layout.forEachRow(in: range) { _, cell, position in
      for (axis, place) in position.enumerated() where !lookup.mask.axes[axis][place] { return }
      var columnBits: [Int64]?
      if case .along(let axis, let own) = bits {
        if axis == position.count {
          columnBits = own
        } else if own[position[axis]] != expected {
          return
        }
      }
      for index in 0..<width where isWhole || inside[index] {
        if let columnBits, columnBits[index] != expected { continue }
        // Corrupted integers need not be rows.
        let row = UInt32(bitPattern: first.values[cell + index])
        if row < size { rows[Int(row)] &+= 1 }
      }
    }
  }

  // MARK: Forms

  mutating func integers(_ quantity: Circuit.Quantity) throws(Cancelled) -> IntegerVector {
    let form = quantity.form
    let layout = Layout(form.shape)
    let result =
      layout.size == layout.elementCount
      ? IntegerVector(unfilled: layout.size) : try IntegerVector(count: layout.size, parallel)
    // Remainders of at most 16 bits need no more of the accumulator.
    var mask: Int32 = -1
    var sums: UnsafeMutablePointer<Int32>?
    if let accumulator = quantity.accumulator {
      let memory: Memory<Int32>
      if let known = accumulators[accumulator] {
        memory = known
      } else {
        memory = try accumulate(circuit.accumulators[accumulator])
        accumulators[accumulator] = memory
      }
      sums = memory.values
      if circuit.accumulators[accumulator].isNarrow { mask = 0xFFFF }
    }
    let terms = form.terms.map { Reading($0, of: form.shape, circuit) }
    let width = form.shape.last ?? 1
    let constant = form.constant
    let axis = form.shape.count - 1
    try withSources(of: form) { sources throws(Cancelled) in
      try parallel.forEachRow(of: layout, terms: terms.count + 1) { element, cell, position in
        let row = result.values + cell
        if let sums {
          for index in 0..<width { row[index] = sums[element + index] }
        } else {
          for index in 0..<width { row[index] = 0 }
        }
        constant.add(to: row, width, position, lastAxis: axis)
        for (term, source) in zip(terms, sources) {
          term.add(to: row, from: source, element, position)
        }
        if mask != -1 { for index in 0..<width { row[index] &= mask } }
      }
    }
    return result
  }

  /// Where each term of the form finds its integers.
  private func withSources(
    of form: LinearForm, _ body: ([Reading.Source]) throws(Cancelled) -> Void
  ) throws(Cancelled) {
    func descend(_ sources: [Reading.Source]) throws(Cancelled) {
      guard sources.count < form.terms.count else { return try body(sources) }
      func goOn(_ values: [Int16]) throws(Cancelled) {
        try values.withUnsafeBufferPointer { buffer throws(Cancelled) in
          try descend(sources + [.tensor(buffer)])
        }
      }
      switch form.terms[sources.count].wire {
      case .column(let column):
        let layout = circuit.columns[column].layout
        try descend(sources + [.column(cells(column), layout)])
      case .output(let output): try goOn(tensors[circuit.program.outputTensors[output]])
      case .tensor(let tensor): try goOn(tensors[tensor])
      case .one: try goOn([1])
      }
    }
    try descend([])
  }

  /// The accumulator modulo 2^32, or 2^16 where it is narrow, row-major.
  private func accumulate(
    _ accumulator: Circuit.Accumulator
  ) throws(Cancelled) -> Memory<Int32> {
    switch accumulator {
    case .weighted(let sum): return try sum.accumulate(tensors[sum.source], parallel)
    case .product(let left, let right):
      let layout = Layout(left.shape)
      let width = left.shape.last ?? 1
      var own = self
      let (a, b) = (
        try own.integers(.init(form: left)), try own.integers(.init(form: right))
      )
      let product = Memory<Int32>(unfilled: layout.elementCount)
      try parallel.forEachRow(of: layout) { element, cell, _ in
        for index in 0..<width {
          product.values[element + index] = a.values[cell + index] &* b.values[cell + index]
        }
      }
      return product
    }
  }
}

/// How a term of a form reads its source, row by row of the form.
private struct Reading {
  enum Source {
    case tensor(UnsafeBufferPointer<Int16>)
    case column(UnsafeMutablePointer<Int32>, Layout)
  }

  private let scale: Scale
  private let lastAxis: Int
  private let width: Int
  /// Nil where elements are read in row-major order.
  private let maps: [AxisMap]?
  /// Of the source's elements, for a step along the axis that each map reads.
  private var strides: [Int] = []
  /// Where the last axis reads one element after the other, the first of them.
  private var run: Int?

  init(_ term: LinearForm.Term, of shape: [Int], _ circuit: Circuit) {
    scale = term.scale
    lastAxis = shape.count - 1
    width = shape.last ?? 1
    guard case .axes(let maps) = term.view else {
      self.maps = nil
      return
    }
    self.maps = maps
    let source = circuit.shape(of: term.wire)
    var steps = [Int](repeating: 1, count: source.count)
    for axis in source.indices.dropLast().reversed() {
      steps[axis] = steps[axis + 1] * source[axis + 1]
    }
    strides = maps.map { map in map.source.map { steps[$0] } ?? 0 }
    if let last = maps.last, let start = last.positions.first?.first, strides.last == 1,
      last.positions.enumerated().allSatisfy({ $0.element == [start + $0.offset] })
    {
      run = start
    }
  }

  /// row[i] += scale·source for the row of the form that begins at `element`.
  func add(
    to row: UnsafeMutablePointer<Int32>, from source: Source, _ element: Int, _ position: [Int]
  ) {
    switch source {
    case .column(let cells, let layout):
      // A column that is no tensor has the form's own shape and is read as it is.
      var cell = 0
      for (axis, place) in position.enumerated() { cell = cell << layout.logs[axis] | place }
      let scale = scale.value(in: position, lastAxis: lastAxis)
      let from = cells + cell << (layout.logs.last ?? 0)
      for index in 0..<width { row[index] &+= scale &* from[index] }
    case .tensor(let values):
      guard let start = values.baseAddress else { return }
      guard maps != nil else { return addRun(to: row, start + element, position) }
      addMapped(to: row, start, position, axis: 0)
    }
  }

  private func addRun(
    to row: UnsafeMutablePointer<Int32>, _ from: UnsafePointer<Int16>, _ position: [Int]
  ) {
    if case .along(lastAxis, let scales) = scale {
      for index in 0..<width {
        row[index] &+= Int32(truncatingIfNeeded: scales[index]) &* Int32(from[index])
      }
    } else {
      let scale = scale.value(in: position, lastAxis: lastAxis)
      for index in 0..<width { row[index] &+= scale &* Int32(from[index]) }
    }
  }

  /// Every combination of what the outer axes read, then the innermost axis.
  private func addMapped(
    to row: UnsafeMutablePointer<Int32>, _ from: UnsafePointer<Int16>, _ position: [Int], axis: Int
  ) {
    guard let maps, !maps.isEmpty else { return addRun(to: row, from, position) }
    guard axis == lastAxis else {
      for read in maps[axis].positions[position[axis]] {
        addMapped(to: row, from + read * strides[axis], position, axis: axis + 1)
      }
      return
    }
    if let run { return addRun(to: row, from + run, position) }
    let scale = scale.value(in: position, lastAxis: lastAxis)
    for (index, reads) in maps[axis].positions.enumerated() {
      for read in reads { row[index] &+= scale &* Int32(from[read * strides[axis]]) }
    }
  }
}

extension Parallel {
  /// Calls `body` for every row of a block, as `Layout.forEachRow` does. `terms` says how often
  /// each of its cells is read or written.
  func forEachRow(
    of layout: Layout, terms: Int = 1,
    _ body: (_ element: Int, _ cell: Int, _ position: [Int]) -> Void
  ) throws(Cancelled) {
    let cost = Double(10 + (layout.shape.last ?? 1)) * Double(terms)
    try forEachPart(of: layout.rowCount, cost: cost) { part in
      layout.forEachRow(in: part, body)
    }
  }
}

extension Scale {
  /// Of the row at `position`, for a scale that does not differ along the last axis.
  fileprivate func value(in position: [Int], lastAxis: Int) -> Int32 {
    switch self {
    case .uniform(let value): Int32(truncatingIfNeeded: value)
    case .along(let axis, let values):
      axis < position.count ? Int32(truncatingIfNeeded: values[position[axis]]) : 0
    }
  }

  /// Adds the integers to a row.
  fileprivate func add(
    to row: UnsafeMutablePointer<Int32>, _ width: Int, _ position: [Int], lastAxis: Int
  ) {
    if case .along(lastAxis, let values) = self {
      for index in 0..<width { row[index] &+= Int32(truncatingIfNeeded: values[index]) }
      return
    }
    let value = value(in: position, lastAxis: lastAxis)
    if value != 0 { for index in 0..<width { row[index] &+= value } }
  }
}
