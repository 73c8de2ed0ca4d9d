import SwiftProtobuf

/// Nodes that become constants, and those that become several nodes.
extension GraphBuilder {
  /// Elements of a folded constant.
  private static let foldLimit = 1 << 24

  /// The constant that the node computes; nil where it reads what only a run gives.
  func folded(
    _ reader: NodeReader
  ) throws(ModelError) -> (shape: [Int], origin: Graph.Value.Origin)? {
    if reader.operatorName == "Shape" { return try shapeOfOperand(reader) }
    guard !reader.operands.isEmpty, reader.operands.allSatisfy(\.isConstant) else { return nil }
    if reader.operatorName == "ConstantOfShape" { return try filled(reader) }
    let castType = reader.operatorName == "Cast" ? reader.integer("to", default: 1) : nil
    let integerTypes: [Onnx_TensorProto.DataType] = [.int32, .int64]
    let castsToInteger = integerTypes.contains { $0.rawValue == castType }
    let isInteger = reader.operands[0].isInteger
    // Integer constants are shapes and indices: small, so that float computes with them exactly.
    let moves = ["Concat", "Gather", "Identity", "Reshape", "Slice", "Squeeze", "Unsqueeze"]
    let exact = moves + ["Add", "Mul", "Sub", "Cast"]
    var slots: [Graph.Value?] = []
    for (place, slot) in reader.slots.enumerated() {
      let isData = place == 0 || ["Add", "Concat", "Mul", "Sub"].contains(reader.operatorName)
      guard isInteger, isData, exact.contains(reader.operatorName), let slot,
        case .integers(let values) = slot.origin
      else {
        slots.append(slot)
        continue
      }
      guard values.allSatisfy({ $0.magnitude < 1 << 24 }) else {
        guard reader.operatorName != "Slice" || place == 0 else { return nil }
        throw reader.fail(.unsupportedFeature("it computes with integers above 2^24"))
      }
      slots.append(
        Graph.Value(name: slot.name, shape: slot.shape, origin: .floats(values.map { Float($0) })))
    }
    var proto = reader.proto
    if castsToInteger { proto.attribute = [] }
    let floats = NodeReader(name: reader.name, proto: proto, slots: slots, opset: opset)
    let layer = try Layer.read(floats)
    let shape = try layer.resultShape(floats.operands, at: reader.name)
    guard let count = Shape.elementCount(shape), count <= Self.foldLimit,
      layer.multiplications(floats.operands.map(\.shape), shape) <= Self.foldLimit
    else { throw reader.fail(.tooLarge("it computes a large constant")) }
    let result = layer.evaluate(floats.operands.compactMap(\.constant), into: shape).values
    guard result.allSatisfy(\.isFinite) else {
      throw reader.fail(.malformed("a constant it computes is infinite or not a number"))
    }
    guard castsToInteger || isInteger && castType == nil else { return (shape, .floats(result)) }
    guard result.allSatisfy({ abs($0) < 0x1p24 }) else {
      throw reader.fail(.unsupportedFeature("it computes integers above 2^24"))
    }
    return (shape, .integers(result.map { Int64($0) }))
  }

  private func shapeOfOperand(
    _ reader: NodeReader
  ) throws(ModelError) -> (shape: [Int], origin: Graph.Value.Origin) {
    try reader.allow(["start", "end"], operands: 1...1)
    let shape = reader.operands[0].shape
    func bound(_ name: String, _ value: Int) -> Int {
      let stated = reader.integer(name, default: value)
      return max(0, min(shape.count, stated < 0 ? max(stated, -shape.count) + shape.count : stated))
    }
    let (start, end) = (bound("start", 0), bound("end", shape.count))
    guard start < end else { throw reader.fail(.shape("Shape of \(shape) gives nothing")) }
    return ([end - start], .integers(shape[start..<end].map { Int64($0) }))
  }

  private func filled(
    _ reader: NodeReader
  ) throws(ModelError) -> (shape: [Int], origin: Graph.Value.Origin) {
    try reader.allow(["value"], operands: 1...1)
    let shape = try reader.constantIntegers(0) ?? []
    guard let count = Shape.elementCount(shape), count <= Self.foldLimit else {
      throw reader.fail(.shape("a constant of shape \(shape) is out of bounds"))
    }
    guard let value = reader.proto.attribute.first else {
      return (shape, .floats([Float](repeating: 0, count: count)))
    }
    switch try TensorReader.read(value.t, at: reader.name).origin {
    case .floats(let values) where values.count == 1:
      return (shape, .floats([Float](repeating: values[0], count: count)))
    case .integers(let values) where values.count == 1:
      return (shape, .integers([Int64](repeating: values[0], count: count)))
    default: throw reader.fail(.malformed("the value of ConstantOfShape is not one number"))
    }
  }

  /// A Split becomes one Slice for each of its results.
  mutating func appendSplit(_ proto: Onnx_NodeProto) throws(ModelError) {
    let name = proto.displayName
    var slots: [Graph.Value?] = []
    for input in proto.input {
      guard let index = index(of: input) else { throw ModelError(.missingValue(input), at: name) }
      slots.append(values[index])
    }
    let reader = NodeReader(name: name, proto: proto, slots: slots, opset: opset)
    try reader.allow(["axis", "num_outputs", "split"], operands: 1...2)
    let shape = try reader.shape(0)
    let axis = try reader.axis(reader.integer("axis", default: 0), rank: shape.count)
    let results = proto.output.count
    let (size, share) = (shape[axis], (shape[axis] + max(results, 1) - 1) / max(results, 1))
    let equal = (0..<results).map { max(0, min(share, size - $0 * share)) }
    let stated = try reader.signedIntegers("split")
    let operand = try reader.constantIntegers(1)
    let sizes = stated ?? operand ?? equal
    guard sizes.count == results, sizes.allSatisfy({ $0 > 0 }), sizes.reduce(0, +) == size,
      reader.integer("num_outputs", default: results) == results
    else { throw reader.fail(.shape("\(shape) cannot be split into \(sizes)")) }
    var start = 0
    for (place, output) in proto.output.enumerated() {
      defer { start += sizes[place] }
      guard !output.isEmpty else { continue }
      var part = proto
      part.name = "\(name).\(place)"
      part.opType = "Slice"
      part.output = [output]
      part.attribute = []
      var operands = [proto.input[0]]
      for (role, number) in [("start", start), ("end", start + sizes[place]), ("axis", axis)] {
        let constant = "\(name).\(place).\(role)"
        _ = try define(constant, shape: [1], origin: .integers([Int64(number)]))
        operands.append(constant)
      }
      part.input = operands
      // Before version 10 a Slice states these as attributes.
      if opset < 10 {
        part.input = [proto.input[0]]
        for (name, number) in [("starts", start), ("ends", start + sizes[place]), ("axes", axis)] {
          var attribute = Onnx_AttributeProto()
          (attribute.name, attribute.type, attribute.ints) = (name, .ints, [Int64(number)])
          part.attribute.append(attribute)
        }
      }
      try append(part)
    }
  }
}

extension Layer {
  /// Whether the first operand may be constant while another is not.
  var takesConstantsFirst: Bool {
    switch self {
    case .add, .general: true
    default: false
    }
  }
}
