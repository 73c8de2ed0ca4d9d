import ModelGraph
import Primitives

/// Where a chain of blocks is cut: as even as can be, and then where the least has to cross.
///
/// First the smallest possible cost of the dearest slice is found; then, among all cuts whose
/// dearest slice stays within an eighth of it (or within the cost that was asked for), those are
/// taken whose slices have the fewest elements in their boundary tensors, read and given together.
struct CutPlan {
  /// Above this many blocks, only the cuts over which the fewest elements live are considered.
  private static let pieceLimit = 2048

  /// Consecutive blocks that are never cut apart.
  private let pieces: [Range<Int>]
  /// By piece.
  private let costs: [Int]
  /// Pieces before which there must be a cut.
  private let forced: Set<Int>
  private let boundaries: Boundaries
  /// The first node of each piece.
  private let names: [String]

  /// - Parameter costs: By block.
  init(_ graph: Graph, links: ValueLinks, blocks: NodeBlocks, costs: [Int]) {
    let all = Boundaries(graph, links, pieces: blocks.blocks)
    let inner = blocks.blocks.indices.dropFirst().filter { !blocks.forced.contains($0) }
      .sorted { (all.live[$0], $0) < (all.live[$1], $1) }
      .prefix(max(0, Self.pieceLimit - 1 - blocks.forced.count))
    let starts = ([0] + inner + blocks.forced).sorted()
    let pieces = zip(starts, starts.dropFirst() + [blocks.blocks.count]).map { $0..<$1 }
    self.pieces = pieces
    self.costs = pieces.map { costs[$0].reduce(0, +) }
    forced = Set(pieces.indices.filter { blocks.forced.contains(pieces[$0].lowerBound) })
    let nodes = pieces.map { blocks.blocks[$0].flatMap(\.self) }
    names = nodes.map { graph.nodes[$0[0]].name }
    boundaries =
      pieces.count == blocks.blocks.count ? all : Boundaries(graph, links, pieces: nodes)
  }

  /// Runs of blocks, in order; throws where there are none as asked.
  func runs(_ rules: SlicingRules) throws(SlicingError) -> [Range<Int>] {
    let limit = rules.maxCost.map { Int(clamping: $0.units) }
    if let limit, let dear = costs.firstIndex(where: { $0 > limit }) {
      throw .pieceTooDear(node: names[dear], cost: costs[dear], limit: limit)
    }
    let count = try count(rules, limit: limit)
    let evenest = evenest(count)
    if let limit, evenest > limit {
      throw .slicesTooDear(asked: count, limit: limit, needed: runCount(bound: limit))
    }
    let slack = evenest + evenest / 8
    let bound = rules.count == nil ? limit ?? slack : min(limit ?? .max, slack)
    let firsts = fewestElements(count, bound: bound)
    return zip(firsts, firsts.dropFirst() + [pieces.count]).map { first, end in
      pieces[first].lowerBound..<pieces[end - 1].upperBound
    }
  }

  private func count(_ rules: SlicingRules, limit: Int?) throws(SlicingError) -> Int {
    let fewest = forced.count + 1
    if let asked = rules.count {
      guard asked >= 1, asked <= costs.count else {
        throw .tooFewPieces(asked: asked, possible: costs.count)
      }
      guard asked >= fewest else { throw .tooManyCuts(asked: asked, fewest: fewest) }
      return asked
    }
    if let limit { return runCount(bound: limit) }
    guard rules.places.isEmpty, rules.divisions.isEmpty else { return fewest }
    return min(SlicingRules.countWhereNothingIsAsked, costs.count)
  }

  /// The fewest runs of at most `bound` that the forced cuts permit.
  private func runCount(bound: Int) -> Int {
    var (runs, sum) = (1, 0)
    for (piece, cost) in costs.enumerated() {
      if sum + cost > bound || forced.contains(piece) { (runs, sum) = (runs + 1, 0) }
      sum += cost
    }
    return runs
  }

