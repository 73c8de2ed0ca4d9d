import CSumcheckKernels
import Dispatch
import Glibc
import Synchronization

/// The threads of one proof: the one that makes it, and helpers that last as long as this object.
/// They divide work into pieces, and give it up between two pieces once the caller of the proof
/// has. Every division gives the same results: pieces are ranges of exact sums or of separate
/// memory.
///
/// A proof has hundreds of rounds of some 100 µs, so helpers spin for a moment before they sleep:
/// handing them a round then costs less than a microsecond.
final class Parallel {
  /// Nanoseconds of work between two questions whether the caller gave up, and of the largest piece
  /// that can be divided.
  static let patience = 1_000_000

  private let threads: Int
  private let crew: Crew
  private var hasHelpers = false

  init(threads: Int, isCancelled: @escaping @Sendable () -> Bool = { false }) {
    self.threads = threads
    crew = Crew(helpers: max(threads, 1) - 1, isCancelled: isCancelled)
  }

  convenience init(threads: Int, _ supervision: Supervision) {
    self.init(threads: threads, isCancelled: supervision.isCancelled)
  }

  deinit { crew.dismiss() }

  /// What `body` gives, for work that nobody can give up.
  static func unsupervised<Value>(
    threads: Int, _ body: (Parallel) throws(Cancelled) -> Value
  ) -> Value {
    do {
      return try body(Parallel(threads: threads))
    } catch {
      fatalError("work was given up that nobody watches")
    }
  }

  /// Calls `body` on pieces of 0..<count, which must not call this again. `cost` is about what an
  /// item takes, in nanoseconds of one thread.
  func forEachPart(
    of count: Int, cost: Double, _ body: (Range<Int>) -> Void
  ) throws(Cancelled) {
    guard count > 0 else { return }
    let pieces = Pieces(of: count, cost: cost, threads: threads)
    try perform(pieces) { body(pieces[$0]) }
  }

  /// The sum of `body` over pieces of 0..<count, for a count of at least 1.
  func sum<Value>(
    of count: Int, cost: Double, _ add: (Value, Value) -> Value, _ body: (Range<Int>) -> Value
  ) throws(Cancelled) -> Value {
    let pieces = Pieces(of: count, cost: cost, threads: threads)
    guard pieces.count > 1 else {
      try crew.ask(before: pieces.cost)
      return body(0..<count)
    }
    var results = [Value?](repeating: nil, count: pieces.count)
    try results.withUnsafeMutableBufferPointer { results throws(Cancelled) in
      // Each piece writes a place of its own.
      let places = results
      try perform(pieces) { places[$0] = body(pieces[$0]) }
    }
    return results.compactMap { $0 }.reduce(nil) { sum, next in sum.map { add($0, next) } ?? next }
      ?? body(0..<0)
  }

  private func perform(_ pieces: Pieces, _ body: (Int) -> Void) throws(Cancelled) {
    guard pieces.count > 1 else {
      try crew.ask(before: pieces.cost)
      return body(0)
    }
    if threads > 1, !hasHelpers {
      hasHelpers = true
      crew.start()
    }
    withoutActuallyEscaping(body) { body in
      withUnsafePointer(to: body) { crew.perform(pieces, $0) }
    }
    if crew.isCancelled { throw Cancelled() }
  }
}

/// How a range is divided.
private struct Pieces {
  /// Less is not worth handing over, nor is less than the second worth waking someone for.
  private static let least = 15_000.0
  static let alarming = 30_000

  let total: Int
  let count: Int
  /// Nanoseconds, of all pieces.
  let cost: Int

  /// Up to four pieces for each thread, so that one that is held up delays little, and none larger
  /// than `patience` allows.
  init(of total: Int, cost: Double, threads: Int) {
    self.total = total
    let whole = Double(total) * cost
    self.cost = Int(whole)
    let bounded = Int(whole) / Parallel.patience + 1
    let shared = threads > 1 ? min(4 * threads, Int(whole / Self.least)) : 1
    count = min(total, max(bounded, shared))
  }

  subscript(index: Int) -> Range<Int> { start(index)..<start(index + 1) }

  /// At multiples of what kernels do at once, where pieces are large enough.
  private func start(_ index: Int) -> Int {
    if index == count { return total }
    let start = index * total / count
    return total >= 64 * count ? start & ~15 : start
  }
}

