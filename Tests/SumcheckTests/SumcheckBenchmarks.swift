import FixedPoint
import Foundation
import Testing

@testable import Sumcheck

/// Where a proof's time goes, in a release build only (docs/benchmarks.md has the command). The
/// programs have the shapes of the sample models, and weights drawn at random. Times are the least
/// of several runs.
@Suite(.enabled(if: ProcessInfo.processInfo.environment["BOURSE_BENCHMARK"] != nil), .serialized)
struct SumcheckBenchmarks {
  private static let runs = 15

  @Test(arguments: ["LeNet-5", "ResNet-8", "conv56"])
  func phasesOfAProof(of model: String) throws {
    let program =
      switch model {
      case "LeNet-5": try SmallProgram.lenet()
      case "ResNet-8": try SmallProgram.resnet()
      default: try SmallProgram.conv56()
      }
    let (parameters, _) = try Parameters.cheapest(for: program, batch: 1, commitsWeights: false)
    let run = try Run(program, seed: 1, parameters)
    print("\(model): \(Work(run.circuit))")
    for threads in [1, 2] {
      var times = PhaseTimes()
      for _ in 0..<Self.runs { try times.add(run, threads: threads) }
      print("  \(threads) threads, ms: \(times)")
    }
    let (proof, verifier) = (try run.prove(), try Verifier(run.circuit))
    let clock = ContinuousClock()
    let verified = try (0..<Self.runs).map { _ in
      try clock.measure {
        try verifier.verify(
          inputs: run.inputs, outputs: run.outputs, context: run.context, proof: proof)
      } / .milliseconds(1)
    }
    print(String(format: "  verify %.2f ms", verified.min() ?? 0))
  }
}

/// The least time of each phase, and of all.
private struct PhaseTimes: CustomStringConvertible {
  private var least: [(phase: String, milliseconds: Double)] = []

  mutating func add(_ run: Run, threads: Int) throws {
    let clock = ContinuousClock()
    let prover = Prover(run.circuit, threads: threads)
    let start = clock.now
    _ = try prover.run([run.inputs])
    var marks = [("execution", start)]
    _ = try prover.prove(
      tensors: run.tensors, inputs: run.inputs, outputs: run.outputs, context: run.context,
      Supervision(
        report: { phase, _ in
          if marks.last?.0 != phase { marks.append((phase, clock.now)) }
        }, isCancelled: { false }))
    let end = clock.now
    let ends = marks.dropFirst().map(\.1) + [end]
    let times =
      zip(marks, ends).map { ($0.0, ($1 - $0.1) / .milliseconds(1)) }
      + [("all", (end - start) / .milliseconds(1))]
    least =
      least.isEmpty
      ? times : zip(least, times).map { ($0.phase, min($0.milliseconds, $1.1)) }
  }

  var description: String {
    least.map { String(format: "\($0.phase) %.2f", $0.milliseconds) }.joined(separator: ", ")
  }
}

/// What no prover of this protocol does without.
private struct Work: CustomStringConvertible {
  let description: String

  init(_ circuit: Circuit) {
    let parameters = circuit.parameters
    let code = 1 << parameters.codeLog
    let hashed = 8 * circuit.rowCount * code + 64 * (code - 1)
    description = """
      \(circuit.leafCount) leaves, \(circuit.rowCount << parameters.messageLog) elements encoded, \
      \(hashed) bytes hashed, 2^\(circuit.vectorLog) values opened
      """
  }
}

extension SmallProgram {
  /// One convolution of 64 to 64 channels over 56×56, and its ReLU.
  fileprivate static func conv56() throws -> Program {
    try chain(
      [1, 64, 56, 56],
      [
        convolution(
          64, channels: 64, Window(kernel: (3, 3), pads: (1, 1, 1, 1)), shifts: [13]),
        .relu(Relu()),
      ])
  }

  /// Three residual blocks of 16, 32 and 64 channels over 32×32.
  fileprivate static func resnet() throws -> Program {
    var (operators, reading) = ([Operator](), [Int: [Int]]())
    func append(_ step: Operator, _ reads: Int...) {
      if !reads.isEmpty { reading[operators.count] = reads }
      operators.append(step)
    }
    func convolve(_ count: Int, _ channels: Int, kernel: Int = 3, stride: Int = 1) -> Operator {
      let pad = kernel / 2
      return convolution(
        count, channels: channels,
        Window(
          kernel: (kernel, kernel), stride: (stride, stride), pads: (pad, pad, pad, pad)),
        shifts: [kernel == 1 ? 8 : 10])
    }
    append(convolve(16, 3))
    append(.relu(Relu()))
    for (channels, count) in [(16, 16), (16, 32), (32, 64)] {
      let stride = count / channels
      let entry = operators.count
      append(convolve(count, channels, stride: stride))
      append(.relu(Relu()))
      append(convolve(count, count))
      var shortcut = entry
      if stride > 1 {
        append(convolve(count, channels, kernel: 1, stride: stride), entry)
        shortcut = operators.count
      }
      append(
        .add(Addition(leftAlignment: 1, rightAlignment: 1, shift: 1, exponent: 0)), entry + 3,
        shortcut)
      append(.relu(Relu()))
    }
    append(
      .averagePool(
        AveragePool(window: Window(kernel: (8, 8)), multiplier: 1, shift: 6, exponent: 0)))
    append(.reshape(Reshape(shape: [1, 64])))
    append(matrix(10, columns: 64))
    return try chain([1, 3, 32, 32], operators, reading: reading)
  }
}
