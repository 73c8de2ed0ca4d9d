import ArgumentParser
import FixedPoint
import Foundation
import ModelGraph
import Primitives
import Quantization
import Statements

struct BenchCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench", abstract: "Measure this program on this machine.",
    subcommands: [
      Execute.self, Product.self, Prove.self, Book.self, Exchange.self, Settle.self,
      JournalHistory.self,
    ])
}

/// How long one thing took, run after run.
private struct Timing: Encodable {
  let runs: Int
  let leastMilliseconds: Double
  let medianMilliseconds: Double

  /// Runs `body` once to warm up, then `runs` times, or, without a number, for about a second and
  /// at least five times.
  init(runs: Int?, _ body: () throws -> Void) rethrows {
    try body()
    let clock = ContinuousClock()
    var times: [Double] = []
    let start = clock.now
    while runs.map({ times.count < $0 }) ?? (times.count < 5 || clock.now - start < .seconds(1)) {
      let time = try clock.measure(body)
      times.append(
        Double(time.components.attoseconds) * 1e-15 + Double(time.components.seconds) * 1e3)
    }
    times.sort()
    self.runs = times.count
    leastMilliseconds = times[0]
    medianMilliseconds = times[times.count / 2]
  }
}

/// One program on one number of threads.
private struct ExecutorTiming: Encodable {
  let threads: Int
  let instructions: String
  let timing: Timing
  /// 10^9 multiply-accumulates per second in the fastest run, of all threads together.
  let gigaMultiplicationsPerSecond: Double

  /// Every number of threads in `threads` with the widest instructions, then one thread without.
  static func all(
    _ program: Program, _ inputs: [[UInt8]], multiplications: Int, threads: [Int],
    isPortableMeasured: Bool, runs: Int?
  ) throws -> [ExecutorTiming] {
    var cases = threads.map { ($0, Instructions.best) }
    if isPortableMeasured, Instructions.best != .portable { cases.append((1, .portable)) }
    return try cases.map { threads, instructions in
      let executor = Executor(program: program, threads: threads, instructions: instructions)
      let timing = try Timing(runs: runs) { _ = try executor.run(inputs) }
      return ExecutorTiming(
        threads: threads, instructions: "\(instructions)", timing: timing,
        gigaMultiplicationsPerSecond: Double(multiplications) / timing.leastMilliseconds * 1e-6)
    }
  }

  static func table(_ timings: [ExecutorTiming]) -> Table {
    var table = Table([
      ("executor", .left), ("runs", .right), ("least ms", .right), ("median ms", .right),
      ("GMAC/s", .right),
    ])
    for timing in timings {
      table.append([
        "\(timing.instructions), \(timing.threads) thread\(timing.threads == 1 ? "" : "s")",
        "\(timing.timing.runs)", describe(timing.timing.leastMilliseconds),
        describe(timing.timing.medianMilliseconds),
        String(format: "%.1f", timing.gigaMultiplicationsPerSecond),
      ])
    }
    return table
  }
}

private func describe(_ milliseconds: Double) -> String { String(format: "%.3f", milliseconds) }

private struct BenchOptions: ParsableArguments {
  @Option(help: "Timed runs of each kind; by default as many as a second has, at least five.")
  var runs: Int?
  @Option(
    name: .long, parsing: .upToNextOption,
    help: "Numbers of threads to measure; by default one, and all processors.")
  var threads: [Int] = []

  func validate() throws {
    guard runs.map({ (1...1_000_000).contains($0) }) ?? true else {
      throw ValidationError("--runs is from 1 to 1,000,000.")
    }
    guard threads.allSatisfy({ (1...64).contains($0) }) else {
      throw ValidationError("--threads are from 1 to 64.")
    }
  }

  var measuredThreads: [Int] {
    threads.isEmpty ? Array(Set([1, Executor.processors])).sorted() : threads
  }
}

