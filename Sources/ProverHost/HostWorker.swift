import CLinux
import Glibc
import Logging
import Primitives
import Synchronization

/// What reopens a session in whichever host process is the current one.
struct SessionSource: Sendable {
  let id: UInt64
  let role: SessionRole
  let key: [UInt8]
  let boundaries: Boundaries
}

/// When a caller has no more use for the answer.
struct CallLimit: Sendable {
  static let none = CallLimit(milliseconds: .max, end: .max)

  /// From its call on, in the queue too.
  let milliseconds: Int
  /// On the clock of `FrameSocket.now`.
  let end: UInt64

  private init(milliseconds: Int, end: UInt64) {
    (self.milliseconds, self.end) = (milliseconds, end)
  }

  init(_ duration: Duration) {
    let (end, isNever) = FrameSocket.now().addingReportingOverflow(duration.nanoseconds)
    self.init(
      milliseconds: Int(clamping: duration.nanoseconds / 1_000_000), end: isNever ? .max : end)
  }
}

/// What a call took as the thread that reads the host process sees it, so that nothing which waits
/// for a thread of Swift's pool counts.
struct CallTimes: Sendable {
  /// From its request to its end.
  let whole: Duration
  /// From telling the host to stop to its end; nil where it ended untold.
  let sinceStop: Duration?
}

/// The thread that owns a backend's host process: it starts it, does its blocking reads, kills it
/// at a deadline, and starts it again for the next job. Swift's cooperative threads only queue
/// jobs.
final class HostWorker: Sendable {
  private struct Job: Sendable {
    let id: UInt64
    /// Nil asks for nothing but an open host.
    let request: HostRequest?
    let session: SessionSource?
    /// Nanoseconds that the host is at it before it is told to stop. Nil measures nothing.
    var stopAfter: UInt64? = nil
    var limit = CallLimit.none
    let continuation: CheckedContinuation<HostReply, any Error>?
  }

  private struct State {
    var jobs: [Job] = []
    var nextID: UInt64 = 1
    var cancelled: Set<UInt64> = []
    var usage: HostUsage?
    /// Of the jobs that are measured, until whoever asked has read them.
    var times: [UInt64: CallTimes] = [:]
    var stopped = false
    var hasEnded = false
    var awaitingEnd: [CheckedContinuation<Void, Never>] = []
  }

  private static let cancellationGrace: UInt64 = 1_000_000_000
  /// Notes that one call may send; the rest is a flood.
  private static let noteLimit = 10_000

  private let configuration: Backend.Configuration
  private let logger: Logger
  private let state = Mutex(State())
  /// Rung when `state` has changed.
  private let bell: Int32

  init(configuration: Backend.Configuration) {
    self.configuration = configuration
    var logger = Logger(label: "bourse.backend")
    logger[metadataKey: "backend"] = "\(configuration.backend?.name ?? "-")"
    self.logger = logger
    bell = linux_bell()
  }

  deinit { Glibc.close(bell) }

  /// Starts the thread, which keeps this object alive until `stop`.
  func start() {
    var thread = pthread_t()
    let failure = pthread_create(
      &thread, nil,
      { context in
        guard let context else { return nil }
        Unmanaged<HostWorker>.fromOpaque(context).takeRetainedValue().serve()
        return nil
      }, Unmanaged.passRetained(self).toOpaque())
    precondition(failure == 0, "the process may start no more threads")
    pthread_detach(thread)
  }

  func stop() {
    state.withLock { $0.stopped = true }
    ring()
  }

  /// Stops, and returns once the host process is gone and its scratch directory removed.
  func stopAndWait() async {
    stop()
    await withCheckedContinuation { continuation in
      let hasEnded = state.withLock { state in
        if !state.hasEnded { state.awaitingEnd.append(continuation) }
        return state.hasEnded
      }
      if hasEnded { continuation.resume() }
    }
  }

  /// An id that no other session or job of this worker has.
  func newID() -> UInt64 {
    state.withLock { state in
      defer { state.nextID += 1 }
      return state.nextID
    }
  }

