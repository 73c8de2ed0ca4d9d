import ArgumentParser
import Foundation
import Primitives
import Prover
import Quantization
import Requester

struct DemoCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "demo", abstract: "Watch one request from an ONNX file to settled money.",
    discussion: """
      Starts a broker, two honest provers and one cheat as processes on this machine, has a \
      handwritten digit classified by a LeNet-5 cut into slices, and replays the journal. The \
      slices that matter most are proven by sumcheck, the others are run again. Exits with 0 only \
      when everything came out as promised: the right answer, the cheat slashed, the honest paid, \
      the same balances on replay, and a bundle that verifies offline, proofs included.

      A cheat that withholds its nonce works rightly: there the slices without proofs are \
      attested, and all of them must come out audited, at the cheat's cost.

      EXAMPLES
        bourse demo
        bourse demo --digit 7 --misbehave bad-proof
        bourse demo --misbehave withhold-nonce
        bourse demo --prove all
        bourse demo --json
      """)

  @Option(name: .long, help: "The folder with digits_lenet5.onnx and its vectors.")
  var models = "Models"
  @Option(name: .long, help: "Which digit to have classified, 0 to 9.")
  var digit = 3
  @Option(name: .long, help: "Into how many slices to cut the model, at least 4.")
  var slices = 5
  @Option(
    help: ArgumentHelp(
      "Which slices are proven, as for `bourse request submit`; at least one.", valueName: "slices")
  )
  var prove = ProvingPolicy.critical(2)
  @Option(
    name: .long,
    help: "How the cheat cheats: wrong-output, bad-proof, bad-root or withhold-nonce.")
  var misbehave = Misbehaviour.wrongOutput
  @Option(name: .long, help: "Keep the broker's directory, keys and bundle here.")
  var keep: String?
  @OptionGroup var output: JSONOption

  func validate() throws {
    guard (0...9).contains(digit) else { throw ValidationError("--digit is 0 to 9.") }
    guard (4...7).contains(slices) else { throw ValidationError("--slices is 4 to 7.") }
    guard prove != .none else {
      throw ValidationError("The demo's cheat is a prover; --prove at least one slice.")
    }
    guard [.wrongOutput, .badProof, .badRoot, .withholdNonce].contains(misbehave) else {
      throw ValidationError("--misbehave is wrong-output, bad-proof, bad-root or withhold-nonce.")
    }
    guard misbehave != .withholdNonce || prove != .all else {
      throw ValidationError("Nonces are of slices without a proof; --prove fewer than all.")
    }
  }

  func run() async throws {
    let vectors = try SampleVectors(path: models + "/digits_lenet5.vectors.json")
    guard let index = indexOfDigit(in: vectors) else {
      throw ValidationError("The vectors have no digit \(digit); choose another.")
    }
    let folder =
      keep ?? NSTemporaryDirectory() + "bourse-demo-\(ProcessInfo.processInfo.processIdentifier)"
    try FileManager.default.createDirectory(
      atPath: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
    let children = DemoProcesses(logs: folder)
    let isKept = keep != nil
    children.cleanUpOnSignal { if !isKept { try? FileManager.default.removeItem(atPath: folder) } }
    defer {
      children.stopAll()
      if !isKept { try? FileManager.default.removeItem(atPath: folder) }
    }
    let demonstration = Demonstration(
      folder: folder, models: models, vectors: vectors, index: index, label: digit,
      sliceCount: slices, proving: prove, misbehaviour: misbehave, children: children,
      narrator: Narrator(isOn: !output.json))
    let result = try await demonstration.run()
    if output.json { try printJSON(result) }
    if let broken = result.brokenPromises.first {
      FileHandle.standardError.write(Data("Error: the demo broke a promise: \(broken)\n".utf8))
      throw ExitCode(1)
    }
  }
}

extension DemoCommand {
  /// The last sample of the digit that the float model itself gets right: the demo shows whether
  /// the exchange keeps the model's answer, not how good the model is.
  private func indexOfDigit(in vectors: SampleVectors) -> Int? {
    guard let labels = vectors.labels else { return nil }
    return labels.indices.last { index in
      let isRight = vectors.outputs.map { Agreement.top($0[index]) == digit } ?? true
      return labels[index] == digit && isRight
    }
  }
}

/// Tells people what happens; silent where a program reads.
struct Narrator: Sendable {
  let isOn: Bool

  func title(_ text: String) { if isOn { print("\n" + Style.bold(text)) } }
  func line(_ text: String) { if isOn { print(text) } }
}

/// The other processes of the demo. Whatever ends the demo ends them.
final class DemoProcesses: @unchecked Sendable {
  // Proof for `@unchecked`: `running` and `signals` are touched only under `lock`.
  private let lock = NSLock()
  private var running: [Process] = []
  private var signals: [any DispatchSourceSignal] = []
  private let logs: String

  init(logs: String) { self.logs = logs }

  /// Starts this program with other arguments; what it logs goes to `NAME.log`.
  @discardableResult
  func start(_ name: String, _ arguments: [String]) throws -> Process {
    let process = try make(name, arguments)
    process.standardOutput = FileHandle.nullDevice
    try process.run()
    lock.withLock { running.append(process) }
    return process
  }

  /// Runs this program to its end and returns what it printed.
  func output(_ name: String, _ arguments: [String]) async throws -> Data {
    let process = try make(name, arguments)
    let pipe = Pipe()
    process.standardOutput = pipe
    try process.run()
    lock.withLock { running.append(process) }
    let data = await Task.detached { pipe.fileHandleForReading.readDataToEndOfFile() }.value
    process.waitUntilExit()
    guard process.terminationStatus == 0 else { throw DemoError.childFailed(name, log(name)) }
    return data
  }

  private func make(_ name: String, _ arguments: [String]) throws -> Process {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
    process.arguments = arguments
    let path = "\(logs)/\(name).log"
    _ = FileManager.default.createFile(atPath: path, contents: nil)
    process.standardError = FileHandle(forWritingAtPath: path)
    process.standardInput = FileHandle.nullDevice
    return process
  }

  /// The last lines of a child's log.
  func log(_ name: String) -> String {
    let text = FileManager.default.contents(atPath: "\(logs)/\(name).log") ?? Data()
    return String(decoding: text.suffix(600), as: UTF8.self)
  }

  /// Asks them to end, and waits for all.
  func stop(_ processes: [Process]) {
    for process in processes where process.isRunning { process.terminate() }
    for process in processes { process.waitUntilExit() }
  }

  /// The broker, which was started first, comes last: a prover that stops withdraws its bids from
  /// it, and waits for one that is gone.
  func stopAll() {
    let started = lock.withLock { running }
    stop(Array(started.dropFirst()))
    stop(Array(started.prefix(1)))
  }

  func cleanUpOnSignal(_ cleanUp: @escaping @Sendable () -> Void) {
    let sources = Interruption.handle { [self] in
      stopAll()
      cleanUp()
    }
    lock.withLock { signals += sources }
  }
}

enum DemoError: CodedError {
  case childFailed(String, String)
  case tooSlow(String, String)

  var code: String {
    switch self {
    case .childFailed: "demo-child-failed"
    case .tooSlow: "demo-too-slow"
    }
  }

  var sentence: String {
    switch self {
    case .childFailed(let name, let log): "The process '\(name)' failed; its log ends: \(log)"
    case .tooSlow(let what, let log):
      "\(what) did not happen in time; run again with --keep DIR and read the logs there. \(log)"
    }
  }
}
