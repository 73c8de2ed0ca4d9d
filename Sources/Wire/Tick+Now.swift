import Glibc
package import Primitives

extension Tick {
  /// The machine's clock. Only shells read it; the market is told.
  package static var now: Tick {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return Tick(milliseconds: UInt64(time.tv_sec) * 1000 + UInt64(time.tv_nsec) / 1_000_000)
  }
}
