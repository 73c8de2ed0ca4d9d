import HeapModule
@testable import Market
import Primitives
import Statements

/// What decides a market's next steps, without what does not: the one name of all states that
/// differ in names, in the time that has passed, or in amounts; and the parts of a state that go on
/// without each other.
///
/// A name is right where all states that share it lead to the same names (a bisimulation), which
/// `Walk` compares.
///
/// **Symmetry** (Emerson and Sistla, 1996). Requests are called by their arrival, bids by their
/// place in the queue, leases by request and slice, digests by where they are first met within
/// their request, ticks by their distance from now, and nonces by how many are missing.
///
/// **Parts** (Clarke, Long and McMillan, 1989). Requests meet in the bids that they take, hold and
/// give back, and nowhere else. A request that cannot take any more, and holds none that another
/// one could take, is a part by itself: what the state leads to is what its parts lead to. A bid
/// that nobody can take any more is left out.
///
/// **What is dead.** Balances, fees, stakes and what follows from them, while nobody runs out of
/// money; reputation, which only a request's filter reads; until when a slashed prover cools down,
/// for nobody bids again; slashes under a key, for those that would stop its leases leave no bid
/// open; of a closed bid all but its leases; a slice's failures and the provers that failed on it,
/// where it has settled or cannot come back; of a failing request all but its leases; of an open
/// one the final deadline, which is as far behind the other as ever; the begin deadline, where
/// every lease begins as it is made; nonces and their commitments after the draw; what is drawn for
/// a verified lease; what was audited; attempts of a verification, of which there is one; the
/// inputs and outputs of leases whose slice has been given away; and what has ended.
struct ControlState {
  /// Whose future is told together.
  enum Part: Hashable {
    /// One request that takes no bid any more.
    case alone(RequestID)
    /// All others, those that will come among them, and the bids.
    case rest(without: Set<RequestID>)
  }

  private let market: Market
  private let now: UInt64
  private let part: Part
  private var bytes: [UInt8] = []
  /// Places of the bids that somebody can still take.
  private var bids: [BidID: UInt8] = [:]
  private var ranks: [Subject: UInt8] = [:]

  /// The state's parts, with their names.
  static func parts(of state: SmallMarket) -> [(part: Part, name: [UInt8])] {
    var apart: Set<RequestID> = []
    switch state.part {
    case .alone: return [(state.part, name(of: state, state.part, []))]
    case .rest(let without): apart = without
    }
    let market = state.market
    let isComing = market.requests.count < state.kind.requests.count
    let requests = market.requests.filter { !apart.contains($0.id) && market.isLive($0) }
    let bids = market.book.bids.filter { bid in
      !bid.isClosed && (isComing || requests.contains { market.couldTake(bid, $0) })
    }
    let alone = requests.filter { request in
      !bids.contains { market.couldTake($0, request) || market.holds($0, request) }
    }
    var parts = alone.map { Part.alone($0.id) }
    if isComing || alone.count < requests.count || requests.isEmpty {
      parts.append(.rest(without: apart.union(alone.map(\.id))))
    }
    return parts.map { ($0, name(of: state, $0, bids)) }
  }

  private static func name(of state: SmallMarket, _ part: Part, _ bids: [Bid]) -> [UInt8] {
    var control = ControlState(state, part)
    switch part {
    case .alone(let id):
      control.bytes.append(255)
      control.append(state.market.requests.filter { $0.id == id })
    case .rest(let apart):
      control.bytes.append(UInt8(state.market.requests.count))
      control.append(bids)
      control.append(state.market.requests.filter { !apart.contains($0.id) })
    }
    return control.bytes
  }

  private init(_ state: SmallMarket, _ part: Part) {
    (market, now, self.part) = (state.market, state.now, part)
  }

  private mutating func append(_ queue: [Bid]) {
    let queue = queue.sorted { ($0.terms.price, $0.ordinal) < ($1.terms.price, $1.ordinal) }
    for bid in queue {
      bids[bid.id] = UInt8(bids.count)
      let lapses = market.provers[bid.prover]?.lapsesInARow ?? 0
      bytes += [UInt8(clamping: bid.leases), UInt8(clamping: lapses)]
    }
    bytes.append(254)
  }

