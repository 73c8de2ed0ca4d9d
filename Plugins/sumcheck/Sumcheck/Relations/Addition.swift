import FixedPoint

extension CircuitBuilder {
  /// The accumulator is 2^a·x + 2^b·y.
  mutating func relate(_ tensor: Int, _ addition: Addition, _ operands: [Int]) {
    let alignments = [addition.leftAlignment, addition.rightAlignment]
    requantize(
      tensor,
      .init(
        form: LinearForm(
          shape: shape(tensor),
          zip(operands, alignments).map {
            .init(.tensor($0), scale: .uniform(1 << Int64($1)))
          })),
      shifts: .uniform(Int64(addition.shift)))
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
