/// Many ordered sets of numbered nodes in shared memory: each is a B+ tree (Comer, "The ubiquitous
/// B-tree", 1979). A search reads a few blocks of prices that lie side by side, where a binary tree
/// would wait for memory at each of a dozen nodes.
///
/// A block is given up when it is empty and is not merged before (Johnson and Shasha, "B-trees with
/// inserts and deletes: why free-at-empty is better than merge-at-half", 1993).
struct OrderedForest: Sendable {
  /// A place in a queue: the price's rank, then arrival.
  struct Key: Comparable, Sendable {
    var price: UInt64 = 0
    var arrival: UInt64 = 0

    /// As one number, which is compared without a branch that a processor could guess wrong.
    private var number: UInt128 { UInt128(price) << 64 | UInt128(arrival) }

    static func < (left: Key, right: Key) -> Bool { left.number < right.number }
  }

  /// One of the sets.
  struct Tree: Sendable {
    /// A leaf, or a branch where `height` is above 0.
    fileprivate var root = OrderedForest.none
    fileprivate var height = 0
  }

  /// Where a walk through a set stands; good until the set changes.
  struct Place: Sendable {
    fileprivate var leaf: UInt32
    fileprivate var index: Int
  }

  /// Places in a block; block `b` has those from `b * width` on.
  private static let width = 32

  private struct Leaf: Sendable {
    var count = 0
    var next = OrderedForest.none
    var previous = OrderedForest.none
  }

  /// No node, no block.
  static let none = UInt32.max

  private var keys: [Key] = []
  private var leaves: [Leaf] = []
  /// Of the leaves' nodes, which are in order. Keys that share their price differ in `keys`.
  private var prices: [UInt64] = []
  private var nodes: [UInt32] = []
  /// Children of each branch.
  private var counts: [Int] = []
  /// What no node of the child comes before; the first of a branch says nothing.
  private var separators: [Key] = []
  /// Blocks one level below, in order.
  private var children: [UInt32] = []
  private var freeLeaves: [UInt32] = []
  private var freeBranches: [UInt32] = []

  /// Makes room for nodes numbered below `count`, a quarter at a time: doubling would leave up to
  /// half of the memory unused.
  mutating func grow(to count: Int) {
    guard count > keys.count else { return }
    if count > keys.capacity { keys.reserveCapacity(count + count / 4) }
    while keys.count < count { keys.append(Key()) }
  }

  func key(of node: UInt32) -> Key { keys[Int(node)] }

  /// Sets the key of a node that stands in no tree.
  mutating func setKey(_ key: Key, of node: UInt32) { keys[Int(node)] = key }

  // MARK: Walking

  func begin(_ tree: Tree) -> Place {
    var block = tree.root
    guard block != Self.none else { return Place(leaf: block, index: 0) }
    for _ in 0..<tree.height { block = children[Int(block) * Self.width] }
    return Place(leaf: block, index: 0)
  }

  /// The first place behind `key`.
  func place(after key: Key, in tree: Tree) -> Place {
    var block = tree.root
    guard block != Self.none else { return Place(leaf: block, index: 0) }
    for _ in 0..<tree.height {
      block = children[child(for: key, in: Int(block))]
    }
    let start = Int(block) * Self.width
    var index = position(of: key, in: Int(block))
    if index < start + leaves[Int(block)].count, keys[Int(nodes[index])] == key { index += 1 }
    return settled(Place(leaf: block, index: index - start))
  }

  /// The node there, or `none` at the end.
  func node(at place: Place) -> UInt32 {
    place.leaf == Self.none ? Self.none : nodes[Int(place.leaf) * Self.width + place.index]
  }

  func next(_ place: Place) -> Place {
    settled(Place(leaf: place.leaf, index: place.index + 1))
  }

  /// The first node, or `none`.
  func first(in tree: Tree) -> UInt32 { node(at: begin(tree)) }

  /// Behind a leaf's last node comes the next leaf's first.
  private func settled(_ place: Place) -> Place {
    guard place.index == leaves[Int(place.leaf)].count else { return place }
    return Place(leaf: leaves[Int(place.leaf)].next, index: 0)
  }

