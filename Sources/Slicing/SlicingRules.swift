package import ModelGraph
package import Primitives

/// How a person wants a model cut. What is left open is chosen: where nothing at all is asked for,
/// four slices of like cost, or as many as there can be.
package struct SlicingRules: Sendable {
  /// A place that must be a boundary. A name is that of a node or of the value it gives.
  package enum Place: Hashable, Sendable {
    case after(String)
    case before(String)

    var name: String {
      switch self {
      case .after(let name), .before(let name): name
      }
    }
  }

  /// A convolution whose parts become slices of their own.
  package struct Division: Hashable, Sendable {
    /// Nil for the convolution with the most multiplications.
    package let node: String?
    package let split: ConvolutionSplit

    package init(node: String?, split: ConvolutionSplit) { (self.node, self.split) = (node, split) }
  }

  package static let countWhereNothingIsAsked = 4

  package var count: Int?
  /// That no slice may exceed.
  package var maxCost: Cost?
  package var places: [Place]
  package var divisions: [Division]

  package init(
    count: Int? = nil, maxCost: Cost? = nil, places: [Place] = [], divisions: [Division] = []
  ) {
    (self.count, self.maxCost) = (count, maxCost)
    (self.places, self.divisions) = (places, divisions)
  }
}

extension SlicingRules {
  /// The convolutions to divide, by node. Divisions of one node combine where they concern
  /// different axes.
  func splits(of graph: Graph) throws(SlicingError) -> [Int: ConvolutionSplit] {
    var splits: [Int: ConvolutionSplit] = [:]
    for division in divisions {
      let index: Int
      if let name = division.node {
        index = try graph.node(named: name)
      } else {
        index = try dearestConvolution(of: graph)
      }
      var split = splits[index] ?? ConvolutionSplit()
      for axis in [\ConvolutionSplit.channels, \.rows, \.columns]
      where division.split[keyPath: axis] != 1 {
        guard split[keyPath: axis] == 1 else {
          throw .dividedTwice(node: graph.nodes[index].name)
        }
        split[keyPath: axis] = division.split[keyPath: axis]
      }
      splits[index] = split
    }
    return splits
  }

  private func dearestConvolution(of graph: Graph) throws(SlicingError) -> Int {
    let candidates = graph.nodes.indices.filter {
      if case .convolution = graph.nodes[$0].layer { true } else { false }
    }
    // The first where several are equal.
    let dearest = candidates.max { left, right in
      let costs = (
        graph.multiplications(of: graph.nodes[left]), graph.multiplications(of: graph.nodes[right])
      )
      return costs.0 < costs.1 || (costs.0 == costs.1 && left > right)
    }
    guard let dearest else { throw .nothingToDivide }
    return dearest
  }
}

extension Graph {
  /// The node of this name, or the one that gives the value of this name.
  func node(named name: String) throws(SlicingError) -> Int {
    let named = nodes.indices.filter { nodes[$0].name == name }
    if named.count == 1 { return named[0] }
    if let giver = nodes.firstIndex(where: { values[$0.output].name == name }) { return giver }
    guard named.isEmpty else {
      throw .ambiguousName(name, values: named.map { values[nodes[$0].output].name })
    }
    let known = nodes.flatMap { [$0.name, values[$0.output].name] }
    throw .unknownName(name, nearest: Spelling.nearest(to: name, among: known))
  }
}

/// Names that a person may have meant.
enum Spelling {
  /// The three nearest, by Levenshtein distance and then by their order.
  static func nearest(to name: String, among names: [String]) -> [String] {
    var seen: Set<String> = []
    let ranked = names.filter { seen.insert($0).inserted }.enumerated().map { place, candidate in
      (distance: distance(Array(name.utf8), Array(candidate.utf8)), place: place, candidate)
    }
    return ranked.sorted { ($0.distance, $0.place) < ($1.distance, $1.place) }.prefix(3).map(\.2)
  }

  private static func distance(_ left: [UInt8], _ right: [UInt8]) -> Int {
    var row = Array(0...right.count)
    for (index, byte) in left.enumerated() {
      var diagonal = row[0]
      row[0] = index + 1
      for place in right.indices {
        let substituted = diagonal + (byte == right[place] ? 0 : 1)
        diagonal = row[place + 1]
        row[place + 1] = min(substituted, row[place] + 1, diagonal + 1)
      }
    }
    return row[right.count]
  }
}
