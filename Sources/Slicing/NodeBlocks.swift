import ModelGraph

/// A graph's nodes in runs that no plan cuts apart, in an order of which every run of blocks can be
/// a slice.
///
/// A layer and the activations and reshapes that read it alone are one block, and so are a join, a
/// crop or a padding and its only reader: what a consumer takes is always a whole tensor, which its
/// own program crops or joins. No path leaves a block and comes back: within a block, every way in
/// leads to every way out.
struct NodeBlocks {
  /// Nodes of each block, ascending.
  let blocks: [[Int]]
  /// Blocks before which there must be a cut.
  let forced: Set<Int>

  /// - Parameters:
  ///   - after: Nodes whose results must be boundaries.
  ///   - before: Nodes whose operands must be boundaries.
  ///   - alone: Nodes whose blocks are slices of their own.
  init(_ graph: Graph, links: ValueLinks, after: Set<Int>, before: Set<Int>, alone: Set<Int>) {
    var block = Array(graph.nodes.indices)
    // A node joins the block of one before it, or a later node that of an earlier: the lowest node
    // of each block stands for it.
    func root(_ node: Int) -> Int {
      var node = node
      while block[node] != node { node = block[node] }
      return node
    }
    for (reader, node) in graph.nodes.enumerated() where !before.contains(reader) {
      let operands = Set(node.inputs.filter { !graph.values[$0].isConstant })
      for operand in operands.sorted() {
        guard let giver = links.giver(of: operand), !after.contains(giver) else { continue }
        let follows = operands.count == 1 && node.follows
        let leads = graph.nodes[giver].leads && links.readerCount(of: operand) == 1
        guard follows || leads else { continue }
        let (left, right) = (root(giver), root(reader))
        block[max(left, right)] = min(left, right)
      }
    }
    var members: [Int: [Int]] = [:]
    for node in graph.nodes.indices { members[root(node), default: []].append(node) }
    let order = Self.depthFirst(members.keys.sorted(), graph, links, root)
    blocks = order.map { members[$0] ?? [] }

    var forced: Set<Int> = []
    for (position, members) in blocks.enumerated() {
      if !alone.isDisjoint(with: members) { forced.formUnion([position, position + 1]) }
      if !before.isDisjoint(with: members) { forced.insert(position) }
      if !after.isDisjoint(with: members) { forced.insert(position + 1) }
    }
    self.forced = forced.filter { (1..<order.count).contains($0) }
  }

  /// Blocks, each after all it reads, and a branch to its end before the next begins: then each
  /// branch is a run of its own.
  private static func depthFirst(
    _ roots: [Int], _ graph: Graph, _ links: ValueLinks, _ root: (Int) -> Int
  ) -> [Int] {
    var waiting: [Int: Set<Int>] = [:]
    var readers: [Int: [Int]] = [:]
    for (index, node) in graph.nodes.enumerated() {
      let reader = root(index)
      for giver in node.inputs.compactMap({ links.giver(of: $0) }).map(root)
      where giver != reader && waiting[reader, default: []].insert(giver).inserted {
        readers[giver, default: []].append(reader)
      }
    }
    var ready = Array(roots.filter { waiting[$0] == nil }.reversed())
    var order: [Int] = []
    while let next = ready.popLast() {
      order.append(next)
      for reader in (readers[next] ?? []).sorted().reversed() {
        waiting[reader]?.remove(next)
        if waiting[reader]?.isEmpty == true { ready.append(reader) }
      }
    }
    return order
  }
}

extension Graph.Node {
  private static let reshapes: Set = [
    "Cast", "Dropout", "Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze",
  ]

  /// Whether it belongs to what gives its only operand.
  fileprivate var follows: Bool {
    Self.activations.contains(operatorName) || Self.reshapes.contains(operatorName)
  }

  /// Whether it belongs to its only reader.
  fileprivate var leads: Bool { ["Concat", "Pad", "Slice"].contains(operatorName) }
}
