import ArgumentParser
import Foundation
import Market
import ModelGraph
import Primitives
import Quantization
import Requester
import Statements
import Wire

struct RequestCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "request", abstract: "Ask for an inference.",
    subcommands: [Submit.self, List.self, Wait.self, Show.self, Cancel.self])

  struct Submit: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Submit one inference of a published model.",
      discussion: """
        The input is a file of numbers (JSON, .npy) or a picture (PNG, PGM, PPM); a file of many, \
        such as vectors, takes --index. The fee at the limit price is held at once; what is not \
        spent comes back when the request is final.

        EXAMPLES
          bourse request submit --model 8f31… --input digit.json --key me.key --wait
          bourse request submit --model 8f31… --input seven.png --labels names.txt \\
            --key me.key --wait
          bourse request submit --model 8f31… --input vectors.json --index 3 --key me.key \\
            --prove critical:2 --wait --bundle answer.bundle
          bourse request submit --model 8f31… --input digit.json --key me.key \\
            --prove critical:2 --audit-rate 50000 --wait
          bourse request submit --model 8f31… --input digit.json --key me.key \\
            --ramp 500:100:2 --limit 1500 --time-in-force gtt:30 --min-settled 10

        Where slices are attested, their audits are drawn with a nonce of yours: --wait, or \
        `bourse request wait`, reveals it.
        """)

    @OptionGroup var model: ModelOption
    @Option(name: .long, help: "The input's file; once per input of the model, in its order.")
    var input: [String]
    @Option(name: .long, help: "Which of a file's inputs, from 0.")
    var index: Int?
    @OptionGroup var inputs: InputOptions
    @OptionGroup var labels: LabelOption
    @OptionGroup var key: KeyOption
    @OptionGroup var brokerOptions: BrokerOptions
    @OptionGroup var orderOptions: OrderOptions
    @Flag(name: .long, help: "Let everyone see the tensors, not only the parties.")
    var disclose = false
    @Flag(name: .long, help: "Wait until the request is final.")
    var wait = false
    @Option(name: .long, help: "Write the offline evidence to this file (with --wait).")
    var bundle: String?
    @OptionGroup var output: JSONOption

    func run() async throws {
      let key = try key.load()
      let names = try labels.load()
      let client = try await brokerOptions.connect(as: key)
      let modelID = try await model.resolve(client)
      let manifest = try await client.model(modelID)
      let tensors = try inputs.tensors(
        input, for: manifest.inputs.map { ($0.name, $0.shape) }, index: index)
      let inputs = try zip(tensors, manifest.inputs).map { tensor, boundary in
        try BoundaryValues.bytes(tensor.values, as: boundary)
      }
      var order = try orderOptions.order()
      order.disclosure = disclose ? .everyone : .parties
      let session = RequestSession(client: client, key: key)
      let start = ContinuousClock.now
      let performed = try await session.submit(
        model: modelID, manifest: manifest, inputs: inputs, order: order)
      guard wait else {
        let report = try await client.report(on: performed.envelope.digest)
        let shown = RequestReportShown(performed.envelope.digest, report, manifest)
        output.json ? try printJSON(shown) : print(shown.text)
        if report.terms.isAttested, !output.json {
          print(
            "its audits are drawn with a nonce of yours: `bourse request wait` with this key reveals "
              + "it once the request is answered; else you pay for the audit of every slice")
        }
        return await client.close()
      }
      var answeredAt: Duration?
      let progress = Progress(isShown: !output.json)
      let report = try await session.follow(performed.envelope.digest) { report in
        if report.answer != nil { answeredAt = answeredAt ?? (ContinuousClock.now - start) }
        if report.answer == nil { answeredAt = nil }
        progress.show(RequestCommand.progress(report))
      }
      let settledAt = ContinuousClock.now - start
      progress.finish()
      var shown = try await RequestCommand.shown(
        performed.envelope.digest, report, manifest, session, names)
      shown.timings = RequestReportShown.Timings(
        answeredMilliseconds: answeredAt.map(milliseconds),
        finalMilliseconds: milliseconds(settledAt))
      if let bundle, report.state == .final {
        let evidence = try await session.bundle(performed, report, manifest)
        try Data(evidence.canonicalBytes).write(to: URL(fileURLWithPath: bundle), options: .atomic)
      }
      output.json ? try printJSON(shown) : print(shown.text)
      await client.close()
      if report.state != .final { throw ExitCode(1) }
    }
  }

  /// The published model that the text is the id of, or the beginning of the only such id.
  static func resolve(_ text: String, _ client: WireClient) async throws -> ModelID {
    if let id = ModelID(hexadecimal: text) { return id }
    let matches = try await client.models().filter { $0.description.hasPrefix(text) }
    guard matches.count == 1, let id = matches.first else {
      throw ValidationError(
        "'\(text)' names \(matches.count) published models; give more digits of one model's id.")
    }
    return id
  }

  struct Wait: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Wait until a request is final, and reveal its nonce when that is wanted.",
      discussion: """
        For a request that was submitted without --wait, with the key that signed it.

        EXAMPLE
          bourse request wait 3b1f… --key me.key
        """)

    @Argument(help: "The request's id.")
    var request: String
    @OptionGroup var key: KeyOption
    @OptionGroup var labels: LabelOption
    @OptionGroup var brokerOptions: BrokerOptions
    @OptionGroup var output: JSONOption

    func run() async throws {
      let id = try RequestCommand.id(request)
      let key = try key.load()
      let names = try labels.load()
      let client = try await brokerOptions.connect(as: key)
      let session = RequestSession(client: client, key: key)
      let progress = Progress(isShown: !output.json)
      let report = try await session.follow(id) { progress.show(RequestCommand.progress($0)) }
      progress.finish()
      let manifest = try await client.model(report.terms.model)
      let shown = try await RequestCommand.shown(id, report, manifest, session, names)
      output.json ? try printJSON(shown) : print(shown.text)
      await client.close()
      if report.state != .final { throw ExitCode(1) }
    }
  }

  /// How far a request is.
  private static func progress(_ report: RequestReport) -> String {
    let ended = report.leases.count { $0.state.isFinal }
    let open = report.leases.count { $0.challengeableUntil != nil }
    return "\(report.state): \(ended) of \(report.leases.count) leases ended"
      + (open > 0 ? ", \(open) open to challenges" : "")
  }

  fileprivate static func id(_ text: String) throws -> RequestID {
    guard let id = RequestID(hexadecimal: text) else {
      throw ValidationError(
        "'\(text)' is no request's id: 64 hexadecimal digits, see `bourse request list`.")
    }
    return id
  }

  /// The request with its answer, where the session's key may read it.
  private static func shown(
    _ id: RequestID, _ report: RequestReport, _ manifest: Manifest, _ session: RequestSession,
    _ names: ClassNames?
  ) async throws -> RequestReportShown {
    var shown = RequestReportShown(id, report, manifest)
    do {
      if let source = manifest.outputs.first,
        let tensors = try await session.answer(report, manifest)
      {
        shown.setAnswer(
          try BoundaryValues.floats(tensors[0], as: manifest.specification(of: source)), names)
      }
    } catch let refusal as WireRefusal where refusal.code == "not-disclosed" {
      shown.withholdAnswer()
    }
    return shown
  }

  struct Show: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Show a request and its leases.",
      discussion: """
        With a key that may read its tensors, the answer too.

        EXAMPLES
          bourse request show 3b1f… --json
          bourse request show 3b1f… --key me.key --labels names.txt
        """)

    @Argument(help: "The request's id.")
    var request: String
    @Option(name: .long, help: "Your key file, to read the answer.")
    var key: String?
    @OptionGroup var labels: LabelOption
    @OptionGroup var brokerOptions: BrokerOptions
    @OptionGroup var output: JSONOption

    func run() async throws {
      let id = try RequestCommand.id(request)
      let names = try labels.load()
      let key = try key.map(KeyFile.read)
      let client = try await brokerOptions.connect(as: key)
      let report = try await client.report(on: id)
      let manifest = try await client.model(report.terms.model)
      let shown =
        if let key {
          try await RequestCommand.shown(
            id, report, manifest, RequestSession(client: client, key: key), names)
        } else {
          RequestReportShown(id, report, manifest)
        }
      output.json ? try printJSON(shown) : print(shown.text)
      await client.close()
    }
  }
}

extension RequestCommand {
  struct Cancel: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Cancel a request of which no work has begun.",
      discussion: """
        All that is held for it comes back at once. A request whose slices are all taken is being \
        worked on; it can no longer be cancelled, and ends by its deadline at the latest.

        EXAMPLE
          bourse request cancel 3b1f… --key me.key
        """)

    @Argument(help: "The request's id.")
    var request: String
    @OptionGroup var key: KeyOption
    @OptionGroup var brokerOptions: BrokerOptions
    @OptionGroup var output: JSONOption

    func run() async throws {
      let id = try RequestCommand.id(request)
      let key = try key.load()
      let client = try await brokerOptions.connect(as: key)
      try await client.perform(.cancelRequest(id), signedBy: key)
      let report = try await client.report(on: id)
      let shown = RequestReportShown(id, report, try await client.model(report.terms.model))
      output.json ? try printJSON(shown) : print(shown.text)
      await client.close()
    }
  }
}

func milliseconds(_ duration: Duration) -> Double {
  (duration / .milliseconds(1) * 100).rounded() / 100
}