extension BenchCommand {
  struct Execute: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Time one inference of a model as an integer program, and as floats.",
      discussion: """
        The model is calibrated on the vectors, or, without any, on eight seeded inputs between -1 \
        and 1; the first of them is what is timed. A GMAC is 10^9 multiply-accumulates, in the \
        fastest run.

        EXAMPLES
          bourse bench execute Models/digits_lenet5.onnx --vectors Models/digits_lenet5.vectors.json
          bourse bench execute Models/conv56.onnx --threads 1 2 4 --json
        """)

    @Argument(help: "An ONNX file.") var file: String
    @Option(help: "Sample inputs, for models of one input.") var vectors: String?
    @Flag(help: "Neither the float evaluator nor the portable loops.") var executorOnly = false
    @OptionGroup private var options: BenchOptions
    @OptionGroup var quantization: QuantizationOptions
    @OptionGroup var inputs: InputOptions
    @OptionGroup var output: JSONOption

    private struct Report: Encodable {
      let name: String
      let multiplications: Int
      let executor: [ExecutorTiming]
      let float: Timing?
      /// Median of the float evaluator over the median of the executor on one thread.
      let floatRatio: Double?
    }

    func run() async throws {
      let graph = try Graph(try readModel(file))
      let samples: [[FloatTensor]]
      if let vectors {
        let vectors = try inputs.vectors(vectors, for: graph)
        samples = vectors.samples(0..<min(vectors.inputs.count, 64))
      } else {
        var seeded = SeededInputs(graph, seed: 1, range: -1...1)
        samples = (0..<8).map { _ in seeded.next() }
      }
      let quantizer = try quantization.quantizer(for: graph, samples: samples)
      let program = try quantizer.program()
      let bytes = try zip(samples[0], program.inputs).map {
        try BoundaryValues.bytes($0.values, as: $1)
      }
      let multiplications = graph.nodes.reduce(0) { $0 + graph.multiplications(of: $1) }
      let timings = try ExecutorTiming.all(
        program, bytes, multiplications: multiplications, threads: options.measuredThreads,
        isPortableMeasured: !executorOnly, runs: options.runs)
      let float =
        executorOnly
        ? nil : try Timing(runs: options.runs) { _ = try quantizer.graph.evaluate(samples[0]) }
      let report = Report(
        name: graph.name, multiplications: multiplications, executor: timings, float: float,
        floatRatio: float.map { $0.medianMilliseconds / timings[0].timing.medianMilliseconds })
      if output.json { return try printJSON(report) }
      print("\(graph.name): \(multiplications) multiply-accumulates")
      print(ExecutorTiming.table(timings).text)
      if let float = report.float, let ratio = report.floatRatio {
        print(
          "Float evaluator: least \(describe(float.leastMilliseconds)) ms, median "
            + "\(describe(float.medianMilliseconds)) ms, "
            + "\(String(format: "%.1f", ratio)) times the first line.")
      }
    }
  }

  struct Product: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Time an integer matrix product of random 8-bit weights.",
      discussion: """
        EXAMPLES
          bourse bench product
          bourse bench product --rows 1 --depth 4096 --columns 1000
        """)

    @Option(help: "Rows of the operand.") var rows = 512
    @Option(help: "Products of each sum.") var depth = 512
    @Option(help: "Columns of the result.") var columns = 512
    @OptionGroup private var options: BenchOptions
    @OptionGroup var output: JSONOption

    private struct Report: Encodable {
      let multiplications: Int
      let executor: [ExecutorTiming]
    }

    func validate() throws {
      guard [rows, depth, columns].allSatisfy({ (1...65536).contains($0) }),
        max(rows * depth, depth * columns, rows * columns) <= 1 << 26
      else {
        throw ValidationError(
          "The sizes are from 1 to 65536, and no matrix is above 2^26 elements.")
      }
    }

    func run() async throws {
      var random = SplitMix64(state: 1)
      let weights = (0..<depth * columns).map { _ in Int16.random(in: -127...127, using: &random) }
      let product = MatrixProduct(
        rows: LinearRows(
          weights: weights, biases: .init(repeating: 0, count: columns),
          shifts: .init(repeating: 20, count: columns)), exponent: 0)
      guard
        let input = BoundarySpecification(
          name: "x", elementType: .int16, shape: [rows, depth], exponent: 0),
        let result = BoundarySpecification(
          name: "y", elementType: .int16, shape: [rows, columns], exponent: 0)
      else { throw ValidationError("The sizes are out of bounds.") }
      let program = try Program(
        inputs: [input],
        operations: [.init(name: "product", inputs: [0], operator: .matrixProduct(product))],
        outputTensors: [1], outputs: [result])
      let bytes = (0..<2 * rows * depth).map { index in
        // Values between -4096 and 4095.
        let byte = UInt8.random(in: 0...255, using: &random)
        return index.isMultiple(of: 2) ? byte : UInt8(bitPattern: Int8(bitPattern: byte) >> 3)
      }
      let multiplications = rows * depth * columns
      let timings = try ExecutorTiming.all(
        program, [bytes], multiplications: multiplications, threads: options.measuredThreads,
        isPortableMeasured: true, runs: options.runs)
      if output.json {
        return try printJSON(Report(multiplications: multiplications, executor: timings))
      }
      print("\(rows)×\(depth) by \(depth)×\(columns): \(multiplications) multiply-accumulates")
      print(ExecutorTiming.table(timings).text)
    }
  }
}
