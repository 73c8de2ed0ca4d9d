import Primitives
import Synchronization

/// The leases that are being worked or need nothing more.
final class LeaseProgress: Sendable {
  private let started = Mutex<Set<LeaseID>>([])

  /// False where the lease has been started before.
  func start(_ lease: LeaseID) -> Bool { started.withLock { $0.insert(lease).inserted } }

  func forget(_ lease: LeaseID) { _ = started.withLock { $0.remove(lease) } }
}
