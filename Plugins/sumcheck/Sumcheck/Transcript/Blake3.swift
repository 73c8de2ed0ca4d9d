/// BLAKE3 (O'Connor, Aumasson, Neves, Wilcox-O'Hearn; 2021), plain and keyed, with extendable
/// output: the standard's chunk tree, one block at a time.
struct Blake3 {
  private static let iv: [UInt32] = [
    0x6A09_E667, 0xBB67_AE85, 0x3C6E_F372, 0xA54F_F53A, 0x510E_527F, 0x9B05_688C, 0x1F83_D9AB,
    0x5BE0_CD19,
  ]
  private static let blockLength = 64
  private static let chunkLength = 1024

  private enum Flag {
    static let chunkStart: UInt32 = 1
    static let chunkEnd: UInt32 = 2
    static let parent: UInt32 = 4
    static let root: UInt32 = 8
    static let keyed: UInt32 = 16
  }

  /// What one compression takes; a root is compressed again for every block of output.
  struct Node {
    fileprivate let chain: SIMD8<UInt32>
    fileprivate let block: SIMD16<UInt32>
    fileprivate let counter: UInt64
    fileprivate let length: UInt32
    fileprivate let flags: UInt32

    fileprivate var chainingValue: SIMD8<UInt32> {
      let out = compress(chain, block, counter: counter, length: length, flags: flags)
      return out.lowHalf
    }

    /// Output block `index` of 64 bytes, for the root of a tree.
    func output(_ index: UInt64) -> SIMD16<UInt32> {
      compress(chain, block, counter: index, length: length, flags: flags | Flag.root)
    }

    /// The first 32 bytes of output, as words and as bytes.
    var digest: SIMD8<UInt32> { output(0).lowHalf }
    var hash: [UInt8] { Blake3.bytes(digest) }
  }

  static func hash(_ bytes: UnsafeRawBufferPointer, key: SIMD8<UInt32>? = nil) -> Node {
    let start = key ?? SIMD8(iv)
    let flags = key == nil ? 0 : Flag.keyed
    guard bytes.count > chunkLength else {
      return chunk(bytes, chain: start, index: 0, flags: flags)
    }
    return parent(bytes, chain: start, index: 0, flags: flags)
  }

  static func hash(_ bytes: [UInt8], key: SIMD8<UInt32>? = nil) -> Node {
    bytes.withUnsafeBytes { hash($0, key: key) }
  }

  /// Of the 64 bytes of 16 little-endian words.
  static func hash(block: SIMD16<UInt32>, key: SIMD8<UInt32>) -> Node {
    Node(
      chain: key, block: block, counter: 0, length: UInt32(blockLength),
      flags: Flag.keyed | Flag.chunkStart | Flag.chunkEnd)
  }

  /// The key of a purpose: the hash of its name. Each purpose hashes under a key of its own, so no
  /// hash made for one means anything for another.
  static func key(_ purpose: String) -> SIMD8<UInt32> {
    hash(Array(purpose.utf8)).digest
  }

