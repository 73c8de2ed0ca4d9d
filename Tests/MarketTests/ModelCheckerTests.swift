import Foundation
import Market
import Primitives
import Testing

/// Walks every state that small markets can reach, and finds none from which time alone does not
/// lead to an end: every request and lease ended, every hold given back.
///
/// States that differ only in names, in the time that has passed or in amounts are one
/// (`ControlState`). `BOURSE_MODEL_CHECK=full` in a release build walks the large markets too.
struct ModelCheckerTests {
  private static let isFull =
    ProcessInfo.processInfo.environment["BOURSE_MODEL_CHECK"] == "full"

  /// Walked to the end in seconds, whatever the build.
  private static let small: [SmallMarket.Kind] = [
    SmallMarket.Kind(requests: [[.proven, .proven]], provers: 2, attempts: 1)
  ]

  /// Two requesters, three provers, two slices.
  private static let large: [SmallMarket.Kind] = [
    SmallMarket.Kind(requests: [[.proven, .proven], [.proven, .proven]]),
    SmallMarket.Kind(requests: [[.attested, .proven], [.proven, .proven]], isAudited: true),
    SmallMarket.Kind(requests: [[.attested, .proven], [.proven, .proven]]),
    SmallMarket.Kind(requests: [[.attested, .attested], [.attested, .proven]], attempts: 1),
  ]

  @Test(arguments: isFull ? small + large : small)
  func everyReachableStateHasAWayToAnEnd(kind: SmallMarket.Kind) throws {
    let start = ContinuousClock.now
    let walk = try Walk(of: kind, limit: .max)
    let time = ContinuousClock.now - start
    print("\(kind): \(walk.count) states, \(walk.moves) moves, \(time)")
    #expect(walk.violations == [])
    #expect(walk.endless == 0, "\(walk.endless) of \(walk.count) states have no way to an end")
  }

  /// A part of the states of a market of two requesters and three provers, deep ones among them.
  @Test func noStateOfAnUnfinishedWalkIsWithoutAnEnd() throws {
    for kind in Self.large {
      let walk = try Walk(of: kind, limit: 150)
      #expect(walk.violations == [])
      #expect(walk.endless == 0)
    }
  }

  /// The canary: a lease that no deadline reaches is noticed.
  @Test func noticesAStateWithoutAnEnd() throws {
    var state = try SmallMarket(Self.large[0])
    let (command, key) = try #require(state.moves().first { $0.0.name == "submitRequest" })
    let isTaken = state.perform(command, by: key)
    #expect(isTaken)
    let lease = try #require(state.market.sortedLeases.first)
    try state.market.evolve(Event(.leaseOrphaned(lease.id, compensation: .zero)))
    try state.market.evolve(Event(.leaseBegun(lease.id, inputs: [.zero], deadline: .never)))
    #expect(!Walk.endsByTimeAlone(state))
  }

  /// The canary of the names: a field that decides something and is new must be thought of.
  @Test func everyFieldIsNamedOrLeftOutForAReason() throws {
    var state = try SmallMarket(Self.large[0])
    let (command, key) = try #require(state.moves().first { $0.0.name == "submitRequest" })
    let isTaken = state.perform(command, by: key)
    #expect(isTaken)
    func fields(_ value: some Any) -> Int { Mirror(reflecting: value).children.count }
    let request = try #require(state.market.sortedRequests.first)
    #expect(fields(request) == 19)
    #expect(fields(request.slices[0]) == 7)
    #expect(fields(try #require(state.market.sortedLeases.first)) == 20)
    #expect(fields(try #require(state.market.book.bids.first)) == 6)
    #expect(fields(try #require(state.market.provers.values.first)) == 5)
  }
}

/// A walk over the states of one market, from its start on.
private struct Walk {
  private(set) var count = 0
  private(set) var moves = 0
  /// States from which time alone does not lead to an end.
  private(set) var endless = 0
  private(set) var violations: [String] = []

  /// Where time leads from each state: to another one, to an end, or, being unknown, nowhere.
  private enum Next {
    case state(Int)
    case end
    case unknown
  }

  private var numbers: [Digest: Int] = [:]
  private var next: [Next] = []

  /// - Parameter limit: States after which the walk is given up; from those that it has not left by
  ///   time yet, time is then followed by itself.
  init(of kind: SmallMarket.Kind, limit: Int) throws {
    let start = try SmallMarket(kind)
    var frontier: [(state: SmallMarket, number: Int)] = [(start, number(start).number)]
    var generator = SeededGenerator(seed: 11)
    while let index = frontier.indices.last, next.count < limit {
      if limit < .max { frontier.swapAt(generator.below(frontier.count), index) }
      let (state, number) = frontier.removeLast()
      violations += state.market.invariantViolations()
      for (command, key) in state.moves() {
        var moved = state
        guard moved.perform(command, by: key) else { continue }
        moves += 1
        let (number, isNew) = self.number(moved)
        if isNew { frontier.append((moved, number)) }
      }
      if state.isEnded {
        if !state.isEmpty { violations.append("something is held at an end") }
        next[number] = .end
      } else {
        var later = state
        later.pass()
        let (successor, isNew) = self.number(later)
        next[number] = .state(successor)
        if isNew { frontier.append((later, successor)) }
      }
      guard violations.isEmpty else { break }
    }
    count = next.count
    for (state, number) in frontier where Self.endsByTimeAlone(state) { next[number] = .end }
    countEndless()
  }

  private mutating func number(_ state: SmallMarket) -> (number: Int, isNew: Bool) {
    let name = Digest.of(state.name)
    if let known = numbers[name] { return (known, false) }
    numbers[name] = next.count
    next.append(.unknown)
    return (next.count - 1, true)
  }

  /// A state ends by time alone where its successor does; a circle does not.
  private mutating func countEndless() {
    var ends: [Bool?] = Array(repeating: nil, count: next.count)
    for start in next.indices where ends[start] == nil {
      var path: [Int] = []
      var isEnding = false
      var state = start
      follow: while true {
        if let known = ends[state] {
          isEnding = known
          break
        }
        path.append(state)
        // Until it is known, whoever comes here again walks in a circle.
        ends[state] = false
        switch next[state] {
        case .state(let successor): state = successor
        case .end:
          isEnding = true
          break follow
        case .unknown: break follow
        }
      }
      for state in path { ends[state] = isEnding }
    }
    endless = ends.count { $0 == false }
  }

  /// Nobody does anything any more.
  static func endsByTimeAlone(_ start: SmallMarket) -> Bool {
    var state = start
    for _ in 0..<60 where !state.isEnded { state.pass() }
    return state.isEnded && state.isEmpty
  }
}
