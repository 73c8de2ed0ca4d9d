/// The numeric types of ONNX that a tensor may have: no strings, no complex numbers, and none of
/// the floats of eight bits and the numbers below.
package enum NumericType: Sendable, Hashable {
  case bool
  case uint8, uint16, uint32, uint64
  case int8, int16, int32, int64
  case float16, bfloat16, float, double

  init?(_ type: Onnx_TensorProto.DataType?) {
    switch type {
    case .bool: self = .bool
    case .uint8: self = .uint8
    case .uint16: self = .uint16
    case .uint32: self = .uint32
    case .uint64: self = .uint64
    case .int8: self = .int8
    case .int16: self = .int16
    case .int32: self = .int32
    case .int64: self = .int64
    case .float16: self = .float16
    case .bfloat16: self = .bfloat16
    case .float: self = .float
    case .double: self = .double
    default: return nil
    }
  }

  var onnx: Onnx_TensorProto.DataType {
    switch self {
    case .bool: .bool
    case .uint8: .uint8
    case .uint16: .uint16
    case .uint32: .uint32
    case .uint64: .uint64
    case .int8: .int8
    case .int16: .int16
    case .int32: .int32
    case .int64: .int64
    case .float16: .float16
    case .bfloat16: .bfloat16
    case .float: .float
    case .double: .double
    }
  }

  /// A float type all of whose numbers are `Float`s: such tensors are computed in `Float`, all
  /// others in `Double`.
  var isComputedInFloat: Bool { [.float16, .bfloat16, .float].contains(self) }

  var isFloat: Bool { isComputedInFloat || self == .double }

  /// The number of this type that a result becomes. Floats round to nearest; integers drop the
  /// fraction and wrap, as C's do, and what is no finite number becomes 0; bool is whether the
  /// number differs from 0. Integers above 2^53 are not exact.
  func rounded(_ value: Double) -> Double {
    switch self {
    case .double: value
    case .float: Double(Float(value))
    case .float16: Double(Float16(value))
    case .bfloat16: Double(Self.bfloat16(Float(value)))
    case .bool: value != 0 ? 1 : 0
    case .uint8: Double(UInt8(truncatingIfNeeded: Self.integer(value)))
    case .uint16: Double(UInt16(truncatingIfNeeded: Self.integer(value)))
    case .uint32: Double(UInt32(truncatingIfNeeded: Self.integer(value)))
    case .uint64: Double(UInt64(truncatingIfNeeded: Self.integer(value)))
    case .int8: Double(Int8(truncatingIfNeeded: Self.integer(value)))
    case .int16: Double(Int16(truncatingIfNeeded: Self.integer(value)))
    case .int32: Double(Int32(truncatingIfNeeded: Self.integer(value)))
    case .int64: Double(Self.integer(value))
    }
  }

  /// Modulo 2^64.
  private static func integer(_ value: Double) -> Int64 {
    guard value.isFinite else { return 0 }
    if let exact = Int64(exactly: value.rounded(.towardZero)) { return exact }
    // Below 2^64 in magnitude, and positive.
    let rest = value.truncatingRemainder(dividingBy: 0x1p64)
    return Int64(truncatingIfNeeded: UInt64(rest < 0 ? rest + 0x1p64 : rest))
  }

  /// To nearest, ties to even, of the sixteen bits that bfloat16 keeps.
  private static func bfloat16(_ value: Float) -> Float {
    guard value.isFinite else { return value }
    let bits = value.bitPattern
    return Float(bitPattern: (bits &+ 0x7FFF &+ (bits >> 16 & 1)) & 0xFFFF_0000)
  }
}
