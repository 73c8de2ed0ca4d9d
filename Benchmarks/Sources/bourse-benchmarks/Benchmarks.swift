import Foundation

// Measures the exchange from outside: the demo, which is one request end to end over real
// processes, run several times. Usage: bourse-benchmarks BOURSE MODELS [RUNS]

/// The part of `bourse demo --json` that is measured, in milliseconds.
struct DemoOutput: Decodable {
  struct Timings: Decodable {
    let answeredMilliseconds: Double?
    let settledMilliseconds: Double
    let totalMilliseconds: Double
  }

  let timings: Timings
}

struct BenchmarkFailure: Error, CustomStringConvertible {
  let description: String
}

@main
struct Benchmarks {
  static func main() throws {
    let arguments = CommandLine.arguments
    guard arguments.count >= 3 else {
      throw BenchmarkFailure(description: "usage: bourse-benchmarks BOURSE MODELS [RUNS]")
    }
    let runs = arguments.count > 3 ? max(1, min(100, Int(arguments[3]) ?? 10)) : 10
    var timings: [DemoOutput.Timings] = []
    for run in 1...runs {
      FileHandle.standardError.write(Data("run \(run) of \(runs)\n".utf8))
      timings.append(try demo(program: arguments[1], models: arguments[2]))
    }
    print("\(runs) runs, load \(load()), \(ProcessInfo.processInfo.activeProcessorCount) cores")
    report("submitted to answered", timings.compactMap(\.answeredMilliseconds))
    report("submitted to settled", timings.map(\.settledMilliseconds))
    report("whole demo", timings.map(\.totalMilliseconds))
  }

  private static func demo(program: String, models: String) throws -> DemoOutput.Timings {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: program)
    process.arguments = ["demo", "--models", models, "--json"]
    let pipe = Pipe()
    process.standardOutput = pipe
    try process.run()
    let data = pipe.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    guard process.terminationStatus == 0 else {
      throw BenchmarkFailure(description: "the demo failed; run `\(program) demo` to see why")
    }
    return try JSONDecoder().decode(DemoOutput.self, from: data).timings
  }

  private static func report(_ what: String, _ values: [Double]) {
    let sorted = values.sorted()
    guard let first = sorted.first, let last = sorted.last else { return }
    let figures = [first, sorted[sorted.count / 2], sorted[(sorted.count * 95 - 1) / 100], last]
      .map { String(format: "%.1f", $0) }
    print(
      "\(what), ms: least \(figures[0]), median \(figures[1]), p95 \(figures[2]), most \(figures[3])"
    )
  }

  /// The one-minute load average.
  private static func load() -> String {
    let text = FileManager.default.contents(atPath: "/proc/loadavg") ?? Data()
    return String(decoding: text, as: UTF8.self).split(separator: " ").first.map(String.init) ?? "?"
  }
}
