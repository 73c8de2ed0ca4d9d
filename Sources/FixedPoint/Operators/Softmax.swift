package import Primitives

/// Softmax along the last axis, or its logarithm, with the maximum m of each lane:
///
/// e_i = round(exp(x_i - m) · 2^23) and S = Σ e_i; the result is
/// floor((e_i·2^f + floor(S / 2)) / S) at the exponent f, or, as a logarithm,
/// x_i - m - ln(S / 2^23), requantised.
package struct Softmax: OperatorFamily {
  static let tag: UInt8 = 18
  /// Exponent of e_i: the mass of a long tail of small results is not lost.
  static let powerBits: Int128 = 23
  /// A logarithm is taken with so many more bits than the finer of both exponents.
  private static let guardBits = 8

  package let isLogarithm: Bool
  package let exponent: Int8

  package init(isLogarithm: Bool = false, exponent: Int8) {
    (self.isLogarithm, self.exponent) = (isLogarithm, exponent)
  }

  var operandCount: Int { 1 }

  func result(of operands: [Tensor]) throws(ProgramError.Problem) -> Tensor {
    guard !operands[0].shape.isEmpty else {
      throw .shape("a scalar came and a tensor with at least one axis was expected")
    }
    guard UnaryFunction.exponents.contains(operands[0].exponent),
      (isLogarithm ? -16...15 : 0...14).contains(exponent)
    else { throw .parameters("exponents \(operands[0].exponent), \(exponent) are out of bounds") }
    return Tensor(shape: operands[0].shape, exponent: exponent)
  }

  func steps(of operands: [Tensor], giving result: Tensor) -> Int { 4 * result.elementCount }

  func kernel(operands: [Tensor], result: Tensor) -> any Kernel {
    let operand = operands[0].exponent
    let width = result.shape[result.shape.count - 1]
    let logarithmBits = max(Int(operand), Int(exponent)) + Self.guardBits
    return SoftmaxKernel(
      powers: Self.powers.table(operand, Self.powers(of:)), width: width,
      count: result.elementCount / width,
      operand: Int64(operand), exponent: Int64(exponent),
      logarithmBits: isLogarithm ? Int64(logarithmBits) : nil)
  }
}

extension Softmax {
  private static let powers = KeptTables<Int8, [UInt32]>()

  /// round(exp(-d · 2^-exponent) · 2^23) by d.
  private static func powers(of exponent: Int8) -> [UInt32] {
    let bits = ElementaryFunction.fractionBits
    let shift = bits - powerBits
    var powers = [UInt32](repeating: 0, count: 1 << 16)
    for distance in powers.indices {
      let power = ElementaryFunction.exp(-Int128(distance) << (bits - Int128(exponent)))
      powers[distance] = UInt32((power + (1 << (shift - 1))) >> shift)
      // The function falls: what follows is 0 too.
      if powers[distance] == 0 { break }
    }
    return powers
  }
}

private struct SoftmaxKernel: Kernel {
  /// By the distance to the largest element.
  let powers: [UInt32]
  let width: Int
  let count: Int
  let operand: Int64
  let exponent: Int64
  /// Nil where the result is no logarithm.
  let logarithmBits: Int64?

  var scratchCount: Int { 0 }

  func run(
    _ operands: [UnsafePointer<Int16>], into result: UnsafeMutablePointer<Int16>,
    scratch: UnsafeMutablePointer<Int16>
  ) -> Int? {
    powers.withUnsafeBufferPointer { powers in
      for lane in 0..<count {
        let (source, target) = (operands[0] + lane * width, result + lane * width)
        var largest = Int16.min
        for index in 0..<width { largest = max(largest, source[index]) }
        // 2^28 elements of 2^23 fit.
        var sum: Int64 = 0
        for index in 0..<width { sum &+= Int64(powers[Int(largest) &- Int(source[index])]) }
        if let logarithmBits {
          let logarithm = Self.logarithm(of: sum, bits: logarithmBits)
          for index in 0..<width {
            let difference = Int64(source[index]) &- Int64(largest)
            let value = Requantization.apply(
              difference &<< (logarithmBits &- operand) &- logarithm,
              shift: logarithmBits &- exponent)
            guard Requantization.isInRange(value) else { return lane * width + index }
            target[index] = Int16(truncatingIfNeeded: value)
          }
        } else {
          for index in 0..<width {
            let power = Int64(powers[Int(largest) &- Int(source[index])])
            target[index] = Int16(
              truncatingIfNeeded: (power &<< exponent &+ sum / 2) / sum)
          }
        }
      }
      return nil
    }
  }

  /// round(ln(sum / 2^23) · 2^bits)
  private static func logarithm(of sum: Int64, bits: Int64) -> Int64 {
    let fraction = ElementaryFunction.fractionBits
    let value = ElementaryFunction.log(Int128(sum) << (fraction - Softmax.powerBits))
    let shift = fraction - Int128(bits)
    return Int64((value + (1 << (shift - 1))) >> shift)
  }
}

extension Softmax: CanonicalCodable {
  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(isLogarithm)
    encoder.append(exponent)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    isLogarithm = try decoder.bool()
    exponent = try decoder.integer()
  }
}
