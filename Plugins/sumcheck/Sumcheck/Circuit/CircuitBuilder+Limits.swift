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

  /// Positions that the views of an operation list, or more.
  static func viewEntries(of operation: Operator, giving shape: [Int]) -> Int {
    let axes = shape.reduce(0, +)
    switch operation {
    // A fill takes two views more.
    case .arrangement(let arrangement): return arrangement.fill == 0 ? axes : 3 * axes
    case .concatenation(let concatenation): return concatenation.operandCount * axes
    case .maxPool(let pool): return 2 * min(pool.window.cellCount, windowLimit) * axes
    case .averagePool(let pool):
      return axes + shape[2] * pool.window.kernelHeight + shape[3] * pool.window.kernelWidth
    case .add, .multiply: return 2 * axes
    default: return 0
    }
  }
}

/// What the operations so far have taken of the limits.
struct CircuitExtent {
  private var cells = 0
  private var leaves = 0
  private var viewEntries = 0
  private var columnCount = 0
  private var lookupCount = 0

  /// Before an operation is compiled.
  mutating func reserve(
    _ operation: Operator, giving shape: [Int]
  ) throws(CircuitBuilder.Obstacle) {
    viewEntries += CircuitBuilder.viewEntries(of: operation, giving: shape)
    guard shape.reduce(1, *) <= CircuitBuilder.sizeLimit,
      viewEntries <= CircuitBuilder.viewLimit
    else {
      throw .tooLarge
    }
  }

  /// After it is.
  mutating func count(_ builder: CircuitBuilder) throws(CircuitBuilder.Obstacle) {
    for column in builder.columns[columnCount...] { cells += column.layout.size }
    for lookup in builder.lookups[lookupCount...] { leaves += Layout(lookup.shape).size }
    (columnCount, lookupCount) = (builder.columns.count, builder.lookups.count)
    let tables = builder.functions.count << 16
    guard max(cells, leaves) + tables <= CircuitBuilder.sizeLimit else { throw .tooLarge }
  }
}

extension CircuitBuilder.Obstacle {
  static let tooLarge = Self(reason: "the slice needs more than 2^24 cells; cut the model further")
}

extension CircuitBuilder {
  /// Products by which a verifier settles all claims, at most: an element of every tensor that a
  /// claim's form leads to, once for each way there.
  var verifierWork: Int {
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
    var total = 0
    func add(_ work: Int) { total = min(total + work, Self.workLimit + 1) }
    for lookup in lookups {
      add(cost(lookup.first.form))
      if case .value(let form) = lookup.second { add(cost(form)) }
    }
    for accumulator in accumulators {
      switch accumulator {
      case .weighted(let sum): add(costs[sum.source] + sum.verifierWork)
      case .product(let left, let right): add(cost(left) + cost(right))
      }
    }
    for check in checks {
      for factor in check.factors { add(cost(factor.form)) }
      if case .form(let form) = check.result { add(cost(form)) }
    }
    for link in links { add(cost(link)) }
    return total
  }
}

extension WeightedSum {
  /// Products beside those on the operand: one per weight, and one wherever an output's line meets
  /// a kernel's.
  fileprivate var verifierWork: Int {
    guard let window else { return rows.weights.count }
    return rows.weights.count + resultShape[2] * window.kernelHeight
      + resultShape[3] * window.kernelWidth
  }
}
