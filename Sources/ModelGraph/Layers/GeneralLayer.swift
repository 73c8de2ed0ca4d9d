/// A layer in a form that its readers resolved completely: shapes, axes, indices and windows are
/// numbers, and only the float operands are still to come. The evaluator computes from the same
/// form that the integer side lowers.
package struct GeneralLayer: Sendable {
  /// What the layer computes from its operands, which stand in the node's order without the omitted
  /// ones and the parameters.
  package enum Form: Sendable {
    case function(UnaryFunction)
    case clip(Clip)
    case arithmetic(Arithmetic)
    case arrangement(Arrangement)
    case concatenation(Concatenation)
    case reduction(Reduction)
    case softmax(Softmax)
    case pool(GeneralPool)
    case convolution(GeneralConvolution)
    case product(GeneralProduct)
    case normalization(Normalization)
    case localResponse(LocalResponse)
    case lookup(Lookup)
  }

  package let form: Form
  package let shape: [Int]
  /// Multiply-accumulates of one run.
  package let multiplications: Int

  init(_ form: Form, shape: [Int], multiplications: Int = 0) {
    (self.form, self.shape, self.multiplications) = (form, shape, multiplications)
  }

  private typealias Reading = @Sendable (NodeReader) throws(ModelError) -> GeneralLayer

  private static let families: [([String], Reading)] = [
    (UnaryFunction.names, UnaryFunction.read), (Clip.names, Clip.read),
    (Arithmetic.names, Arithmetic.read), (Arrangement.names, Arrangement.read),
    (Concatenation.names, Concatenation.read), (Reduction.names, Reduction.read),
    (Softmax.names, Softmax.read), (GeneralPool.names, GeneralPool.read),
    (GeneralConvolution.names, GeneralConvolution.read),
    (GeneralProduct.names, GeneralProduct.read), (Normalization.names, Normalization.read),
    (LocalResponse.names, LocalResponse.read), (Resizing.names, Resizing.read),
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

  func evaluate<Number: Scalar>(_ operands: [DenseTensor<Number>]) -> [Number] {
    switch form {
    case .function(let function): function.evaluate(operands[0])
    case .clip(let clip): clip.evaluate(operands)
    case .arithmetic(let arithmetic): arithmetic.evaluate(operands, into: shape)
    case .arrangement(let arrangement): arrangement.evaluate(operands)
    case .concatenation(let concatenation): concatenation.evaluate(operands)
    case .reduction(let reduction): reduction.evaluate(operands[0])
    case .softmax(let softmax): softmax.evaluate(operands[0])
    case .pool(let pool): pool.evaluate(operands[0])
    case .convolution(let convolution):
      convolution.evaluate(operands.map(\.floats)).map { Number($0) }
    case .product(let product):
      product.evaluate(operands.map(\.floats), into: shape).map { Number($0) }
    case .normalization(let normalization): normalization.evaluate(operands)
    case .localResponse(let response): response.evaluate(operands[0])
    case .lookup(let lookup): lookup.evaluate(operands)
    }
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
}

extension NodeReader {
  /// An operand's place among those that a layer computes with.
  func place(_ slot: Int) throws(ModelError) -> Int {
    _ = try shape(slot)
    return slots[..<slot].indices.count { slots[$0] != nil && !isParameter($0) }
  }

  /// The one number of a constant operand; nil where the operand is computed.
  func constantScalar(_ slot: Int) throws(ModelError) -> Float? {
    guard try shape(slot).reduce(1, *) == 1 else {
      throw fail(.shape("input \(slot) of \(operatorName) is no scalar"))
    }
    guard let value = slots[slot], value.isConstant, value.type.isComputedInFloat else {
      return nil
    }
    return value.tensor?.floats.values.first
  }

  func shape(_ slot: Int) throws(ModelError) -> [Int] {
    guard slot < slots.count, let value = slots[slot] else {
      throw fail(.malformed("\(operatorName) lacks input \(slot)"))
    }
    return value.shape
  }

  func hasSlot(_ slot: Int) -> Bool { slot < slots.count && slots[slot] != nil }

  /// A constant integer operand, clamped to ±2^31; nil where it is omitted.
  func constantIntegers(_ slot: Int) throws(ModelError) -> [Int]? {
    guard hasSlot(slot) else { return nil }
    guard let value = slots[slot], value.isConstant, !value.type.isFloat,
      value.elementCount <= 65536
    else {
      throw fail(
        .unsupportedFeature("input \(slot) of \(operatorName) is no short constant of integers"))
    }
    return value.tensor?.doubles.values.map { Int(max(-0x1p31, min(0x1p31, $0))) }
  }

  /// A short constant operand of finite numbers; nil where it is omitted.
  func constantFloats(_ slot: Int) throws(ModelError) -> [Float]? {
    guard hasSlot(slot) else { return nil }
    guard let constant = slots[slot], constant.elementCount <= 65536,
      let values = constant.tensor?.floats.values, values.allSatisfy(\.isFinite)
    else {
      throw fail(
        .unsupportedFeature("input \(slot) of \(operatorName) is no short constant of numbers"))
    }
    return values
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
