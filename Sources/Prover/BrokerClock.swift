import Primitives
import Synchronization
import Wire

/// The broker's time, as it was last told, and what has passed here since: deadlines are the
/// broker's, and the clocks of two machines differ.
final class BrokerClock: Sendable {
  private let told: Mutex<(tick: Tick, at: ContinuousClock.Instant)>

  init(_ tick: Tick) { told = Mutex((tick, .now)) }

  func tell(_ tick: Tick) { told.withLock { $0 = (tick, .now) } }

  /// When it will be that tick there.
  func instant(of tick: Tick) -> ContinuousClock.Instant {
    let (known, at) = told.withLock { $0 }
    return at + .milliseconds(Double(tick.milliseconds) - Double(known.milliseconds))
  }
}
