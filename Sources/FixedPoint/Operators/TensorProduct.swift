package import Primitives

/// Matrix products [..., m, k] × [..., k, n] of two computed operands, whose leading axes broadcast
/// by numpy's rule, requantised from the sum of both exponents.
package struct TensorProduct: OperatorFamily {
  static let tag: UInt8 = 17

  package let exponent: Int8

  package init(exponent: Int8) { self.exponent = exponent }

  var operandCount: Int { 2 }

  func result(of operands: [Tensor]) throws(ProgramError.Problem) -> Tensor {
    let (left, right) = (operands[0].shape, operands[1].shape)
    guard left.count > 1, right.count > 1, left[left.count - 1] == right[right.count - 2] else {
      throw .shape("\(left) × \(right): inner axes differ, or one is no matrix")
    }
    let shift = try Requantization.shift(ofProductOf: operands, exponent: exponent)
    guard
      Requantization.fits(
        weights: UInt64(left[left.count - 1]) << 15, bias: 0, shift: shift)
    else { throw .accumulator }
    let batch = try Broadcast.shape(Array(left.dropLast(2)), Array(right.dropLast(2)))
    return Tensor(
      shape: batch + [left[left.count - 2], right[right.count - 1]], exponent: exponent)
  }

  func steps(of operands: [Tensor], giving result: Tensor) -> Int {
    // 2^28 elements × 2^28 fit in 64 bits.
    result.elementCount * (operands[0].shape.last ?? 1)
  }

  func kernel(operands: [Tensor], result: Tensor) -> any Kernel {
    TensorProductKernel(
      left: operands[0].shape, right: operands[1].shape, result: result.shape,
      shift: Int64(operands[0].exponent) + Int64(operands[1].exponent) - Int64(exponent))
  }
}

private struct TensorProductKernel: Kernel {
  let rows: Int
  let inner: Int
  let columns: Int
  let shift: Int64
  let batches: Broadcast

  init(left: [Int], right: [Int], result: [Int], shift: Int64) {
    (rows, inner, columns) = (
      left[left.count - 2], left[left.count - 1], right[right.count - 1]
    )
    self.shift = shift
    batches = Broadcast(
      Array(left.dropLast(2)), Array(right.dropLast(2)), as: Array(result.dropLast(2)),
      leftCell: rows * inner, rightCell: inner * columns)
  }

  /// One right matrix, transposed, so that both rows of every product are contiguous.
  var scratchCount: Int { inner * columns }

  func run(
    _ operands: [UnsafePointer<Int16>], into result: UnsafeMutablePointer<Int16>,
    scratch: UnsafeMutablePointer<Int16>
  ) -> Int? {
    var fault: Int?
    var element = 0
    batches.forEachRun { leftStart, rightStart, count, leftStep, rightStep in
      for batch in 0..<count {
        if batch == 0 || rightStep > 0 {
          transpose(operands[1] + rightStart + batch * rightStep, into: scratch)
        }
        let left = operands[0] + leftStart + batch * leftStep
        for row in 0..<rows {
          for column in 0..<columns {
            let (x, y) = (left + row * inner, scratch + column * inner)
            var sum: Int64 = 0
            for index in 0..<inner { sum &+= Int64(Int32(x[index]) &* Int32(y[index])) }
            let value = Requantization.apply(sum, shift: shift)
            if !Requantization.isInRange(value), fault == nil { fault = element }
            result[element] = Int16(truncatingIfNeeded: value)
            element += 1
          }
        }
      }
    }
    return fault
  }

  private func transpose(
    _ matrix: UnsafePointer<Int16>, into scratch: UnsafeMutablePointer<Int16>
  ) {
    for index in 0..<inner {
      for column in 0..<columns {
        scratch[column * inner + index] = matrix[index * columns + column]
      }
    }
  }
}

extension TensorProduct: CanonicalCodable {
  package func encode(into encoder: inout CanonicalEncoder) { encoder.append(exponent) }
  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    exponent = try decoder.integer()
  }
}
