import FixedPoint
import Synchronization
import Testing

@testable import Sumcheck

/// Threads, progress and giving up.
@Suite struct SupervisionTests {
  /// Counts how often it is asked whether to give up, and says so from one question on.
  private final class Impatience: Sendable {
    private let limit: Int
    private let asked = Atomic<Int>(0)

    init(after limit: Int) { self.limit = limit }

    var questions: Int { asked.load(ordering: .relaxed) }

    @Sendable func isOver() -> Bool {
      asked.add(1, ordering: .relaxed).newValue >= limit
    }
  }

  /// A proof that one of the lookups' trees, and the opening, divide into pieces.
  private static func run() throws -> Run {
    let program = try SmallProgram.chain(
      [1, 2, 24, 24],
      [SmallProgram.convolution(8, channels: 2, Window(kernel: (3, 3))), .relu(Relu())])
    return try Run(program, seed: 3)
  }

  @Test(arguments: [1, 2, 3, 8], [1, 2, 7, 63, 1000, 4096])
  func partsCoverARangeOnce(threads: Int, count: Int) throws {
    let parallel = Parallel(threads: threads)
    for cost in [0.1, 100, 9000, 3e6] {
      let visits = (0..<count).map { _ in Cell() }
      try parallel.forEachPart(of: count, cost: cost) { part in
        for index in part { visits[index].value.add(1, ordering: .relaxed) }
      }
      #expect(visits.allSatisfy { $0.value.load(ordering: .relaxed) == 1 })
      let sum = try parallel.sum(of: count, cost: cost, +) { $0.reduce(0, +) }
      #expect(sum == count * (count - 1) / 2)
    }
  }

  private final class Cell: Sendable { let value = Atomic<Int>(0) }

  /// Nobody waits longer than for the pieces that are at work when he gives up: however large the
  /// work, one per thread, each of at most `patience`, and as much again before the next question.
  @Test(arguments: [1, 2, 4], [0.5, 300, 250_000])
  func givesUpAfterABoundedPartOfTheWork(threads: Int, cost: Double) throws {
    let count = Int(1e9 / cost)
    for questions in [1, 5] {
      let impatience = Impatience(after: questions)
      let parallel = Parallel(threads: threads, isCancelled: impatience.isOver)
      let done = Atomic<Int>(0)
      #expect(throws: Cancelled.self) {
        try parallel.forEachPart(of: count, cost: cost) { part in
          done.add(part.count, ordering: .relaxed)
        }
      }
      let nanoseconds = Double(done.load(ordering: .relaxed)) * cost
      #expect(nanoseconds <= Double((questions + threads) * 2 * Parallel.patience))
      // And it stays given up.
      #expect(throws: Cancelled.self) { try parallel.forEachPart(of: 1, cost: 2e6) { _ in } }
    }
  }

  /// Whenever its caller gives up, a proof ends there.
  @Test(arguments: [1, 2])
  func givesUpAProofAtAnyQuestion(threads: Int) throws {
    let run = try Self.run()
    func prove(_ impatience: Impatience) throws -> [UInt8] {
      try Prover(run.circuit, threads: threads).prove(
        tensors: run.tensors, inputs: run.inputs, outputs: run.outputs, context: run.context,
        Supervision(report: { _, _ in }, isCancelled: impatience.isOver))
    }
    let patient = Impatience(after: .max)
    #expect(try prove(patient) == run.prove())
    #expect(patient.questions >= 8)
    for limit in 1...patient.questions {
      #expect(throws: Cancelled.self) { try prove(Impatience(after: limit)) }
    }
  }

  @Test func progressNeverFalls() throws {
    let run = try Self.run()
    var reports: [(phase: String, fraction: Double)] = []
    _ = try run.prover.prove(
      tensors: run.tensors, inputs: run.inputs, outputs: run.outputs, context: run.context,
      Supervision(report: { reports.append(($0, $1)) }, isCancelled: { false }))
    var phases: [String] = []
    var last = 0.0
    for report in reports {
      if report.phase != phases.last {
        phases.append(report.phase)
        last = 0
      }
      #expect(report.fraction >= last && report.fraction <= 1, "\(report)")
      last = report.fraction
    }
    #expect(phases == ["witness", "commitment", "lookups", "relations", "opening"])
  }

  @Test func threadsChangeNoByte() throws {
    let run = try Self.run()
    let proof = try run.prove()
    for threads in [2, 3, 5] { #expect(try run.prove(threads: threads) == proof) }
  }

  /// The estimate's part that grows with a slice, against what its vectors hold at the peak.
  @Test func estimatesWhatVectorsHold() throws {
    for run in [try Self.run(), try Run(try SmallProgram.lenet(), seed: 2)] {
      let meter = MemoryMeter()
      _ = try MemoryMeter.$current.withValue(meter) { try run.prove(threads: 2) }
      let estimate = Estimate.vectorBytes(run.circuit)
      let ratio = Double(estimate) / Double(meter.peak)
      #expect((0.9...1.2).contains(ratio), "\(estimate) of \(meter.peak)")
    }
  }
}
