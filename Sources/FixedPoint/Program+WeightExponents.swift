extension Program {
  /// The smallest and the largest power-of-two exponent of the weights of operation `index`, of
  /// which each output channel or column has one of its own: weight = integer × 2^-exponent. Nil
  /// for operations without weights.
  package func weightExponents(of index: Int) -> ClosedRange<Int>? {
    let rows: LinearRows
    switch operations[index].operator {
    case .convolution(let operation): rows = operation.rows
    case .matrixProduct(let operation): rows = operation.rows
    default: return nil
    }
    let operand = Int(operands(of: index)[0].exponent)
    let result = Int(tensors[inputs.count + index].exponent)
    guard let least = rows.shifts.min(), let most = rows.shifts.max() else { return nil }
    return Int(least) + result - operand...Int(most) + result - operand
  }
}
