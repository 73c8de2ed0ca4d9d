/// A pass over the protobuf wire format that allocates nothing and counts the sub-messages, before
/// the protobuf library, whose objects cost a hundred times their two bytes on the wire, sees them.
struct WireScan {
  static let messageLimit = 1 << 18
  static let depthLimit = 16

  /// Messages of onnx.proto that may hold others.
  private enum Message {
    case model, graph, node, attribute, tensor, valueInfo, type, tensorType, shape, leaf

    enum Child {
      case message(Message)
      case refused(String)
      case other
    }

    /// What field `number` holds, by onnx.proto.
    func child(_ number: UInt64) -> Child {
      switch (self, number) {
      case (.model, 7): .message(.graph)
      case (.model, 8), (.model, 14): .message(.leaf)
      case (.model, 20): .refused("training information")
      case (.model, 25): .refused("model-local functions")
      case (.model, 26): .refused("device configurations")
      case (.graph, 1): .message(.node)
      case (.graph, 5): .message(.tensor)
      case (.graph, 11), (.graph, 12), (.graph, 13): .message(.valueInfo)
      case (.graph, 14): .refused("quantisation annotations")
      case (.graph, 15): .refused("sparse initialisers")
      case (.graph, 16): .message(.leaf)
      case (.node, 5): .message(.attribute)
      case (.node, 9): .message(.leaf)
      case (.node, 10): .refused("device configurations")
      case (.attribute, 5), (.attribute, 10): .message(.tensor)
      case (.attribute, 6), (.attribute, 11): .message(.graph)
      case (.attribute, 14), (.attribute, 15): .message(.type)
      case (.attribute, 22), (.attribute, 23): .refused("sparse tensors")
      case (.tensor, 3), (.tensor, 13), (.tensor, 16): .message(.leaf)
      case (.valueInfo, 2): .message(.type)
      case (.valueInfo, 4): .message(.leaf)
      case (.type, 1): .message(.tensorType)
      case (.type, 4), (.type, 5), (.type, 7), (.type, 8), (.type, 9):
        .refused("values that are no dense tensors")
      case (.tensorType, 2): .message(.shape)
      case (.shape, 1): .message(.leaf)
      default: .other
      }
    }
  }

  private let bytes: UnsafeRawBufferPointer
  private var messages = 0

  static func check(_ bytes: [UInt8]) throws(ModelError) {
    let outcome = bytes.withUnsafeBytes { buffer in
      var scan = WireScan(bytes: buffer)
      return Result { () throws(ModelError) in
        try scan.message(.model, in: 0..<buffer.count, depth: 0)
      }
    }
    try outcome.get()
  }

  private init(bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

  private mutating func message(
    _ message: Message, in range: Range<Int>, depth: Int
  ) throws(ModelError) {
    messages += 1
    guard messages <= Self.messageLimit else {
      throw ModelError(.tooLarge("there are more than \(Self.messageLimit) parts"))
    }
    guard depth <= Self.depthLimit else {
      throw ModelError(.tooLarge("parts are nested more than \(Self.depthLimit) deep"))
    }
    var position = range.lowerBound
    while position < range.upperBound {
      let key = try varint(&position, range.upperBound)
      switch key & 7 {
      case 0: _ = try varint(&position, range.upperBound)
      case 1: try skip(8, &position, range.upperBound)
      case 5: try skip(4, &position, range.upperBound)
      case 2:
        let count = try varint(&position, range.upperBound)
        guard count <= UInt64(range.upperBound - position) else { throw truncated(position) }
        let end = position + Int(count)
        switch message.child(key >> 3) {
        case .message(let child): try self.message(child, in: position..<end, depth: depth + 1)
        case .refused(let what): throw ModelError(.unsupportedFeature("the file has \(what)"))
        case .other: break
        }
        position = end
      default:
        throw ModelError(.malformed("byte \(position) starts no field of an ONNX file"))
      }
    }
  }

  private func varint(_ position: inout Int, _ end: Int) throws(ModelError) -> UInt64 {
    var value: UInt64 = 0
    var shift: UInt64 = 0
    while position < end, shift < 64 {
      let byte = bytes[position]
      position += 1
      value |= UInt64(byte & 0x7F) << shift
      if byte < 0x80 { return value }
      shift += 7
    }
    throw truncated(position)
  }

  private func skip(_ count: Int, _ position: inout Int, _ end: Int) throws(ModelError) {
    guard count <= end - position else { throw truncated(position) }
    position += count
  }

  private func truncated(_ position: Int) -> ModelError {
    ModelError(.malformed("the file ends in the middle of a field at byte \(position)"))
  }
}
