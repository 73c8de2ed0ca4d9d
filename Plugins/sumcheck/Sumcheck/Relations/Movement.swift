import FixedPoint

/// Operators that only move elements have no relation: they are another way to read their operands.
extension CircuitBuilder {
  /// The same elements in row-major order.
  func reshape(_ operand: Int, to shape: [Int]) -> LinearForm {
    LinearForm(shape: shape, [.init(.tensor(operand), view: .reshape)])
  }

  /// Each axis reads what it lists; a fill is the constant everywhere, less where something is
  /// read.
  func arrange(_ arrangement: Arrangement, _ operand: Int) -> LinearForm {
    let lists = arrangement.axes.map { axis in
      axis.runs.flatMap { run in
        (0..<run.count).map { index in run.start.map { [$0 + index * run.step] } ?? [] }
      }
    }
    var terms = [
      LinearForm.Term(
        .tensor(operand),
        view: .axes(
          zip(arrangement.axes, lists).map { AxisMap(source: $0.source, positions: $1) }))
    ]
    if arrangement.fill != 0 {
      let fill = Scale.uniform(Int64(arrangement.fill))
      terms.append(
        .init(
          .one, scale: fill,
          view: .axes(
            lists.map { AxisMap(source: nil, positions: $0.map { _ in [0] }) })))
      terms.append(
        .init(
          .one, scale: fill.negated(),
          view: .axes(
            lists.map { AxisMap(source: nil, positions: $0.map { $0.isEmpty ? [] : [0] }) })))
    }
    return LinearForm(shape: lists.map(\.count), terms)
  }

  /// The sum of the operands, each moved to its place.
  func concatenate(_ operands: [Int], axis: Int, into tensor: Int) -> LinearForm {
    let result = shape(tensor)
    var start = 0
    let terms = operands.map { operand in
      let end = start + shape(operand)[axis]
      defer { start = end }
      let maps = result.indices.map { index in
        index == axis
          ? AxisMap(
            source: axis,
            positions: (0..<result[axis]).map { $0 >= start && $0 < end ? [$0 - start] : [] })
          : AxisMap.identity(axis: index, size: result[index])
      }
      return LinearForm.Term(.tensor(operand), view: .axes(maps))
    }
    return LinearForm(shape: result, terms)
  }
}
