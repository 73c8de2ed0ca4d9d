import Glibc
import Synchronization

/// Memory at a multiple of a cache line. Of large memory the system is asked for large pages: a
/// proof of a large slice writes gigabytes and gives them back, and for each page of 4 KiB that
/// takes a microsecond.
final class Allocation {
  let start: UnsafeMutableRawPointer
  private let byteCount: Int

  init(byteCount: Int) {
    self.byteCount = byteCount
    start = UnsafeMutableRawPointer.allocate(byteCount: max(byteCount, 16), alignment: 64)
    if byteCount >= 1 << 22 {
      let first = start.alignedUp(toMultipleOf: 4096)
      madvise(first, byteCount - 4096, MADV_HUGEPAGE)
    }
    MemoryMeter.current?.add(byteCount)
  }

  deinit {
    MemoryMeter.current?.add(-byteCount)
    start.deallocate()
  }
}

/// What the vectors of the proof that is made while it is `current` hold at most, in bytes; tests
/// hold `Estimate` against it.
final class MemoryMeter: Sendable {
  @TaskLocal static var current: MemoryMeter?

  private let state = Mutex((held: 0, peak: 0))

  var peak: Int { state.withLock { $0.peak } }

  fileprivate func add(_ byteCount: Int) {
    state.withLock { state in
      state.held += byteCount
      state.peak = max(state.peak, state.held)
    }
  }
}
