/// The Merkle tree over the columns of an encoded matrix. Leaves and inner nodes are hashed under
/// keys of their own, so that neither can be taken for the other.
enum MerkleColumns {
  static let leafKey = Blake3.key("bourse/sumcheck/leaf/1")
  static let nodeKey = Blake3.key("bourse/sumcheck/node/1")

  /// Of the column's elements, 8 little-endian bytes each.
  static func leaf(_ column: [Goldilocks]) -> SIMD8<UInt32> {
    // Not by a key path, which is followed anew for each element.
    let words = column.map { $0.value.littleEndian }
    return words.withUnsafeBytes { Blake3.hash($0, key: leafKey) }.digest
  }

  static func node(_ left: SIMD8<UInt32>, _ right: SIMD8<UInt32>) -> SIMD8<UInt32> {
    Blake3.hash(block: SIMD16(lowHalf: left, highHalf: right), key: nodeKey).digest
  }

  /// Calls `body`, level by level from the leaves, for every known node whose sibling is not known;
  /// both sides of a proof visit them in this order.
  static func forEachSibling(
    _ positions: [Int], log: Int, _ body: (_ level: Int, _ index: Int) -> Void
  ) {
    var known = positions
    for level in 0..<log {
      var parents: [Int] = []
      for (place, index) in known.enumerated() {
        let sibling = index ^ 1
        let isKnown =
          place > 0 && known[place - 1] == sibling
          || place + 1 < known.count && known[place + 1] == sibling
        if !isKnown { body(level, sibling) }
        if parents.last != index >> 1 { parents.append(index >> 1) }
      }
      known = parents
    }
  }

  static func siblingCount(_ positions: [Int], log: Int) -> Int {
    var count = 0
    forEachSibling(positions, log: log) { _, _ in count += 1 }
    return count
  }

  /// The root over the leaves at ascending, distinct positions, with the siblings that
  /// `forEachSibling` names, all of them used.
  static func root(
    _ leaves: [(position: Int, hash: SIMD8<UInt32>)], siblings: [SIMD8<UInt32>], log: Int
  ) -> SIMD8<UInt32> {
    var known = leaves
    var next = siblings.makeIterator()
    for _ in 0..<log {
      var parents: [(position: Int, hash: SIMD8<UInt32>)] = []
      var place = 0
      while place < known.count {
        let (index, hash) = known[place]
        let other: SIMD8<UInt32>
        if place + 1 < known.count, known[place + 1].position == index ^ 1 {
          other = known[place + 1].hash
          place += 1
        } else {
          other = next.next() ?? .zero
        }
        let parent = index & 1 == 0 ? node(hash, other) : node(other, hash)
        parents.append((index >> 1, parent))
        place += 1
      }
      known = parents
    }
    return known[0].hash
  }
}
