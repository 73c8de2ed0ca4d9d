import Primitives
import Synchronization

/// The leases that are being worked or need nothing more.
final class LeaseProgress: Sendable {
  private let started = Mutex<Set<LeaseID>>([])

  /// False where the lease has been started before.
  func start(_ lease: LeaseID) -> Bool { started.withLock { $0.insert(lease).inserted } }

  /// Lets go of what the broker lists no longer: it has ended.
  func keep(_ listed: Set<LeaseID>) { started.withLock { $0.formIntersection(listed) } }

  func forget(_ lease: LeaseID) { _ = started.withLock { $0.remove(lease) } }
}
