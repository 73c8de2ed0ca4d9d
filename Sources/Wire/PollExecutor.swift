import CZeroMQ
import Glibc
import Synchronization

/// One thread that polls sockets and, between polls, runs the jobs of the actors that chose it as
/// their executor. A socket made inside such an actor is therefore used on one thread only, as
/// libzmq demands, and the compiler's isolation is what keeps it there.
///
/// The thread ends after the last actor that holds the executor is gone.
package final class PollExecutor: SerialExecutor {
  /// Of all clients on this thread together: each context has two threads of its own.
  let context = ZeroMQContext()
  private let loop: PollLoop

  package init() {
    loop = PollLoop()
    loop.start()
  }

  deinit { loop.stop() }

  package func enqueue(_ job: consuming ExecutorJob) {
    loop.enqueue(.job(UnownedJob(job), self))
  }

  /// For tasks that prefer this thread, so that what they ask of its actors, and what they do with
  /// the answers, changes no thread.
  package var tasks: some TaskExecutor { PollTasks(executor: self) }

  fileprivate func enqueue(_ job: consuming ExecutorJob, of tasks: PollTasks) {
    loop.enqueue(.task(UnownedJob(job), tasks))
  }

  /// Runs `body` on the executor's thread, where an actor that chose this executor may assume its
  /// isolation. Cheaper than a task, and in order with other such calls of the same thread.
  package func run(_ body: @escaping @Sendable () -> Void) {
    loop.enqueue(.call(body, self))
  }

  package func asUnownedSerialExecutor() -> UnownedSerialExecutor {
    UnownedSerialExecutor(ordinary: self)
  }

  package func isIsolatingCurrentContext() -> Bool? { loop.isCurrentThread }

  package func checkIsolated() {
    precondition(loop.isCurrentThread, "a socket may be used only on its executor's thread")
  }

  /// Both must be called on the executor's thread.
  func add(_ source: PollSource) {
    checkIsolated()
    loop.add(source)
  }

  func remove(_ source: PollSource) {
    checkIsolated()
    loop.remove(source)
  }
}

/// An executor apart from the actors' own: a task's job that runs under the one is not isolated to
/// any of them.
private final class PollTasks: TaskExecutor {
  let executor: PollExecutor

  init(executor: PollExecutor) { self.executor = executor }

  func enqueue(_ job: consuming ExecutorJob) { executor.enqueue(job, of: self) }
}

/// A socket that is polled, and a time by which its owner wants to be woken in any case.
final class PollSource {
  let socket: ZeroMQSocket?
  var wakeAt: ContinuousClock.Instant? {
    didSet { if let wakeAt { schedule?.note(wakeAt) } }
  }
  /// Runs on the executor's thread. It leaves the socket drained or is called again at once.
  let wake: @Sendable () -> Void

  fileprivate var number: UInt64 = 0
  fileprivate var schedule: PollSchedule?
  fileprivate var isUsed = false

  init(socket: ZeroMQSocket?, wake: @escaping @Sendable () -> Void) {
    (self.socket, self.wake) = (socket, wake)
  }
}

/// What a loop must look at before it waits, so that it need not look at all sources.
private final class PollSchedule {
  /// No source wants to be woken before.
  var earliest: ContinuousClock.Instant?
  /// Sources whose sockets were used since they were last asked for messages.
  var used: [PollSource] = []

  func note(_ instant: ContinuousClock.Instant) {
    earliest = earliest.map { min($0, instant) } ?? instant
  }

  func noteUse(of source: PollSource) {
    if source.isUsed { return }
    source.isUsed = true
    used.append(source)
  }
}

/// The thread's own part, which outlives the executor just long enough to leave the loop.
private final class PollLoop: @unchecked Sendable {
  // `@unchecked Sendable`: `sources` and `own` are touched on the loop's thread only
  // (`PollExecutor.add` and `remove` check it, and `enqueue` asks); all else is a lock, an atomic
  // or a constant.
  enum Work {
    /// The executor is held so that an actor whose last reference falls in its own job does not
    /// take its executor away from under that job.
    case job(UnownedJob, PollExecutor)
    case task(UnownedJob, PollTasks)
    case call(@Sendable () -> Void, PollExecutor)

    func run() {
      switch self {
      case .job(let job, let executor):
        job.runSynchronously(on: executor.asUnownedSerialExecutor())
      case .task(let job, let tasks):
        job.runSynchronously(on: tasks.asUnownedTaskExecutor())
      case .call(let body, _): body()
      }
    }
  }

  private struct Queue {
    var work: [Work] = []
    /// The loop waits, or is about to, and has not been signalled.
    var isWaiting = false
    var isStopped = false
  }

  private var sources: [UInt64: PollSource] = [:]
  private var sourceCount: UInt64 = 0
  private let schedule = PollSchedule()
  private var readable = [UInt64](repeating: 0, count: 64)
  private let queue = Mutex(Queue())
  /// What the loop's thread gave itself, which needs neither lock nor signal.
  private var own: [Work] = []
  private let thread = Atomic<UInt>(0)
  private let wakeDescriptor: Int32
  private let pollDescriptor: Int32

