package import Primitives

/// Merkle tree hashing of RFC 6962, section 2.1, over SHA-256.
///
/// A leaf is hashed as SHA-256(0x00 ‖ leaf), a node as SHA-256(0x01 ‖ left ‖ right); the left
/// sub-tree of n leaves holds the largest power of two below n. The root of no leaves is the digest
/// of nothing.
package struct MerkleTree: Sendable {
  /// `levels[k][i]` is the root of the complete sub-tree over leaves i·2^k to (i+1)·2^k, so that a
  /// tree grows in O(1) amortised hashes and proves in O(log² n); 64 bytes for each leaf.
  private var levels: [[Digest]] = [[]]

  /// Leaf hashes in order.
  package var leafHashes: [Digest] { levels[0] }

  package init(leafHashes: [Digest] = []) { for hash in leafHashes { append(leafHash: hash) } }

  package init(leaves: [[UInt8]]) { self.init(leafHashes: leaves.map(Self.leafHash)) }

  package var count: Int { levels[0].count }

  package mutating func append(leafHash: Digest) {
    levels[0].append(leafHash)
    var level = 0
    while levels[level].count.isMultiple(of: 2) {
      let pair = levels[level].suffix(2)
      if level + 1 == levels.count { levels.append([]) }
      level += 1
      levels[level].append(Self.nodeHash(pair[pair.startIndex], pair[pair.startIndex + 1]))
    }
  }

  package static func leafHash(_ leaf: some Collection<UInt8>) -> Digest {
    var hasher = SHA256()
    hasher.update(0x00 as UInt8)
    hasher.update(leaf)
    return hasher.finalize()
  }

  /// Of a leaf that is itself a digest.
  package static func leafHash(of leaf: Digest) -> Digest {
    var hasher = SHA256()
    hasher.update(0x00 as UInt8)
    hasher.update(leaf)
    return hasher.finalize()
  }

  package static func nodeHash(_ left: Digest, _ right: Digest) -> Digest {
    var hasher = SHA256()
    hasher.update(0x01 as UInt8)
    hasher.update(left)
    hasher.update(right)
    return hasher.finalize()
  }

  package var root: Digest { root(of: 0..<count) }

  /// The audit path of RFC 6962, section 2.1.1: sibling hashes from the leaf up.
  package func inclusionProof(of index: Int) -> InclusionProof {
    precondition(levels[0].indices.contains(index))
    return InclusionProof(
      index: UInt64(index), size: UInt64(count), path: path(to: index, in: 0..<count))
  }

  /// The consistency proof of RFC 6962, section 2.1.2, from the first `size` leaves to all of them.
  package func consistencyProof(from size: Int) -> ConsistencyProof {
    precondition(size > 0 && size <= count)
    return ConsistencyProof(
      oldSize: UInt64(size), newSize: UInt64(count),
      path: subproof(size, 0..<count, isComplete: true))
  }

  /// Left parts of a split begin at a multiple of their size, so each is a node of `levels`.
  private func root(of leaves: Range<Int>) -> Digest {
    if leaves.isEmpty { return Digest.of([UInt8]()) }
    if leaves.count.nonzeroBitCount == 1, leaves.lowerBound.isMultiple(of: leaves.count) {
      return levels[leaves.count.trailingZeroBitCount][leaves.lowerBound / leaves.count]
    }
    let middle = leaves.lowerBound + Self.split(leaves.count)
    return Self.nodeHash(
      root(of: leaves.lowerBound..<middle), root(of: middle..<leaves.upperBound))
  }

  private func path(to index: Int, in leaves: Range<Int>) -> [Digest] {
    guard leaves.count > 1 else { return [] }
    let middle = leaves.lowerBound + Self.split(leaves.count)
    let (left, right) = (leaves.lowerBound..<middle, middle..<leaves.upperBound)
    return index < middle
      ? path(to: index, in: left) + [root(of: right)]
      : path(to: index, in: right) + [root(of: left)]
  }

  private func subproof(_ size: Int, _ leaves: Range<Int>, isComplete: Bool) -> [Digest] {
    if size == leaves.count { return isComplete ? [] : [root(of: leaves)] }
    let split = Self.split(leaves.count)
    let middle = leaves.lowerBound + split
    let (left, right) = (leaves.lowerBound..<middle, middle..<leaves.upperBound)
    return size <= split
      ? subproof(size, left, isComplete: isComplete) + [root(of: right)]
      : subproof(size - split, right, isComplete: false) + [root(of: left)]
  }

  /// The largest power of two below `count`, for a count of at least two.
  private static func split(_ count: Int) -> Int {
    1 << (Int.bitWidth - 1 - (count - 1).leadingZeroBitCount)
  }
}

