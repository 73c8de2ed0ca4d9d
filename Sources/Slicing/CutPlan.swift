/// Where a chain of nodes is cut: as even as can be, and then where the least has to cross.
///
/// First the smallest possible cost of the dearest slice is found; then, among all cuts whose
/// dearest slice stays within an eighth of it, those with the fewest elements crossing are taken.
enum CutPlan {
  /// `costs` per node; `crossing[i]` is how many elements live across a cut before node i, nil
  /// where the chain must not be cut. Nil where there are fewer than `count` pieces to be had.
  static func ranges(costs: [Int], crossing: [Int?], count: Int) -> [Range<Int>]? {
    // Pieces between permitted cuts, which are never divided.
    let starts = costs.indices.filter { $0 == 0 || crossing[$0] != nil }
    guard count >= 1, count <= starts.count else { return nil }
    let ends = starts.dropFirst() + [costs.count]
    let pieces = zip(starts, ends).map { costs[$0..<$1].reduce(0, +) }
    let best = evenest(pieces, count: count)
    let bound = best + best / 8
    let elements = starts.map { $0 == 0 ? 0 : crossing[$0] ?? 0 }
    let cuts = cheapest(pieces, elements: elements, count: count, bound: bound)
    let bounds = cuts.map { starts[$0] } + [costs.count]
    return zip(bounds, bounds.dropFirst()).map { $0..<$1 }
  }

  /// The least possible cost of the dearest of `count` runs, by bisection: more cuts never hurt.
  private static func evenest(_ pieces: [Int], count: Int) -> Int {
    var low = pieces.max() ?? 0
    var high = pieces.reduce(0, +)
    while low < high {
      let middle = low + (high - low) / 2
      var (runs, sum) = (1, 0)
      for piece in pieces {
        if sum + piece > middle { (runs, sum) = (runs + 1, 0) }
        sum += piece
      }
      if runs <= count { high = middle } else { low = middle + 1 }
    }
    return low
  }

  /// First pieces of `count` runs of cost at most `bound` with the fewest `elements` at their
  /// starts.
  private static func cheapest(
    _ pieces: [Int], elements: [Int], count: Int, bound: Int
  ) -> [Int] {
    // best[k][end]: fewest elements that cross within the first `end` pieces cut into k runs.
    var best = [[Int?]](
      repeating: .init(repeating: nil, count: pieces.count + 1), count: count + 1)
    var from = [[Int]](repeating: .init(repeating: 0, count: pieces.count + 1), count: count + 1)
    best[0][0] = 0
    for run in 1...count {
      for end in 1...pieces.count {
        var cost = 0
        for start in (0..<end).reversed() {
          cost += pieces[start]
          if cost > bound { break }
          guard let before = best[run - 1][start] else { continue }
          let total = before + elements[start]
          if best[run][end].map({ total < $0 }) ?? true {
            best[run][end] = total
            from[run][end] = start
          }
        }
      }
    }
    var cuts: [Int] = []
    var end = pieces.count
    for run in (1...count).reversed() {
      end = from[run][end]
      cuts.append(end)
    }
    return cuts.reversed()
  }
}
