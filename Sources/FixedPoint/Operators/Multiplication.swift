package import Primitives

/// x·y element by element, with numpy's broadcasting, requantised from the sum of both exponents.
package struct Multiplication: OperatorFamily {
  static let tag: UInt8 = 12

  package let exponent: Int8

  package init(exponent: Int8) { self.exponent = exponent }

  var operandCount: Int { 2 }

  func result(of operands: [Tensor]) throws(ProgramError.Problem) -> Tensor {
    _ = try Requantization.shift(ofProductOf: operands, exponent: exponent)
    return Tensor(
      shape: try Broadcast.shape(operands[0].shape, operands[1].shape), exponent: exponent)
  }

  func steps(of operands: [Tensor], giving result: Tensor) -> Int { result.elementCount }

  func kernel(operands: [Tensor], result: Tensor) -> any Kernel {
    BroadcastKernel(
      Product(shift: Int64(operands[0].exponent) + Int64(operands[1].exponent) - Int64(exponent)),
      operands: operands, result: result)
  }

  private struct Product: ElementFunction {
    let shift: Int64

    @inline(__always)
    func callAsFunction(_ left: Int16, _ right: Int16) -> Int64 {
      Requantization.apply(Int64(Int32(left) &* Int32(right)), shift: shift)
    }
  }
}

extension Requantization {
  /// The shift from the product of two operands to `exponent`; throws where it is none.
  static func shift(
    ofProductOf operands: [Tensor], exponent: Int8
  ) throws(ProgramError.Problem) -> Int {
    let shift = Int(operands[0].exponent) + Int(operands[1].exponent) - Int(exponent)
    guard (0...shiftLimit).contains(shift) else { throw .shift(shift) }
    return shift
  }
}

extension Multiplication: CanonicalCodable {
  package func encode(into encoder: inout CanonicalEncoder) { encoder.append(exponent) }
  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    exponent = try decoder.integer()
  }
}
