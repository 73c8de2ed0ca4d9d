/// The one codec for everything that is signed, hashed, journaled or sent (`docs/codec.md`).
///
/// A record has exactly one encoding. Integers are fixed-width little-endian; a byte string, a text
/// or a list is preceded by its count as UInt32, a choice by its tag as UInt8, an optional by 0 or
/// 1. Nothing is self-describing, nothing is skipped, nothing may follow the end.
public protocol CanonicalCodable {
  func encode(into encoder: inout CanonicalEncoder)
  init(from decoder: inout CanonicalDecoder) throws(CanonicalError)
}

extension CanonicalCodable {
  @inlinable public var canonicalBytes: [UInt8] { canonicalBytes(capacity: 256) }

  /// - Parameter capacity: Bytes to make room for at once.
  @inlinable public func canonicalBytes(capacity: Int) -> [UInt8] {
    var encoder = CanonicalEncoder(capacity: capacity)
    encode(into: &encoder)
    return encoder.finish()
  }

  /// Decodes exactly one record: trailing bytes are an error.
  @inlinable public init(canonicalBytes bytes: some Collection<UInt8>) throws(CanonicalError) {
    var decoder = CanonicalDecoder(bytes)
    try self.init(from: &decoder)
    try decoder.finish()
  }
}

/// Why bytes are not the canonical encoding of what was expected.
public struct CanonicalError: CodedError, Equatable {
  public enum Reason: Sendable, Equatable {
    case truncated(needed: Int, remaining: Int)
    case trailingBytes(count: Int)
    case unknownTag(UInt8, of: String)
    case countTooLarge(count: Int, limit: Int)
    case invalid(String)
  }

  public let reason: Reason
  /// Byte offset into the record at which decoding stopped.
  public let offset: Int

  public init(reason: Reason, offset: Int) { (self.reason, self.offset) = (reason, offset) }