  /// Sends the request to the host process, in the session where one is given, and gives the
  /// answer. Throws `BackendError`.
  func perform(
    _ request: HostRequest?, session: SessionSource? = nil, within limit: CallLimit = .none
  ) async throws -> HostReply {
    let id = newID()
    return try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        enqueue(
          Job(
            id: id, request: request, session: session, limit: limit, continuation: continuation))
      }
    } onCancel: {
      state.withLock { _ = $0.cancelled.insert(id) }
      ring()
    }
  }

  /// As `perform`, but the host is told to stop once it has been at it for `stopAfter`
  /// nanoseconds. The times are nil where the host was never asked.
  func measure(
    _ request: HostRequest, session: SessionSource, stopAfter: UInt64
  ) async -> (reply: Result<HostReply, any Error>, times: CallTimes?) {
    let id = newID()
    let reply: Result<HostReply, any Error>
    do {
      reply = .success(
        try await withCheckedThrowingContinuation { continuation in
          enqueue(
            Job(
              id: id, request: request, session: session, stopAfter: stopAfter,
              continuation: continuation))
        })
    } catch {
      reply = .failure(error)
    }
    return (reply, state.withLock { $0.times.removeValue(forKey: id) })
  }

  /// What the host process has used up to now. Throws `BackendError`.
  func usage() async throws -> HostUsage {
    _ = try await perform(nil)
    guard let usage = state.withLock({ $0.usage }) else {
      throw BackendError.hostUnavailable("it was not measured")
    }
    return usage
  }

  /// Closes the session some time, where it is open.
  func close(session: UInt64) {
    enqueue(
      Job(id: newID(), request: .closeSession(session), session: nil, continuation: nil))
  }

  private func enqueue(_ job: Job) {
    let hasEnded = state.withLock { state in
      if !state.hasEnded { state.jobs.append(job) }
      return state.hasEnded
    }
    if hasEnded {
      job.continuation?.resume(
        throwing: BackendError.hostUnavailable("the backend has been closed"))
    } else {
      ring()
    }
  }

  private func ring() { linux_bell_ring(bell) }

  private func awaitBell() { linux_bell_await(bell) }

  // MARK: - On the worker's thread

  /// The current host process and what is known of it.
  private struct Host {
    let process: HostProcess
    let descriptor: PluginDescriptor
    var sessions: Set<UInt64> = []
    var jobs = 0
  }

  private func serve() {
    var host: Host?
    while true {
      let (job, stopped) = state.withLock { state in
        (state.jobs.isEmpty ? nil : state.jobs.removeFirst(), state.stopped)
      }
      guard let job else {
        if stopped { break }
        awaitBell()
        continue
      }
      do {
        let reply = try perform(job, on: &host)
        job.continuation?.resume(returning: reply)
      } catch {
        job.continuation?.resume(throwing: error)
      }
      state.withLock { _ = $0.cancelled.remove(job.id) }
      if let tired = host, tired.jobs >= configuration.jobsPerProcess {
        _ = tired.process.retire()
        host = nil
      }
    }
    if let host { _ = host.process.retire() }
    let (missed, waiting) = state.withLock { state in
      state.hasEnded = true
      defer { (state.jobs, state.awaitingEnd) = ([], []) }
      return (state.jobs, state.awaitingEnd)
    }
    for job in missed {
      job.continuation?.resume(
        throwing: BackendError.hostUnavailable("the backend has been closed"))
    }
    waiting.forEach { $0.resume() }
  }

  private func perform(_ job: Job, on host: inout Host?) throws(BackendError) -> HostReply {
    if isCancelled(job) { throw .cancelled(job.request?.operation ?? .open) }
    if FrameSocket.now() >= job.limit.end {
      throw .deadlineExceeded(
        job.request?.operation ?? .open, milliseconds: job.limit.milliseconds)
    }
    if case .closeSession(let session)? = job.request, host?.sessions.remove(session) == nil {
      return .done
    }
    if host == nil { host = try open(for: job) }
    // The host is given up below unless the exchange with it ends well.
    guard var current = host else { return .done }
    host = nil
    current.jobs += 1
    if let session = job.session, !current.sessions.contains(session.id) {
      let reply = try exchange(
        .openSession(session.id, session.role, key: session.key, session.boundaries),
        with: current.process, for: job)
      guard case .done = reply else {
        host = current
        return reply
      }
      current.sessions.insert(session.id)
    }
    guard let request = job.request else {
      host = current
      let usage = current.process.usage
      state.withLock { $0.usage = usage }
      return .opened(current.descriptor)
    }
    let reply = try exchange(request, with: current.process, for: job)
    host = current
    return reply
  }

  private func open(for job: Job) throws(BackendError) -> Host {
    let process = try HostProcess(executable: configuration.host)
    let reply = try exchange(process.opening(configuration), with: process, for: job)
    switch reply {
    case .opened(let descriptor):
      guard
        configuration.backend.map({ id in descriptor.backends.contains { $0.id == id } }) ?? true
      else {
        _ = process.kill()
        throw .malformedAnswer(.open, "it does not describe the backend that was asked for")
      }
      return Host(process: process, descriptor: descriptor)
    case .unusable(let fault, let why):
      _ = process.kill()
      throw .pluginUnusable(fault, why)
    default:
      _ = process.kill()
      throw .malformedAnswer(.open, "it is the answer to another question")
    }
  }

  /// Sends one request and reads up to its answer. When this throws, the process is gone.
  private func exchange(
    _ request: HostRequest, with process: HostProcess, for job: Job
  ) throws(BackendError) -> HostReply {
    // Of the job's own request, not of what had to be opened for it.
    guard let stopAfter = job.stopAfter, request.operation == job.request?.operation else {
      var untold: UInt64?
      return try exchange(request, with: process, for: job, stop: .max, told: &untold)
    }
    let start = FrameSocket.now()
    let (stop, isNever) = start.addingReportingOverflow(stopAfter)
    var told: UInt64?
    defer {
      let end = FrameSocket.now()
      let sinceStop = told.map { Duration.nanoseconds(end - $0) }
      let times = CallTimes(whole: Duration.nanoseconds(end - start), sinceStop: sinceStop)
      state.withLock { $0.times[job.id] = times }
    }
    return try exchange(
      request, with: process, for: job, stop: isNever ? .max : stop, told: &told)
  }

  /// - Parameters:
  ///   - stop: When the host is told to stop, cancelled or not.
  ///   - told: When it was.
  private func exchange(
    _ request: HostRequest, with process: HostProcess, for job: Job, stop: UInt64,
    told: inout UInt64?
  ) throws(BackendError) -> HostReply {
    let operation = request.operation ?? .open
    var milliseconds = configuration.milliseconds(for: operation)
    var deadline = FrameSocket.now() + UInt64(milliseconds) * 1_000_000
    if job.limit.end < deadline {
      (deadline, milliseconds) = (job.limit.end, job.limit.milliseconds)
    }
    var notes = 0
    do {
      do {
        try process.stream.send(request, deadline: deadline)
      } catch {
        guard case .tooLong(let bytes) = error else { throw error }
        _ = process.kill()
        throw BackendError.requestTooLarge(operation, bytes: bytes)
      }
      while true {
        let now = FrameSocket.now()
        if told == nil, now >= stop || isCancelled(job) {
          told = now
          deadline = min(deadline, now + Self.cancellationGrace)
          try process.stream.send(HostRequest.cancel, deadline: deadline)
        }
        let pause = told == nil ? stop : .max
        guard let frame = try receive(from: process, deadline: deadline, pause: pause) else {
          continue
        }
        let reply: HostReply
        do {
          reply = try HostReply(canonicalBytes: frame)
        } catch {
          _ = process.kill()
          throw BackendError.malformedAnswer(operation, error.sentence)
        }
        guard case .note(let level, let line) = reply else { return reply }
        notes += 1
        guard notes <= Self.noteLimit else {
          _ = process.kill()
          throw BackendError.malformedAnswer(operation, "more than \(Self.noteLimit) notes")
        }
        log(level: level, line)
      }
    } catch let failure as FrameSocket.Failure {
      let how = process.kill()
      switch failure {
      case .timedOut where told != nil: throw .cancelled(operation)
      case .timedOut: throw .deadlineExceeded(operation, milliseconds: milliseconds)
      case .tooLong(let bytes): throw .malformedAnswer(operation, "a frame of \(bytes) bytes")
      case .closed, .woken, .paused: throw .crashed(operation, how)
      }
    } catch let error as BackendError {
      throw error
    } catch {
      fatalError("nothing else is thrown above")
    }
  }

  /// Nil where the bell was rung, or `pause` came, first.
  private func receive(
    from process: HostProcess, deadline: UInt64, pause: UInt64
  ) throws(FrameSocket.Failure) -> [UInt8]? {
    do {
      return try process.stream.receive(deadline: deadline, pause: pause, wake: bell)
    } catch {
      switch error {
      case .woken: awaitBell()
      case .paused: break
      default: throw error
      }
      return nil
    }
  }

  private func isCancelled(_ job: Job) -> Bool {
    state.withLock { $0.cancelled.contains(job.id) }
  }

  private func log(level: Int32, _ line: String) {
    let level: Logger.Level =
      switch level {
      case 4: .error
      case 3: .warning
      case 2: .info
      default: .debug
      }
    logger.log(level: level, "\(line.filter { !$0.isNewline && $0 != "\u{1b}" })")
  }
}
