/// What a form reads: a tensor of the program, a committed column, an output of the
/// statement, or a constant.
enum Wire: Hashable, Sendable {
  case tensor(Int)
  case column(Int)
  case output(Int)
  /// The scalar 1.
  case one
}

/// An integer per cell, that may differ along one axis.
enum Scale: Hashable, Sendable {
  case uniform(Int64)
  case along(axis: Int, [Int64])

  func negated() -> Scale {
    switch self {
    case .uniform(let value): .uniform(-value)
    case .along(let axis, let values): .along(axis: axis, values.map { -$0 })
    }
  }

  /// At index `position` of `axis`.
  func value(_ position: Int) -> Int64 {
    switch self {
    case .uniform(let value): value
    case .along(_, let values): values[position]
    }
  }
}

/// Σ scale·view(wire) + constant, cell by cell over the cells of a shape; 0 on padding, whatever
/// the padding of the columns it reads.
struct LinearForm: Hashable, Sendable {
  struct Term: Hashable, Sendable {
    let wire: Wire
    let scale: Scale
    let view: View

    init(_ wire: Wire, scale: Scale = .uniform(1), view: View = .identity) {
      (self.wire, self.scale, self.view) = (wire, scale, view)
    }
  }

  let shape: [Int]
  var terms: [Term]
  var constant: Scale

  init(shape: [Int], _ terms: [Term], constant: Scale = .uniform(0)) {
    (self.shape, self.terms, self.constant) = (shape, terms, constant)
  }

  /// The extension of the constant at a point of the shape's block.
  func constant(at point: ArraySlice<Extension>) -> Extension {
    if constant == .uniform(0) { return .zero }
    let coordinates = Layout(shape).split(point)
    var product = Extension.one
    for (axis, size) in shape.enumerated() {
      let weights = Multilinear.equality(Array(coordinates[axis]), count: size)
      if case .along(axis, let values) = constant {
        product *= zip(weights, values).reduce(.zero) { $0 + $1.0 * Goldilocks($1.1) }
      } else {
        product *= weights.reduce(.zero, +)
      }
    }
    if case .uniform(let value) = constant { return product * Goldilocks(value) }
    return product
  }
}

/// Which cells of a shape take part: the product of one indicator per axis.
struct Mask: Hashable, Sendable {
  /// Per axis, per position.
  let axes: [[Bool]]

  init(axes: [[Bool]]) { self.axes = axes }
  init(shape: [Int]) { axes = shape.map { [Bool](repeating: true, count: $0) } }

  /// The extension over the block, 0 on padding, at a point of it.
  func value(at point: ArraySlice<Extension>) -> Extension {
    let coordinates = Layout(axes.map(\.count)).split(point)
    return zip(axes, coordinates).reduce(.one) { product, axis in
      let weights = Multilinear.equality(Array(axis.1), count: axis.0.count)
      return product * zip(axis.0, weights).reduce(.zero) { $1.0 ? $0 + $1.1 : $0 }
    }
  }
}
