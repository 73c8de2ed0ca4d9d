package import Primitives

/// max(x, 0), at the operand's exponent.
package struct Relu: OperatorFamily, Kernel {
  static let tag: UInt8 = 3

  /// Filled when the kernel is made; the program's own value has none.
  private let count: Int

  package init() { count = 0 }
  private init(count: Int) { self.count = count }

  var operandCount: Int { 1 }
  var scratchCount: Int { 0 }

  func result(of operands: [Tensor]) -> Tensor { operands[0] }
  func steps(of operands: [Tensor], giving result: Tensor) -> Int { result.elementCount }
  func kernel(operands: [Tensor], result: Tensor) -> any Kernel {
    Relu(count: result.elementCount)
  }

  func run(
    _ operands: [UnsafePointer<Int16>], into result: UnsafeMutablePointer<Int16>,
    scratch: UnsafeMutablePointer<Int16>
  ) -> Int? {
    let operand = operands[0]
    for index in 0..<count { result[index] = max(operand[index], 0) }
    return nil
  }

  package func encode(into encoder: inout CanonicalEncoder) {}
  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) { self.init() }
}
