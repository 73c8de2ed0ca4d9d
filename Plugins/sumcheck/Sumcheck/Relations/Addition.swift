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

  /// The same elements in row-major order: no relation, another way to read.
  func reshape(_ operand: Int, to shape: [Int]) -> LinearForm {
    LinearForm(shape: shape, [.init(.tensor(operand), view: .reshape)])
  }
}
