import Primitives
import Synchronization

/// The leases that are being worked or need nothing more.
final class LeaseProgress: Sendable {
  private struct State {
    var started: Set<LeaseID> = []
    var failures: [LeaseID: Int] = [:]
  }

  private let state = Mutex(State())

  /// How often the lease has failed before; nil where it is being worked.
  func start(_ lease: LeaseID) -> Int? {
    state.withLock { $0.started.insert(lease).inserted ? $0.failures[lease, default: 0] : nil }
  }

  /// Lets go of what the broker lists no longer: it has ended.
  func keep(_ listed: Set<LeaseID>) {
    state.withLock { state in
      state.started.formIntersection(listed)
      state.failures = state.failures.filter { listed.contains($0.key) }
    }
  }

  /// It has failed, and is started again.
  func retry(_ lease: LeaseID) {
    state.withLock { state in
      state.started.remove(lease)
      state.failures[lease, default: 0] += 1
    }
  }
}
