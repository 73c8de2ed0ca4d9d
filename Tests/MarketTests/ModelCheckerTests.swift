import Foundation
import Market
import Primitives
import Testing

/// Walks every state that small markets can reach, and finds none from which time alone does not
/// lead to an end: every request and lease ended, every hold given back.
///
/// States that differ only in names, in the time that has passed or in amounts are one, and
/// requests that cannot meet any more are walked one by one (`ControlState`).
/// `BOURSE_MODEL_CHECK=full` in a release build walks the large markets too.
///
/// No move is left out because it is independent of another one (persistent sets: Godefroid,
/// LNCS 1032, 1996). Time may pass between any two, so what lies between them would have to be
/// visited all the same.
struct ModelCheckerTests {
  private static let isFull =
    ProcessInfo.processInfo.environment["BOURSE_MODEL_CHECK"] == "full"

  /// Two requesters, three provers, two slices: walked to the end in seconds, whatever the build.
  private static let small: [SmallMarket.Kind] = [
    SmallMarket.Kind(requests: [[.proven, .proven], [.proven, .proven]], attempts: [1, 1])
  ]

  /// Two requesters, three provers, two slices: walked to the end in minutes.
  private static let large: [SmallMarket.Kind] = [
    SmallMarket.Kind(requests: [[.attested, .proven], [.proven, .proven]], attempts: [1, 1]),
    SmallMarket.Kind(
      requests: [[.attested, .proven], [.proven, .proven]], isAudited: true, attempts: [1, 1]),
    SmallMarket.Kind(requests: [[.attested, .attested], [.proven, .proven]], attempts: [1, 1]),
    SmallMarket.Kind(requests: [[.proven, .proven], [.proven, .proven]], attempts: [2, 1]),
    SmallMarket.Kind(requests: [[.proven, .proven], [.proven, .proven]], attempts: [1, 2]),
    SmallMarket.Kind(requests: [[.attested, .proven], [.attested, .proven]], attempts: [1, 1]),
    SmallMarket.Kind(
      requests: [[.attested, .attested], [.attested, .proven]], attempts: [1, 1]),
  ]

  /// Never walked to the end.
  private static let unfinished: [SmallMarket.Kind] = [
    SmallMarket.Kind(requests: [[.proven, .proven], [.proven, .proven]], attempts: [2, 2]),
    SmallMarket.Kind(
      requests: [[.attested, .proven], [.proven, .proven]], isAudited: true, attempts: [2, 2]),
  ]

  /// One requester among any number of others, three provers, two slices. A lapse in others' hands
  /// closes a bid, or else the lapses before it would have to be known.
  private static let among: [SmallMarket.Kind] = [
    SmallMarket.Kind(requests: [[.proven, .proven]], attempts: [1], lapses: 1, isAmongOthers: true)
  ]

  private static let amongInFull: [SmallMarket.Kind] = [
    SmallMarket.Kind(
      requests: [[.attested, .proven]], attempts: [1], lapses: 1, isAmongOthers: true),
    SmallMarket.Kind(
      requests: [[.proven, .proven]], attempts: [2], lapses: 1, isAmongOthers: true),
  ]

  /// Small enough to compare all that share a name.
  private static let compared: [SmallMarket.Kind] = [
    SmallMarket.Kind(requests: [[.proven, .proven]], attempts: [1]),
    SmallMarket.Kind(requests: [[.attested, .proven]], isAudited: true, attempts: [1]),
  ]

  private static let comparedInFull: [SmallMarket.Kind] = [
    SmallMarket.Kind(requests: [[.proven, .proven]], attempts: [2]),
    SmallMarket.Kind(requests: [[.proven, .proven], [.proven, .proven]], attempts: [1, 1]),
    SmallMarket.Kind(requests: [[.proven, .attested], [.proven, .proven]], attempts: [1, 1]),
    SmallMarket.Kind(
      requests: [[.proven, .proven]], attempts: [1], lapses: 1, isAmongOthers: true),
  ]

  @Test(arguments: isFull ? small + large : small)
  func everyReachableStateHasAWayToAnEnd(kind: SmallMarket.Kind) throws {
    try walkToTheEnd(kind)
  }

  /// What any number of other requesters can do to a request they do through the bids; here they
  /// may do all of it at any time.
  @Test(arguments: isFull ? among + amongInFull : among)
  func aRequestAmongOthersEndsWhateverTheyDo(kind: SmallMarket.Kind) throws {
    try walkToTheEnd(kind)
  }

  private func walkToTheEnd(_ kind: SmallMarket.Kind) throws {
    let start = ContinuousClock.now
    let walk = try Walk(of: kind, isTimed: true)
    let time = ContinuousClock.now - start
    print(
      "\(kind): \(walk.count) states, \(walk.moves) moves, all over after",
      "\(walk.longest.map(String.init) ?? "unknown") units, \(time)")
    #expect(walk.violations == [])
    #expect(walk.endless == 0, "\(walk.endless) of \(walk.count) states have no way to an end")
    // Nor is there a way that time passes on for ever: what fails at its final deadline is decided
    // within three windows, and the next may ask just before.
    let most = kind.requests.count * (Int(kind.final) + 3)
    #expect(walk.longest.map { $0 <= most } ?? false)
  }

  /// What makes one state of many: all that is met under a name leads to the same names.
  @Test(arguments: isFull ? compared + comparedInFull : compared)
  func statesOfOneNameGoOnAlike(kind: SmallMarket.Kind) throws {
    let walk = try Walk(of: kind, isCompared: true)
    print("\(kind): \(walk.comparisons) states compared under \(walk.count) names")
    #expect(walk.violations == [])
    #expect(walk.comparisons > walk.count)
  }

  /// A part of the states of a market of two requesters and three provers, deep ones among them.
  @Test func noStateOfAnUnfinishedWalkIsWithoutAnEnd() throws {
    for kind in Self.large + Self.unfinished {
      let walk = try Walk(of: kind, limit: 150)
      #expect(walk.violations == [])
      #expect(walk.endless == 0)
    }
  }

  /// The canary: a lease that no deadline reaches is noticed.
  @Test func noticesAStateWithoutAnEnd() throws {
    var state = try SmallMarket(Self.large[0])
    try submit(&state)
    let lease = try #require(state.market.leases.first)
    try state.market.evolve(Event(.leaseOrphaned(lease.id, compensation: .zero)))
    try state.market.evolve(Event(.leaseBegun(lease.id, inputs: [.zero], deadline: .never)))
    #expect(!Walk.endsByTimeAlone(state))
  }

  /// The canary of the names: a field that decides something and is new must be thought of.
  @Test func everyFieldIsNamedOrLeftOutForAReason() throws {
    var state = try SmallMarket(Self.large[0])
    try submit(&state)
    func fields(_ value: some Any) -> Int { Mirror(reflecting: value).children.count }
    let request = try #require(state.market.requests.first)
    #expect(fields(request) == 19)
    #expect(fields(request.slices[0]) == 7)
    #expect(fields(try #require(state.market.leases.first)) == 18)
    #expect(fields(try #require(state.market.book.bids.first)) == 6)
    #expect(fields(try #require(state.market.provers.values.first)) == 5)
  }

  private func submit(_ state: inout SmallMarket) throws {
    let (command, key) = try #require(state.moves().first { $0.0.name == "submitRequest" })
    let isTaken = state.perform(command, by: key)
    #expect(isTaken)
  }
}
