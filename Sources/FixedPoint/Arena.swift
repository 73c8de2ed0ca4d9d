import Synchronization

/// The memory of one run of a plan, and the operands of each step in it.
final class Arena: @unchecked Sendable {
  // One run at a time has an arena, from `Arenas.take` to `Arenas.give`; the lock of `Arenas`
  // orders what one run wrote before what the next reads. That makes it safe to hand on.

  let memory: UnsafeMutablePointer<Int16>
  let operands: [[UnsafePointer<Int16>]]

  init(_ plan: Plan) {
    let bytes = UnsafeMutableRawPointer.allocate(
      byteCount: plan.elementCount * MemoryLayout<Int16>.stride, alignment: 64)
    let memory = bytes.initializeMemory(as: Int16.self, repeating: 0, count: plan.elementCount)
    self.memory = memory
    operands = plan.steps.map { step in
      step.operands.compactMap { plan.offsets[$0].map { UnsafePointer(memory + $0) } }
    }
  }

  deinit { memory.deallocate() }
}

/// Arenas of one plan that no run has at the moment. They are kept, so that a run allocates none.
final class Arenas: Sendable {
  /// More of them than this are not kept.
  private static let idleLimit = 4

  private let plan: Plan
  private let idle: Mutex<[Arena]>

  init(_ plan: Plan) {
    self.plan = plan
    var idle: [Arena] = []
    idle.reserveCapacity(Self.idleLimit)
    self.idle = Mutex(idle)
  }

  func take() -> Arena { idle.withLock { $0.popLast() } ?? Arena(plan) }

  func give(_ arena: Arena) {
    idle.withLock { idle in
      if idle.count < Self.idleLimit { idle.append(arena) }
    }
  }
}
