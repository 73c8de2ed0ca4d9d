import SwiftProtobuf

/// Nodes that become others: those of several results, and those of version 6 of the operators,
/// which are read as their successors.
extension GraphBuilder {
  /// Whether the node was one of those.
  mutating func appendRewritten(_ reader: NodeReader) throws(ModelError) -> Bool {
    let proto = reader.proto
    let hasSecondResult = proto.output.count > 1 && !proto.output[1].isEmpty
    let hasMore = proto.output.dropFirst().contains { !$0.isEmpty }
    let isWhole = proto.output.count == 2 && hasSecondResult && !proto.output[0].isEmpty
    switch reader.operatorName {
    case "Split":
      try appendSplit(reader)
    case "Dropout" where isWhole:
      try appendMask(reader)
    case "LayerNormalization" where hasMore:
      try appendStatistics(reader)
    case "MaxPool" where isWhole:
      var part = proto
      part.output = [proto.output[0]]
      try append(part)
      part.name = "\(reader.name).indices"
      part.output = ["", proto.output[1]]
      try append(part)
    default:
      guard opset < 7, let successor = try successor(of: reader) else { return false }
      try append(successor)
    }
    return true
  }

  /// In inference a Dropout drops nothing: its mask is all ones.
  private mutating func appendMask(_ reader: NodeReader) throws(ModelError) {
    var part = reader.proto
    part.output = [reader.proto.output[0]]
    try append(part)
    let data = reader.operands[0]
    _ = try define(
      Graph.Value(
        name: reader.proto.output[1], shape: data.shape, type: opset < 10 ? data.type : .bool,
        origin: .filled(1)))
  }

  /// The mean over the normalised axes, and one over the deviation, beside the result.
  private mutating func appendStatistics(_ reader: NodeReader) throws(ModelError) {
    let (name, proto) = (reader.name, reader.proto)
    let rank = try reader.shape(0).count
    let first = try reader.axis(reader.integer("axis", default: -1), rank: rank)
    let type = reader.operands[0].type
    let epsilon = try define(
      Graph.Value(
        name: "\(name).epsilon", shape: [], type: type,
        origin: .filled(type.rounded(Double(reader.float("epsilon", default: 1e-5))))))
    var axes = Onnx_AttributeProto()
    (axes.name, axes.type, axes.ints) = ("axes", .ints, (first..<rank).map { Int64($0) })
    // Version 18 made the axes of ReduceMean an operand.
    let operand =
      opset < 18
      ? [] : [try define(integers: Array(first..<rank), named: "\(name).axes")]
    func part(_ role: String, _ operation: String, _ inputs: [String]) -> Onnx_NodeProto {
      .with {
        ($0.name, $0.opType) = ("\(name).\(role)", operation)
        ($0.input, $0.output) = (inputs, ["\(name).\(role)"])
        if operation == "ReduceMean" {
          $0.input += operand
          if operand.isEmpty { $0.attribute = [axes] }
        }
      }
    }
    var parts = [
      part("mean", "ReduceMean", [proto.input[0]]),
      part("difference", "Sub", [proto.input[0], "\(name).mean"]),
      part("square", "Mul", ["\(name).difference", "\(name).difference"]),
      part("variance", "ReduceMean", ["\(name).square"]),
      part("sum", "Add", ["\(name).variance", values[epsilon].name]),
      part("deviation", "Sqrt", ["\(name).sum"]),
      part("inverse", "Reciprocal", ["\(name).deviation"]),
    ]
    for (place, source) in [(1, "mean"), (2, "inverse")]
    where place < proto.output.count && !proto.output[place].isEmpty {
      var copy = part("\(source).result", "Identity", ["\(name).\(source)"])
      copy.output = [proto.output[place]]
      parts.append(copy)
    }
    var plain = proto
    plain.output = [proto.output[0]]
    for part in [plain] + parts { try append(part) }
  }

