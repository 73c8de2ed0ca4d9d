/// Flatten, and Reshape to a constant shape: the same elements in the same order.
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
      case -1 where !shape.contains(-1): shape.append(-1)
      case 1...Int64(Shape.elementLimit): shape.append(Int(size))
      default: throw reader.fail(.shape("\(stated) is no shape for \(input)"))
      }
    }
    let count = input.reduce(1, *)
    if let free = shape.firstIndex(of: -1) {
      var others = shape
      others.remove(at: free)
      guard let known = Shape.elementCount(others), count.isMultiple(of: known) else {
        throw reader.fail(.shape("\(input) cannot be read as \(stated)"))
      }
      shape[free] = count / known
    }
    guard Shape.elementCount(shape) == count else {
      throw reader.fail(.shape("\(input) cannot be read as \(stated)"))
    }
    self.shape = shape
  }
}
