import ArgumentParser
import Foundation
import Market
import Primitives
import Quantization
import Requester
import Statements
import Wire

struct RequestCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "request", abstract: "Ask for an inference.",
    subcommands: [Submit.self, Show.self])

  struct Submit: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Submit one inference of a published model.",
      discussion: """
        The input is a JSON file: an array of numbers, or a vectors file with --index. The fee at \
        the limit price is held at once; what is not spent comes back when the request is final.

        EXAMPLES
          bourse request submit --model 8f31… --input digit.json --key me.key --wait
          bourse request submit --model 8f31… --input vectors.json --index 3 --key me.key \\
            --wait --bundle answer.bundle
        """)

    @Option(name: .long, help: "The model's id, or enough first digits of it.")
    var model: String
    @Option(name: .long, help: "A JSON file with the input.")
    var input: String
    @Option(name: .long, help: "Which of a vectors file's inputs.")
    var index: Int?
    @OptionGroup var key: KeyOption
    @OptionGroup var brokerOptions: BrokerOptions
    @Option(name: .long, help: "The most to pay: micro-credits per 1000 cost units.")
    var limit: UInt64 = 2_000
    @Option(name: .long, help: "How many slices one prover may hold; 0 for any number.")
    var spread: UInt32 = 0
    @Option(name: .long, help: "Stake behind a slice, as a multiple of its fee at the limit.")
    var stakeMultiple: UInt32 = 5
    @Flag(name: .long, help: "Let everyone see the tensors, not only the parties.")
    var disclose = false
    @Flag(name: .long, help: "Wait until the request is final.")
    var wait = false
    @Option(name: .long, help: "Write the offline evidence to this file (with --wait).")
    var bundle: String?
    @OptionGroup var output: JSONOption

    func run() async throws {
      let key = try key.load()
      let values = try InputFile.read(input, index: index)
      let client = try await brokerOptions.connect(as: key)
      let modelID = try await resolve(model, client)
      let manifest = try await client.model(modelID)
      let inputs = [try BoundaryValues.bytes(values, as: manifest.inputs[0])]
      var order = RequestSession.Order()
      order.limitPrice = Price(ticks: limit)
      order.spread = spread
      order.stakeMultiple = stakeMultiple
      order.disclosure = disclose ? .everyone : .parties
      let session = RequestSession(client: client, key: key)
      let start = ContinuousClock.now
      let performed = try await session.submit(
        model: modelID, manifest: manifest, inputs: inputs, order: order)
      guard wait else {
        let report = try await client.report(on: performed.envelope.digest)
        let shown = RequestReportShown(performed.envelope.digest, report, manifest)
        output.json ? try printJSON(shown) : print(shown.text)
        return await client.close()
      }
      var answeredAt: Duration?
      let progress = Progress(isShown: !output.json)
      let report = try await session.follow(performed.envelope.digest) { report in
        if report.answer != nil { answeredAt = answeredAt ?? (ContinuousClock.now - start) }
        if report.answer == nil { answeredAt = nil }
        progress.show(
          "\(report.state): \(report.leases.count { $0.state.isFinal }) of \(report.leases.count) leases ended"
        )
      }
      let settledAt = ContinuousClock.now - start
      progress.finish()
      var shown = RequestReportShown(performed.envelope.digest, report, manifest)
      shown.timings = RequestReportShown.Timings(
        answeredMilliseconds: answeredAt.map(milliseconds),
        finalMilliseconds: milliseconds(settledAt))
      if let tensors = try await session.answer(report, manifest),
        let source = manifest.outputs.first
      {
        let floats = try BoundaryValues.floats(tensors[0], as: manifest.specification(of: source))
        shown.outputs = floats
        shown.answer = Agreement.top(floats)
      }
      if let bundle, report.state == .final {
        let evidence = try await session.bundle(performed, report, manifest)
        try Data(evidence.canonicalBytes).write(to: URL(fileURLWithPath: bundle), options: .atomic)
      }
      output.json ? try printJSON(shown) : print(shown.text)
      await client.close()
      if report.state != .final { throw ExitCode(1) }
    }

    private func resolve(_ text: String, _ client: WireClient) async throws -> ModelID {
      if let id = ModelID(hexadecimal: text) { return id }
      let matches = try await client.models().filter { $0.description.hasPrefix(text) }
      guard matches.count == 1, let id = matches.first else {
        throw ValidationError(
          "'\(text)' names \(matches.count) published models; give more digits of one model's id.")
      }
      return id
    }
  }

  struct Show: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Show a request and its leases.",
      discussion: "EXAMPLE\n  bourse request show 3b1f… --json")

    @Argument(help: "The request's id.")
    var request: String
    @OptionGroup var brokerOptions: BrokerOptions
    @OptionGroup var output: JSONOption

    func run() async throws {
      guard let id = RequestID(hexadecimal: request) else {
        throw ValidationError("'\(request)' is no request's id: 64 hexadecimal digits.")
      }
      let client = try await brokerOptions.connect(as: nil)
      let report = try await client.report(on: id)
      let manifest = try await client.model(report.terms.model)
      let shown = RequestReportShown(id, report, manifest)
      output.json ? try printJSON(shown) : print(shown.text)
      await client.close()
    }
  }
}

/// An input given as JSON.
enum InputFile {
  static func read(_ path: String, index: Int?) throws -> [Float] {
    if let index {
      let vectors = try SampleVectors(path: path)
      guard vectors.inputs.indices.contains(index) else {
        throw ValidationError(
          "'\(path)' has \(vectors.inputs.count) inputs, numbered from 0; \(index) is none of them."
        )
      }
      return vectors.inputs[index]
    }
    let size = (try? FileManager.default.attributesOfItem(atPath: path))?[.size] as? Int
    guard let size, size <= SampleVectors.byteLimit,
      let data = FileManager.default.contents(atPath: path),
      let values = try? JSONDecoder().decode([Float].self, from: data)
    else {
      throw ValidationError(
        "'\(path)' is no JSON array of numbers; for a vectors file add --index.")
    }
    return values
  }
}

func milliseconds(_ duration: Duration) -> Double {
  (duration / .milliseconds(1) * 100).rounded() / 100
}

/// One line of progress on a terminal's standard error.
final class Progress {
  private let isOn: Bool

  init(isShown: Bool) { isOn = isShown && isatty(STDERR_FILENO) == 1 }

  func show(_ text: String) {
    if isOn { FileHandle.standardError.write(Data("\r\u{1B}[K\(text)".utf8)) }
  }

  func finish() {
    if isOn { FileHandle.standardError.write(Data("\r\u{1B}[K".utf8)) }
  }
}
