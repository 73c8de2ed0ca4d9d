import Foundation

/// How long many things of one kind took.
struct Latencies: Encodable {
  let count: Int
  let p50Microseconds: Double
  let p99Microseconds: Double
  let p999Microseconds: Double
  let mostMicroseconds: Double

  /// - Parameter nanoseconds: In any order; at least one.
  init(nanoseconds: [Int64]) {
    let sorted = nanoseconds.sorted()
    func microseconds(_ perTenThousand: Int) -> Double {
      let rank = (sorted.count * perTenThousand + 9_999) / 10_000
      return Double(sorted[max(1, min(rank, sorted.count)) - 1]) / 1_000
    }
    count = sorted.count
    p50Microseconds = microseconds(5_000)
    p99Microseconds = microseconds(9_900)
    p999Microseconds = microseconds(9_990)
    mostMicroseconds = microseconds(10_000)
  }

  static let columns: [(String, Table.Alignment)] = [
    ("p50 µs", .right), ("p99 µs", .right), ("p99.9 µs", .right), ("most µs", .right),
  ]
  var cells: [String] {
    [p50Microseconds, p99Microseconds, p999Microseconds, mostMicroseconds].map {
      String(format: "%.1f", $0)
    }
  }
}

extension Duration {
  var nanoseconds: Int64 {
    components.seconds * 1_000_000_000 + components.attoseconds / 1_000_000_000
  }
  var inSeconds: Double { Double(nanoseconds) / 1e9 }
}

/// The machine as it is while something is measured.
enum Machine {
  /// The one-minute load average.
  static var load: Double {
    let text = (try? String(contentsOfFile: "/proc/loadavg", encoding: .utf8)) ?? ""
    return text.split(separator: " ").first.flatMap { Double($0) } ?? 0
  }

  /// Processor time that a process has taken so far, in seconds; this one's where none is named.
  static func processorSeconds(of process: Int32? = nil) -> Double {
    let path = "/proc/\(process.map(String.init) ?? "self")/stat"
    let text = (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
    // After the name, which may hold spaces: user and system time are the 12th and 13th.
    let fields = text.split(separator: ")").last?.split(separator: " ") ?? []
    guard fields.count > 12, let user = Double(fields[11]), let system = Double(fields[12]) else {
      return 0
    }
    return (user + system) / Double(sysconf(Int32(_SC_CLK_TCK)))
  }

  /// The same of a process and its children together.
  static func familySeconds(of process: Int32) -> Double {
    let tasks = "/proc/\(process)/task"
    let threads = (try? FileManager.default.contentsOfDirectory(atPath: tasks)) ?? []
    // Children are listed under the thread that started them.
    let children = threads.flatMap { thread -> [Int32] in
      let text = (try? String(contentsOfFile: "\(tasks)/\(thread)/children", encoding: .utf8)) ?? ""
      return text.split(separator: " ").compactMap { Int32($0) }
    }
    return children.reduce(processorSeconds(of: process)) { $0 + familySeconds(of: $1) }
  }
}
