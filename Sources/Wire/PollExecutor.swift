import CZeroMQ
import DequeModule
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
    loop.enqueue(UnownedJob(job), on: self)
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
    loop.sources.append(source)
  }

  func remove(_ source: PollSource) {
    checkIsolated()
    loop.sources.removeAll { $0 === source }
  }
}

/// A socket that is polled, and a time by which its owner wants to be woken in any case.
final class PollSource {
  let socket: ZeroMQSocket?
  var wakeAt: ContinuousClock.Instant?
  /// Runs on the executor's thread. It leaves the socket drained or is called again at once.
  let wake: @Sendable () -> Void

  init(socket: ZeroMQSocket?, wake: @escaping @Sendable () -> Void) {
    (self.socket, self.wake) = (socket, wake)
  }
}

/// The thread's own part, which outlives the executor just long enough to leave the loop.
private final class PollLoop: @unchecked Sendable {
  // `@unchecked Sendable`: `sources` is touched on the loop's thread only (`PollExecutor.add` and
  // `remove` check it); all else is a lock, an atomic or a constant.
  private struct Job {
    let job: UnownedJob
    /// Held so that an actor whose last reference falls in its own job does not take its executor
    /// away from under that job.
    let executor: PollExecutor
  }

  private struct Queue {
    var jobs = Deque<Job>()
    var isSignalled = false
    var isStopped = false
  }

  var sources: [PollSource] = []
  private let queue = Mutex(Queue())
  private let thread = Atomic<UInt>(0)
  private let wakeDescriptor: Int32

  init() {
    wakeDescriptor = bourse_wake_open()
    precondition(wakeDescriptor >= 0, "the system has no file descriptor left for an eventfd")
  }

  deinit { close(wakeDescriptor) }

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

  func enqueue(_ job: UnownedJob, on executor: PollExecutor) {
    signal { $0.jobs.append(Job(job: job, executor: executor)) }
  }

  func stop() { signal { $0.isStopped = true } }

  private func signal(_ change: (inout sending Queue) -> Void) {
    let mustSignal = queue.withLock { queue in
      change(&queue)
      defer { queue.isSignalled = true }
      return !queue.isSignalled
    }
    if mustSignal { bourse_wake_signal(wakeDescriptor) }
  }

  private func run() {
    thread.store(UInt(pthread_self()), ordering: .relaxed)
    while runJobs() { poll() }
    sources = []
  }

  /// False once stopped and out of jobs.
  private func runJobs() -> Bool {
    let (jobs, isStopped) = queue.withLock { queue in
      let jobs = queue.jobs
      queue.jobs = Deque()
      if queue.isSignalled { bourse_wake_clear(wakeDescriptor) }
      queue.isSignalled = false
      return (jobs, queue.isStopped)
    }
    for job in jobs {
      job.job.runSynchronously(on: job.executor.asUnownedSerialExecutor())
    }
    return !(isStopped && jobs.isEmpty)
  }

  private func poll() {
    let polled = sources
    var items = [
      zmq_pollitem_t(socket: nil, fd: wakeDescriptor, events: Int16(ZMQ_POLLIN), revents: 0)
    ]
    for source in polled {
      guard let socket = source.socket else { continue }
      items.append(
        zmq_pollitem_t(socket: socket.handle, fd: 0, events: Int16(ZMQ_POLLIN), revents: 0))
    }
    zmq_poll(&items, Int32(items.count), timeoutMilliseconds())
    let now = ContinuousClock.now
    var index = 1
    for source in polled {
      var isReadable = false
      if source.socket != nil {
        isReadable = items[index].revents & Int16(ZMQ_POLLIN) != 0
        index += 1
      }
      // An earlier source's owner may have removed this one, and closed its socket, just now.
      guard isReadable || source.wakeAt.map({ $0 <= now }) == true,
        sources.contains(where: { $0 === source })
      else { continue }
      source.wake()
    }
  }

  private func timeoutMilliseconds() -> Int {
    guard let next = sources.lazy.compactMap(\.wakeAt).min() else { return -1 }
    let (seconds, attoseconds) = (next - ContinuousClock.now).components
    let milliseconds = min(seconds, 60) * 1000 + attoseconds / 1_000_000_000_000_000 + 1
    return max(0, Int(milliseconds))
  }
}
