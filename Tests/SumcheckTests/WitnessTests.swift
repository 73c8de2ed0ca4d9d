import FixedPoint
import Testing

@testable import Sumcheck

/// A prover that is forced on with a witness that is none: whatever is changed, wherever, and
/// whatever is made to agree with it, some relation refuses it.
@Suite struct WitnessTests {
  static let limbs = Parameters(limbBits: 8, messageLog: 8, rateLog: 1)
  static let tables = Parameters(limbBits: 16, messageLog: 12, rateLog: 2)
  static let functions = Parameters(limbBits: 8, messageLog: 13, rateLog: 1)
  /// Tables of 2^16 rows take seconds where nothing is optimised.
  static let parameters = LongRun.isEnabled ? [limbs, tables] : [limbs]

  /// More places and distances in a long run.
  private static func some<Element>(_ all: [Element], _ turn: Int, of count: Int = 2) -> [Element] {
    LongRun.isEnabled
      ? all : (0..<min(count, all.count)).map { all[(turn + $0) % all.count] }
  }

  /// The first, the middle and the last cell, each with every distance.
  private func places(of cells: [Int], by deltas: [Int32]) -> [(cell: Int, delta: Int32)] {
    [0, cells.count / 2, cells.count - 1].flatMap { place in
      deltas.map { (cells[place], $0) }
    }
  }

  /// In every tensor that a relation defines one element is changed, and all that follows is
  /// computed from the lie: only the relation of its own operation is broken.
  @Test(arguments: parameters)
  func refusesALieInEveryOperation(_ parameters: Parameters) throws {
    let run = try Run(SmallProgram.zoo(), seed: 2, parameters)
    #expect(run.refusal(try run.prove()) == nil)
    let program = run.circuit.program
    var lied = Set<String>()
    for (index, operation) in program.operations.enumerated() {
      let tensor = program.inputs.count + index
      if case .derived = run.circuit.sources[tensor] { continue }
      if case .constant = run.circuit.sources[tensor] { continue }
      let count = run.tensors[tensor].count
      let trials = [0, count / 2, count - 1].flatMap { element in
        [1, -1, 64, 1 << 14].map { (element, $0) }
      }
      for (element, delta) in Self.some(trials, 5 * index, of: 2) {
        guard let lying = try? run.lying(tensor: tensor, element: element, by: delta) else {
          continue
        }
        lied.insert(operation.name)
        let refusal = lying.refusal(try lying.prove())
        // A lookup, or the product of a pool or an activation.
        #expect(
          refusal == .rootNumerator || refusal == .productCheck,
          "\(operation.name), element \(element) by \(delta): \(String(describing: refusal))")
      }
    }
    #expect(lied.count == 10)
  }

  /// Outputs that are moved elements, inputs, or said twice: only links hold them.
  @Test func refusesALieInEveryLink() throws {
    let run = try Run(SmallProgram.zoo(), seed: 2)
    for output in run.outputs.indices {
      let count = run.outputs[output].count
      for byte in [0, count / 2, count - 1] {
        var lying = run
        lying.outputs[output][byte] ^= 1
        #expect(lying.refusal(try lying.prove()) != nil, "output \(output), byte \(byte)")
      }
    }
  }

  /// One cell of every committed column, alone: the claims that read it no longer hold.
  @Test(arguments: parameters)
  func refusesEveryChangedCell(_ parameters: Parameters) throws {
    let run = try Run(SmallProgram.zoo(), seed: 2, parameters)
    var kinds = Set<String>()
    for (index, column) in run.circuit.columns.enumerated() {
      kinds.insert(column.content.kind)
      let cells = column.cells
      let trials = places(of: cells, by: [1, -1, 256, 1 << 30])
      for (cell, delta) in Self.some(trials, 5 * index, of: 1) {
        let witness = try Witness(run.circuit, tensors: run.tensors)
        witness.vector.values[column.offset + cell] &+= delta
        #expect(
          run.refusal(try run.prove(witness)) != nil,
          "\(column.content), cell \(cell) by \(delta)")
      }
    }
    #expect(kinds.count == (parameters.limbBits == 8 ? 4 : 3))
  }

  /// The same, with every lookup that reads the cell computed from it, and counted again: no claim
  /// is broken, only what the lookups and products say.
  @Test(arguments: parameters)
  func refusesEveryChangedCellThatLookupsAgreeWith(_ parameters: Parameters) throws {
    let run = try Run(SmallProgram.zoo(), seed: 2, parameters)
    for (index, column) in run.circuit.columns.enumerated() {
      // Beside padding, the cells of a pool's window that lie in the image's padding are read by
      // nothing.
      let cells = column.cells.filter { run.circuit.reads(column: index, cell: $0) }
      let trials = places(of: cells, by: [1, -1, 256, -(1 << 14)])
      for (cell, delta) in Self.some(trials, 7 * index, of: 1) {
        let witness: Witness
        if case .tensor(let tensor) = column.content {
          var tensors = run.tensors
          var element = 0
          column.layout.forEachRow { first, start in
            if cell >= start, cell < start + (column.layout.shape.last ?? 1) {
              element = first + cell - start
            }
          }
          tensors[tensor][element] &+= Int16(truncatingIfNeeded: delta)
          guard tensors != run.tensors else { continue }
          witness = try Witness(run.circuit, tensors: tensors)
        } else {
          witness = try Witness(run.circuit, tensors: run.tensors)
          witness.force(index, cell, by: delta, run.circuit)
        }
        let refusal = run.refusal(try run.prove(witness))
        #expect(
          refusal == .rootNumerator || refusal == .productCheck || refusal == .opening,
          "\(column.content), cell \(cell) by \(delta): \(String(describing: refusal))")
      }
    }
  }

  /// A sign said to be the other one, and the result that follows from it: a ramp that lets
  /// negative numbers through, or none.
  @Test func refusesARampOfTheOtherSign() throws {
    let program = try SmallProgram.chain([6], [.relu(Relu()), .rescale(Rescaling(exponent: 0))])
    var run = try Run(program, inputs: [Run.bytes([-1, 5, -300, 0, 32767, -32768])])
    for element in 0..<6 {
      let lying = try run.lying(tensor: 1, element: element, by: Int(run.operand(element)))
      if lying.tensors[1] == run.tensors[1] { continue }
      #expect(lying.refusal(try lying.prove()) != nil)
    }
    // With the sign that would explain it.
    let honest = run
    for element in [0, 1, 2, 5] {
      run = honest
      let x = run.operand(element)
      run.tensors[1][element] = x < 0 ? x : 0
      run.tensors[2] = run.tensors[1]
      run.outputs = [Run.bytes(run.tensors[2])]
      let witness = try Witness(run.circuit, tensors: run.tensors)
      for (index, column) in run.circuit.columns.enumerated() {
        guard case .sign = column.content else { continue }
        witness.force(index, element, by: x < 0 ? 1 : -1, run.circuit)
      }
      #expect(run.refusal(try run.prove(witness)) == .rootNumerator)
    }
  }

  /// The table's value at 0 is not 0, and the axis is padded.
  @Test func refusesAFalseValueOfAFunction() throws {
    let program = try SmallProgram.chain([3], [.function(UnaryFunction(.sigmoid, exponent: 10))])
    let run = try Run(program, inputs: [Run.bytes([0, 4, 7])], Self.functions)
    #expect(run.tensors[1][0] == 512)
    let lying = try run.lying(tensor: 1, element: 0, by: -512)
    #expect(lying.refusal(try lying.prove()) == .rootNumerator)
  }

  /// A root of -1 that is said to be the root of the row that the table has in its place.
  @Test func refusesAFunctionWithoutAValue() throws {
    let program = try SmallProgram.chain([3], [.function(UnaryFunction(.sqrt, exponent: 8))])
    var run = try Run(program, inputs: [Run.bytes([0, 4, 7])], Self.functions)
    run.tensors[0][0] = -1
    run.inputs = [Run.bytes(run.tensors[0])]
    #expect(run.refusal(try run.prove()) == .rootNumerator)
  }

  @Test func refusesALieBeforeATableOf16Bits() throws {
    let program = try SmallProgram.chain(
      [1, 3], [SmallProgram.matrix(4, columns: 3, shifts: [7, 3]), .relu(Relu())])
    let run = try Run(program, seed: 5, Self.tables)
    for (tensor, element, delta) in [(1, 0, 1), (2, 2, 1)] {
      let lying = try run.lying(tensor: tensor, element: element, by: delta)
      #expect(lying.refusal(try lying.prove()) == .rootNumerator)
    }
  }
}