  /// The place in `nodes` of the leaf's first that does not come before `key`, or behind its last.
  private func position(of key: Key, in leaf: Int) -> Int {
    var low = leaf * Self.width
    var high = low + leaves[leaf].count
    while low < high {
      let middle = (low + high) / 2
      let price = prices[middle]
      let isBefore = price == key.price ? keys[Int(nodes[middle])] < key : price < key.price
      if isBefore { low = middle + 1 } else { high = middle }
    }
    return low
  }

  /// The same by price alone: nodes of one price stand by their keys, which are not read here.
  private func position(of price: UInt64, in leaf: Int) -> Int {
    var low = leaf * Self.width
    var high = low + leaves[leaf].count
    while low < high {
      let middle = (low + high) / 2
      if prices[middle] < price { low = middle + 1 } else { high = middle }
    }
    return low
  }

  /// The place in `children` of the one that a node of this key is in, or belongs in.
  private func child(for key: Key, in branch: Int) -> Int {
    var low = branch * Self.width + 1
    var high = low - 1 + counts[branch]
    while low < high {
      let middle = (low + high) / 2
      if key < separators[middle] { high = middle } else { low = middle + 1 }
    }
    return low - 1
  }

  // MARK: Inserting

  /// A block that was split off, and what separates it from the one before it.
  private struct Split {
    let block: UInt32
    let separator: Key
  }

  /// Inserts a node, which stands in no tree, by its key, which the tree does not have.
  mutating func insert(_ node: UInt32, into tree: inout Tree) {
    guard tree.root != Self.none else {
      tree = Tree(root: makeLeaf(), height: 0)
      put(node, in: Int(tree.root), at: Int(tree.root) * Self.width)
      return
    }
    guard let split = insert(node, keys[Int(node)], below: tree.root, tree.height) else { return }
    let root = Int(makeBranch())
    counts[root] = 1
    children[root * Self.width] = tree.root
    put(split, in: root, at: root * Self.width + 1)
    tree = Tree(root: UInt32(root), height: tree.height + 1)
  }

  private mutating func insert(
    _ node: UInt32, _ key: Key, below block: UInt32, _ height: Int
  ) -> Split? {
    let block = Int(block)
    guard height > 0 else { return insert(node, key, in: block) }
    let place = child(for: key, in: block)
    guard let split = insert(node, key, below: children[place], height - 1) else { return nil }
    guard counts[block] == Self.width else {
      put(split, in: block, at: place + 1)
      return nil
    }
    let other = Int(makeBranch())
    let (middle, half) = (block * Self.width + Self.width / 2, Self.width / 2)
    let separator = separators[middle]
    Self.copy(&separators, from: middle, to: other * Self.width, half)
    Self.copy(&children, from: middle, to: other * Self.width, half)
    (counts[block], counts[other]) = (half, half)
    if place < middle {
      put(split, in: block, at: place + 1)
    } else {
      put(split, in: other, at: other * Self.width + place + 1 - middle)
    }
    return Split(block: UInt32(other), separator: separator)
  }

  private mutating func insert(_ node: UInt32, _ key: Key, in leaf: Int) -> Split? {
    let place = position(of: key, in: leaf)
    guard leaves[leaf].count == Self.width else {
      put(node, in: leaf, at: place)
      return nil
    }
    let other = Int(makeLeaf())
    let (middle, half) = (leaf * Self.width + Self.width / 2, Self.width / 2)
    Self.copy(&prices, from: middle, to: other * Self.width, half)
    Self.copy(&nodes, from: middle, to: other * Self.width, half)
    let next = leaves[leaf].next
    leaves[other] = Leaf(count: half, next: next, previous: UInt32(leaf))
    leaves[leaf].count = half
    leaves[leaf].next = UInt32(other)
    if next != Self.none { leaves[Int(next)].previous = UInt32(other) }
    if place <= middle {
      put(node, in: leaf, at: place)
    } else {
      put(node, in: other, at: other * Self.width + place - middle)
    }
    return Split(block: UInt32(other), separator: keys[Int(nodes[other * Self.width])])
  }

