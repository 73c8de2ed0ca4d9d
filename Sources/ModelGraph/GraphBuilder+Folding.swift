import SwiftProtobuf

/// Nodes that become constants.
extension GraphBuilder {
  /// Elements that all folding of a model together reads and writes.
  static let foldLimit = 1 << 24

  /// What a node gives that states a constant; nil where it is none of those.
  func constant(_ reader: NodeReader, named name: String) throws(ModelError) -> Graph.Value? {
    switch reader.operatorName {
    case "Constant": try TensorReader.readConstant(reader.proto, named: name, at: reader.name)
    case "ConstantOfShape": try filled(reader, named: name)
    case "Shape": try shapeOfOperand(reader, named: name)
    default: nil
    }
  }

  private func shapeOfOperand(
    _ reader: NodeReader, named name: String
  ) throws(ModelError) -> Graph.Value {
    try reader.allow(["start", "end"], operands: 1...1)
    let shape = reader.operands[0].shape
    func bound(_ name: String, _ value: Int) -> Int {
      let stated = reader.integer(name, default: value)
      return max(0, min(shape.count, stated < 0 ? max(stated, -shape.count) + shape.count : stated))
    }
    let (start, end) = (bound("start", 0), bound("end", shape.count))
    let sizes = start < end ? Array(shape[start..<end]) : []
    return Graph.Value(
      name: name, shape: [sizes.count], type: .int64, origin: .integers(sizes.map { Int64($0) }))
  }

  private func filled(
    _ reader: NodeReader, named name: String
  ) throws(ModelError) -> Graph.Value {
    try reader.allow(["value"], operands: 1...1)
    let shape = try reader.constantIntegers(0) ?? []
    guard Shape.elementCount(shape) != nil else {
      throw reader.fail(.shape("a constant of shape \(shape) is out of bounds"))
    }
    guard let attribute = reader.proto.attribute.first else {
      return Graph.Value(name: name, shape: shape, type: .float, origin: .filled(0))
    }
    let value = try TensorReader.read(attribute.t, named: name, at: reader.name)
    guard value.elementCount == 1, let number = value.tensor?.doubles.values[0] else {
      throw reader.fail(.malformed("the value of ConstantOfShape is not one number"))
    }
    return Graph.Value(name: name, shape: shape, type: value.type, origin: .filled(number))
  }

  /// The constant that `layer` computes from constant operands.
  mutating func folded(
    _ layer: Layer, _ type: NumericType, _ operands: [Graph.Value], _ reader: NodeReader,
    named name: String
  ) throws(ModelError) -> Graph.Value {
    let shape = try layer.resultShape(operands, at: reader.name)
    func value(_ origin: Graph.Value.Origin) -> Graph.Value {
      Graph.Value(name: name, shape: shape, type: type, origin: origin)
    }
    guard layer.isFoldable, let count = Shape.elementCount(shape) else {
      throw reader.fail(.unsupportedFeature("it computes on constants only"))
    }
    if count == 0 { return value(.filled(0)) }
    // Empty constants are filled as well, but with nothing.
    if layer.onlyMoves, case .filled(let number)? = operands.first?.origin,
      operands.allSatisfy({ $0.elementCount > 0 }),
      operands.allSatisfy({ $0.origin == .filled(number) })
    {
      return value(.filled(type.rounded(number)))
    }
    let read = operands.reduce(0) { $0 + $1.elementCount }
    foldedElements += read + count * operands.count
    foldedElements += layer.multiplications(operands.map(\.shape), shape)
    guard foldedElements <= Self.foldLimit else {
      throw reader.fail(
        .tooLarge("constants of more than \(Self.foldLimit) elements are computed"))
    }
    let exactLimit: Int64 = 1 << 53
    for case .integers(let values) in operands.map(\.origin) where !layer.onlyMoves {
      guard values.allSatisfy({ $0.magnitude <= exactLimit }) else {
        throw reader.fail(.unsupportedFeature("it computes with integers above 2^53"))
      }
    }
    let result = layer.evaluate(operands.compactMap(\.tensor), into: shape, type)
    guard result.doubles.values.allSatisfy(\.isFinite) else {
      throw reader.fail(.malformed("a constant it computes is infinite or not a number"))
    }
    if type.isComputedInFloat { return value(.floats(result.floats.values)) }
    if type.isFloat { return value(.doubles(result.doubles.values)) }
    guard result.doubles.values.allSatisfy({ abs($0) <= Double(exactLimit) }) else {
      throw reader.fail(.unsupportedFeature("it computes integers above 2^53"))
    }
    return value(.integers(result.doubles.values.map { Int64($0) }))
  }
}

extension Layer {
  /// Whether every element of the result is one of the operands'.
  fileprivate var onlyMoves: Bool {
    switch self {
    case .reshape, .identity: true
    case .general(let layer):
      switch layer.form {
      case .arrangement(let arrangement): !arrangement.fills
      case .concatenation: true
      default: false
      }
    default: false
    }
  }

  /// Whether folding takes a time that its elements and multiplications bound.
  fileprivate var isFoldable: Bool {
    switch self {
    case .convolution, .pool: false
    case .general(let layer):
      switch layer.form {
      case .convolution, .pool, .localResponse: false
      default: true
      }
    default: true
    }
  }

  /// Numbers that the layer keeps beside the values, which bound its memory.
  var heldNumbers: Int {
    guard case .general(let layer) = self, case .arrangement(let arrangement) = layer.form else {
      return 0
    }
    return arrangement.axes.reduce(0) { $0 + $1.indices.count }
  }
}