  public var code: String { "malformed-bytes" }
  public var sentence: String {
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

/// Inlinable throughout, as the decoder is: a journal of a million entries is a hundred million
/// calls of these, and each is an instruction or two once its type is known.
public struct CanonicalEncoder: Sendable {
  /// What was encoded, up to `end`, and room for more: to append to an array takes longer than to
  /// write into it.
  @usableFromInline var storage: [UInt8]
  @usableFromInline var end = 0

  /// - Parameter capacity: Bytes to make room for at once.
  @inlinable public init(capacity: Int = 0) { storage = [UInt8](repeating: 0, count: capacity) }

  @inlinable public var count: Int { end }

  /// What was encoded so far, where it stands.
  @inlinable public var bytes: ArraySlice<UInt8> { storage[..<end] }

  /// All that was encoded.
  @inlinable public consuming func finish() -> [UInt8] {
    storage.removeLast(storage.count - end)
    return storage
  }

  /// Forgets what was encoded and keeps its memory for what comes next.
  @inlinable public mutating func removeAll() { end = 0 }

  @inlinable mutating func makeRoom(for size: Int) {
    if storage.count - end < size { grow(by: size) }
  }

  @usableFromInline mutating func grow(by size: Int) {
    var grown = [UInt8](repeating: 0, count: max(256, storage.count * 2, end + size))
    grown.withUnsafeMutableBytes { $0.copyBytes(from: storage[..<end]) }
    storage = grown
  }

  @inlinable mutating func append(plain value: some BitwiseCopyable) {
    let size = MemoryLayout.size(ofValue: value)
    makeRoom(for: size)
    storage.withUnsafeMutableBytes {
      $0.storeBytes(of: value, toByteOffset: end, as: type(of: value))
    }
    end += size
  }

  @inlinable public mutating func append(_ value: some FixedWidthInteger & BitwiseCopyable) {
    append(plain: value.littleEndian)
  }

  @inlinable public mutating func append(_ value: Bool) { append(plain: value ? 1 : 0 as UInt8) }

  @inlinable public mutating func append(_ value: Bytes32) { append(plain: value.inOrder) }

  /// Bytes whose count the reader knows.
  @inlinable public mutating func append(fixed value: some Collection<UInt8>) {
    let size = value.count
    makeRoom(for: size)
    storage.withUnsafeMutableBytes {
      UnsafeMutableRawBufferPointer(rebasing: $0[end..<end + size]).copyBytes(from: value)
    }
    end += size
  }

  @inlinable public mutating func append(counted value: some Collection<UInt8>) {
    append(UInt32(value.count))
    append(fixed: value)
  }

  /// A record that a reader can pass by without knowing it.
  @inlinable public mutating func append(counted record: some CanonicalCodable) {
    let start = end
    append(UInt32(0))
    record.encode(into: &self)
    let last = end
    end = start
    append(UInt32(last - start - MemoryLayout<UInt32>.size))
    end = last
  }

  public mutating func append(_ text: String) { append(counted: text.utf8) }

  @inlinable public mutating func append(_ record: some CanonicalCodable) {
    record.encode(into: &self)
  }

  @inlinable public mutating func append(_ records: [some CanonicalCodable]) {
    append(UInt32(records.count))
    // By index: a loop over the records would copy each.
    for index in records.indices { records[index].encode(into: &self) }
  }

  @inlinable public mutating func append(_ record: (some CanonicalCodable)?) {
    append(record != nil)
    record?.encode(into: &self)
  }

  @inlinable public mutating func append(
    list values: [some FixedWidthInteger & BitwiseCopyable]
  ) {
    append(UInt32(values.count))
    // A list of weights is long: not integer by integer where its memory is its encoding.
    if UInt16(1).littleEndian == 1 {
      values.withUnsafeBytes { append(fixed: $0) }
    } else {
      for value in values { append(value) }
    }
  }
}

/// Reads canonical bytes. Every count is checked against its limit and against what is left before
/// anything is allocated.
public struct CanonicalDecoder: Sendable {
  @usableFromInline let bytes: ArraySlice<UInt8>
  @usableFromInline var position = 0

  @inlinable public init(_ bytes: some Collection<UInt8>) {
    self.bytes = (bytes as? ArraySlice<UInt8>) ?? ((bytes as? [UInt8]) ?? Array(bytes))[...]
  }

  @inlinable public var offset: Int { position }
  @inlinable public var remaining: Int { bytes.count - position }

  /// - Parameter offset: Where what is wrong begins; nil for here.
  public func failure(_ reason: CanonicalError.Reason, at offset: Int? = nil) -> CanonicalError {
    CanonicalError(reason: reason, offset: offset ?? position)
  }

  @inlinable public func finish() throws(CanonicalError) {
    if remaining != 0 { throw failure(.trailingBytes(count: remaining)) }
  }

  @inlinable public mutating func integer<Value: FixedWidthInteger>(
    _ type: Value.Type = Value.self
  ) throws(CanonicalError) -> Value {
    let size = MemoryLayout<Value>.size
    try require(size)
    let value = bytes.withUnsafeBytes { buffer in
      Value(littleEndian: buffer.loadUnaligned(fromByteOffset: position, as: Value.self))
    }
    position += size
    return value
  }

  @inlinable public mutating func bool() throws(CanonicalError) -> Bool {
    let value = try integer(UInt8.self)
    guard value <= 1 else { throw failure(.unknownTag(value, of: "Bool")) }
    return value == 1
  }

  @inlinable public mutating func bytes32() throws(CanonicalError) -> Bytes32 {
    try require(Bytes32.count)
    let value = bytes.withUnsafeBytes { buffer in
      Bytes32(
        inOrder: buffer.loadUnaligned(
          fromByteOffset: position, as: (UInt64, UInt64, UInt64, UInt64).self))
    }
    position += Bytes32.count
    return value
  }

  /// The digest under `domain` of what has been read from `start` on, as it stands here: a record's
  /// bytes need not be made again to be hashed.
  public func digest(from start: Int, domain: HashDomain) -> Digest {
    Digest.of(slice(start..<position), domain: domain)
  }

  /// - Parameter range: Of offsets.
  @inlinable func slice(_ range: Range<Int>) -> ArraySlice<UInt8> {
    bytes[bytes.startIndex + range.lowerBound..<bytes.startIndex + range.upperBound]
  }

  @inlinable public mutating func fixed(count: Int) throws(CanonicalError) -> [UInt8] {
    Array(try slice(count: count))
  }

  /// The same bytes where they stand, which are then kept for as long.
  @inlinable public mutating func slice(count: Int) throws(CanonicalError) -> ArraySlice<UInt8> {
    try require(count)
    defer { position += count }
    return slice(position..<position + count)
  }

  @inlinable public mutating func counted(limit: Int) throws(CanonicalError) -> [UInt8] {
    try fixed(count: count(limit: limit, elementSize: 1))
  }

  @inlinable public mutating func countedSlice(
    limit: Int
  ) throws(CanonicalError) -> ArraySlice<UInt8> {
    try slice(count: count(limit: limit, elementSize: 1))
  }

  public mutating func text(limit: Int) throws(CanonicalError) -> String {
    let start = offset
    let count = try count(limit: limit, elementSize: 1)
    let utf8 = slice(position..<position + count)
    // Decoding mends what is no UTF-8, and then has other bytes; ASCII needs no second look.
    // `String(validating:)` asks the runtime for its types at every call.
    let text = utf8.withUnsafeBufferPointer { String(decoding: $0, as: UTF8.self) }
    guard utf8.allSatisfy({ $0 < 0x80 }) || text.utf8.elementsEqual(utf8) else {
      throw failure(.invalid("the text is not UTF-8"), at: start)
    }
    position += count
    return text
  }

  @inlinable public mutating func record<Record: CanonicalCodable>(
    _ type: Record.Type = Record.self
  ) throws(CanonicalError) -> Record {
    try Record(from: &self)
  }

  @inlinable public mutating func optional<Record: CanonicalCodable>(
    _ type: Record.Type = Record.self
  ) throws(CanonicalError) -> Record? {
    try bool() ? record() : nil
  }

  /// A choice without further fields, by its tag.
  @inlinable public mutating func choice<Choice: RawRepresentable<UInt8>>(
    _ type: Choice.Type = Choice.self
  ) throws(CanonicalError) -> Choice {
    let tag = try integer(UInt8.self)
    guard let choice = Choice(rawValue: tag) else {
      throw failure(.unknownTag(tag, of: "\(type)"), at: offset - 1)
    }
    return choice
  }

  /// The same, where the tag 0 stands for nil.
  @inlinable public mutating func choice<Choice: RawRepresentable<UInt8>>(
    orNone type: Choice.Type
  ) throws(CanonicalError) -> Choice? {
    guard remaining > 0, bytes[bytes.startIndex + position] == 0 else { return try choice(type) }
    position += 1
    return nil
  }

  /// `elementSize` is the smallest encoding of one element, in bytes: a count that could not fit in
  /// what remains is refused before the list is allocated.
  @inlinable public mutating func list<Record: CanonicalCodable>(
    of type: Record.Type = Record.self, limit: Int, elementSize: Int = 1
  ) throws(CanonicalError) -> [Record] {
    let count = try count(limit: limit, elementSize: elementSize)
    var records: [Record] = []
    records.reserveCapacity(count)
    for _ in 0..<count { records.append(try record()) }
    return records
  }

  @inlinable public mutating func integers<Value: FixedWidthInteger>(
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
          from: UnsafeRawBufferPointer(rebasing: $0[position..<position + size]))
      }
      filled = count
    }
    position += size
    return values
  }

  @inlinable public mutating func count(
    limit: Int, elementSize: Int
  ) throws(CanonicalError) -> Int {
    let count = Int(try integer(UInt32.self))
    guard count <= limit else { throw failure(.countTooLarge(count: count, limit: limit)) }
    let (needed, overflow) = count.multipliedReportingOverflow(by: elementSize)
    guard !overflow, needed <= remaining else {
      throw failure(.truncated(needed: overflow ? .max : needed, remaining: remaining))
    }
    return count
  }

  @inlinable func require(_ count: Int) throws(CanonicalError) {
    guard count >= 0, count <= remaining else {
      throw failure(.truncated(needed: count, remaining: remaining))
    }
  }
}
