package import Primitives

/// The larger or the smaller of two elements at one exponent, with numpy's broadcasting.
package struct Extremum: OperatorFamily {
  static let tag: UInt8 = 14

  package let isMaximum: Bool

  package init(isMaximum: Bool) { self.isMaximum = isMaximum }

  var operandCount: Int { 2 }

  func result(of operands: [Tensor]) throws(ProgramError.Problem) -> Tensor {
    let exponent = operands[0].exponent
    guard operands[1].exponent == exponent else {
      throw .exponent(expected: exponent, got: operands[1].exponent)
    }
    return Tensor(
      shape: try Broadcast.shape(operands[0].shape, operands[1].shape), exponent: exponent)
  }

  func steps(of operands: [Tensor], giving result: Tensor) -> Int { result.elementCount }

  func kernel(operands: [Tensor], result: Tensor) -> any Kernel {
    isMaximum
      ? BroadcastKernel(Larger(), operands: operands, result: result)
      : BroadcastKernel(Smaller(), operands: operands, result: result)
  }

  private struct Larger: ElementFunction {
    @inline(__always)
    func callAsFunction(_ left: Int16, _ right: Int16) -> Int64 { Int64(max(left, right)) }
  }

  private struct Smaller: ElementFunction {
    @inline(__always)
    func callAsFunction(_ left: Int16, _ right: Int16) -> Int64 { Int64(min(left, right)) }
  }
}

extension Extremum: CanonicalCodable {
  package func encode(into encoder: inout CanonicalEncoder) { encoder.append(isMaximum) }
  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    isMaximum = try decoder.bool()
  }
}
