/// A pass over the protobuf wire format that allocates nothing, before the protobuf library sees
/// the bytes: it counts what costs many times more memory than its bytes on the wire (sub-messages,
/// strings, numbers in varints) and refuses what no dense graph has.
struct WireScan {
  /// Messages and strings of a file.
  static let partLimit = 1 << 18
  static let depthLimit = 16
  /// Numbers of a file that are written as varints: eight bytes in memory for one on the wire.
  static let varintLimit = 1 << 22
  static let attributeNumberLimit = 1 << 16

  /// Messages of onnx.proto that may hold others.
  private enum Message {
    case model, graph, node, attribute, tensor, valueInfo, type, tensorType, shape, leaf

    enum Child {
      case message(Message)
      /// A name: short, and each counts as a part.
      case text
      /// Repeated numbers, packed or not.
      case varints
      case attributeNumbers
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
      case (.node, 1), (.node, 2), (.node, 3), (.node, 4), (.node, 7): .text
      case (.node, 5): .message(.attribute)
      case (.node, 9): .message(.leaf)
      case (.node, 10): .refused("device configurations")
      case (.attribute, 1), (.attribute, 4), (.attribute, 9): .text
      case (.attribute, 5), (.attribute, 10): .message(.tensor)
      case (.attribute, 6), (.attribute, 11): .message(.graph)
      case (.attribute, 7), (.attribute, 8): .attributeNumbers
      case (.attribute, 14), (.attribute, 15): .message(.type)
      case (.attribute, 22), (.attribute, 23): .refused("sparse tensors")
      case (.tensor, 1), (.tensor, 5), (.tensor, 7), (.tensor, 11): .varints
      case (.tensor, 6), (.tensor, 8): .text
      case (.tensor, 3), (.tensor, 13), (.tensor, 16): .message(.leaf)
      case (.valueInfo, 1): .text
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

    /// The fields by which an error names such a message, the first that is there.
    var nameFields: [UInt64] {
      switch self {
      case .node: [3, 2]
      case .tensor: [8]
      case .valueInfo: [1]
      default: []
      }
    }
  }

  private let bytes: UnsafeRawBufferPointer
  private var parts = 0
  private var varints = 0

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
    do {
      try fields(of: message, in: range, depth: depth)
    } catch {
      throw ModelError(error.problem, at: error.node ?? name(of: message, in: range))
    }
  }

  private mutating func fields(
    of message: Message, in range: Range<Int>, depth: Int
  ) throws(ModelError) {
    try countPart()
    guard depth <= Self.depthLimit else {
      throw ModelError(.tooLarge("parts are nested more than \(Self.depthLimit) deep"))
    }
    var position = range.lowerBound
    var numbers = 0
    while position < range.upperBound {
      let key = try varint(&position, range.upperBound)
      let child = message.child(key >> 3)
      let content = try skipField(key & 7, &position, range.upperBound)
      switch child {
      case .message(let child) where key & 7 == 2:
        try self.message(child, in: content, depth: depth + 1)
      case .text where key & 7 == 2:
        try countPart()
        guard content.count <= ModelFile.nameLimit else {
          throw ModelError(.tooLarge("a name is above \(ModelFile.nameLimit) bytes"))
        }
      case .varints:
        varints += key & 7 == 2 ? varintCount(content) : 1
        guard varints <= Self.varintLimit else {
          throw ModelError(.tooLarge("its integers are not written as raw data"))
        }
      case .attributeNumbers:
        // A packed float takes four bytes, a varint one or more.
        numbers += key & 7 == 2 ? (key >> 3 == 7 ? content.count / 4 : varintCount(content)) : 1
        guard numbers <= Self.attributeNumberLimit else {
          throw ModelError(
            .tooLarge("an attribute has more than \(Self.attributeNumberLimit) numbers"))
        }
      case .refused(let what): throw ModelError(.unsupportedFeature("the file has \(what)"))
      case .message, .text, .other: break
      }
    }
  }

  private mutating func countPart() throws(ModelError) {
    parts += 1
    guard parts <= Self.partLimit else {
      throw ModelError(.tooLarge("there are more than \(Self.partLimit) parts"))
    }
  }

  private func varintCount(_ range: Range<Int>) -> Int {
    bytes[range].count { $0 < 0x80 }
  }

  /// Passes over a field's value; gives the bytes within it.
  private func skipField(
    _ wireType: UInt64, _ position: inout Int, _ end: Int
  ) throws(ModelError) -> Range<Int> {
    let start = position
    switch wireType {
    case 0: _ = try varint(&position, end)
    case 1: try skip(8, &position, end)
    case 5: try skip(4, &position, end)
    case 2:
      let count = try varint(&position, end)
      guard count <= UInt64(end - position) else { throw truncated(position) }
      let content = position..<position + Int(count)
      position = content.upperBound
      return content
    default:
      throw ModelError(.malformed("byte \(position) starts no field of an ONNX file"))
    }
    return start..<position
  }

  /// What the file calls a node, tensor or value, at most 80 bytes of it.
  private func name(of message: Message, in range: Range<Int>) -> String? {
    for field in message.nameFields {
      var position = range.lowerBound
      while position < range.upperBound, let key = try? varint(&position, range.upperBound),
        let content = try? skipField(key & 7, &position, range.upperBound)
      {
        if key == field << 3 | 2, !content.isEmpty {
          return String(decoding: bytes[content].prefix(80), as: UTF8.self)
        }
      }
    }
    return nil
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
