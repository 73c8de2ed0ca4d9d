@testable import Sumcheck

/// What every byte of a proof is, by the key and the proof's length.
struct ProofMap {
  enum Kind: String, CaseIterable {
    case witnessRoot, treeRoot, layerRound, layerValues, leafValues
    case accumulatorRound, accumulatorValues, checkValue, checkRound, checkFactors
    case openingRound, combination, columns, siblings, weightColumns, weightSiblings
    case quotients, remainders, sumRound, seal

    var holdsElements: Bool {
      switch self {
      case .witnessRoot, .siblings, .weightSiblings, .quotients, .remainders: false
      default: true
      }
    }
  }

  struct Part {
    let kind: Kind
    let range: Range<Int>
  }

  private(set) var parts: [Part] = []

  init(_ key: ProverKey, length: Int) throws {
    switch key.mode {
    case .commit(let parameters):
      self.init(try Circuit(key.program, parameters, batch: key.batch), length: length)
    case .clear: self.init(try ClearCircuit(key.program, batch: key.batch))
    }
  }

  init(_ circuit: ClearCircuit) {
    for sum in circuit.sums {
      add(.quotients, sum.quotientBytes)
      add(.remainders, sum.remainderBytes)
    }
    for sum in circuit.sums { add(.sumRound, 32, times: sum.rounds) }
    add(.seal, 16)
  }

  /// How many siblings there are depends on the positions that are drawn; they take what the rest
  /// leaves, as many for committed weights as for the witness.
  init(_ circuit: Circuit, length: Int) {
    add(.witnessRoot, 32)
    var accumulators: [Int] = []
    for tree in circuit.trees {
      add(.treeRoot, 32)
      for layer in 0..<tree.log {
        add(.layerRound, 32, times: layer)
        add(.layerValues, 64)
      }
      for case .lookup(let index) in tree.blocks {
        if let accumulator = circuit.lookups[index].first.accumulator {
          accumulators.append(accumulator)
        }
      }
      add(.leafValues, 16 * tree.blocks.reduce(0) { $0 + circuit.valueCount($1) })
    }
    for accumulator in accumulators {
      switch circuit.accumulators[accumulator] {
      case .weighted(let sum):
        add(.accumulatorRound, 32, times: Layout(sum.innerShape).log)
        add(.accumulatorValues, sum.column == nil ? 16 : 32)
      case .product(let form, _):
        add(.accumulatorRound, 32, times: Layout(form.shape).log)
        add(.accumulatorValues, 32)
      }
    }
    for check in circuit.checks {
      if case .form = check.result { add(.checkValue, 16) }
      add(.checkRound, 16 * check.factors.count, times: Layout(check.shape).log)
      add(.checkFactors, 16 * check.factors.count)
    }
    add(.openingRound, 32, times: circuit.vectorLog)
    add(.combination, 16 << circuit.parameters.messageLog)
    let matrices = [circuit.rowCount, circuit.weightRows.count].filter { $0 > 0 }
    let columns = matrices.map { 8 * $0 * circuit.parameters.queryCount }
    let rest = length - end - columns.reduce(16, +)
    for (index, size) in columns.enumerated() {
      add(index == 0 ? .columns : .weightColumns, size)
      add(index == 0 ? .siblings : .weightSiblings, rest / columns.count)
    }
    add(.seal, 16)
  }

  private var end: Int { parts.last?.range.upperBound ?? 0 }

  private mutating func add(_ kind: Kind, _ size: Int, times: Int = 1) {
    for _ in 0..<times where size > 0 {
      parts.append(Part(kind: kind, range: end..<end + size))
    }
  }
}

extension Circuit {
  /// Elements that a proof states of a block of leaves.
  fileprivate func valueCount(_ block: Block) -> Int {
    guard case .lookup(let index) = block else { return 1 }
    var count = lookups[index].first.accumulator == nil ? 1 : 2
    if case .value = lookups[index].second { count += 1 }
    return count
  }
}
