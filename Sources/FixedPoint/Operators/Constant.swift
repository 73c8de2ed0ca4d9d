package import Primitives

/// A tensor that is the same in every run, such as a bias too large to fold into its neighbour.
package struct Constant: OperatorFamily {
  static let tag: UInt8 = 8

  package let shape: [Int]
  package let exponent: Int8
  package let values: [Int16]

  package init(shape: [Int], exponent: Int8, values: [Int16]) {
    (self.shape, self.exponent, self.values) = (shape, exponent, values)
  }

  var operandCount: Int { 0 }

  func result(of operands: [Tensor]) throws(ProgramError.Problem) -> Tensor {
    var count = 1
    for axis in shape {
      guard axis > 0, axis <= values.count / count else {
        throw .shape("\(values.count) values do not fill \(shape)")
      }
      count *= axis
    }
    guard count == values.count else { throw .shape("\(values.count) values do not fill \(shape)") }
    return Tensor(shape: shape, exponent: exponent)
  }

  func steps(of operands: [Tensor], giving result: Tensor) -> Int { result.elementCount }
  func kernel(operands: [Tensor], result: Tensor) -> any Kernel { ConstantKernel(values: values) }
}

private struct ConstantKernel: Kernel {
  let values: [Int16]

  var scratchCount: Int { 0 }

  func run(
    _ operands: [UnsafePointer<Int16>], into result: UnsafeMutablePointer<Int16>,
    scratch: UnsafeMutablePointer<Int16>
  ) -> Int? {
    values.withUnsafeBufferPointer { buffer in
      guard let source = buffer.baseAddress else { return }
      result.update(from: source, count: buffer.count)
    }
    return nil
  }
}

extension Constant: CanonicalCodable {
  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(list: shape.map { UInt32($0) })
    encoder.append(exponent)
    encodeNarrowest(values, into: &encoder)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    shape = try decoder.integers(UInt32.self, limit: 8).map { Int($0) }
    exponent = try decoder.integer()
    values = try decodeNarrowest(from: &decoder)
  }
}
