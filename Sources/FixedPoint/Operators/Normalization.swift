package import Primitives

/// (x - mean) / √(variance + ε) over the n elements of each lane along the last axis, exactly:
///
/// d = n·x - Σx, V = n·Σx² - (Σx)² + E, r² <= V·2^32 < (r + 1)²; the result is
/// floor((2·d·2^(f + 16) + r) / 2r) at the exponent f, and 0 where r is 0. E is ε at twice the
/// operand's exponent, times n².
package struct Normalization: OperatorFamily {
  static let tag: UInt8 = 19
  package static let exponents: ClosedRange<Int8> = -16...14

  package let epsilon: UInt64
  package let exponent: Int8

  package init(epsilon: UInt64, exponent: Int8) {
    (self.epsilon, self.exponent) = (epsilon, exponent)
  }

  var operandCount: Int { 1 }

  func result(of operands: [Tensor]) throws(ProgramError.Problem) -> Tensor {
    guard !operands[0].shape.isEmpty else {
      throw .shape("a scalar came and a tensor with at least one axis was expected")
    }
    guard Self.exponents.contains(exponent) else {
      throw .parameters("an exponent of \(exponent) is outside \(Self.exponents)")
    }
    // With n <= 2^27 everything stays below 2^126: V·2^32 below 2^118, 2·d·2^(f + 16) below 2^75.
    guard epsilon < 1 << 62 else { throw .parameters("its ε of \(epsilon) is above 2^62") }
    return Tensor(shape: operands[0].shape, exponent: exponent)
  }

  func steps(of operands: [Tensor], giving result: Tensor) -> Int { 4 * result.elementCount }

  func kernel(operands: [Tensor], result: Tensor) -> any Kernel {
    let width = result.shape[result.shape.count - 1]
    return NormalizationKernel(
      operation: self, width: width, count: result.elementCount / width)
  }
}

private struct NormalizationKernel: Kernel {
  let operation: Normalization
  let width: Int
  let count: Int

  var scratchCount: Int { 0 }

  func run(
    _ operands: [UnsafePointer<Int16>], into result: UnsafeMutablePointer<Int16>,
    scratch: UnsafeMutablePointer<Int16>
  ) -> Int? {
    let shift = Int128(operation.exponent) + 16
    for lane in 0..<count {
      let (source, target) = (operands[0] + lane * width, result + lane * width)
      // 2^27 squares of 2^30 fit.
      var (sum, squares): (Int64, Int64) = (0, 0)
      for index in 0..<width {
        let value = Int64(source[index])
        sum &+= value
        squares &+= value &* value
      }
      let spread = Int128(width) * Int128(squares) - Int128(sum) * Int128(sum)
      let root = ElementaryFunction.integerSquareRoot(
        UInt128(spread + Int128(operation.epsilon)) << 32)
      guard root > 0 else {
        target.update(repeating: 0, count: width)
        continue
      }
      for index in 0..<width {
        let distance = Int64(width) &* Int64(source[index]) &- sum
        let value = Requantization.quotient(Int128(distance) << shift, by: Int128(root))
        guard let integer = Int16(exactly: value) else { return lane * width + index }
        target[index] = integer
      }
    }
    return nil
  }
}

extension Normalization: CanonicalCodable {
  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(epsilon)
    encoder.append(exponent)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    epsilon = try decoder.integer()
    exponent = try decoder.integer()
  }
}
