/// The one codec for everything that is signed, hashed, journaled or sent (`docs/codec.md`).
///
/// A record has exactly one encoding. Integers are fixed-width little-endian; a byte string, a text
/// or a list is preceded by its count as UInt32, a choice by its tag as UInt8, an optional by 0 or
/// 1. Nothing is self-describing, nothing is skipped, nothing may follow the end.
package protocol CanonicalCodable {
  func encode(into encoder: inout CanonicalEncoder)
  init(from decoder: inout CanonicalDecoder) throws(CanonicalError)
}

extension CanonicalCodable {
  package var canonicalBytes: [UInt8] {
    var encoder = CanonicalEncoder()
    encode(into: &encoder)
    return encoder.bytes
  }

  /// Decodes exactly one record: trailing bytes are an error.
  package init(canonicalBytes bytes: some Collection<UInt8>) throws(CanonicalError) {
    var decoder = CanonicalDecoder(bytes)
    try self.init(from: &decoder)
    try decoder.finish()
  }
}

/// Why bytes are not the canonical encoding of what was expected.
package struct CanonicalError: CodedError, Equatable {
  package enum Reason: Sendable, Equatable {
    case truncated(needed: Int, remaining: Int)
    case trailingBytes(count: Int)
    case unknownTag(UInt8, of: String)
    case countTooLarge(count: Int, limit: Int)
    case invalid(String)
  }

  package let reason: Reason
  /// Byte offset into the record at which decoding stopped.
  package let offset: Int

  package var code: String { "malformed-bytes" }
  package var sentence: String {
    let what =
      switch reason {
      case .truncated(let needed, let remaining):
        "\(needed) more bytes were expected and \(remaining) are left"
      case .trailingBytes(let count): "\(count) bytes follow the end of the record"
      case .unknownTag(let tag, let type): "\(tag) is no tag of \(type)"
      case .countTooLarge(let count, let limit):
        "a count of \(count) is above its limit of \(limit)"
      case .invalid(let what): what
      }
    return "At byte \(offset), \(what); send the canonical encoding of docs/codec.md."
  }
}

package struct CanonicalEncoder: Sendable {
  package private(set) var bytes: [UInt8] = []

  package init() {}

  package mutating func append(_ value: some FixedWidthInteger) {
    withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
  }

  package mutating func append(_ value: Bool) { bytes.append(value ? 1 : 0) }

  /// Bytes whose count the reader knows.
  package mutating func append(fixed value: some Collection<UInt8>) {
    bytes.append(contentsOf: value)
  }

  package mutating func append(counted value: some Collection<UInt8>) {
    append(UInt32(value.count))
    bytes.append(contentsOf: value)
  }

  package mutating func append(_ text: String) { append(counted: Array(text.utf8)) }

  package mutating func append(_ record: some CanonicalCodable) { record.encode(into: &self) }

  package mutating func append(_ records: [some CanonicalCodable]) {
    append(UInt32(records.count))
    for record in records { record.encode(into: &self) }
  }

  package mutating func append(_ record: (some CanonicalCodable)?) {
    append(record != nil)
    record?.encode(into: &self)
  }

  package mutating func append(list values: [some FixedWidthInteger]) {
    append(UInt32(values.count))
    // A list of weights is long: not integer by integer where its memory is its encoding.
    if UInt16(1).littleEndian == 1 {
      values.withUnsafeBytes { bytes.append(contentsOf: $0) }
    } else {
      for value in values { append(value) }
    }
  }
}

