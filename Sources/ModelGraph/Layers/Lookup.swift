/// Gather by computed indices: what the first operand holds along an axis at each of the second's.
package struct Lookup: Sendable {
  package let axis: Int

  func layer(_ reader: NodeReader, of input: [Int]) throws(ModelError) -> GeneralLayer {
    guard let indices = reader.slots[1], !indices.type.isFloat, indices.type != .bool else {
      throw reader.fail(.unsupportedType("the indices of Gather are no integers"))
    }
    return GeneralLayer(
      .lookup(self), shape: Array(input[..<axis] + indices.shape + input[(axis + 1)...]))
  }

  /// A negative index counts from the end; one that names nothing gives not-a-number.
  func evaluate<Number: Scalar>(_ operands: [DenseTensor<Number>]) -> [Number] {
    let (shape, values) = (operands[0].shape, operands[0].values)
    let (size, block) = (shape[axis], shape[(axis + 1)...].reduce(1, *))
    var result: [Number] = []
    for row in 0..<shape[..<axis].reduce(1, *) {
      for stated in operands[1].values {
        let index = stated < 0 ? stated + Number(size) : stated
        guard index >= 0, index < Number(size) else {
          result += Array(repeating: .nan, count: block)
          continue
        }
        let start = (row * size + Int(Double(index))) * block
        result += values[start..<start + block]
      }
    }
    return result
  }
}
