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
    let start = offset
    let words = try words(2 * count)
    transcript.absorb(bytes[start..<offset])
    return (0..<count).map { Extension(words[2 * $0], words[2 * $0 + 1]) }
  }

  mutating func hash() throws(VerificationError) -> SIMD8<UInt32> {
    let start = offset
    let hash = try unabsorbedHash()
    transcript.absorb(bytes[start..<offset])
    return hash
  }

  mutating func bytes(_ count: Int) throws(VerificationError) -> ArraySlice<UInt8> {
    guard bytes.count - offset >= count else { throw .length }
    defer { offset += count }
    let slice = bytes[offset..<offset + count]
    transcript.absorb(slice)
    return slice
  }

  /// What follows the last challenge needs no absorbing.
  mutating func unabsorbedHash() throws(VerificationError) -> SIMD8<UInt32> {
    guard bytes.count - offset >= 32 else { throw .length }
    defer { offset += 32 }
    return bytes.withUnsafeBytes { Blake3.words(UnsafeRawBufferPointer(rebasing: $0[offset...])) }
  }

  mutating func unabsorbedColumn(_ count: Int) throws(VerificationError) -> [Goldilocks] {
    try words(count)
  }

  private mutating func words(_ count: Int) throws(VerificationError) -> [Goldilocks] {
    guard (bytes.count - offset) / 8 >= count else { throw .length }
    var words: [Goldilocks] = []
    words.reserveCapacity(count)
    for _ in 0..<count { words.append(try word()) }
    return words
  }

  /// The seal, and nothing after it. The seal is a challenge, drawn after everything that was
  /// absorbed: it binds to its statement a proof that no other challenge enters.
  mutating func finish(_ constraints: Constraints) throws(VerificationError) {
    let seal = transcript.challenge()
    let sent = Extension(try word(), try word())
    guard offset == bytes.count else { throw .length }
    try constraints.require(sent == seal, .seal)
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