/// What the threads share. Helpers hold it as long as they run.
///
/// A job is published by `gate`, one word: whose value is 2^9 times the number of the job, plus 2^8
/// while it is open, plus the helpers at work in it. A helper enters by exchanging that word while
/// the job is open; the caller closes the job and waits until no helper is in it. So whoever reads
/// `pieces` and `body` does it between publishing and closing, while both stay as they are.
private final class Crew: Sendable {
  private static let open = 1 << 8
  private static let number = 1 << 9
  private static let dismissed = -1
  /// Some 100 µs, longer than the small rounds between two large ones.
  private static let spins = 5000

  private let gate = Atomic<Int>(0)
  private let next = Atomic<Int>(0)
  private let unasked = Atomic<Int>(0)
  private let gaveUp = Atomic<Bool>(false)
  private let asksCaller: @Sendable () -> Bool
  private let helpers: [Helper]
  nonisolated(unsafe) private var pieces = Pieces(of: 1, cost: 0, threads: 1)
  nonisolated(unsafe) private var body: UnsafePointer<(Int) -> Void>?

  private final class Helper: Sendable {
    let sleeps = Atomic<Bool>(false)
    let alarm = DispatchSemaphore(value: 0)

    func wake() {
      if sleeps.load(ordering: .sequentiallyConsistent),
        sleeps.exchange(false, ordering: .sequentiallyConsistent)
      {
        alarm.signal()
      }
    }
  }

  init(helpers: Int, isCancelled: @escaping @Sendable () -> Bool) {
    self.helpers = (0..<min(helpers, 255)).map { _ in Helper() }
    asksCaller = isCancelled
  }

  var isCancelled: Bool { gaveUp.load(ordering: .relaxed) }

  /// Asks the caller where enough work will have been done since the last time.
  func ask(before cost: Int) throws(Cancelled) {
    if add(cost) { throw Cancelled() }
  }

  /// Whether the work need not be done.
  private func add(_ cost: Int) -> Bool {
    let sum = unasked.add(cost, ordering: .relaxed).newValue
    if sum >= Parallel.patience {
      unasked.store(0, ordering: .relaxed)
      if asksCaller() { gaveUp.store(true, ordering: .relaxed) }
    }
    return isCancelled
  }

  func start() {
    for helper in helpers { DispatchQueue.global().async { [self] in help(helper) } }
  }

  func dismiss() {
    gate.store(Self.dismissed, ordering: .sequentiallyConsistent)
    for helper in helpers { helper.wake() }
  }

  /// All pieces, or none more once the caller gave up.
  func perform(_ pieces: Pieces, _ body: UnsafePointer<(Int) -> Void>) {
    (self.pieces, self.body) = (pieces, body)
    next.store(0, ordering: .relaxed)
    let word = gate.load(ordering: .relaxed) + Self.number + Self.open
    gate.store(word, ordering: .sequentiallyConsistent)
    // Short work is for helpers that are awake.
    if pieces.cost >= Pieces.alarming { for helper in helpers { helper.wake() } }
    work()
    gate.subtract(Self.open, ordering: .sequentiallyConsistent)
    var waits = 0
    while gate.load(ordering: .acquiring) & (Self.open - 1) != 0 {
      waits += 1
      if waits % 64 == 0 { sched_yield() } else { sumcheck_pause() }
    }
  }

  /// Never inlined, so that nothing of the job is held when it returns.
  @inline(never)
  private func work() {
    guard let body else { return }
    let pieces = pieces
    while true {
      let index = next.add(1, ordering: .relaxed).oldValue
      guard index < pieces.count else { return }
      if add(pieces.cost / pieces.count) { return }
      body.pointee(index)
    }
  }

  private func help(_ helper: Helper) {
    var last = 0
    while true {
      let word = gate.load(ordering: .acquiring)
      if word == Self.dismissed { return }
      if word & Self.open != 0, word / Self.number != last {
        let entered = gate.compareExchange(
          expected: word, desired: word + 1, ordering: .acquiringAndReleasing)
        if entered.exchanged {
          last = word / Self.number
          work()
          gate.subtract(1, ordering: .releasing)
        }
      } else {
        wait(helper, while: word)
      }
    }
  }

  /// Until the gate's word is another.
  private func wait(_ helper: Helper, while word: Int) {
    for _ in 0..<Self.spins {
      if gate.load(ordering: .relaxed) != word { return }
      sumcheck_pause()
    }
    helper.sleeps.store(true, ordering: .sequentiallyConsistent)
    // Whoever changes the word afterwards finds that this sleeps, and rings. If it has changed
    // already, the alarm is taken back, unless it has been rung.
    if gate.load(ordering: .sequentiallyConsistent) == word
      || !helper.sleeps.exchange(false, ordering: .sequentiallyConsistent)
    {
      helper.alarm.wait()
    }
  }
}
