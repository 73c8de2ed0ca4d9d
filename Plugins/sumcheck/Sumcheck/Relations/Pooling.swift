import FixedPoint

extension CircuitBuilder {
  /// m = max over the window of x: for each cell of the window 0 <= m - x < 2^16, and the product
  /// of all m - x is 0, so that m is one of them. Cells in the padding take no part: their factor
  /// is 1.
  mutating func relate(_ tensor: Int, _ pool: MaxPool, _ operand: Int) throws(Obstacle) {
    guard pool.window.cellCount <= Self.windowLimit else {
      throw Obstacle(
        reason:
          "a max pool of \(pool.window.cellCount) cells along an axis; at most \(Self.windowLimit)")
    }
    let (shape, source) = (shape(tensor), shape(operand))
    var factors: [Circuit.ProductCheck.Factor] = []
    for y in 0..<pool.window.kernelHeight {
      for x in 0..<pool.window.kernelWidth {
        let rows = (0..<shape[2]).map {
          pool.window.vertical.position(output: $0, cell: y, size: source[2])
        }
        let columns = (0..<shape[3]).map {
          pool.window.horizontal.position(output: $0, cell: x, size: source[3])
        }
        guard rows.contains(where: { $0 != nil }), columns.contains(where: { $0 != nil }) else {
          continue
        }
        let mask = Mask(
          axes: [
            .init(repeating: true, count: shape[0]), .init(repeating: true, count: shape[1]),
            rows.map { $0 != nil }, columns.map { $0 != nil },
          ])
        let cell = View.axes([
          .identity(axis: 0, size: shape[0]), .identity(axis: 1, size: shape[1]),
          AxisMap(source: 2, positions: rows.map { $0.map { [$0] } ?? [] }),
          AxisMap(source: 3, positions: columns.map { $0.map { [$0] } ?? [] }),
        ])
        let inside = mask == Mask(shape: shape) ? View.identity : .axes(mask.maps)
        let difference = LinearForm(
          shape: shape,
          [
            .init(.tensor(tensor), view: inside),
            .init(.tensor(operand), scale: .uniform(-1), view: cell),
          ])
        checkRange(.init(form: difference), bits: .uniform(16), mask: mask)
        factors.append(.init(form: difference, outside: mask))
      }
    }
    checks.append(.init(factors: factors, result: .outside(Mask(shape: shape))))
  }

  /// The accumulator is multiplier·Σ over the window: linear, so no sumcheck.
  mutating func relate(_ tensor: Int, _ pool: AveragePool, _ operand: Int) {
    let (shape, source) = (shape(tensor), shape(operand))
    func positions(_ slide: Slide, axis: Int) -> AxisMap {
      AxisMap(
        source: axis,
        positions: (0..<shape[axis]).map { output in
          (0..<slide.kernel).compactMap {
            slide.position(output: output, cell: $0, size: source[axis])
          }
        })
    }
    let sums = View.axes([
      .identity(axis: 0, size: shape[0]), .identity(axis: 1, size: shape[1]),
      positions(pool.window.vertical, axis: 2), positions(pool.window.horizontal, axis: 3),
    ])
    requantize(
      tensor,
      .init(
        form: LinearForm(
          shape: shape,
          [.init(.tensor(operand), scale: .uniform(Int64(pool.multiplier)), view: sums)])),
      shifts: .uniform(Int64(pool.shift)))
  }
}

extension Mask {
  /// The identity on the mask's cells, 0 elsewhere.
  var maps: [AxisMap] {
    axes.enumerated().map { axis, cells in
      AxisMap(source: axis, positions: cells.enumerated().map { $0.element ? [$0.offset] : [] })
    }
  }
}
