/// Many ordered sets in one array of nodes: each set is an AVL tree (Adelson-Velsky and Landis,
/// 1962), known by its root. The owner numbers the nodes, so that a node is found without a search,
/// and no set is ever walked to insert, remove or step.
struct OrderedForest: Sendable {
  /// A place in a queue: the price's rank, then arrival, then slice.
  struct Key: Comparable, Sendable {
    let price: UInt64
    let ordinal: UInt64
    let slice: UInt32

    static func < (left: Key, right: Key) -> Bool {
      if left.price != right.price { return left.price < right.price }
      if left.ordinal != right.ordinal { return left.ordinal < right.ordinal }
      return left.slice < right.slice
    }
  }

  private struct Node: Sendable {
    var key: Key
    var left: UInt32
    var right: UInt32
    var parent: UInt32
    /// Of the subtree; 1 for a leaf. Below 47 for any count that 32 bits can number.
    var height: UInt8
  }

  /// No node: an empty tree's root, an absent child.
  static let none = UInt32.max

  private var nodes: [Node] = []

  /// Makes room for nodes numbered below `count`, a quarter at a time: doubling would leave up to
  /// half of the memory unused.
  mutating func grow(to count: Int) {
    guard count > nodes.count else { return }
    if count > nodes.capacity { nodes.reserveCapacity(count + count / 4) }
    let blank = Node(
      key: Key(price: 0, ordinal: 0, slice: 0), left: Self.none, right: Self.none,
      parent: Self.none, height: 0)
    while nodes.count < count { nodes.append(blank) }
  }

  func key(of node: UInt32) -> Key { nodes[Int(node)].key }

  /// Sets the key of a node that stands in no tree.
  mutating func setKey(_ key: Key, of node: UInt32) { nodes[Int(node)].key = key }

  /// Inserts a node, which stands in no tree, by its key, which the tree does not have.
  mutating func insert(_ node: UInt32, into root: inout UInt32) {
    let key = nodes[Int(node)].key
    var parent = Self.none
    var current = root
    var goesLeft = false
    while current != Self.none {
      parent = current
      goesLeft = key < nodes[Int(current)].key
      current = goesLeft ? nodes[Int(current)].left : nodes[Int(current)].right
    }
    nodes[Int(node)] = Node(
      key: key, left: Self.none, right: Self.none, parent: parent, height: 1)
    guard parent != Self.none else {
      root = node
      return
    }
    if goesLeft { nodes[Int(parent)].left = node } else { nodes[Int(parent)].right = node }
    rebalance(from: parent, &root)
  }

  mutating func remove(_ node: UInt32, from root: inout UInt32) {
    let removed = nodes[Int(node)]
    var start: UInt32
    if removed.left == Self.none || removed.right == Self.none {
      start = removed.parent
      put(removed.left == Self.none ? removed.right : removed.left, inPlaceOf: node, &root)
    } else {
      let successor = first(in: removed.right)
      start = nodes[Int(successor)].parent
      if start == node {
        start = successor
      } else {
        put(nodes[Int(successor)].right, inPlaceOf: successor, &root)
        nodes[Int(successor)].right = removed.right
        nodes[Int(removed.right)].parent = successor
      }
      put(successor, inPlaceOf: node, &root)
      nodes[Int(successor)].left = removed.left
      nodes[Int(removed.left)].parent = successor
      nodes[Int(successor)].height = removed.height
    }
    rebalance(from: start, &root)
  }

  /// The node with the smallest key, or `none`.
  func first(in root: UInt32) -> UInt32 {
    guard root != Self.none else { return root }
    var node = root
    while nodes[Int(node)].left != Self.none { node = nodes[Int(node)].left }
    return node
  }

  /// The node with the smallest key above `key`, or `none`.
  func first(after key: Key, in root: UInt32) -> UInt32 {
    var (node, found) = (root, Self.none)
    while node != Self.none {
      if key < nodes[Int(node)].key {
        found = node
        node = nodes[Int(node)].left
      } else {
        node = nodes[Int(node)].right
      }
    }
    return found
  }

  /// The node whose key follows, or `none`.
  func next(after node: UInt32) -> UInt32 {
    if nodes[Int(node)].right != Self.none { return first(in: nodes[Int(node)].right) }
    var (child, parent) = (node, nodes[Int(node)].parent)
    while parent != Self.none, nodes[Int(parent)].right == child {
      (child, parent) = (parent, nodes[Int(parent)].parent)
    }
    return parent
  }

  // MARK: Balance

  private func height(_ node: UInt32) -> Int {
    node == Self.none ? 0 : Int(nodes[Int(node)].height)
  }

  private mutating func measure(_ node: UInt32) {
    nodes[Int(node)].height = UInt8(
      1 + max(height(nodes[Int(node)].left), height(nodes[Int(node)].right)))
  }

  /// Restores heights and balance from `start` upwards, as far as anything has changed.
  private mutating func rebalance(from start: UInt32, _ root: inout UInt32) {
    var node = start
    while node != Self.none {
      let before = nodes[Int(node)].height
      let (left, right) = (nodes[Int(node)].left, nodes[Int(node)].right)
      let balance = height(left) - height(right)
      if balance > 1 {
        if height(nodes[Int(left)].left) < height(nodes[Int(left)].right) {
          rotate(left, toLeft: true, &root)
        }
        node = rotate(node, toLeft: false, &root)
      } else if balance < -1 {
        if height(nodes[Int(right)].right) < height(nodes[Int(right)].left) {
          rotate(right, toLeft: false, &root)
        }
        node = rotate(node, toLeft: true, &root)
      } else {
        measure(node)
      }
      if nodes[Int(node)].height == before { return }
      node = nodes[Int(node)].parent
    }
  }

  /// Lets a child of `node` take its place; returns the child.
  @discardableResult
  private mutating func rotate(
    _ node: UInt32, toLeft: Bool, _ root: inout UInt32
  ) -> UInt32 {
    let child = toLeft ? nodes[Int(node)].right : nodes[Int(node)].left
    let moved = toLeft ? nodes[Int(child)].left : nodes[Int(child)].right
    put(child, inPlaceOf: node, &root)
    if toLeft {
      (nodes[Int(node)].right, nodes[Int(child)].left) = (moved, node)
    } else {
      (nodes[Int(node)].left, nodes[Int(child)].right) = (moved, node)
    }
    if moved != Self.none { nodes[Int(moved)].parent = node }
    nodes[Int(node)].parent = child
    measure(node)
    measure(child)
    return child
  }

  /// Hangs `node`, which may be `none`, where `old` hangs.
  private mutating func put(_ node: UInt32, inPlaceOf old: UInt32, _ root: inout UInt32) {
    let parent = nodes[Int(old)].parent
    if node != Self.none { nodes[Int(node)].parent = parent }
    if parent == Self.none {
      root = node
    } else if nodes[Int(parent)].left == old {
      nodes[Int(parent)].left = node
    } else {
      nodes[Int(parent)].right = node
    }
  }
}
