/// Flatten, Reshape to a constant shape, Squeeze and Unsqueeze: the same elements in the same
/// order.
package struct ReshapeLayer: Sendable {
  /// The shape with 0 and -1 already resolved.
  package let shape: [Int]

  init(_ reader: NodeReader) throws(ModelError) {
    if reader.operatorName == "Flatten" {
      try reader.allow(["axis"], operands: 1...1)
      let input = reader.operands[0].shape
      let stated = reader.integer("axis", default: 1)
      guard (-input.count...input.count).contains(stated) else {
        throw reader.fail(.shape("axis \(stated) does not exist in \(input)"))
      }
      let axis = stated < 0 ? stated + input.count : stated
      shape = [input[..<axis].reduce(1, *), input[axis...].reduce(1, *)]
      return
    }
    if reader.operatorName.hasSuffix("queeze") {
      shape = try Self.squeezed(reader)
      return
    }
    try reader.allow(["allowzero"], operands: 2...2)
    guard case .integers(let stated) = reader.operands[1].origin else {
      throw reader.fail(.unsupportedFeature("the shape of Reshape is computed in the model"))
    }
    let input = reader.operands[0].shape
    var shape: [Int] = []
    for (axis, size) in stated.enumerated() {
      switch size {
      case 0 where axis < input.count && reader.integer("allowzero", default: 0) == 0:
        shape.append(input[axis])
      case 0 where reader.integer("allowzero", default: 0) != 0: shape.append(0)
      case -1 where !shape.contains(-1): shape.append(-1)
      case 1...Int64(Shape.elementLimit): shape.append(Int(size))
      default: throw reader.fail(.shape("\(stated) is no shape for \(input)"))
      }
    }
    let count = input.reduce(1, *)
    if let free = shape.firstIndex(of: -1) {
      var others = shape
      others.remove(at: free)
      guard let known = Shape.elementCount(others), known > 0, count.isMultiple(of: known) else {
        throw reader.fail(.shape("\(input) cannot be read as \(stated)"))
      }
      shape[free] = count / known
    }
    guard Shape.elementCount(shape) == count else {
      throw reader.fail(.shape("\(input) cannot be read as \(stated)"))
    }
    self.shape = shape
  }

  /// The shape after Squeeze or Unsqueeze; axes are an attribute before version 13 and an operand
  /// since.
  private static func squeezed(_ reader: NodeReader) throws(ModelError) -> [Int] {
    let isOld = reader.opset < 13
    try reader.allow(isOld ? ["axes"] : [], operands: isOld ? 1...1 : 1...2)
    var shape = try reader.shape(0)
    let stated = try isOld ? reader.signedIntegers("axes") : reader.constantIntegers(1)
    if reader.operatorName == "Squeeze" {
      let axes = try reader.axes(
        stated ?? shape.indices.filter { shape[$0] == 1 }, rank: shape.count)
      guard axes.allSatisfy({ shape[$0] == 1 }) else {
        throw reader.fail(.shape("axes \(axes) of \(shape) are not all 1"))
      }
      return shape.indices.filter { !axes.contains($0) }.map { shape[$0] }
    }
    guard let stated, stated.count + shape.count <= Shape.rankLimit else {
      throw reader.fail(.shape("Unsqueeze has no axes, or too many"))
    }
    for axis in try reader.axes(stated, rank: shape.count + stated.count).sorted() {
      shape.insert(1, at: axis)
    }
    return shape
  }
}
