import ModelGraph

/// Which values cross between nodes of a graph.
struct ValueLinks {
  private let graph: Graph
  /// By value: the node that makes it, and the last node that reads it.
  private let producers: [Int?]
  private let lastReaders: [Int?]

  init(_ graph: Graph) {
    self.graph = graph
    var producers = [Int?](repeating: nil, count: graph.values.count)
    var lastReaders = producers
    for (index, node) in graph.nodes.enumerated() {
      producers[node.output] = index
      for input in node.inputs { lastReaders[input] = index }
    }
    // The answer is read after the last node.
    for output in graph.outputs { lastReaders[output] = graph.nodes.count }
    (self.producers, self.lastReaders) = (producers, lastReaders)
  }

  /// Values that `range` reads and does not make, in order of first use.
  func inputs(of range: Range<Int>) -> [Int] {
    var seen: Set<Int> = []
    return graph.nodes[range].flatMap(\.inputs).filter { value in
      !graph.values[value].isConstant && !(producers[value].map(range.contains) ?? false)
        && seen.insert(value).inserted
    }
  }

  /// Values that `range` makes and somebody after it reads, in order.
  func outputs(of range: Range<Int>) -> [Int] {
    graph.nodes[range].map(\.output).filter { (lastReaders[$0] ?? -1) >= range.upperBound }
  }

  /// Elements alive across a cut before node `index`; nil where it must not be cut: before the
  /// first node, and between a layer and the activation or reshape that directly follows it.
  func crossing(before index: Int) -> Int? {
    guard index > 0 else { return nil }
    let node = graph.nodes[index]
    switch node.layer {
    case .relu, .reshape, .identity:
      if producers[node.inputs[0]] == index - 1 { return nil }
    case .convolution, .pool, .gemm, .matMul, .add, .batchNormalization, .general: break
    }
    var elements = 0
    for (value, last) in lastReaders.enumerated() where !graph.values[value].isConstant {
      if let last, last >= index, (producers[value] ?? -1) < index {
        elements += graph.values[value].elementCount
      }
    }
    return elements
  }
}