  private mutating func put(_ node: UInt32, in leaf: Int, at place: Int) {
    let count = leaf * Self.width + leaves[leaf].count - place
    Self.copy(&prices, from: place, to: place + 1, count)
    Self.copy(&nodes, from: place, to: place + 1, count)
    prices[place] = keys[Int(node)].price
    nodes[place] = node
    leaves[leaf].count += 1
  }

  private mutating func put(_ split: Split, in branch: Int, at place: Int) {
    let count = branch * Self.width + counts[branch] - place
    Self.copy(&separators, from: place, to: place + 1, count)
    Self.copy(&children, from: place, to: place + 1, count)
    separators[place] = split.separator
    children[place] = split.block
    counts[branch] += 1
  }

  /// Within an array; the two ranges may overlap.
  private static func copy<Element>(
    _ array: inout [Element], from source: Int, to target: Int, _ count: Int
  ) {
    guard count > 0 else { return }
    array.withUnsafeMutableBufferPointer { buffer in
      guard let base = buffer.baseAddress else { return }
      precondition(max(source, target) + count <= buffer.count)
      (base + target).update(from: base + source, count: count)
    }
  }

  // MARK: Removing

  mutating func remove(_ node: UInt32, from tree: inout Tree) {
    if remove(node, keys[Int(node)], below: tree.root, tree.height) { tree = Tree() }
    while tree.height > 0, counts[Int(tree.root)] == 1 {
      freeBranches.append(tree.root)
      tree = Tree(root: children[Int(tree.root) * Self.width], height: tree.height - 1)
    }
  }

  /// True where the block is empty now, and given up.
  private mutating func remove(
    _ node: UInt32, _ key: Key, below block: UInt32, _ height: Int
  ) -> Bool {
    let block = Int(block)
    guard height > 0 else { return remove(node, key, in: block) }
    let place = child(for: key, in: block)
    guard remove(node, key, below: children[place], height - 1) else { return false }
    counts[block] -= 1
    let count = block * Self.width + counts[block] - place
    Self.copy(&separators, from: place + 1, to: place, count)
    Self.copy(&children, from: place + 1, to: place, count)
    guard counts[block] == 0 else { return false }
    freeBranches.append(UInt32(block))
    return true
  }

  private mutating func remove(_ node: UInt32, _ key: Key, in leaf: Int) -> Bool {
    let end = leaf * Self.width + leaves[leaf].count
    var place = position(of: key.price, in: leaf)
    while nodes[place] != node {
      place += 1
      precondition(place < end, "the node is in no such tree")
    }
    Self.copy(&prices, from: place + 1, to: place, end - place - 1)
    Self.copy(&nodes, from: place + 1, to: place, end - place - 1)
    leaves[leaf].count -= 1
    guard leaves[leaf].count == 0 else { return false }
    let (next, previous) = (leaves[leaf].next, leaves[leaf].previous)
    if next != Self.none { leaves[Int(next)].previous = previous }
    if previous != Self.none { leaves[Int(previous)].next = next }
    freeLeaves.append(UInt32(leaf))
    return true
  }

  private mutating func makeLeaf() -> UInt32 {
    if let free = freeLeaves.popLast() {
      leaves[Int(free)] = Leaf()
      return free
    }
    leaves.append(Leaf())
    prices.append(contentsOf: repeatElement(0, count: Self.width))
    nodes.append(contentsOf: repeatElement(0, count: Self.width))
    return UInt32(leaves.count - 1)
  }

  private mutating func makeBranch() -> UInt32 {
    if let free = freeBranches.popLast() {
      counts[Int(free)] = 0
      return free
    }
    counts.append(0)
    separators.append(contentsOf: repeatElement(Key(), count: Self.width))
    children.append(contentsOf: repeatElement(0, count: Self.width))
    return UInt32(counts.count - 1)
  }
}