/// Proof that a leaf is in a tree of a given size and root.
package struct InclusionProof: Hashable, Sendable, CanonicalCodable {
  package let index: UInt64
  package let size: UInt64
  package let path: [Digest]

  package init(index: UInt64, size: UInt64, path: [Digest]) {
    (self.index, self.size, self.path) = (index, size, path)
  }

  package func verifies(leafHash: Digest, root: Digest) -> Bool {
    self.root(leafHash: leafHash) == root
  }

  /// The root of the tree that the leaf is in by this proof; nil where the proof is of no tree. The
  /// algorithm of RFC 9162, section 2.1.3.2.
  package func root(leafHash: Digest) -> Digest? {
    guard index < size else { return nil }
    var node = index
    var last = size - 1
    var hash = leafHash
    for sibling in path {
      if last == 0 { return nil }
      if node & 1 == 1 || node == last {
        hash = MerkleTree.nodeHash(sibling, hash)
        while node & 1 == 0 && node != 0 { (node, last) = (node >> 1, last >> 1) }
      } else {
        hash = MerkleTree.nodeHash(hash, sibling)
      }
      (node, last) = (node >> 1, last >> 1)
    }
    return last == 0 ? hash : nil
  }

  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(index)
    encoder.append(size)
    encoder.append(path)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    index = try decoder.integer()
    size = try decoder.integer()
    path = try decoder.list(limit: 64, elementSize: Bytes32.count)
  }
}

/// Proof that a tree of `newSize` leaves begins with the tree of `oldSize` leaves.
package struct ConsistencyProof: Hashable, Sendable, CanonicalCodable {
  package let oldSize: UInt64
  package let newSize: UInt64
  package let path: [Digest]

  package init(oldSize: UInt64, newSize: UInt64, path: [Digest]) {
    (self.oldSize, self.newSize, self.path) = (oldSize, newSize, path)
  }

  /// The algorithm of RFC 9162, section 2.1.4.2.
  package func verifies(oldRoot: Digest, newRoot: Digest) -> Bool {
    guard oldSize > 0, oldSize <= newSize else { return false }
    if oldSize == newSize { return path.isEmpty && oldRoot == newRoot }
    var remaining = path[...]
    if oldSize & (oldSize - 1) == 0 { remaining = [oldRoot] + path }
    guard let first = remaining.popFirst() else { return false }
    var node = oldSize - 1
    var last = newSize - 1
    while node & 1 == 1 { (node, last) = (node >> 1, last >> 1) }
    var oldHash = first
    var newHash = first
    for sibling in remaining {
      if last == 0 { return false }
      if node & 1 == 1 || node == last {
        oldHash = MerkleTree.nodeHash(sibling, oldHash)
        newHash = MerkleTree.nodeHash(sibling, newHash)
        while node & 1 == 0 && node != 0 { (node, last) = (node >> 1, last >> 1) }
      } else {
        newHash = MerkleTree.nodeHash(newHash, sibling)
      }
      (node, last) = (node >> 1, last >> 1)
    }
    return last == 0 && oldHash == oldRoot && newHash == newRoot
  }

  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(oldSize)
    encoder.append(newSize)
    encoder.append(path)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    oldSize = try decoder.integer()
    newSize = try decoder.integer()
    path = try decoder.list(limit: 128, elementSize: Bytes32.count)
  }
}

/// The right edge of a growing tree: appends a leaf in O(log n) and gives the root without keeping
/// the leaves. `peaks` are the roots of the complete sub-trees, largest first.
package struct MerkleFrontier: Sendable {
  package private(set) var count: UInt64 = 0
  private var peaks: [Digest] = []

  package init() {}

  package mutating func append(leafHash: Digest) {
    var hash = leafHash
    var size = count
    while size & 1 == 1, let left = peaks.popLast() {
      hash = MerkleTree.nodeHash(left, hash)
      size >>= 1
    }
    peaks.append(hash)
    count += 1
  }

  package var root: Digest {
    guard var hash = peaks.last else { return Digest.of([UInt8]()) }
    for peak in peaks.dropLast().reversed() { hash = MerkleTree.nodeHash(peak, hash) }
    return hash
  }
}
