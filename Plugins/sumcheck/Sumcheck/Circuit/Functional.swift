/// A linear functional on a tensor: Σ over its cells of weight·value, where the weight is a product
/// of factors, each over some of the axes.
struct Functional: Sendable {
  struct Factor: Sendable {
    enum Weights: Sendable {
      case listed([Extension])
      /// eq(point, .) over an axis that fills its power of two.
      case equality(ArraySlice<Extension>)
    }

    /// The axes it depends on; its values are row-major over them, in this order.
    var axes: [Int]
    private(set) var weights: Weights

    init(axes: [Int], values: [Extension]) { (self.axes, weights) = (axes, .listed(values)) }

    init(axis: Int, size: Int, at point: ArraySlice<Extension>) {
      axes = [axis]
      weights =
        size == 1 << point.count
        ? .equality(point) : .listed(Multilinear.equality(Array(point), count: size))
    }

    var values: [Extension] {
      get {
        switch weights {
        case .listed(let values): values
        case .equality(let point): Multilinear.equality(Array(point), count: 1 << point.count)
        }
      }
      set { weights = .listed(newValue) }
    }
  }

  let shape: [Int]
  /// Every axis is in exactly one factor.
  private(set) var factors: [Factor]

  /// Evaluation of the extension at a point of the block, padding read as 0.
  init(shape: [Int], at point: ArraySlice<Extension>) {
    self.shape = shape
    let coordinates = Layout(shape).split(point)
    factors = shape.indices.map {
      Factor(axis: $0, size: shape[$0], at: coordinates[$0])
    }
  }

  /// One vector per axis.
  init(axes: [[Extension]]) {
    shape = axes.map(\.count)
    factors = axes.indices.map { Factor(axes: [$0], values: axes[$0]) }
  }

  init(shape: [Int], factors: [Factor]) { (self.shape, self.factors) = (shape, factors) }

  /// The functional f with f(x) = self(scale·x).
  func scaled(by scale: Scale) -> Functional {
    var result = self
    switch scale {
    case .uniform(1): break
    case .uniform(let value):
      // A factor of no axes, so that those of the axes stay as they are.
      result.factors.append(Factor(axes: [], values: [Extension(value)]))
    case .along(let axis, let scales):
      guard let factor = factors.firstIndex(where: { $0.axes.contains(axis) }) else { break }
      let axes = factors[factor].axes
      let inner = axes.drop { $0 != axis }.dropFirst().reduce(1) { $0 * shape[$1] }
      result.factors[factor].values = factors[factor].values.enumerated().map {
        $0.element * Goldilocks(scales[$0.offset / inner % shape[axis]])
      }
    }
    return result
  }

  /// The functional f on a tensor of shape `source` with f(x) = self(view(x)): the transpose of the
  /// view, applied to the weights.
  func pulledBack(through view: View, to source: [Int]) -> Functional {
    switch view {
    case .identity: return self
    case .reshape: return reshaped(to: source)
    case .axes(let maps):
      let unread = source.indices.filter { axis in !maps.contains { $0.source == axis } }
      return Functional(
        shape: source,
        factors: factors.map { Self.pullBack($0, maps, shape: shape, source: source) }
          + unread.map { Factor(axes: [$0], values: [.one]) })
    }
  }

  private static func pullBack(
    _ factor: Factor, _ maps: [AxisMap], shape: [Int], source: [Int]
  ) -> Factor {
    let axes = factor.axes.compactMap { maps[$0].source }
    // Axis by axis, so that the cost is a sum over axes and not a product.
    var values = factor.values
    var sizes = factor.axes.map { shape[$0] }
    for (place, axis) in factor.axes.enumerated() {
      let map = maps[axis]
      let outer = sizes[..<place].reduce(1, *)
      let inner = sizes[(place + 1)...].reduce(1, *)
      let size = map.source.map { source[$0] } ?? 1
      var next = [Extension](repeating: .zero, count: outer * size * inner)
      for block in 0..<outer {
        for (position, reads) in map.positions.enumerated() {
          for read in reads {
            for index in 0..<inner {
              next[(block * size + read) * inner + index] +=
                values[(block * map.positions.count + position) * inner + index]
            }
          }
        }
      }
      values = next
      sizes[place] = size
    }
    return Factor(axes: axes, values: values)
  }