  /// The least possible cost of the dearest of `count` runs, by bisection: more cuts never hurt.
  private func evenest(_ count: Int) -> Int {
    var low = costs.max() ?? 0
    var high = costs.reduce(0, +)
    while low < high {
      let middle = low + (high - low) / 2
      if runCount(bound: middle) <= count { high = middle } else { low = middle + 1 }
    }
    return low
  }

  /// First pieces of `count` runs of cost at most `bound` with the fewest elements in their
  /// boundary tensors.
  private func fewestElements(_ count: Int, bound: Int) -> [Int] {
    // By end: elements of the run from each start down from it, as far as cost and cuts permit.
    let runs = (0...pieces.count).map { end in
      boundaries.elements(endingAt: end, downTo: lowestStart(of: end, bound: bound))
    }
    // best[end]: fewest elements within the first `end` pieces cut into `run` runs.
    var best = [Int?](repeating: nil, count: pieces.count + 1)
    best[0] = 0
    var from: [[Int]] = []
    for _ in 0..<count {
      var next = [Int?](repeating: nil, count: pieces.count + 1)
      var starts = [Int](repeating: 0, count: pieces.count + 1)
      for end in runs.indices {
        for (back, elements) in runs[end].enumerated() {
          guard let before = best[end - 1 - back] else { continue }
          if next[end].map({ before + elements < $0 }) ?? true {
            next[end] = before + elements
            starts[end] = end - 1 - back
          }
        }
      }
      best = next
      from.append(starts)
    }
    var firsts: [Int] = []
    var end = pieces.count
    for starts in from.reversed() {
      end = starts[end]
      firsts.append(end)
    }
    return firsts.reversed()
  }

  private func lowestStart(of end: Int, bound: Int) -> Int {
    var (start, cost) = (end, 0)
    while start > 0, cost + costs[start - 1] <= bound, start == end || !forced.contains(start) {
      start -= 1
      cost += costs[start]
    }
    return start
  }
}

/// What crosses the ends of runs of pieces.
private struct Boundaries {
  /// By piece: the computed values it gives, and those of earlier pieces or the request it reads.
  private let given: [[Int]]
  private let read: [[Int]]
  /// By value: its elements, and the last piece that reads it, one past the last for the answer.
  private let elements: [Int]
  private let lastReaders: [Int]
  /// By piece: elements of all values that exist before it and are needed from it on.
  let live: [Int]

  init(_ graph: Graph, _ links: ValueLinks, pieces: [[Int]]) {
    elements = graph.values.map(\.elementCount)
    given = pieces.map { $0.map { graph.nodes[$0].output } }
    read = pieces.map { links.inputs(of: $0) }
    var lastReaders = [Int](repeating: -1, count: graph.values.count)
    for (piece, values) in read.enumerated() { for value in values { lastReaders[value] = piece } }
    for value in graph.outputs { lastReaders[value] = pieces.count }
    self.lastReaders = lastReaders
    var changes = [Int](repeating: 0, count: pieces.count + 2)
    for (piece, values) in ([graph.inputs] + given).enumerated() {
      for value in values where lastReaders[value] >= piece {
        changes[piece] += elements[value]
        changes[lastReaders[value] + 1] -= elements[value]
      }
    }
    var sum = 0
    live = pieces.indices.map { piece in
      sum += changes[piece]
      return sum
    }
  }

  /// Elements that the runs [end - 1, end), [end - 2, end), ... down to [start, end) read and give.
  func elements(endingAt end: Int, downTo start: Int) -> [Int] {
    var taken: Set<Int> = []
    var sum = 0
    return (start..<end).reversed().map { piece in
      for value in given[piece] {
        if taken.remove(value) != nil { sum -= elements[value] }
        if lastReaders[value] >= end { sum += elements[value] }
      }
      for value in read[piece] where taken.insert(value).inserted { sum += elements[value] }
      return sum
    }
  }
}
