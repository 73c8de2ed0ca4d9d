import CBourseProver
import Glibc
import Primitives
import Synchronization

/// The child's end of the stream, and the services that a plugin reaches through it from any
/// thread.
final class HostChannel: Sendable {
  private let socket: FrameSocket
  private let sending = Mutex(())
  private let diagnostic = Mutex("")
  /// When the latest progress was passed on.
  private let progressed = Mutex(UInt64(0))

  /// Between two notes of progress, in nanoseconds: a plugin may tell it in every loop.
  private static let progressInterval: UInt64 = 50_000_000

  init(socket: FrameSocket) { self.socket = socket }

  /// Nil when the parent has gone or speaks another language: nothing is left to do then.
  func nextRequest() -> HostRequest? {
    guard let frame = try? socket.receive(deadline: .max) else { return nil }
    return try? HostRequest(canonicalBytes: frame)
  }

  func send(_ reply: HostReply) {
    // A parent that has gone is noticed by the next receive.
    sending.withLock { _ in try? socket.send(reply, deadline: .max) }
  }

  /// The latest diagnostic, which is forgotten.
  func takeDiagnostic() -> String {
    diagnostic.withLock { text in
      defer { text = "" }
      return text
    }
  }

  /// Only a request to cancel can arrive while a call is running.
  var isCancelled: Bool { socket.hasInput }

  func note(level: Int32, _ text: UnsafePointer<CChar>?) {
    send(.note(level: level, Self.bounded(text)))
  }

  private func note(progress phase: UnsafePointer<CChar>?, _ fraction: Double) {
    let now = FrameSocket.now()
    let isDue = progressed.withLock { latest in
      guard now >= latest + Self.progressInterval else { return false }
      latest = now
      return true
    }
    guard isDue, fraction.isFinite else { return }
    let percent = Int(max(0, min(1, fraction)) * 100)
    send(.note(level: BOURSE_LOG_DEBUG, "\(Self.bounded(phase)): \(percent) %"))
  }

  func hostServices(
    in arena: Arena, scratch: String, threads: UInt32
  ) -> UnsafePointer<bourse_host> {
    arena.one(
      bourse_host(
        struct_size: arena.size(bourse_host.self), thread_budget: threads,
        context: Unmanaged.passUnretained(self).toOpaque(),
        scratch_directory: arena.text(scratch),
        log: { host, level, message in
          HostChannel.from(host?.pointee.context)?.note(level: level, message)
        },
        get_extension: { _, _ in nil }))
  }

  func callServices(in arena: Arena) -> UnsafePointer<bourse_call> {
    arena.one(
      bourse_call(
        struct_size: arena.size(bourse_call.self), reserved: 0,
        context: Unmanaged.passUnretained(self).toOpaque(),
        is_cancelled: { call in
          HostChannel.from(call?.pointee.context)?.isCancelled == true ? 1 : 0
        },
        progress: { call, phase, fraction in
          HostChannel.from(call?.pointee.context)?.note(progress: phase, fraction)
        },
        diagnose: { call, sentence in
          HostChannel.from(call?.pointee.context)?.diagnostic.withLock {
            $0 = HostChannel.bounded(sentence)
          }
        }))
  }

  private static func from(_ context: UnsafeMutableRawPointer?) -> HostChannel? {
    context.map { Unmanaged<HostChannel>.fromOpaque($0).takeUnretainedValue() }
  }

  private static func bounded(_ text: UnsafePointer<CChar>?) -> String {
    guard let text else { return "" }
    // Repairing bad UTF-8 may triple the bytes; a quarter of the limit leaves room for it.
    let count = strnlen(text, HostReply.textLimit / 4)
    return String(
      decoding: UnsafeBufferPointer(start: text, count: count).map { UInt8(bitPattern: $0) },
      as: UTF8.self)
  }
}