  /// Axes of both shapes fall into the finest runs of equal product. Row-major order makes the
  /// weights of a run the same list for either. Where a factor crosses runs, all become one.
  private func reshaped(to source: [Int]) -> Functional {
    var runs: [(mine: [Int], theirs: [Int])] = []
    var (mine, theirs) = (0, 0)
    while mine < shape.count || theirs < source.count {
      let (myStart, theirStart) = (mine, theirs)
      var (myCount, theirCount) = (1, 1)
      if mine < shape.count { (myCount, mine) = (shape[mine], mine + 1) }
      if theirs < source.count { (theirCount, theirs) = (source[theirs], theirs + 1) }
      while myCount != theirCount {
        if myCount < theirCount {
          myCount *= shape[mine]
          mine += 1
        } else {
          theirCount *= source[theirs]
          theirs += 1
        }
      }
      runs.append((Array(myStart..<mine), Array(theirStart..<theirs)))
    }
    let isApart = factors.allSatisfy { factor in
      runs.contains { run in factor.axes.allSatisfy(run.mine.contains) }
    }
    if !isApart { runs = [(Array(shape.indices), Array(source.indices))] }
    let scalars = factors.filter(\.axes.isEmpty)
    return Functional(
      shape: source,
      factors: scalars
        + runs.map { Factor(axes: $0.theirs, values: weights(over: $0.mine)) })
  }

  /// The weights over `axes`, row-major; the factors that touch them touch no other.
  private func weights(over axes: [Int]) -> [Extension] {
    var order: [Int] = []
    var values = [Extension.one]
    for factor in factors where factor.axes.contains(where: axes.contains) {
      order += factor.axes
      let own = factor.values
      values = values.flatMap { left in own.map { left * $0 } }
    }
    guard order != axes else { return values }
    // How far a step along each of `axes` leads in the product's order.
    var strides = [Int](repeating: 0, count: shape.count)
    var step = 1
    for axis in order.reversed() {
      strides[axis] = step
      step *= shape[axis]
    }
    return (0..<values.count).map { flat in
      var (rest, place) = (flat, 0)
      for axis in axes.reversed() {
        place += rest % shape[axis] * strides[axis]
        rest /= shape[axis]
      }
      return values[place]
    }
  }

  /// The weights of all cells, row-major.
  var dense: [Extension] {
    let scale = factors.filter(\.axes.isEmpty).reduce(Extension.one) { $0 * $1.values[0] }
    return weights(over: Array(shape.indices)).map { $0 * scale }
  }

  /// Σ weight·value over row-major `values`.
  func evaluate(on values: [Int16]) -> Extension {
    var rest = factors
    // Innermost first: the last factor in axis order is contracted against every run of values.
    rest.sort { ($0.axes.first ?? -1) < ($1.axes.first ?? -1) }
    let isOrdered = rest.flatMap(\.axes) == Array(shape.indices)
    if !isOrdered { rest = [Factor(axes: Array(shape.indices), values: dense)] }
    let last = rest.popLast() ?? Factor(axes: [], values: [.one])
    var folded = Self.contract(values, with: last.values)
    while let factor = rest.popLast() {
      let (own, width) = (factor.values, factor.values.count)
      folded = (0..<folded.count / width).map { row in
        (0..<width).reduce(.zero) { $0 + folded[row * width + $1] * own[$1] }
      }
    }
    return folded[0]
  }

  private static func contract(_ values: [Int16], with weights: [Extension]) -> [Extension] {
    let dot = DotProduct(weights[...])
    return stride(from: 0, to: values.count, by: weights.count).map {
      dot.of(values[$0..<$0 + weights.count])
    }
  }

  /// The extension of the weights over the tensor's block, 0 on padding, at a point of it.
  func weight(at point: ArraySlice<Extension>) -> Extension {
    let coordinates = Layout(shape).split(point)
    return factors.reduce(.one) { product, factor in
      if case .equality(let own) = factor.weights, let axis = factor.axes.first {
        // Σ eq(own, i)·eq(other, i) over all i is eq(own, other).
        return zip(own, coordinates[axis]).reduce(product) { product, pair in
          let both = pair.0 * pair.1
          return product * (.one - pair.0 - pair.1 + both + both)
        }
      }
      var values = factor.values
      for axis in factor.axes.reversed() {
        let width = shape[axis]
        let weights = Multilinear.equality(Array(coordinates[axis]), count: width)
        values = (0..<values.count / width).map { row in
          (0..<width).reduce(.zero) { $0 + values[row * width + $1] * weights[$1] }
        }
      }
      return product * values[0]
    }
  }
}
