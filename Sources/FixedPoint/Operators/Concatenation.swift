package import Primitives

/// Two to eight operands of one exponent side by side along an axis.
package struct Concatenation: OperatorFamily {
  static let tag: UInt8 = 10

  package let axis: Int
  package let operandCount: Int

  package init(axis: Int, operandCount: Int) {
    (self.axis, self.operandCount) = (axis, operandCount)
  }

  func result(of operands: [Tensor]) throws(ProgramError.Problem) -> Tensor {
    var shape = operands[0].shape
    guard (2...Program.Operation.inputLimit).contains(operandCount), shape.indices.contains(axis)
    else {
      throw .parameters("\(operandCount) operands joined along axis \(axis) of \(shape)")
    }
    for operand in operands.dropFirst() {
      var other = operand.shape
      guard other.count == shape.count else { throw .shape("\(other) does not join \(shape)") }
      let size = other[axis]
      other[axis] = shape[axis]
      guard other == shape else { throw .shape("\(operand.shape) does not join \(shape)") }
      guard operand.exponent == operands[0].exponent else {
        throw .exponent(expected: operands[0].exponent, got: operand.exponent)
      }
      shape[axis] += size
    }
    return Tensor(shape: shape, exponent: operands[0].exponent)
  }

  func steps(of operands: [Tensor], giving result: Tensor) -> Int { result.elementCount }

  func kernel(operands: [Tensor], result: Tensor) -> any Kernel {
    ConcatenationKernel(
      blocks: operands.map { $0.shape[axis...].reduce(1, *) },
      count: result.shape[..<axis].reduce(1, *))
  }
}

private struct ConcatenationKernel: Kernel {
  /// By operand: elements of it between two of the next operand.
  let blocks: [Int]
  let count: Int

  var scratchCount: Int { 0 }

  func run(
    _ operands: [UnsafePointer<Int16>], into result: UnsafeMutablePointer<Int16>,
    scratch: UnsafeMutablePointer<Int16>
  ) -> Int? {
    var target = result
    for index in 0..<count {
      for (operand, block) in zip(operands, blocks) {
        target.update(from: operand + index * block, count: block)
        target += block
      }
    }
    return nil
  }
}

extension Concatenation: CanonicalCodable {
  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(UInt8(axis))
    encoder.append(UInt8(operandCount))
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    axis = Int(try decoder.integer(UInt8.self))
    operandCount = Int(try decoder.integer(UInt8.self))
  }
}
