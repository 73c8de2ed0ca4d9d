import FixedPoint

extension CircuitBuilder {
  /// The accumulator is 2^a·x + 2^b·y, or 2^a·x - 2^b·y.
  mutating func relate(_ tensor: Int, _ addition: Addition, _ operands: [Int]) {
    let right = Scale.uniform(1 << Int64(addition.rightAlignment))
    let scales = [
      .uniform(1 << Int64(addition.leftAlignment)), addition.subtracts ? right.negated() : right,
    ]
    requantize(
      tensor,
      .init(
        form: LinearForm(
          shape: shape(tensor),
          zip(operands, scales).map {
            .init(.tensor($0), scale: $1, view: broadcast($0, to: shape(tensor)))
          })),
      shifts: .uniform(Int64(addition.shift)))
  }

  /// The accumulator is x·y, cell by cell.
  mutating func relate(_ tensor: Int, _ product: Multiplication, _ operands: [Int]) {
    let shape = shape(tensor)
    let forms = operands.map {
      LinearForm(shape: shape, [.init(.tensor($0), view: broadcast($0, to: shape))])
    }
    accumulators.append(.product(forms[0], forms[1]))
    let exponents = operands.map { Int64(program.tensors[$0].exponent) }
    requantize(
      tensor,
      .init(form: LinearForm(shape: shape, []), accumulator: accumulators.count - 1),
      shifts: .uniform(exponents[0] + exponents[1] - Int64(product.exponent)))
  }

  /// Axes are aligned at the last; one of size 1, or none, repeats.
  func broadcast(_ operand: Int, to shape: [Int]) -> View {
    let source = self.shape(operand)
    if source == shape { return .identity }
    let missing = shape.count - source.count
    return .axes(
      shape.enumerated().map { axis, size in
        guard axis >= missing else { return .repeated(size) }
        return source[axis - missing] == size
          ? .identity(axis: axis - missing, size: size)
          : AxisMap(source: axis - missing, positions: [[Int]](repeating: [0], count: size))
      })
  }

  /// The accumulator is 2^a·x, where the result's exponent is the larger by a.
  mutating func relate(
    _ tensor: Int, _ rescaling: Rescaling, _ operand: Int
  ) throws(Obstacle) {
    guard !rescaling.saturates else { throw Obstacle(reason: "a conversion that saturates") }
    let shift = Int64(program.tensors[operand].exponent) - Int64(rescaling.exponent)
    requantize(
      tensor,
      .init(
        form: LinearForm(
          shape: shape(tensor), [.init(.tensor(operand), scale: .uniform(1 << max(-shift, 0)))])),
      shifts: .uniform(max(shift, 0)))
  }
}