  static func bytes(_ words: SIMD8<UInt32>) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(32)
    for lane in 0..<8 {
      for shift in stride(from: 0, to: 32, by: 8) {
        bytes.append(UInt8(truncatingIfNeeded: words[lane] >> UInt32(shift)))
      }
    }
    return bytes
  }

  static func words(_ bytes: UnsafeRawBufferPointer) -> SIMD8<UInt32> {
    var words = SIMD8<UInt32>.zero
    for lane in 0..<8 {
      words[lane] = UInt32(
        littleEndian: bytes.loadUnaligned(fromByteOffset: 4 * lane, as: UInt32.self))
    }
    return words
  }

  /// A subtree of more than one chunk: the left one holds the largest power of two of chunks that
  /// leaves something for the right.
  private static func parent(
    _ bytes: UnsafeRawBufferPointer, chain: SIMD8<UInt32>, index: UInt64, flags: UInt32
  ) -> Node {
    let chunks = (bytes.count + chunkLength - 1) / chunkLength
    let left = 1 << (chunks.ceilingLog - 1)
    let split = left * chunkLength
    let halves = [
      UnsafeRawBufferPointer(rebasing: bytes[..<split]),
      UnsafeRawBufferPointer(rebasing: bytes[split...]),
    ]
    var values: [SIMD8<UInt32>] = []
    for (half, offset) in zip(halves, [0, left]) {
      let first = index + UInt64(offset)
      if half.count == 8 * chunkLength {
        values.append(eightChunks(half, chain: chain, index: first, flags: flags))
        continue
      }
      let node =
        half.count > chunkLength
        ? parent(half, chain: chain, index: first, flags: flags)
        : chunk(half, chain: chain, index: first, flags: flags)
      values.append(node.chainingValue)
    }
    return Node(
      chain: chain, block: SIMD16(lowHalf: values[0], highHalf: values[1]), counter: 0,
      length: UInt32(blockLength), flags: flags | Flag.parent)
  }

  /// The chaining value over eight whole chunks, whose compressions run side by side.
  private static func eightChunks(
    _ bytes: UnsafeRawBufferPointer, chain: SIMD8<UInt32>, index: UInt64, flags: UInt32
  ) -> SIMD8<UInt32> {
    var chains = (0..<8).map { SIMD8<UInt32>(repeating: chain[$0]) }
    let counter = SIMD8<UInt32>((0..<8).map { UInt32(truncatingIfNeeded: index + $0) })
    let counterHigh = SIMD8<UInt32>((0..<8).map { UInt32(truncatingIfNeeded: (index + $0) >> 32) })
    let blocks = chunkLength / blockLength
    withUnsafeTemporaryAllocation(of: SIMD8<UInt32>.self, capacity: 32) { words in
      let (state, message) = (
        words.baseAddress.unsafelyUnwrapped, words.baseAddress.unsafelyUnwrapped + 16
      )
      for block in 0..<blocks {
        for word in 0..<16 {
          var lanes = SIMD8<UInt32>()
          for lane in 0..<8 {
            lanes[lane] = UInt32(
              littleEndian: bytes.loadUnaligned(
                fromByteOffset: lane * chunkLength + block * blockLength + 4 * word,
                as: UInt32.self))
          }
          message[word] = lanes
        }
        for row in 0..<8 { state[row] = chains[row] }
        for row in 0..<4 { state[8 + row] = SIMD8(repeating: iv[row]) }
        (state[12], state[13]) = (counter, counterHigh)
        state[14] = SIMD8(repeating: UInt32(blockLength))
        state[15] = SIMD8(
          repeating: flags | (block == 0 ? Flag.chunkStart : 0)
            | (block == blocks - 1 ? Flag.chunkEnd : 0))
        for round in 0..<7 { mixLanes(state, message, round) }
        for row in 0..<8 { chains[row] = state[row] ^ state[row + 8] }
      }
    }
    var values = (0..<8).map { lane in SIMD8<UInt32>((0..<8).map { chains[$0][lane] }) }
    while values.count > 1 {
      values = stride(from: 0, to: values.count, by: 2).map {
        Node(
          chain: chain, block: SIMD16(lowHalf: values[$0], highHalf: values[$0 + 1]), counter: 0,
          length: UInt32(blockLength), flags: flags | Flag.parent
        ).chainingValue
      }
    }
    return values[0]
  }

  private static func chunk(
    _ bytes: UnsafeRawBufferPointer, chain: SIMD8<UInt32>, index: UInt64, flags: UInt32
  ) -> Node {
    var chain = chain
    var start = 0
    var first = Flag.chunkStart
    while bytes.count - start > blockLength {
      let block = bytes.loadUnaligned(fromByteOffset: start, as: SIMD16<UInt32>.self)
      chain =
        compress(
          chain, block, counter: index, length: UInt32(blockLength), flags: flags | first
        ).lowHalf
      first = 0
      start += blockLength
    }
    let block = withUnsafeTemporaryAllocation(byteCount: blockLength, alignment: 16) { last in
      last.initializeMemory(as: UInt8.self, repeating: 0)
      last.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[start...]))
      return last.loadUnaligned(as: SIMD16<UInt32>.self)
    }
    return Node(
      chain: chain, block: block, counter: index, length: UInt32(bytes.count - start),
      flags: flags | first | Flag.chunkEnd)
  }
}

/// Which word of a block each step of each round mixes in.
private let schedule: [[Int]] = {
  let permutation = [2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8]
  return (1..<7).reduce(into: [Array(0..<16)]) { rounds, _ in
    let last = rounds[rounds.count - 1]
    rounds.append(permutation.map { last[$0] })
  }
}()

private typealias Lanes = UnsafeMutablePointer<SIMD8<UInt32>>