  private mutating func append(_ requests: [Request]) {
    rank(requests)
    for request in requests where market.isLive(request) { append(request) }
  }

  // MARK: Deadlines

  private enum Subject: Hashable {
    case begin(RequestID)
    case final(RequestID)
    case reveal(RequestID)
    case lease(LeaseID)
  }

  /// The order in which the next tick comes to its deadlines, which decides who takes what they set
  /// free.
  private mutating func rank(_ requests: [Request]) {
    let named = Set(requests.map(\.id))
    var due: [Subject: UInt64] = [:]
    for deadline in market.deadlines.unordered
    where deadline.tick.milliseconds >= now
      && deadline.tick.milliseconds < now + SmallMarket.unit
    {
      guard let subject = subject(of: deadline, named) else { continue }
      due[subject] = min(due[subject] ?? .max, deadline.ordinal)
    }
    guard due.count > 1 else { return }
    for (index, entry) in due.sorted(by: { $0.value < $1.value }).enumerated() {
      ranks[entry.key] = UInt8(index + 1)
    }
  }

  /// Nil where the tick will pass it by.
  private func subject(of deadline: Deadline, _ named: Set<RequestID>) -> Subject? {
    func request(_ id: RequestID, _ isDue: (Request) -> Bool) -> Request? {
      named.contains(id) ? market.requests[id].flatMap { isDue($0) ? $0 : nil } : nil
    }
    switch deadline.subject {
    case .requestBegin(let id):
      return request(id) { isBeginLive($0) && $0.beginDeadline == deadline.tick }
        .map { .begin($0.id) }
    case .requestFinal(let id):
      return request(id) { $0.isRunning && $0.finalDeadline == deadline.tick }
        .map { .final($0.id) }
    case .reveal(let id):
      return request(id) { $0.isRevealing && $0.reveals?.deadline == deadline.tick }
        .map { .reveal($0.id) }
    case .lease(let id):
      guard let lease = market.leases[id], named.contains(lease.terms.request),
        !lease.state.isFinal, lease.deadline == deadline.tick
      else { return nil }
      return .lease(id)
    default: return nil
    }
  }

  /// Whether the request's begin deadline can find a lease that has not begun.
  private func isBeginLive(_ request: Request) -> Bool {
    if request.state == .open { return true }
    guard request.isRunning, !request.isBeginOver else { return false }
    if request.slices.contains(where: { market.lease(of: $0)?.state == .leased }) { return true }
    let returning = market.returning(request)
    return takes(request) && returning.contains(1)
      && (returning.contains(0) || market.lease(of: request.slices[0])?.commitment == nil)
  }

  private func takes(_ request: Request) -> Bool {
    market.book.bids.contains { bids[$0.id] != nil && market.couldTake($0, request) }
  }

  /// From now on; 255 where it is over or never.
  private mutating func append(_ tick: Tick, _ subject: Subject) {
    guard tick < .never, tick.milliseconds >= now else { return bytes.append(255) }
    bytes += [
      UInt8(clamping: (tick.milliseconds - now) / SmallMarket.unit), ranks[subject] ?? 0,
    ]
  }

  // MARK: Requests and leases

  private mutating func append(_ request: Request) {
    bytes.append(request.state.isFinal ? 0 : request.state.rawValue)
    if isBeginLive(request) {
      append(request.beginDeadline, .begin(request.id))
    } else {
      bytes.append(253)
    }
    if !request.state.isFinal {
      for assurance in request.terms.assurances { bytes.append(assurance.assurance.rawValue) }
      if request.state == .open { bytes.append(request.brokerCommitment == nil ? 0 : 1) }
      if request.isRunning { appendRunning(request) }
      appendSlices(of: request)
    }
    for orphan in market.leases
    where orphan.terms.request == request.id && orphan.isOrphaned && !orphan.state.isFinal {
      bytes.append(orphan.terms.assurance.assurance.rawValue)
      append(orphan)
    }
    bytes.append(252)
  }