  init() {
    wakeDescriptor = bourse_wake_open()
    pollDescriptor = bourse_poll_open()
    precondition(
      wakeDescriptor >= 0 && pollDescriptor >= 0
        && bourse_poll_add(pollDescriptor, wakeDescriptor, 0) == 0,
      "the system has no file descriptor left for a poll loop")
  }

  deinit {
    close(pollDescriptor)
    close(wakeDescriptor)
  }

  func add(_ source: PollSource) {
    // 0 is the loop's own.
    sourceCount += 1
    source.number = sourceCount
    source.schedule = schedule
    sources[source.number] = source
    if let wakeAt = source.wakeAt { schedule.note(wakeAt) }
    guard let socket = source.socket else { return }
    let isPolled = bourse_poll_add(pollDescriptor, socket.descriptor, source.number) == 0
    precondition(isPolled, "the system has no memory left to poll a socket")
    socket.onUse = { [weak source, schedule] in if let source { schedule.noteUse(of: source) } }
    // What came before it was polled is told of by nothing else.
    schedule.noteUse(of: source)
  }

  /// Must come before its socket is closed.
  func remove(_ source: PollSource) {
    guard sources.removeValue(forKey: source.number) != nil else { return }
    source.schedule = nil
    guard let socket = source.socket else { return }
    socket.onUse = nil
    _ = bourse_poll_remove(pollDescriptor, socket.descriptor)
  }

  var isCurrentThread: Bool { thread.load(ordering: .relaxed) == UInt(pthread_self()) }

  func start() {
    var thread = pthread_t()
    let context = Unmanaged.passRetained(self).toOpaque()
    let failure = pthread_create(
      &thread, nil,
      { context in
        if let context { Unmanaged<PollLoop>.fromOpaque(context).takeRetainedValue().run() }
        return nil
      }, context)
    precondition(failure == 0, "the system has no thread left for a poll loop")
    pthread_detach(thread)
  }

  func enqueue(_ work: Work) {
    if isCurrentThread { own.append(work) } else { signal { $0.work.append(work) } }
  }

  func stop() { signal { $0.isStopped = true } }

  /// Asks the system for nothing while the loop is awake: it looks once more before it waits.
  private func signal(_ change: (inout sending Queue) -> Void) {
    let mustSignal = queue.withLock { queue in
      change(&queue)
      defer { queue.isWaiting = false }
      return queue.isWaiting
    }
    if mustSignal { bourse_wake_signal(wakeDescriptor) }
  }

  private func run() {
    thread.store(UInt(pthread_self()), ordering: .relaxed)
    while runWork() { poll() }
    sources = [:]
    schedule.used = []
  }

  /// False once stopped and out of work.
  private func runWork() -> Bool {
    let mine = own
    own = []
    let (others, isStopped) = queue.withLock { queue in
      let work = queue.work
      queue.work = []
      return (work, queue.isStopped)
    }
    for work in mine { work.run() }
    for work in others { work.run() }
    return !(isStopped && mine.isEmpty && others.isEmpty)
  }

  private func poll() {
    let isBusy = wakeUsed()
    let mayWait =
      !isBusy && own.isEmpty
      && queue.withLock { queue in
        queue.isWaiting = queue.work.isEmpty && !queue.isStopped
        return queue.isWaiting
      }
    let count = bourse_poll_wait(
      pollDescriptor, &readable, Int32(readable.count), mayWait ? timeoutMilliseconds() : 0)
    if mayWait { queue.withLock { $0.isWaiting = false } }
    for number in readable.prefix(Int(count)) {
      if number == 0 {
        bourse_wake_clear(wakeDescriptor)
        continue
      }
      // An earlier source's owner may have removed this one, and closed its socket, just now.
      guard let source = sources[number], source.socket?.hasMessage == true else { continue }
      source.wake()
    }
    wakeLate()
  }

  /// Wakes the owners of sockets that were used and have messages still or again; true where there
  /// were some.
  private func wakeUsed() -> Bool {
    let used = schedule.used
    schedule.used = []
    var isBusy = false
    for source in used {
      source.isUsed = false
      guard sources[source.number] === source, source.socket?.hasMessage == true else { continue }
      isBusy = true
      source.wake()
    }
    return isBusy || !schedule.used.isEmpty
  }

  private func wakeLate() {
    let now = ContinuousClock.now
    guard let earliest = schedule.earliest, earliest <= now else { return }
    schedule.earliest = nil
    var late: [PollSource] = []
    for source in sources.values {
      guard let wakeAt = source.wakeAt else { continue }
      if wakeAt <= now { late.append(source) } else { schedule.note(wakeAt) }
    }
    for source in late where sources[source.number] === source {
      source.wake()
      // Whose owner has set no other time is called again.
      if let wakeAt = source.wakeAt { schedule.note(wakeAt) }
    }
  }

  private func timeoutMilliseconds() -> Int32 {
    guard let next = schedule.earliest else { return -1 }
    let (seconds, attoseconds) = (next - ContinuousClock.now).components
    let milliseconds = min(seconds, 60) * 1000 + attoseconds / 1_000_000_000_000_000 + 1
    return Int32(max(0, milliseconds))
  }
}
