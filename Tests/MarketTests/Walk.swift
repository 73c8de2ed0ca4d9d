import Market
import Primitives

/// A walk over the states of one market, from its start on: depth first, so that few markets are
/// kept, and of those behind only the digests of their names.
struct Walk {
  private(set) var count = 0
  private(set) var moves = 0
  /// States compared with the first of their name.
  private(set) var comparisons = 0
  /// States from which time alone does not lead to an end.
  private(set) var endless = 0
  private(set) var violations: [String] = []
  /// The most units of time that the walk lets pass before all that was asked has ended; nil where
  /// time could pass on for ever, and where that is not asked for.
  private(set) var longest: Int?

  /// Where time leads from each state.
  private enum Next {
    /// The parts of the state that comes next.
    case states([Int32])
    case end
    case unknown
  }

  private struct Stop {
    let state: SmallMarket
    let number: Int32
    let isFirst: Bool
  }

  private var numbers: [Digest: Int32] = [:]
  private var next: [Next] = []
  private var frontier: [Stop] = []
  /// States of names whose first has not been left yet, to be compared once all else is done.
  private var again: [Stop] = []
  private let isCompared: Bool
  private let isTimed: Bool
  /// What each state leads to, with time passing or without; kept where it is timed.
  private var edges: [[(target: Int32, isLater: Bool)]] = []
  /// What the first state of each name led to.
  private var successors: [Int32: Set<[Int32]>] = [:]

  /// - Parameters:
  ///   - limit: States after which the walk is given up; from those that it has not left by time
  ///     yet, time is then followed by itself.
  ///   - isCompared: Whether states whose name is known are left as well, to see that they lead to
  ///     what the first of the name led to.
  ///   - isTimed: Whether to find out how long it takes at most to an end.
  init(
    of kind: SmallMarket.Kind, limit: Int = .max, isCompared: Bool = false, isTimed: Bool = false
  ) throws {
    (self.isCompared, self.isTimed) = (isCompared, isTimed)
    _ = visit(try SmallMarket(kind), isFirst: true)
    var generator = SeededGenerator(seed: 11)
    while let index = frontier.indices.last, next.count < limit, violations.isEmpty {
      if limit < .max { frontier.swapAt(generator.below(frontier.count), index) }
      leave(frontier.removeLast())
    }
    while violations.isEmpty, let stop = again.popLast() { leave(stop) }
    count = next.count
    for stop in frontier where stop.isFirst && Self.endsByTimeAlone(stop.state) {
      next[Int(stop.number)] = .end
    }
    countEndless()
    if isTimed { longest = longestTime() }
  }

  /// Makes every move that the state has, and lets time pass.
  private mutating func leave(_ stop: Stop) {
    let state = stop.state
    if stop.isFirst { violations += state.market.invariantViolations() }
    var found: Set<[Int32]> = []
    for moved in moved(from: state) {
      if stop.isFirst { moves += 1 }
      let numbers = visit(moved, isFirst: stop.isFirst)
      if isCompared { found.insert(numbers) }
      if isTimed { edges[Int(stop.number)] += numbers.map { ($0, false) } }
    }
    var after = Next.end
    if state.isEnded {
      if state.isWhole, !state.isEmpty { violations.append("something is held at an end") }
    } else {
      var later = state
      later.pass()
      let numbers = visit(later, isFirst: stop.isFirst)
      after = .states(numbers)
      if isTimed { edges[Int(stop.number)] += numbers.map { ($0, true) } }
      // Told from what a move leads to.
      if isCompared { found.insert([-1] + numbers) }
    }
    if stop.isFirst { next[Int(stop.number)] = after }
    if isCompared { compare(found, with: stop) }
  }

  private func moved(from state: SmallMarket) -> [SmallMarket] {
    let moved = state.moves().compactMap { command, key in
      var moved = state
      return moved.perform(command, by: key) ? moved : nil
    }
    return moved + state.movesOfOthers()
  }