  private mutating func appendRunning(_ request: Request) {
    append(request.finalDeadline, .final(request.id))
    guard request.terms.isAttested else { return }
    guard !request.isDrawn, let reveals = request.reveals else {
      return bytes.append(request.isDrawn ? 1 : 2)
    }
    let missing =
      (reveals.requester == nil ? 1 : 0) + (reveals.broker == nil ? 1 : 0)
      + reveals.leases.count { market.leases[$0]?.nonce == nil }
    bytes += [3, UInt8(missing)]
    append(reveals.deadline, .reveal(request.id))
  }

  private mutating func appendSlices(of request: Request) {
    var digests: [Digest: UInt8] = [:]
    func append(_ list: [Digest]) {
      for digest in list {
        let name = digests[digest] ?? UInt8(digests.count)
        digests[digest] = name
        bytes.append(name)
      }
      bytes.append(251)
    }
    let returning = takes(request) ? market.returning(request) : []
    for (index, slice) in request.slices.enumerated() {
      let lease = market.lease(of: slice)
      if request.state != .failing, lease?.state != .settled {
        bytes.append(UInt8(clamping: slice.failures))
      }
      if returning.contains(index) {
        for bid in market.book.bids where slice.ineligible.contains(bid.prover) {
          if let place = bids[bid.id] { bytes.append(place) }
        }
        bytes.append(251)
      }
      guard let lease else {
        bytes.append(255)
        continue
      }
      self.append(lease)
      // Its prover holds a slice of the spread.
      if lease.state == .settled, !returning.isEmpty { bytes.append(bids[lease.terms.bid] ?? 255) }
      if request.isRunning {
        if index > 0 { append(lease.inputs) }
        append(lease.commitment?.outputs ?? [])
      }
    }
    if request.isRunning { append(request.answer ?? []) }
  }

  private mutating func append(_ lease: Lease) {
    bytes.append(lease.state.rawValue)
    guard !lease.state.isFinal else { return }
    append(lease.deadline, .lease(lease.id))
    bytes += [
      bids[lease.terms.bid] ?? 255, lease.verification?.rawValue ?? 0, lease.isFaulted ? 1 : 0,
      lease.state == .verified ? 0 : lease.draw?.rawValue ?? 0,
    ]
  }
}

extension Market {
  fileprivate func lease(of slice: RequestSlice) -> Lease? { slice.lease.flatMap { leases[$0] } }

  /// Whether anything of the request has not ended. An orphan may outlive it.
  fileprivate func isLive(_ request: Request) -> Bool {
    !request.state.isFinal
      || leases.contains { $0.terms.request == request.id && !$0.state.isFinal }
  }

  fileprivate func holds(_ bid: Bid, _ request: Request) -> Bool {
    leases.contains {
      $0.terms.bid == bid.id && $0.terms.request == request.id && !$0.state.isFinal
    }
  }

  /// Whether the bid, which is open, could ever take one of the request's slices.
  fileprivate func couldTake(_ bid: Bid, _ request: Request) -> Bool {
    returning(request).contains { !request.slices[$0].ineligible.contains(bid.prover) }
  }

  /// Slices that rest, or may come back to the book, while there are bids.
  fileprivate func returning(_ request: Request) -> [Int] {
    if request.state == .open { return [0, 1] }
    guard request.isRunning else { return [] }
    func mayFail(_ slice: Int) -> Bool {
      request.slices[slice].failures + 1 < request.terms.attemptsMax
    }
    let (first, second) = (lease(of: request.slices[0]), lease(of: request.slices[1]))
    let isFirst = first.map { $0.state != .settled && mayFail(0) } ?? true
    let isSecond =
      second.map { lease in
        if lease.state == .settled { return false }
        if isFirst || mayFail(1) { return true }
        if lease.state == .leased { return !request.isBeginOver }
        // Once the first slice has settled over another output, it is released for its stale input.
        return first?.commitment?.outputs != lease.inputs
      } ?? true
    return (isFirst ? [0] : []) + (isSecond ? [1] : [])
  }
}

extension Request {
  fileprivate var isRunning: Bool { state == .running || state == .answered }
}
