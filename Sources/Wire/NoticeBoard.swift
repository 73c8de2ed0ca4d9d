import Synchronization

/// Passes each notice to every subscriber. An `AsyncStream` alone does not do: two readers would
/// share its elements, and one that is cancelled would end it for the other.
final class NoticeBoard: Sendable {
  private struct State {
    var subscribers: [UInt64: AsyncStream<Notice>.Continuation] = [:]
    var count: UInt64 = 0
    var isClosed = false
  }

  private static let bufferLimit = 1024
  private let state = Mutex(State())

  /// Ends when its reader is cancelled or the board closes; has ended where it is closed already.
  func subscribe() -> AsyncStream<Notice> {
    let (stream, continuation) = AsyncStream.makeStream(
      of: Notice.self, bufferingPolicy: .bufferingNewest(Self.bufferLimit))
    let number = state.withLock { state -> UInt64? in
      guard !state.isClosed else { return nil }
      state.count += 1
      state.subscribers[state.count] = continuation
      return state.count
    }
    guard let number else {
      continuation.finish()
      return stream
    }
    continuation.onTermination = { [weak self] _ in
      self?.state.withLock { _ = $0.subscribers.removeValue(forKey: number) }
    }
    return stream
  }

  func post(_ notice: Notice) {
    for subscriber in state.withLock({ Array($0.subscribers.values) }) { subscriber.yield(notice) }
  }

  func close() {
    let subscribers = state.withLock { state in
      state.isClosed = true
      return Array(state.subscribers.values)
    }
    // Outside the lock, which the end of a stream takes.
    for subscriber in subscribers { subscriber.finish() }
  }
}
