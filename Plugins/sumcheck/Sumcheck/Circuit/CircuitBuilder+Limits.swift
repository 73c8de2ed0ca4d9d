import FixedPoint
import Statements

/// A verifier key comes from outside: what a small one could make large is bounded before it is
/// built, and so is the work of verifying.
extension CircuitBuilder {
  /// Cells of the committed vector, leaves of the LogUp trees, and elements of any tensor: 2^24
  /// keeps every term of the error bound below 2^-100.
  static let sizeLimit = 1 << 24
  /// Positions that all views of a slice list, 64 bytes each.
  static let viewLimit = 1 << 22
  /// Products of field elements by which a verifier evaluates functionals: about ten seconds.
  static let workLimit = 1 << 30

  /// Views of an operation, and the positions that they list, or more.
  static func views(
    of operation: Operator, giving shape: [Int]
  ) -> (count: Int, positions: Int) {
    let axes = shape.reduce(0, +)
    switch operation {
    // A fill takes two views more.
    case .arrangement(let arrangement):
      return arrangement.fill == 0 ? (1, axes) : (3, 3 * axes)
    case .concatenation(let concatenation):
      return (concatenation.operandCount, concatenation.operandCount * axes)
    case .maxPool(let pool):
      let count = 2 * min(pool.window.cellCount, windowLimit)
      return (count, count * axes)
    case .averagePool(let pool):
      return (
        1, axes + shape[2] * pool.window.kernelHeight + shape[3] * pool.window.kernelWidth
      )
    case .add, .multiply: return (2, 2 * axes)
    default: return (0, 0)
    }
  }
}

/// What the operations so far have taken of the limits, each for one inference.
struct CircuitExtent {
  private var cells = 0
  private var leaves = 0
  private var viewCount = 0
  private var positions = 0
  private var columnCount = 0
  private var lookupCount = 0

  /// Before an operation is compiled.
  mutating func reserve(
    _ operation: Operator, giving shape: [Int]
  ) throws(CircuitBuilder.Obstacle) {
    let views = CircuitBuilder.views(of: operation, giving: shape)
    (viewCount, positions) = (viewCount + views.count, positions + views.positions)
    guard shape.reduce(1, *) <= CircuitBuilder.sizeLimit, positions <= CircuitBuilder.viewLimit
    else {
      throw .tooLarge
    }
  }

  /// After it is.
  mutating func count(
    _ columns: [Circuit.Column], _ lookups: [Circuit.Lookup], functions: Int
  ) throws(CircuitBuilder.Obstacle) {
    for column in columns[columnCount...] { cells += column.layout.size }
    for lookup in lookups[lookupCount...] { leaves += Layout(lookup.shape).size }
    (columnCount, lookupCount) = (columns.count, lookups.count)
    guard max(cells, leaves) + functions << 16 <= CircuitBuilder.sizeLimit else {
      throw .tooLarge
    }
  }

  /// Before a batch is made of it: every view lists the batch too.
  func check(batch: Int) throws(CircuitBuilder.Obstacle) {
    guard leaves * batch <= CircuitBuilder.sizeLimit,
      positions + viewCount * batch <= CircuitBuilder.viewLimit
    else {
      throw .tooLarge
    }
  }
}

extension CircuitBuilder.Obstacle {
  static let tooLarge = Self(reason: "the slice needs more than 2^24 cells; cut the model further")
}

extension CircuitBuilder {
  /// Throws unless a batch of so many inferences keeps to the limits.
  func check(batch: Int) throws(CircuitError) {
    do {
      try extent.check(batch: batch)
    } catch {
      throw CircuitError(node: "program", reason: error.reason)
    }
    guard verifierWork(batch: batch) <= Self.workLimit else {
      throw CircuitError(
        node: "program",
        reason: "verifying would take more than 2^30 products; cut the model further")
    }
  }

  /// Products by which a verifier settles all claims, at most: an element of every tensor that a
  /// claim's form leads to, once for each way there, and what the weights take.
  private func verifierWork(batch: Int) -> Int {
    var costs: [Int] = []
    func cost(_ form: LinearForm) -> Int {
      form.terms.reduce(form.shape.reduce(1, *)) { sum, term in
        switch term.wire {
        case .tensor(let tensor): min(sum + costs[tensor], Self.workLimit + 1)
        case .column(let column): sum + columns[column].layout.elementCount
        case .output(let output): sum + program.outputs[output].elementCount
        case .one: sum
        }
      }
    }
    for (tensor, source) in sources.enumerated() {
      if case .derived(let form) = source {
        costs.append(cost(form))
      } else {
        costs.append(program.tensors[tensor].elementCount)
      }
    }
    var (perInference, shared) = (0, 0)
    func add(_ work: Int) { perInference = min(perInference + work, Self.workLimit + 1) }
    for lookup in lookups {
      add(cost(lookup.first.form))
      if case .value(let form) = lookup.second { add(cost(form)) }
    }
    for accumulator in accumulators {
      switch accumulator {
      case .weighted(let sum):
        add(costs[sum.source])
        shared += sum.verifierWork
      case .product(let left, let right): add(cost(left) + cost(right))
      }
    }
    for check in checks {
      for factor in check.factors { add(cost(factor.form)) }
      if case .form(let form) = check.result { add(cost(form)) }
    }
    for link in links { add(cost(link)) }
    return perInference * batch + shared
  }
}

extension WeightedSum {
  /// Products beside those on the operand: one per weight, and one wherever an output's line meets
  /// a kernel's.
  var verifierWork: Int {
    guard let window else { return rows.weights.count }
    return rows.weights.count + resultShape[channelAxis + 1] * window.kernelHeight
      + resultShape[channelAxis + 2] * window.kernelWidth
  }
}
