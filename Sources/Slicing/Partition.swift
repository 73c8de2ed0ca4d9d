import ModelGraph

/// All nodes of a graph, shared out among slices of which none waits for its own result.
struct Partition {
  /// Nodes of each slice, ascending; every slice after all that it consumes, otherwise as given.
  let order: [[Int]]

  init(_ graph: Graph, _ links: ValueLinks, _ slices: [[Int]]) throws(SlicingError) {
    var owners = [Int?](repeating: nil, count: graph.nodes.count)
    for (slice, nodes) in slices.enumerated() {
      for node in nodes {
        guard graph.nodes.indices.contains(node), owners[node] == nil else {
          throw .sharedBadly(node: graph.nodes.indices.contains(node) ? graph.nodes[node].name : "")
        }
        owners[node] = slice
      }
    }
    if let left = owners.firstIndex(of: nil) { throw .sharedBadly(node: graph.nodes[left].name) }
    let givers = slices.enumerated().map { slice, nodes in
      Set(links.inputs(of: nodes).compactMap { links.giver(of: $0) }.compactMap { owners[$0] })
        .sorted()
    }
    var placed = [Bool](repeating: false, count: slices.count)
    var order: [Int] = []
    while order.count < slices.count {
      let next = slices.indices.first { !placed[$0] && givers[$0].allSatisfy { placed[$0] } }
      guard let next else {
        let names = slices.map { graph.nodes[$0[0]].name }
        throw .cycle(Self.cycle(givers, placed).map { names[$0] })
      }
      placed[next] = true
      order.append(next)
    }
    self.order = order.map { slices[$0].sorted() }
  }

  /// Slices of which each needs the next, and the last the first, among those not placed.
  private static func cycle(_ givers: [[Int]], _ placed: [Bool]) -> [Int] {
    var path: [Int] = []
    var next = placed.firstIndex(of: false)
    while let slice = next {
      if let start = path.firstIndex(of: slice) { return Array(path[start...]) + [slice] }
      path.append(slice)
      next = givers[slice].first { !placed[$0] }
    }
    return path
  }
}
