import Foundation
import SwiftProtobuf

/// Reads the constants of a file.
enum TensorReader {
  /// The constant that `proto` holds. Its numbers must be finite, unless `proto` is no part of a
  /// model.
  static func read(
    _ proto: Onnx_TensorProto, named name: String, at node: String, finite: Bool = true
  ) throws(ModelError) -> Graph.Value {
    guard proto.dataLocation == .default, proto.externalData.isEmpty else {
      throw ModelError(.externalData, at: node)
    }
    guard !proto.hasSegment else {
      throw ModelError(.unsupportedFeature("its data is cut into segments"), at: node)
    }
    guard proto.dims.count <= Shape.rankLimit else {
      throw ModelError(.shape("it has \(proto.dims.count) axes"), at: node)
    }
    let shape = proto.dims.map { Int($0) }
    guard let count = Shape.elementCount(shape) else {
      throw ModelError(.shape("\(shape) is out of bounds"), at: node)
    }
    let stated = Onnx_TensorProto.DataType(rawValue: Int(proto.dataType))
    guard let type = NumericType(stated) else {
      throw ModelError(
        .unsupportedType("constants of type \(stated.map { "\($0)" } ?? "?") cannot be used"),
        at: node)
    }
    let numbers = Numbers(proto: proto, count: count, node: node)
    let origin = try numbers.origin(of: type)
    guard !finite || origin.isFinite else {
      throw ModelError(.malformed("a constant is infinite or not a number"), at: node)
    }
    return Graph.Value(name: name, shape: shape, type: type, origin: origin)
  }

  /// What a Constant node holds.
  static func readConstant(
    _ proto: Onnx_NodeProto, named name: String, at node: String
  ) throws(ModelError) -> Graph.Value {
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
    return try read(tensor, named: name, at: node)
  }
}

/// The numbers of one tensor, in whichever field of the message they lie.
private struct Numbers {
  let proto: Onnx_TensorProto
  let count: Int
  let node: String

  func origin(of type: NumericType) throws(ModelError) -> Graph.Value.Origin {
    switch type {
    case .float: .floats(try numbers(proto.floatData) { (bits: UInt32) in Float(bitPattern: bits) })
    case .double:
      .doubles(try numbers(proto.doubleData) { (bits: UInt64) in Double(bitPattern: bits) })
    case .float16:
      .floats(try short { Float(Float16(bitPattern: UInt16(truncatingIfNeeded: $0))) })
    case .bfloat16:
      .floats(try short { Float(bitPattern: UInt32(UInt16(truncatingIfNeeded: $0)) << 16) })
    case .bool: .integers(try narrow { (bits: UInt8) in bits == 0 ? 0 : 1 })
    case .uint8: .integers(try narrow { (bits: UInt8) in Int64(bits) })
    case .int8: .integers(try narrow { (bits: UInt8) in Int64(Int8(bitPattern: bits)) })
    case .uint16: .integers(try narrow { (bits: UInt16) in Int64(bits) })
    case .int16: .integers(try narrow { (bits: UInt16) in Int64(Int16(bitPattern: bits)) })
    case .int32: .integers(try narrow { (bits: UInt32) in Int64(Int32(bitPattern: bits)) })
    case .int64:
      .integers(try numbers(proto.int64Data) { (bits: UInt64) in Int64(bitPattern: bits) })
    case .uint32: .integers(try unsigned { (bits: UInt32) in UInt64(bits) })
    case .uint64: .integers(try unsigned { (bits: UInt64) in bits })
    }
  }

  /// Floats of sixteen bits, of which `int32Data` holds the patterns.
  private func short(_ convert: (Int32) -> Float) throws(ModelError) -> [Float] {
    try numbers(proto.int32Data.map(convert)) { (bits: UInt16) in convert(Int32(bits)) }
  }

  /// Integers of at most 32 bits, which lie in `int32Data`.
  private func narrow<Bits: FixedWidthInteger & UnsignedInteger>(
    _ convert: (Bits) -> Int64
  ) throws(ModelError) -> [Int64] {
    try numbers(proto.int32Data.map { convert(Bits(truncatingIfNeeded: $0)) }, convert)
  }

  private func unsigned<Bits: FixedWidthInteger & UnsignedInteger>(
    _ convert: (Bits) -> UInt64
  ) throws(ModelError) -> [Int64] {
    let values = try numbers(proto.uint64Data, convert)
    guard values.allSatisfy({ $0 <= UInt64(Int64.max) }) else {
      throw ModelError(.unsupportedType("a constant is above 2^63"), at: node)
    }
    return values.map { Int64($0) }
  }

  private func numbers<Bits: FixedWidthInteger, Value>(
    _ typed: [Value], _ convert: (Bits) -> Value
  ) throws(ModelError) -> [Value] {
    guard proto.hasRawData else {
      guard typed.count == count else {
        throw ModelError(
          .shape("\(typed.count) numbers came and its shape has \(count)"), at: node)
      }
      return typed
    }
    let size = MemoryLayout<Bits>.size
    guard proto.rawData.count == count * size else {
      throw ModelError(
        .shape("\(proto.rawData.count) bytes came and its shape has \(count) numbers"), at: node)
    }
    return proto.rawData.withUnsafeBytes { bytes in
      (0..<count).map { index in
        convert(
          Bits(littleEndian: bytes.loadUnaligned(fromByteOffset: index * size, as: Bits.self)))
      }
    }
  }
}

extension Graph.Value.Origin {
  fileprivate var isFinite: Bool {
    switch self {
    case .floats(let values): values.allSatisfy(\.isFinite)
    case .doubles(let values): values.allSatisfy(\.isFinite)
    default: true
    }
  }
}