/// Reads canonical bytes. Every count is checked against its limit and against what is left before
/// anything is allocated.
package struct CanonicalDecoder: Sendable {
  private let bytes: [UInt8]
  package private(set) var offset = 0

  package init(_ bytes: some Collection<UInt8>) {
    self.bytes = (bytes as? [UInt8]) ?? Array(bytes)
  }

  package var remaining: Int { bytes.count - offset }

  package func failure(_ reason: CanonicalError.Reason) -> CanonicalError {
    CanonicalError(reason: reason, offset: offset)
  }

  package func finish() throws(CanonicalError) {
    if remaining != 0 { throw failure(.trailingBytes(count: remaining)) }
  }

  package mutating func integer<Value: FixedWidthInteger>(
    _ type: Value.Type = Value.self
  ) throws(CanonicalError) -> Value {
    let size = MemoryLayout<Value>.size
    try require(size)
    let value = bytes.withUnsafeBytes { buffer in
      Value(littleEndian: buffer.loadUnaligned(fromByteOffset: offset, as: Value.self))
    }
    offset += size
    return value
  }

  package mutating func bool() throws(CanonicalError) -> Bool {
    let value = try integer(UInt8.self)
    guard value <= 1 else { throw failure(.unknownTag(value, of: "Bool")) }
    return value == 1
  }

  package mutating func bytes32() throws(CanonicalError) -> Bytes32 {
    try require(Bytes32.count)
    guard let value = Bytes32(bytes[offset..<offset + Bytes32.count]) else {
      throw failure(.invalid("32 bytes were expected"))
    }
    offset += Bytes32.count
    return value
  }

  package mutating func fixed(count: Int) throws(CanonicalError) -> [UInt8] {
    try require(count)
    defer { offset += count }
    return Array(bytes[offset..<offset + count])
  }

  package mutating func counted(limit: Int) throws(CanonicalError) -> [UInt8] {
    try fixed(count: count(limit: limit, elementSize: 1))
  }

  package mutating func text(limit: Int) throws(CanonicalError) -> String {
    let start = self
    let utf8 = try counted(limit: limit)
    guard let text = String(validating: utf8, as: UTF8.self) else {
      throw start.failure(.invalid("the text is not UTF-8"))
    }
    return text
  }

  package mutating func record<Record: CanonicalCodable>(
    _ type: Record.Type = Record.self
  ) throws(CanonicalError) -> Record {
    try Record(from: &self)
  }

  package mutating func optional<Record: CanonicalCodable>(
    _ type: Record.Type = Record.self
  ) throws(CanonicalError) -> Record? {
    try bool() ? record() : nil
  }

  /// A choice without further fields, by its tag.
  package mutating func choice<Choice: RawRepresentable<UInt8>>(
    _ type: Choice.Type = Choice.self
  ) throws(CanonicalError) -> Choice {
    let start = self
    let tag = try integer(UInt8.self)
    guard let choice = Choice(rawValue: tag) else {
      throw start.failure(.unknownTag(tag, of: "\(type)"))
    }
    return choice
  }

  /// The same, where the tag 0 stands for nil.
  package mutating func choice<Choice: RawRepresentable<UInt8>>(
    orNone type: Choice.Type
  ) throws(CanonicalError) -> Choice? {
    var ahead = self
    guard try ahead.integer(UInt8.self) == 0 else { return try choice(type) }
    self = ahead
    return nil
  }

  /// `elementSize` is the smallest encoding of one element, in bytes: a count that could not fit in
  /// what remains is refused before the list is allocated.
  package mutating func list<Record: CanonicalCodable>(
    of type: Record.Type = Record.self, limit: Int, elementSize: Int = 1
  ) throws(CanonicalError) -> [Record] {
    let count = try count(limit: limit, elementSize: elementSize)
    var records: [Record] = []
    records.reserveCapacity(count)
    for _ in 0..<count { records.append(try record()) }
    return records
  }

  package mutating func integers<Value: FixedWidthInteger>(
    _ type: Value.Type = Value.self, limit: Int
  ) throws(CanonicalError) -> [Value] {
    let count = try count(limit: limit, elementSize: MemoryLayout<Value>.size)
    guard UInt16(1).littleEndian == 1 else {
      var values: [Value] = []
      values.reserveCapacity(count)
      for _ in 0..<count { values.append(try integer()) }
      return values
    }
    let size = count * MemoryLayout<Value>.size
    let values = [Value](unsafeUninitializedCapacity: count) { values, filled in
      bytes.withUnsafeBytes {
        UnsafeMutableRawBufferPointer(values).copyMemory(
          from: UnsafeRawBufferPointer(rebasing: $0[offset..<offset + size]))
      }
      filled = count
    }
    offset += size
    return values
  }

  package mutating func count(limit: Int, elementSize: Int) throws(CanonicalError) -> Int {
    let count = Int(try integer(UInt32.self))
    guard count <= limit else { throw failure(.countTooLarge(count: count, limit: limit)) }
    let (needed, overflow) = count.multipliedReportingOverflow(by: elementSize)
    guard !overflow, needed <= remaining else {
      throw failure(.truncated(needed: overflow ? .max : needed, remaining: remaining))
    }
    return count
  }

  private func require(_ count: Int) throws(CanonicalError) {
    guard count >= 0, count <= remaining else {
      throw failure(.truncated(needed: count, remaining: remaining))
    }
  }
}
