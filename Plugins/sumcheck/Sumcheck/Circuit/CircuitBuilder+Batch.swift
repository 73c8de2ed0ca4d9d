/// A batch is the circuit of one inference with a leading axis: whatever speaks of a tensor, reads
/// or masks one, does so for every inference alike, while tables are shared by all.
extension CircuitBuilder {
  mutating func addLeadingAxis(of size: Int) {
    columns = columns.map { column in
      // Weights are those of every inference.
      if case .weights = column.content { return column }
      return Circuit.Column(
        content: column.content.withLeadingAxis(of: size),
        layout: Layout([size] + column.layout.shape))
    }
    sources = sources.map { source in
      guard case .derived(let form) = source else { return source }
      return .derived(form.withLeadingAxis(of: size))
    }
    lookups = lookups.map { lookup in
      let second: Circuit.Lookup.Second =
        switch lookup.second {
        case .bits(let bits): .bits(bits.withLeadingAxis)
        case .value(let form): .value(form.withLeadingAxis(of: size))
        }
      return Circuit.Lookup(
        first: lookup.first.withLeadingAxis(of: size), second: second, tag: lookup.tag,
        mask: lookup.mask.withLeadingAxis(of: size))
    }
    accumulators = accumulators.map { accumulator in
      switch accumulator {
      case .weighted(let sum): .weighted(sum.withLeadingAxis(of: size))
      case .product(let left, let right):
        .product(left.withLeadingAxis(of: size), right.withLeadingAxis(of: size))
      }
    }
    checks = checks.map { check in
      let result: Circuit.ProductCheck.Result =
        switch check.result {
        case .form(let form): .form(form.withLeadingAxis(of: size))
        case .outside(let mask): .outside(mask.withLeadingAxis(of: size))
        }
      return Circuit.ProductCheck(
        factors: check.factors.map {
          .init(
            form: $0.form.withLeadingAxis(of: size),
            outside: $0.outside?.withLeadingAxis(of: size))
        }, result: result)
    }
    links = links.map { $0.withLeadingAxis(of: size) }
  }
}

extension Circuit.Column.Content {
  fileprivate func withLeadingAxis(of size: Int) -> Self {
    if case .high(let quantity) = self { return .high(quantity.withLeadingAxis(of: size)) }
    return self
  }
}

extension Circuit.Quantity {
  fileprivate func withLeadingAxis(of size: Int) -> Self {
    Self(form: form.withLeadingAxis(of: size), accumulator: accumulator)
  }
}

extension LinearForm {
  fileprivate func withLeadingAxis(of size: Int) -> LinearForm {
    LinearForm(
      shape: [size] + shape,
      terms.map { term in
        Term(
          term.wire, scale: term.scale.withLeadingAxis,
          // The scalar 1 has no axis of its own to read.
          view: term.view.withLeadingAxis(
            term.wire == .one ? .repeated(size) : .identity(axis: 0, size: size)))
      }, constant: constant.withLeadingAxis)
  }
}

extension View {
  /// Row-major order and identities stay what they are.
  fileprivate func withLeadingAxis(_ axis: AxisMap) -> View {
    guard case .axes(let maps) = self else { return self }
    return .axes(
      [axis]
        + maps.map { AxisMap(source: $0.source.map { $0 + 1 }, positions: $0.positions) })
  }
}

extension Scale {
  fileprivate var withLeadingAxis: Scale {
    guard case .along(let axis, let values) = self else { return self }
    return .along(axis: axis + 1, values)
  }
}

extension Mask {
  fileprivate func withLeadingAxis(of size: Int) -> Mask {
    Mask(axes: [[Bool](repeating: true, count: size)] + axes)
  }
}

extension WeightedSum {
  /// As the weighted sum of a batch.
  func withLeadingAxis(of size: Int) -> WeightedSum {
    WeightedSum(
      source: source, sourceShape: [size] + sourceShape, resultShape: [size] + resultShape,
      rows: rows, groups: groups, window: window, column: column)
  }
}
