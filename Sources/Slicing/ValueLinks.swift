import ModelGraph

/// Who gives and who reads the values of a graph.
struct ValueLinks {
  private let graph: Graph
  /// By value: the node that gives it.
  private let givers: [Int?]
  /// By value: the nodes that read it, ascending, each once.
  private let readers: [[Int]]
  private let answers: Set<Int>

  init(_ graph: Graph) {
    self.graph = graph
    var givers = [Int?](repeating: nil, count: graph.values.count)
    var readers = [[Int]](repeating: [], count: graph.values.count)
    for (index, node) in graph.nodes.enumerated() {
      givers[node.output] = index
      for input in node.inputs where readers[input].last != index { readers[input].append(index) }
    }
    (self.givers, self.readers) = (givers, readers)
    answers = Set(graph.outputs)
  }

  func giver(of value: Int) -> Int? { givers[value] }

  func readers(of value: Int) -> [Int] { readers[value] }

  /// The answer counts as one reader.
  func readerCount(of value: Int) -> Int {
    readers[value].count + (answers.contains(value) ? 1 : 0)
  }

  /// Values that the nodes read and do not give, in order of first use.
  func inputs(of nodes: [Int]) -> [Int] {
    let members = Set(nodes)
    var seen: Set<Int> = []
    return nodes.flatMap { graph.nodes[$0].inputs }.filter { value in
      !graph.values[value].isConstant && !(givers[value].map(members.contains) ?? false)
        && seen.insert(value).inserted
    }
  }

  /// Values that the nodes give and others read, or the answer holds, in order.
  func outputs(of nodes: [Int]) -> [Int] {
    let members = Set(nodes)
    return nodes.map { graph.nodes[$0].output }.filter { value in
      answers.contains(value) || !readers[value].allSatisfy(members.contains)
    }
  }
}
