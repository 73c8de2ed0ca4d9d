package import Primitives

/// max(x, 0), at the operand's exponent.
package struct Relu: OperatorFamily {
  static let tag: UInt8 = 3

  package init() {}

  var operandCount: Int { 1 }

  func result(of operands: [Tensor]) -> Tensor { operands[0] }
  func steps(of operands: [Tensor], giving result: Tensor) -> Int { result.elementCount }
  func kernel(operands: [Tensor], result: Tensor) -> any Kernel {
    ReluKernel(count: result.elementCount)
  }

  package func encode(into encoder: inout CanonicalEncoder) {}
  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) { self.init() }
}
