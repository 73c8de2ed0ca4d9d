/// A layer of the float evaluator that no other part looks into: its shape is resolved when the
/// node is read, and `run` computes it. The integer side refuses it by name.
package struct GeneralLayer: Sendable {
  let shape: [Int]
  /// Multiply-accumulates of one run.
  var multiplications = 0
  /// Takes the float operands in their order, without the omitted and the integer ones.
  let run: @Sendable ([FloatTensor]) -> [Float]

  private typealias Reading = @Sendable (NodeReader) throws(ModelError) -> GeneralLayer

  private static let families: [([String], Reading)] = [
    (Activation.names, Activation.read), (Arithmetic.names, Arithmetic.read),
    (Arrangement.names, Arrangement.read), (Reduction.names, Reduction.read),
    (GeneralPool.names, GeneralPool.read), (GeneralConvolution.names, GeneralConvolution.read),
    (GeneralProduct.names, GeneralProduct.read), (Normalization.names, Normalization.read),
    (Resizing.names, Resizing.read),
  ]

  static var names: [String] { families.flatMap(\.0) }

  /// Nil where no family knows the operator.
  static func read(_ reader: NodeReader) throws(ModelError) -> GeneralLayer? {
    guard let family = families.first(where: { $0.0.contains(reader.operatorName) }) else {
      return nil
    }
    for operand in reader.slots.prefix(1) where operand == nil {
      throw reader.fail(.malformed("its first input is omitted"))
    }
    let layer = try family.1(reader)
    guard Shape.elementCount(layer.shape) != nil else {
      throw reader.fail(.shape("a result of shape \(layer.shape) is out of bounds"))
    }
    return layer
  }
}

extension Shape {
  /// Row-major strides.
  static func strides(_ shape: [Int]) -> [Int] {
    var strides = [Int](repeating: 1, count: shape.count)
    for axis in shape.indices.dropLast().reversed() {
      strides[axis] = strides[axis + 1] * shape[axis + 1]
    }
    return strides
  }

  /// Calls `body` with every coordinate of `shape` in row-major order.
  static func forEach(_ shape: [Int], _ body: ([Int]) -> Void) {
    var position = [Int](repeating: 0, count: shape.count)
    for _ in 0..<shape.reduce(1, *) {
      body(position)
      for axis in shape.indices.reversed() {
        position[axis] += 1
        if position[axis] < shape[axis] { break }
        position[axis] = 0
      }
    }
  }

  /// The elements at start + Σ coordinate · stride, which must all exist.
  static func view(_ values: [Float], shape: [Int], strides: [Int], start: Int = 0) -> [Float] {
    var result: [Float] = []
    result.reserveCapacity(shape.reduce(1, *))
    forEach(shape) { position in
      var source = start
      for axis in position.indices { source += position[axis] * strides[axis] }
      result.append(values[source])
    }
    return result
  }
}

extension NodeReader {
  /// A float operand's place among those that `run` receives; throws where it is no float tensor.
  func floatSlot(_ slot: Int) throws(ModelError) -> Int {
    guard slot < slots.count, let value = slots[slot], !value.isInteger else {
      throw fail(.unsupportedType("\(operatorName) computes with integers or lacks input \(slot)"))
    }
    return slots[..<slot].count { $0.map { !$0.isInteger } ?? false }
  }

  func shape(_ slot: Int) throws(ModelError) -> [Int] {
    _ = try floatSlot(slot)
    return slots[slot]?.shape ?? []
  }

  func hasSlot(_ slot: Int) -> Bool { slot < slots.count && slots[slot] != nil }

  /// Throws unless every operand is a float tensor.
  func requireFloats() throws(ModelError) {
    for slot in slots.indices { _ = try floatSlot(slot) }
  }

  /// A constant integer operand, clamped to ±2^31; nil where it is omitted.
  func constantIntegers(_ slot: Int) throws(ModelError) -> [Int]? {
    guard hasSlot(slot) else { return nil }
    guard case .integers(let values) = slots[slot]?.origin, values.count <= 65536 else {
      throw fail(.unsupportedFeature("input \(slot) of \(operatorName) is no short constant"))
    }
    return values.map { Int(max(min($0, 1 << 31), -1 << 31)) }
  }

  /// An attribute of at most 65,536 integers, clamped to ±2^31; nil where it is absent.
  func signedIntegers(_ name: String) throws(ModelError) -> [Int]? {
    guard let attribute = proto.attribute.first(where: { $0.name == name }) else { return nil }
    guard attribute.ints.count <= 65536 else {
      throw fail(.tooLarge("'\(name)' has \(attribute.ints.count) numbers"))
    }
    return attribute.ints.map { Int(max(min($0, 1 << 31), -1 << 31)) }
  }

  /// `axis` counted from the front; throws where `rank` has no such axis.
  func axis(_ axis: Int, rank: Int) throws(ModelError) -> Int {
    guard (-rank..<rank).contains(axis) else {
      throw fail(.shape("axis \(axis) does not exist among \(rank)"))
    }
    return axis < 0 ? axis + rank : axis
  }

  func axes(_ axes: [Int], rank: Int) throws(ModelError) -> [Int] {
    var result: [Int] = []
    for stated in axes {
      let axis = try axis(stated, rank: rank)
      guard !result.contains(axis) else { throw fail(.shape("axis \(axis) is named twice")) }
      result.append(axis)
    }
    return result
  }
}
