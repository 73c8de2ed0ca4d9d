package import Primitives

/// The same elements in row-major order under another shape: Flatten, Reshape.
package struct Reshape: OperatorFamily {
  static let tag: UInt8 = 7

  package let shape: [Int]

  package init(shape: [Int]) { self.shape = shape }

  var operandCount: Int { 1 }

  func result(of operands: [Tensor]) throws(ProgramError.Problem) -> Tensor {
    var count = 1
    for axis in shape {
      guard axis > 0, axis <= operands[0].elementCount / count else {
        throw .shape("\(operands[0].shape) cannot be read as \(shape)")
      }
      count *= axis
    }
    guard count == operands[0].elementCount else {
      throw .shape("\(operands[0].shape) cannot be read as \(shape)")
    }
    return Tensor(shape: shape, exponent: operands[0].exponent)
  }

  func steps(of operands: [Tensor], giving result: Tensor) -> Int { result.elementCount }

  func kernel(operands: [Tensor], result: Tensor) -> any Kernel {
    CopyKernel(count: result.elementCount)
  }
}

private struct CopyKernel: Kernel {
  let count: Int

  var scratchCount: Int { 0 }

  func run(
    _ operands: [UnsafePointer<Int16>], into result: UnsafeMutablePointer<Int16>,
    scratch: UnsafeMutablePointer<Int16>
  ) -> Int? {
    result.update(from: operands[0], count: count)
    return nil
  }
}

extension Reshape: CanonicalCodable {
  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(list: shape.map { UInt32($0) })
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    shape = try decoder.integers(UInt32.self, limit: 8).map { Int($0) }
  }
}
