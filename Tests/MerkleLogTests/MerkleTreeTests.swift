import MerkleLog
import Primitives
import Testing

struct MerkleTreeTests {
  /// The eight leaves and nine roots that Certificate Transparency's own tests use for RFC 6962.
  private static let leaves: [[UInt8]] = [
    [], [0x00], [0x10], [0x20, 0x21], [0x30, 0x31], Array(0x40...0x43), Array(0x50...0x57),
    Array(0x60...0x6f),
  ]
  private static let roots = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
  ]
  private static let largest = 33

  private func tree(_ count: Int) -> MerkleTree {
    MerkleTree(leaves: (0..<count).map { [UInt8(truncatingIfNeeded: $0), 0xa5] })
  }

  /// `path` with each hash changed, removed and repeated, and one hash added at either end.
  private func mutations(_ path: [Digest]) -> [[Digest]] {
    let stranger = Digest.of([0xee])
    var mutations = [path + [stranger], [stranger] + path]
    for index in path.indices {
      var changed = path
      changed[index] = stranger
      var shorter = path
      shorter.remove(at: index)
      var longer = path
      longer.insert(path[index], at: index)
      mutations += [changed, shorter, longer]
    }
    return mutations
  }

  @Test func givesTheWellKnownRoots() {
    for count in 0...8 {
      let tree = MerkleTree(leaves: Array(Self.leaves.prefix(count)))
      #expect(tree.root.description == Self.roots[count], "\(count) leaves")
    }
  }

  @Test func aLeafIsNeverANode() {
    let left = Digest.of([1])
    let right = Digest.of([2])
    #expect(MerkleTree.leafHash(left.bytes + right.bytes) != MerkleTree.nodeHash(left, right))
  }

  @Test func provesInclusionOfEveryLeafInEverySize() throws {
    for size in 1...Self.largest {
      let tree = tree(size)
      let root = tree.root
      for index in 0..<size {
        let proof = tree.inclusionProof(of: index)
        #expect(proof.verifies(leafHash: tree.leafHashes[index], root: root))
        #expect(try InclusionProof(canonicalBytes: proof.canonicalBytes) == proof)
      }
    }
  }

  @Test func refusesEveryMutatedInclusionProof() {
    for size in 1...Self.largest {
      let tree = tree(size)
      let root = tree.root
      for index in 0..<size {
        let leaf = tree.leafHashes[index]
        let proof = tree.inclusionProof(of: index)
        #expect(!proof.verifies(leafHash: Digest.of([0xee]), root: root))
        #expect(!proof.verifies(leafHash: leaf, root: Digest.of([0xee])))
        for path in mutations(proof.path) {
          let mutated = InclusionProof(index: proof.index, size: proof.size, path: path)
          #expect(!mutated.verifies(leafHash: leaf, root: root), "\(index) of \(size)")
        }
        for other in 0..<size where other != index {
          let moved = InclusionProof(index: UInt64(other), size: proof.size, path: proof.path)
          #expect(!moved.verifies(leafHash: leaf, root: root), "\(index) as \(other) of \(size)")
        }
      }
    }
  }

  @Test func refusesAnIndexOutsideTheTree() {
    let tree = tree(1)
    for index: UInt64 in [1, .max] {
      let proof = InclusionProof(index: index, size: 1, path: [])
      #expect(!proof.verifies(leafHash: tree.leafHashes[0], root: tree.root))
    }
    let empty = InclusionProof(index: 0, size: 0, path: [])
    #expect(!empty.verifies(leafHash: tree.leafHashes[0], root: MerkleTree(leaves: []).root))
    let huge = InclusionProof(
      index: .max - 1, size: .max, path: [Digest](repeating: .zero, count: 64))
    #expect(!huge.verifies(leafHash: tree.leafHashes[0], root: tree.root))
  }

  @Test func provesConsistencyOfEveryPairOfSizes() throws {
    let roots = (0...Self.largest).map { tree($0).root }
    for newSize in 1...Self.largest {
      let tree = tree(newSize)
      for oldSize in 1...newSize {
        let proof = tree.consistencyProof(from: oldSize)
        #expect(proof.verifies(oldRoot: roots[oldSize], newRoot: roots[newSize]))
        #expect(try ConsistencyProof(canonicalBytes: proof.canonicalBytes) == proof)
      }
    }
  }

  @Test func refusesEveryMutatedConsistencyProof() {
    let roots = (0...Self.largest).map { tree($0).root }
    let stranger = Digest.of([0xee])
    for newSize in 1...Self.largest {
      let tree = tree(newSize)
      for oldSize in 1...newSize {
        let (oldRoot, newRoot) = (roots[oldSize], roots[newSize])
        let proof = tree.consistencyProof(from: oldSize)
        #expect(!proof.verifies(oldRoot: stranger, newRoot: newRoot))
        #expect(!proof.verifies(oldRoot: oldRoot, newRoot: stranger))
        for path in mutations(proof.path) {
          let mutated = ConsistencyProof(
            oldSize: proof.oldSize, newSize: proof.newSize, path: path)
          #expect(
            !mutated.verifies(oldRoot: oldRoot, newRoot: newRoot), "\(oldSize) to \(newSize)")
        }
      }
    }
  }

  /// A log that changed a leaf has no proof at all, whatever honest proof is shown for it.
  @Test func refusesARewrittenHistory() {
    for newSize in 2...Self.largest {
      for oldSize in 1..<newSize {
        var leaves = tree(newSize).leafHashes
        leaves[oldSize - 1] = Digest.of([0xee])
        let rewritten = MerkleTree(leafHashes: leaves)
        let proof = rewritten.consistencyProof(from: oldSize)
        #expect(!proof.verifies(oldRoot: tree(oldSize).root, newRoot: rewritten.root))
      }
    }
  }

  @Test func refusesSizesThatCannotBe() {
    let root = tree(3).root
    for (oldSize, newSize) in [(0, 3), (4, 3), (0, 0)] as [(UInt64, UInt64)] {
      let proof = ConsistencyProof(oldSize: oldSize, newSize: newSize, path: [])
      #expect(!proof.verifies(oldRoot: root, newRoot: root))
    }
    #expect(
      !ConsistencyProof(oldSize: 1, newSize: .max, path: []).verifies(
        oldRoot: root, newRoot: root))
  }

  @Test func refusesAPathLongerThanAnyTree() {
    var encoder = CanonicalEncoder()
    encoder.append(UInt64(0))
    encoder.append(UInt64(1))
    encoder.append([Digest](repeating: .zero, count: 129))
    #expect(throws: CanonicalError.self) {
      _ = try InclusionProof(canonicalBytes: encoder.bytes)
    }
    #expect(throws: CanonicalError.self) {
      _ = try ConsistencyProof(canonicalBytes: encoder.bytes)
    }
  }

  @Test func theFrontierHasTheRootOfTheTree() {
    var frontier = MerkleFrontier()
    for size in 0...130 {
      #expect(frontier.count == UInt64(size))
      #expect(frontier.root == tree(size).root, "\(size) leaves")
      frontier.append(leafHash: tree(size + 1).leafHashes[size])
    }
  }
}
