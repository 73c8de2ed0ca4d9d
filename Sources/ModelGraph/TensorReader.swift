import SwiftProtobuf

/// Reads the constants of a file.
enum TensorReader {
  static func read(
    _ proto: Onnx_TensorProto, at node: String
  ) throws(ModelError) -> (shape: [Int], origin: Graph.Value.Origin) {
    guard proto.dataLocation == .default, proto.externalData.isEmpty else {
      throw ModelError(.externalData, at: node)
    }
    guard !proto.hasSegment else {
      throw ModelError(.unsupportedFeature("its data is cut into segments"), at: node)
    }
    var shape: [Int] = []
    for axis in proto.dims {
      guard axis >= 0, axis <= Shape.elementLimit else {
        throw ModelError(.shape("\(proto.dims) is no shape"), at: node)
      }
      shape.append(Int(axis))
    }
    guard let count = Shape.elementCount(shape) else {
      throw ModelError(.shape("\(shape) is empty or out of bounds"), at: node)
    }
    switch Onnx_TensorProto.DataType(rawValue: Int(proto.dataType)) {
    case .float:
      let values =
        proto.hasRawData
        ? try numbers(proto, count: count, at: node) { Float(bitPattern: $0) } : proto.floatData
      try check(values.count, count, at: node)
      guard values.allSatisfy(\.isFinite) else {
        throw ModelError(.malformed("a constant is infinite or not a number"), at: node)
      }
      return (shape, .floats(values))
    case .int64:
      let values =
        proto.hasRawData
        ? try numbers(proto, count: count, at: node) { (bits: UInt64) in Int64(bitPattern: bits) }
        : proto.int64Data
      try check(values.count, count, at: node)
      return (shape, .integers(values))
    case .int32:
      let values =
        proto.hasRawData
        ? try numbers(proto, count: count, at: node) { (bits: UInt32) in
          Int64(Int32(bitPattern: bits))
        } : proto.int32Data.map { Int64($0) }
      try check(values.count, count, at: node)
      return (shape, .integers(values))
    case let type:
      throw ModelError(
        .unsupportedType("constants of type \(type.map { "\($0)" } ?? "?") cannot be used"),
        at: node)
    }
  }

  /// What a Constant node holds.
  static func readConstant(
    _ proto: Onnx_NodeProto, at node: String
  ) throws(ModelError) -> (shape: [Int], origin: Graph.Value.Origin) {
    guard proto.attribute.count == 1, let attribute = proto.attribute.first else {
      throw ModelError(.unsupportedFeature("a Constant holds no tensor"), at: node)
    }
    var tensor = attribute.t
    switch attribute.name {
    case "value" where attribute.hasT: break
    case "value_float", "value_floats":
      let isScalar = attribute.name == "value_float"
      tensor.floatData = isScalar ? [attribute.f] : attribute.floats
      tensor.dims = isScalar ? [] : [Int64(attribute.floats.count)]
      tensor.dataType = Int32(Onnx_TensorProto.DataType.float.rawValue)
    case "value_int", "value_ints":
      let isScalar = attribute.name == "value_int"
      tensor.int64Data = isScalar ? [attribute.i] : attribute.ints
      tensor.dims = isScalar ? [] : [Int64(attribute.ints.count)]
      tensor.dataType = Int32(Onnx_TensorProto.DataType.int64.rawValue)
    default: throw ModelError(.unsupportedFeature("a Constant holds no tensor"), at: node)
    }
    return try read(tensor, at: node)
  }

  private static func check(_ got: Int, _ expected: Int, at node: String) throws(ModelError) {
    guard got == expected else {
      throw ModelError(.shape("\(got) numbers came and its shape has \(expected)"), at: node)
    }
  }

  private static func numbers<Bits: FixedWidthInteger, Value>(
    _ proto: Onnx_TensorProto, count: Int, at node: String, _ convert: (Bits) -> Value
  ) throws(ModelError) -> [Value] {
    let size = MemoryLayout<Bits>.size
    guard proto.rawData.count == count * size else {
      throw ModelError(
        .shape("\(proto.rawData.count) bytes came and its shape has \(count) numbers"), at: node)
    }
    return Array(proto.rawData).withUnsafeBytes { bytes in
      (0..<count).map { index in
        convert(
          Bits(littleEndian: bytes.loadUnaligned(fromByteOffset: index * size, as: Bits.self)))
      }
    }
  }
}