extension Circuit {
  /// Whether a lookup takes the cell of a column, or the column is read as a tensor or a table.
  fileprivate func reads(column: Int, cell: Int) -> Bool {
    switch columns[column].content {
    case .tensor, .multiplicities, .weights: true
    case .high, .sign:
      lookups.contains { lookup in
        var terms = lookup.first.form.terms
        if case .value(let form) = lookup.second { terms += form.terms }
        return terms.contains { $0.wire == .column(column) } && lookup.mask.cells[cell]
      }
    }
  }
}

extension Run {
  fileprivate func operand(_ element: Int) -> Int16 { tensors[0][element] }
}

extension Circuit.Column.Content {
  fileprivate var kind: String {
    switch self {
    case .tensor: "tensor"
    case .high: "high"
    case .sign: "sign"
    case .multiplicities: "multiplicities"
    case .weights: "weights"
    }
  }
}

extension Circuit.Column {
  /// Cells that are not padding.
  fileprivate var cells: [Int] {
    var cells: [Int] = []
    layout.forEachRow { _, cell in cells += cell..<cell + (layout.shape.last ?? 1) }
    return cells
  }
}

extension Witness {
  /// Changes a cell of a column that is no tensor, and every lookup that reads it; these are
  /// counted where they name a row.
  fileprivate func force(_ column: Int, _ cell: Int, by delta: Int32, _ circuit: Circuit) {
    vector.values[circuit.columns[column].offset + cell] &+= delta
    for (index, lookup) in circuit.lookups.enumerated() {
      func change(_ form: LinearForm) -> Int32 {
        form.terms.reduce(0) { sum, term in
          guard case .column(column) = term.wire, case .uniform(let scale) = term.scale else {
            return sum
          }
          return sum &+ Int32(truncatingIfNeeded: scale) &* delta
        }
      }
      func row() -> UnsafeMutablePointer<Int32>? {
        let (first, second) = (firsts[index].values[cell], seconds[index]?.values[cell])
        guard lookup.mask.cells[cell] else { return nil }
        for (table, column) in circuit.tables where table.tag == lookup.tag {
          if case .bits(.uniform(let bits)) = lookup.second, table != .range(bits: Int(bits)) {
            continue
          }
          let rows = circuit.rows(of: table)
          guard rows.first.buffer.indices.contains(Int(first)),
            second == nil || rows.second.buffer[Int(first)] == second
          else { continue }
          return vector.values + circuit.columns[column].offset + Int(first)
        }
        return nil
      }
      var changes = (first: change(lookup.first.form), second: Int32(0))
      if case .value(let form) = lookup.second { changes.second = change(form) }
      guard changes != (0, 0) else { continue }
      row()?.pointee -= 1
      firsts[index].values[cell] &+= changes.first
      seconds[index]?.values[cell] &+= changes.second
      row()?.pointee += 1
    }
  }
}
