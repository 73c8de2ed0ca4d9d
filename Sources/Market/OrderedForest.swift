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

  /// What a search reads of a node, held apart from the rest so that four fit a cache line.
  private struct Fork: Sendable {
    var price: UInt64 = 0
    var left = OrderedForest.none
    var right = OrderedForest.none
  }

  private struct Rest: Sendable {
    var ordinal: UInt64 = 0
    var slice: UInt32 = 0
    var parent = OrderedForest.none
    /// Of the subtree; 1 for a leaf. Below 47 for any count that 32 bits can number.
    var height: UInt8 = 0
  }

  /// No node: an empty tree's root, an absent child.
  static let none = UInt32.max

  private var forks: [Fork] = []
  private var rests: [Rest] = []

  /// Makes room for nodes numbered below `count`, a quarter at a time: doubling would leave up to
  /// half of the memory unused.
  mutating func grow(to count: Int) {
    guard count > forks.count else { return }
    if count > forks.capacity {
      forks.reserveCapacity(count + count / 4)
      rests.reserveCapacity(count + count / 4)
    }
    while forks.count < count {
      forks.append(Fork())
      rests.append(Rest())
    }
  }

  func key(of node: UInt32) -> Key {
    let rest = rests[Int(node)]
    return Key(price: forks[Int(node)].price, ordinal: rest.ordinal, slice: rest.slice)
  }

  /// Sets the key of a node that stands in no tree.
  mutating func setKey(_ key: Key, of node: UInt32) {
    forks[Int(node)].price = key.price
    rests[Int(node)].ordinal = key.ordinal
    rests[Int(node)].slice = key.slice
  }

  /// Inserts a node, which stands in no tree, by its key, which the tree does not have.
  mutating func insert(_ node: UInt32, into root: inout UInt32) {
    let key = key(of: node)
    var parent = Self.none
    var current = root
    var goesLeft = false
    while current != Self.none {
      parent = current
      goesLeft = stands(key, before: current)
      current = goesLeft ? forks[Int(current)].left : forks[Int(current)].right
    }
    forks[Int(node)].left = Self.none
    forks[Int(node)].right = Self.none
    rests[Int(node)].parent = parent
    rests[Int(node)].height = 1
    guard parent != Self.none else {
      root = node
      return
    }
    change { links in
      if goesLeft { links[parent].left = node } else { links[parent].right = node }
      links.rebalance(from: parent, &root)
    }
  }

  mutating func remove(_ node: UInt32, from root: inout UInt32) {
    change { $0.remove(node, from: &root) }
  }

  /// The node with the smallest key, or `none`.
  func first(in root: UInt32) -> UInt32 {
    guard root != Self.none else { return root }
    var node = root
    while forks[Int(node)].left != Self.none { node = forks[Int(node)].left }
    return node
  }

  /// The node with the smallest key above `key`, or `none`.
  func first(after key: Key, in root: UInt32) -> UInt32 {
    var (node, found) = (root, Self.none)
    while node != Self.none {
      if stands(key, before: node) {
        found = node
        node = forks[Int(node)].left
      } else {
        node = forks[Int(node)].right
      }
    }
    return found
  }

  /// The node whose key follows, or `none`.
  func next(after node: UInt32) -> UInt32 {
    if forks[Int(node)].right != Self.none { return first(in: forks[Int(node)].right) }
    var (child, parent) = (node, rests[Int(node)].parent)
    while parent != Self.none, forks[Int(parent)].right == child {
      (child, parent) = (parent, rests[Int(parent)].parent)
    }
    return parent
  }

  private func stands(_ key: Key, before node: UInt32) -> Bool {
    let price = forks[Int(node)].price
    return key.price == price ? key < self.key(of: node) : key.price < price
  }

  // MARK: Balance

  /// The nodes while a tree changes: one look at who else holds the arrays, not one for each of the
  /// dozens of writes. Whatever stands in a tree is numbered below `forks.count`.
  private struct Links {
    let forks: UnsafeMutableBufferPointer<Fork>
    let rests: UnsafeMutableBufferPointer<Rest>

    subscript(node: UInt32) -> Fork {
      get { forks[Int(node)] }
      nonmutating _modify { yield &forks[Int(node)] }
    }

    func remove(_ node: UInt32, from root: inout UInt32) {
      let (left, right) = (self[node].left, self[node].right)
      var start: UInt32
      if left == OrderedForest.none || right == OrderedForest.none {
        start = rests[Int(node)].parent
        put(left == OrderedForest.none ? right : left, inPlaceOf: node, &root)
      } else {
        var successor = right
        while self[successor].left != OrderedForest.none { successor = self[successor].left }
        start = rests[Int(successor)].parent
        if start == node {
          start = successor
        } else {
          put(self[successor].right, inPlaceOf: successor, &root)
          self[successor].right = right
          rests[Int(right)].parent = successor
        }
        put(successor, inPlaceOf: node, &root)
        self[successor].left = left
        rests[Int(left)].parent = successor
        rests[Int(successor)].height = rests[Int(node)].height
      }
      rebalance(from: start, &root)
    }

    func height(_ node: UInt32) -> Int {
      node == OrderedForest.none ? 0 : Int(rests[Int(node)].height)
    }

    func measure(_ node: UInt32) {
      rests[Int(node)].height = UInt8(1 + max(height(self[node].left), height(self[node].right)))
    }

    /// Restores heights and balance from `start` upwards, as far as anything has changed.
    func rebalance(from start: UInt32, _ root: inout UInt32) {
      var node = start
      while node != OrderedForest.none {
        let before = rests[Int(node)].height
        let (left, right) = (self[node].left, self[node].right)
        let (heightLeft, heightRight) = (height(left), height(right))
        if heightLeft > heightRight + 1 {
          if height(self[left].left) < height(self[left].right) {
            rotate(left, toLeft: true, &root)
          }
          node = rotate(node, toLeft: false, &root)
        } else if heightRight > heightLeft + 1 {
          if height(self[right].right) < height(self[right].left) {
            rotate(right, toLeft: false, &root)
          }
          node = rotate(node, toLeft: true, &root)
        } else {
          rests[Int(node)].height = UInt8(1 + max(heightLeft, heightRight))
        }
        if rests[Int(node)].height == before { return }
        node = rests[Int(node)].parent
      }
    }

    /// Lets a child of `node` take its place; returns the child.
    @discardableResult
    func rotate(_ node: UInt32, toLeft: Bool, _ root: inout UInt32) -> UInt32 {
      let child = toLeft ? self[node].right : self[node].left
      let moved = toLeft ? self[child].left : self[child].right
      put(child, inPlaceOf: node, &root)
      if toLeft {
        (self[node].right, self[child].left) = (moved, node)
      } else {
        (self[node].left, self[child].right) = (moved, node)
      }
      if moved != OrderedForest.none { rests[Int(moved)].parent = node }
      rests[Int(node)].parent = child
      measure(node)
      measure(child)
      return child
    }

    /// Hangs `node`, which may be `none`, where `old` hangs.
    func put(_ node: UInt32, inPlaceOf old: UInt32, _ root: inout UInt32) {
      let parent = rests[Int(old)].parent
      if node != OrderedForest.none { rests[Int(node)].parent = parent }
      if parent == OrderedForest.none {
        root = node
      } else if self[parent].left == old {
        self[parent].left = node
      } else {
        self[parent].right = node
      }
    }
  }

  private mutating func change(_ body: (Links) -> Void) {
    forks.withUnsafeMutableBufferPointer { forks in
      rests.withUnsafeMutableBufferPointer { rests in
        body(Links(forks: forks, rests: rests))
      }
    }
  }
}