  /// A Split becomes one Slice for each of its results.
  private mutating func appendSplit(_ reader: NodeReader) throws(ModelError) {
    let (name, proto) = (reader.name, reader.proto)
    try reader.allow(["axis", "num_outputs", "split"], operands: 1...2)
    let shape = try reader.shape(0)
    let axis = try reader.axis(reader.integer("axis", default: 0), rank: shape.count)
    let results = proto.output.count
    let (size, share) = (shape[axis], (shape[axis] + max(results, 1) - 1) / max(results, 1))
    let equal = (0..<results).map { max(0, min(share, size - $0 * share)) }
    let stated = try reader.signedIntegers("split")
    let operand = try reader.constantIntegers(1)
    let sizes = stated ?? operand ?? equal
    guard sizes.count == results, sizes.allSatisfy({ $0 >= 0 }), sizes.reduce(0, +) == size,
      reader.integer("num_outputs", default: results) == results
    else { throw reader.fail(.shape("\(shape) cannot be split into \(results) parts as stated")) }
    var start = 0
    for (place, output) in proto.output.enumerated() {
      defer { start += sizes[place] }
      guard !output.isEmpty else { continue }
      var part = proto
      part.name = "\(name).\(place)"
      part.opType = "Slice"
      part.output = [output]
      part.attribute = []
      let bounds = [("starts", start), ("ends", start + sizes[place]), ("axes", axis)]
      // Before version 10 a Slice states these as attributes.
      if opset < 10 {
        part.input = [proto.input[0]]
        for (name, number) in bounds {
          var attribute = Onnx_AttributeProto()
          (attribute.name, attribute.type, attribute.ints) = (name, .ints, [Int64(number)])
          part.attribute.append(attribute)
        }
      } else {
        part.input = [proto.input[0]]
        for (role, number) in bounds {
          part.input.append(try define(integers: [number], named: "\(name).\(place).\(role)"))
        }
      }
      try append(part)
    }
  }

  /// Gives the name.
  private mutating func define(
    integers: [Int], named name: String
  ) throws(ModelError) -> String {
    _ = try define(
      Graph.Value(
        name: name, shape: [integers.count], type: .int64,
        origin: .integers(integers.map { Int64($0) })))
    return name
  }

  /// The node in version 7, which broadcasts as numpy does and knows inference alone; nil where it
  /// is the same.
  private mutating func successor(
    of reader: NodeReader
  ) throws(ModelError) -> Onnx_NodeProto? {
    var proto = reader.proto
    let isBinary = ["Add", "Div", "Mul", "PRelu", "Pow", "Sub"].contains(reader.operatorName)
    if isBinary, reader.operands.count == 2 {
      let (rank, shape) = (reader.operands[0].shape.count, reader.operands[1].shape)
      // A slope for each channel; others are aligned where the attribute says, or at the end.
      let isSlope = reader.operatorName == "PRelu" && shape.count == 1 && shape != [1] && rank > 2
      var axis = isSlope ? 1 : rank - shape.count
      if reader.hasAttribute("axis") {
        axis = try reader.axis(reader.integer("axis", default: 0), rank: rank)
      }
      let missing = rank - axis - shape.count
      if missing > 0 {
        let target = shape + [Int](repeating: 1, count: missing)
        var turned = Onnx_NodeProto()
        turned.opType = "Reshape"
        turned.name = "\(reader.name).aligned"
        turned.output = [turned.name]
        turned.input = [
          proto.input[1], try define(integers: target, named: "\(reader.name).aligned.shape"),
        ]
        try append(turned)
        proto.input[1] = turned.name
      }
    }
    let dropped =
      ["broadcast", "is_test", "consumed_inputs"] + (isBinary ? ["axis"] : [])
    proto.attribute.removeAll { dropped.contains($0.name) }
    if reader.operatorName == "BatchNormalization", !reader.hasAttribute("training_mode") {
      proto.attribute.append(
        .with {
          ($0.name, $0.type) = ("training_mode", .int)
          $0.i = reader.integer("is_test", default: 0) == 0 ? 1 : 0
        })
    }
    return proto == reader.proto ? nil : proto
  }
}
