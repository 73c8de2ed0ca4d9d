/// Writes a proof in order and absorbs every message before the next challenge can be drawn.
struct ProofWriter {
  private(set) var bytes: [UInt8] = []
  var transcript: Transcript

  init(transcript: Transcript) { self.transcript = transcript }

  mutating func append(_ element: Extension) {
    transcript.absorb(element)
    append(unabsorbed: element.c0.value)
    append(unabsorbed: element.c1.value)
  }

  mutating func append(_ hash: [UInt8]) {
    transcript.absorb(hash)
    append(unabsorbed: hash)
  }

  /// After the last message: binds to its statement a proof that no other challenge enters.
  mutating func seal() {
    let seal = transcript.challenge()
    append(unabsorbed: seal.c0.value)
    append(unabsorbed: seal.c1.value)
  }

  mutating func append(unabsorbed bytes: some Collection<UInt8>) {
    self.bytes.append(contentsOf: bytes)
  }

  mutating func append(unabsorbed word: UInt64) {
    withUnsafeBytes(of: word.littleEndian) { bytes.append(contentsOf: $0) }
  }
}