/// One round on eight states.
private func mixLanes(_ v: Lanes, _ m: Lanes, _ round: Int) {
  schedule[round].withUnsafeBufferPointer { order in
    mixLanes(v, 0, 4, 8, 12, m[order[0]], m[order[1]])
    mixLanes(v, 1, 5, 9, 13, m[order[2]], m[order[3]])
    mixLanes(v, 2, 6, 10, 14, m[order[4]], m[order[5]])
    mixLanes(v, 3, 7, 11, 15, m[order[6]], m[order[7]])
    mixLanes(v, 0, 5, 10, 15, m[order[8]], m[order[9]])
    mixLanes(v, 1, 6, 11, 12, m[order[10]], m[order[11]])
    mixLanes(v, 2, 7, 8, 13, m[order[12]], m[order[13]])
    mixLanes(v, 3, 4, 9, 14, m[order[14]], m[order[15]])
  }
}

@inline(__always)
private func mixLanes(
  _ v: Lanes, _ a: Int, _ b: Int, _ c: Int, _ d: Int, _ x: SIMD8<UInt32>, _ y: SIMD8<UInt32>
) {
  @inline(__always)
  func rotate(_ lanes: SIMD8<UInt32>, _ count: UInt32) -> SIMD8<UInt32> {
    (lanes &>> SIMD8(repeating: count)) | (lanes &<< SIMD8(repeating: 32 &- count))
  }
  v[a] = v[a] &+ v[b] &+ x
  v[d] = rotate(v[d] ^ v[a], 16)
  v[c] = v[c] &+ v[d]
  v[b] = rotate(v[b] ^ v[c], 12)
  v[a] = v[a] &+ v[b] &+ y
  v[d] = rotate(v[d] ^ v[a], 8)
  v[c] = v[c] &+ v[d]
  v[b] = rotate(v[b] ^ v[c], 7)
}

private typealias Row = SIMD4<UInt32>

@inline(__always)
private func rotate(_ row: Row, _ count: UInt32) -> Row {
  (row &>> Row(repeating: count)) | (row &<< Row(repeating: 32 &- count))
}

/// The quarter round on four columns at once.
@inline(__always)
private func mix(
  _ a: inout Row, _ b: inout Row, _ c: inout Row, _ d: inout Row, _ x: Row, _ y: Row
) {
  a = a &+ b &+ x
  d = rotate(d ^ a, 16)
  c = c &+ d
  b = rotate(b ^ c, 12)
  a = a &+ b &+ y
  d = rotate(d ^ a, 8)
  c = c &+ d
  b = rotate(b ^ c, 7)
}

/// The compression function: 16 words, of which the first 8 are the next chaining value.
private func compress(
  _ chain: SIMD8<UInt32>, _ block: SIMD16<UInt32>, counter: UInt64, length: UInt32, flags: UInt32
) -> SIMD16<UInt32> {
  var (a, b) = (chain.lowHalf, chain.highHalf)
  var c = Row(0x6A09_E667, 0xBB67_AE85, 0x3C6E_F372, 0xA54F_F53A)
  var d = Row(
    UInt32(truncatingIfNeeded: counter), UInt32(truncatingIfNeeded: counter >> 32), length, flags)
  var m = block
  for round in 0..<7 {
    mix(&a, &b, &c, &d, Row(m[0], m[2], m[4], m[6]), Row(m[1], m[3], m[5], m[7]))
    // Rotating the rows turns diagonals into columns.
    b = Row(b[1], b[2], b[3], b[0])
    c = Row(c[2], c[3], c[0], c[1])
    d = Row(d[3], d[0], d[1], d[2])
    mix(&a, &b, &c, &d, Row(m[8], m[10], m[12], m[14]), Row(m[9], m[11], m[13], m[15]))
    b = Row(b[3], b[0], b[1], b[2])
    c = Row(c[2], c[3], c[0], c[1])
    d = Row(d[1], d[2], d[3], d[0])
    if round < 6 {
      m = SIMD16(
        m[2], m[6], m[3], m[10], m[7], m[0], m[4], m[13], m[1], m[11], m[12], m[5], m[9], m[14],
        m[15], m[8])
    }
  }
  let low = SIMD8(lowHalf: a ^ c, highHalf: b ^ d)
  let high = SIMD8(lowHalf: c ^ chain.lowHalf, highHalf: d ^ chain.highHalf)
  return SIMD16(lowHalf: low, highHalf: high)
}
