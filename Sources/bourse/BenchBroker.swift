import Foundation
import Primitives
import Wire

/// A broker of a benchmark's own, as a process, with its journal on the disk.
struct BenchBroker {
  let folder: String
  let children: DemoProcesses
  let process: Process
  let card: BrokerCard
  let operatorKey: SigningKey

  var cardPath: String { folder + "/broker/broker.json" }

  /// Runs `body` with a broker whose files are in `directory`, or in the temporary folder, until it
  /// returns.
  static func run(in directory: String?, _ body: (BenchBroker) async throws -> Void) async throws {
    let folder =
      (directory ?? NSTemporaryDirectory())
      + "/bourse-bench-\(ProcessInfo.processInfo.processIdentifier)"
    try FileManager.default.createDirectory(
      atPath: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
    let children = DemoProcesses(logs: folder)
    children.cleanUpOnSignal { try? FileManager.default.removeItem(atPath: folder) }
    defer {
      children.stopAll()
      try? FileManager.default.removeItem(atPath: folder)
    }
    let process = try children.start(
      "broker",
      [
        "broker", "run", "--data", folder + "/broker", "--network", "bench", "--endpoint",
        "tcp://127.0.0.1:0",
      ])
    let path = folder + "/broker/broker.json"
    let deadline = ContinuousClock.now + .seconds(20)
    while !FileManager.default.fileExists(atPath: path) {
      guard process.isRunning else { throw DemoError.childFailed("broker", children.log("broker")) }
      guard ContinuousClock.now < deadline else {
        throw DemoError.tooSlow("the broker's start", children.log("broker"))
      }
      try await Task.sleep(for: .milliseconds(10))
    }
    try await body(
      BenchBroker(
        folder: folder, children: children, process: process,
        card: try BrokerCard(contentsOf: path),
        operatorKey: try KeyFile.read(folder + "/broker/operator.key")))
  }

  var processorSeconds: Double { Machine.processorSeconds(of: process.processIdentifier) }
}
