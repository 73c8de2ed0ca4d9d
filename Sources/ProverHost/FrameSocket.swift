import Glibc
import Primitives

/// One end of the stream between a parent and its host process: a frame is its count of bytes as
/// UInt32, little-endian, and then as many bytes. Calls block, until a deadline where one is given,
/// so they belong on threads of their own.
struct FrameSocket {
  /// Bytes of one frame, both ways: keys of several hundred megabytes pass, a lie does not.
  static let frameLimit = 1 << 30

  enum Failure: Error, Equatable {
    case closed
    case timedOut
    /// The wake-up descriptor became readable first.
    case woken
    /// The moment to pause at came first.
    case paused
    case tooLong(Int)
  }

  let descriptor: Int32

  /// Nanoseconds of a clock that no one sets.
  static func now() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
  }

  func send(_ record: some CanonicalCodable, deadline: UInt64) throws(Failure) {
    let body = record.canonicalBytes
    guard body.count <= Self.frameLimit else { throw .tooLong(body.count) }
    var frame = CanonicalEncoder()
    frame.append(counted: body)
    let bytes = frame.bytes
    var sent = 0
    while sent < bytes.count {
      let count = bytes.withUnsafeBytes { buffer in
        Glibc.send(
          descriptor, buffer.baseAddress.map { $0 + sent }, buffer.count - sent,
          Int32(MSG_NOSIGNAL))
      }
      if count > 0 {
        sent += count
      } else if errno == EAGAIN {
        try wait(for: POLLOUT, deadline: deadline)
      } else if errno != EINTR {
        throw .closed
      }
    }
  }

  /// While no byte of a frame has come, the wait ends at `pause`, and where `wake`, a descriptor,
  /// is readable.
  func receive(
    deadline: UInt64, pause: UInt64 = .max, wake: Int32 = -1
  ) throws(Failure) -> [UInt8] {
    let head = try receive(count: 4, deadline: deadline, pause: pause, wake: wake)
    let count = head.reversed().reduce(0) { $0 << 8 | Int($1) }
    guard count <= Self.frameLimit else { throw .tooLong(count) }
    return try receive(count: count, deadline: deadline, pause: .max, wake: -1)
  }

  /// Grows with what arrives, so that a false count alone allocates nothing.
  private func receive(
    count: Int, deadline: UInt64, pause: UInt64, wake: Int32
  ) throws(Failure) -> [UInt8] {
    var bytes: [UInt8] = []
    while bytes.count < count {
      let wanted = min(count - bytes.count, max(1 << 16, bytes.count))
      let old = bytes.count
      bytes.append(contentsOf: repeatElement(0, count: wanted))
      let got = bytes.withUnsafeMutableBytes { buffer in
        recv(descriptor, buffer.baseAddress.map { $0 + old }, wanted, 0)
      }
      let reason = errno
      bytes.removeLast(wanted - max(0, got))
      if got == 0 { throw .closed }
      if got < 0 {
        if reason == EAGAIN {
          if bytes.isEmpty {
            try wait(for: POLLIN, deadline: deadline, pause: pause, wake: wake)
          } else {
            try wait(for: POLLIN, deadline: deadline)
          }
        } else if reason != EINTR {
          throw .closed
        }
      }
    }
    return bytes
  }

  /// Whether a byte is waiting.
  var hasInput: Bool {
    var poll = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    return Glibc.poll(&poll, 1, 0) > 0
  }

  private func wait(
    for event: Int32, deadline: UInt64, pause: UInt64 = .max, wake: Int32 = -1
  ) throws(Failure) {
    while true {
      let now = Self.now()
      guard now < deadline else { throw .timedOut }
      guard now < pause else { throw .paused }
      let milliseconds = (min(deadline, pause) - now) / 1_000_000 + 1
      var polls = [
        pollfd(fd: descriptor, events: Int16(event), revents: 0),
        pollfd(fd: wake, events: Int16(POLLIN), revents: 0),
      ]
      let count = poll(&polls, 2, Int32(clamping: milliseconds))
      if count > 0 {
        if polls[0].revents != 0 { return }
        throw .woken
      }
    }
  }
}
