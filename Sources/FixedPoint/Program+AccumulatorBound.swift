extension Program {
  /// Bits that the largest accumulator of operation `index` could need, whatever the operands, of
  /// the 62 that `fixed16/1` allows. Nil for operations that sum nothing.
  package func accumulatorBits(of index: Int) -> Int? {
    let family = operations[index].operator.family
    return family.accumulatorBound(of: operands(of: index)).map {
      UInt64.bitWidth - $0.leadingZeroBitCount
    }
  }
}

extension OperatorFamily {
  func accumulatorBound(of operands: [Tensor]) -> UInt64? { nil }
}

extension LinearRows {
  /// max over the rows of Σ|w| · 2^15 + |bias| + 2^(shift-1), which validation holds below 2^62.
  fileprivate var accumulatorBound: UInt64 {
    let columns = weights.count / rowCount
    return (0..<rowCount).reduce(0) { largest, row in
      let sum = weights[row * columns..<(row + 1) * columns].reduce(UInt64(0)) {
        $0 + UInt64($1.magnitude)
      }
      return max(
        largest,
        sum * Requantization.operandLimit + biases[row].magnitude
          + Requantization.roundingTerm(shift: shifts[row]))
    }
  }
}

extension Convolution {
  func accumulatorBound(of operands: [Tensor]) -> UInt64? { rows.accumulatorBound }
}

extension MatrixProduct {
  func accumulatorBound(of operands: [Tensor]) -> UInt64? { rows.accumulatorBound }
}

extension AveragePool {
  func accumulatorBound(of operands: [Tensor]) -> UInt64? {
    let cells = min(window.cellCount, operands[0].shape.suffix(2).reduce(1, *))
    return Requantization.operandLimit * UInt64(cells) * UInt64(multiplier)
      + Requantization.roundingTerm(shift: shift)
  }
}

extension Addition {
  func accumulatorBound(of operands: [Tensor]) -> UInt64? {
    Requantization.operandLimit << UInt64(leftAlignment)
      + Requantization.operandLimit << UInt64(rightAlignment)
      + Requantization.roundingTerm(shift: shift)
  }
}

extension Reduction {
  func accumulatorBound(of operands: [Tensor]) -> UInt64? {
    guard case .sum(let multiplier, let shift, _) = operation else { return nil }
    let count = axes.reduce(1) { $0 * operands[0].shape[$1] }
    return Requantization.operandLimit * UInt64(count) * UInt64(multiplier)
      + Requantization.roundingTerm(shift: shift)
  }
}

extension TensorProduct {
  func accumulatorBound(of operands: [Tensor]) -> UInt64? {
    let inner = UInt64(operands[0].shape.last ?? 1)
    let shift = Int(operands[0].exponent) + Int(operands[1].exponent) - Int(exponent)
    return Requantization.operandLimit * Requantization.operandLimit * inner
      + Requantization.roundingTerm(shift: UInt8(clamping: shift))
  }
}

extension Requantization {
  fileprivate static func roundingTerm(shift: UInt8) -> UInt64 {
    shift == 0 ? 0 : 1 << UInt64(shift - 1)
  }
}