  private mutating func compare(_ found: Set<[Int32]>, with stop: Stop) {
    // A bid that nobody can take may be cancelled, which changes nothing.
    let others = found.subtracting([[stop.number]])
    if stop.isFirst {
      successors[stop.number] = others
    } else {
      comparisons += 1
      if successors[stop.number] != others {
        violations.append("states of name \(stop.number) go on differently")
      }
    }
  }

  /// The numbers of the state's parts. Those that are new are left later.
  private mutating func visit(_ state: SmallMarket, isFirst: Bool) -> [Int32] {
    var found: [Int32] = []
    for (part, name) in ControlState.parts(of: state) {
      let digest = Digest.of(name)
      let known = numbers[digest]
      let number = known ?? Int32(next.count)
      found.append(number)
      var stop = state
      stop.part = part
      if known == nil {
        numbers[digest] = number
        next.append(.unknown)
        if isTimed { edges.append([]) }
        frontier.append(Stop(state: stop, number: number, isFirst: true))
      } else if isCompared, isFirst {
        let stop = Stop(state: stop, number: number, isFirst: false)
        if successors[number] == nil { again.append(stop) } else { frontier.append(stop) }
      }
    }
    return found.sorted()
  }

  /// A state ends by time alone where all parts of the next one do; a circle does not.
  private mutating func countEndless() {
    var ends: [Bool?] = Array(repeating: nil, count: next.count)
    for start in next.indices where ends[start] == nil {
      var path = [start]
      while let state = path.last {
        // Until it is known, whoever comes here again walks in a circle.
        ends[state] = ends[state] ?? false
        var parts: [Int] = []
        switch next[state] {
        case .states(let numbers): parts = numbers.map(Int.init)
        case .end: ends[state] = true
        case .unknown: break
        }
        if let part = parts.first(where: { ends[$0] == nil }) {
          path.append(part)
        } else {
          if !parts.isEmpty { ends[state] = parts.allSatisfy { ends[$0] == true } }
          path.removeLast()
        }
      }
    }
    endless = ends.count { $0 == false }
  }

  /// The longest way in units of time over all moves; nil where a circle takes time. Components are
  /// found as Tarjan does (1972), and come up in the order in which they are left for good.
  private func longestTime() -> Int? {
    var order = Array(repeating: -1, count: edges.count)
    var lows = Array(repeating: 0, count: edges.count)
    var component = Array(repeating: -1, count: edges.count)
    var times: [Int] = []
    var (open, path, visited) = ([Int](), [(state: Int, edge: Int)](), 0)
    for start in edges.indices where order[start] < 0 {
      path.append((start, 0))
      while let (state, edge) = path.last {
        if edge == 0 {
          (order[state], lows[state]) = (visited, visited)
          visited += 1
          open.append(state)
        }
        if edge < edges[state].count {
          path[path.count - 1].edge += 1
          let target = Int(edges[state][edge].target)
          if order[target] < 0 {
            path.append((target, 0))
          } else if component[target] < 0 {
            lows[state] = min(lows[state], order[target])
          }
          continue
        }
        path.removeLast()
        if let parent = path.last?.state { lows[parent] = min(lows[parent], lows[state]) }
        guard lows[state] == order[state] else { continue }
        var time = 0
        let members = open[(open.lastIndex(of: state) ?? 0)...]
        for member in members { component[member] = times.count }
        for (target, isLater) in members.flatMap({ edges[$0] }) {
          let other = component[Int(target)]
          guard other < times.count else {
            if isLater { return nil }
            continue
          }
          time = max(time, times[other] + (isLater ? 1 : 0))
        }
        open.removeLast(members.count)
        times.append(time)
      }
    }
    return times.max()
  }

  /// Nobody does anything any more.
  static func endsByTimeAlone(_ start: SmallMarket) -> Bool {
    var state = start
    for _ in 0..<60 where !state.isEnded { state.pass() }
    return state.isEnded && (!state.isWhole || state.isEmpty)
  }
}
