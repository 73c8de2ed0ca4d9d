/// Reads a proof in order and absorbs every message before the next challenge can be drawn.
struct ProofReader {
  private let bytes: [UInt8]
  private var offset = 0
  var transcript: Transcript

  init(_ bytes: [UInt8], transcript: Transcript) {
    (self.bytes, self.transcript) = (bytes, transcript)
  }

  mutating func element() throws(VerificationError) -> Extension {
    let c0 = try word()
    let element = Extension(c0, try word())
    transcript.absorb(element)
    return element
  }

  mutating func elements(_ count: Int) throws(VerificationError) -> [Extension] {
    var elements: [Extension] = []
    for _ in 0..<count { elements.append(try element()) }
    return elements
  }

  mutating func hash() throws(VerificationError) -> [UInt8] {
    let hash = try unabsorbedHash()
    transcript.absorb(hash)
    return hash
  }

  /// What follows the last challenge needs no absorbing.
  mutating func unabsorbedHash() throws(VerificationError) -> [UInt8] { try take(32) }

  mutating func unabsorbedColumn(_ count: Int) throws(VerificationError) -> [Goldilocks] {
    var column: [Goldilocks] = []
    column.reserveCapacity(count)
    for _ in 0..<count { column.append(try word()) }
    return column
  }

  func finish() throws(VerificationError) {
    guard offset == bytes.count else { throw .length }
  }

  private mutating func take(_ count: Int) throws(VerificationError) -> [UInt8] {
    guard bytes.count - offset >= count else { throw .length }
    defer { offset += count }
    return Array(bytes[offset..<offset + count])
  }

  private mutating func word() throws(VerificationError) -> Goldilocks {
    guard bytes.count - offset >= 8 else { throw .length }
    let word = bytes.withUnsafeBytes {
      UInt64(littleEndian: $0.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
    }
    offset += 8
    guard let element = Goldilocks(word) else { throw .element }
    return element
  }
}
