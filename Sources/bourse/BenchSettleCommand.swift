import ArgumentParser
import Foundation
import Logging
import Market
import ModelGraph
import Primitives
import Quantization
import Requester
import Slicing
import Statements
import Wire

extension BenchCommand {
  /// Requests that are worked on by real provers, from submission to settled money.
  struct Settle: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Time whole requests over real provers, from submission to settlement.",
      discussion: """
        Starts a broker and honest provers as processes, publishes the model in slices, and lets \
        requesters submit one request after another, each waiting until its last is final. All \
        share this machine.

        EXAMPLES
          bourse bench settle Models/digits_lenet5.onnx
          bourse bench settle Models/digits_lenet5.onnx --prove all --requesters 4 --seconds 20
          bourse bench settle Models/digits_mlp.onnx --slices 2 --json
        """)

    @Argument(help: "An ONNX file.") var file: String
    @Option(help: "How many slices.") var slices = 4
    @Option(
      help: ArgumentHelp(
        "Which slices are proven, as for `bourse request submit`.", valueName: "slices"))
    var prove = ProvingPolicy.none
    @Option(help: "Requesters, each with one request at a time.") var requesters = 8
    @Option(help: "Provers.") var provers = 2
    @Option(help: "For how long it is measured.") var seconds = 10
    @Option(help: "Where everybody's data go for the time being; by default the temporary folder.")
    var directory: String?
    @OptionGroup var quantization: QuantizationOptions
    @OptionGroup var output: JSONOption

    private struct Report: Encodable {
      let load: Double
      let slices: Int
      let settled: Int
      let requestsPerSecond: Double
      let commandsPerRequest: Double
      let brokerProcessorMilliseconds: Double
      let proverProcessorMilliseconds: Double
      let requesterProcessorMilliseconds: Double
      let latencies: Latencies
    }

    func validate() throws {
      guard (1...64).contains(requesters), (1...16).contains(provers), (1...60).contains(seconds)
      else {
        throw ValidationError("--requesters is 1 to 64, --provers 1 to 16, --seconds 1 to 60.")
      }
    }

    func run() async throws {
      let progress = Progress(isShown: !output.json)
      progress.show("cutting the model")
      let graph = try Graph(try readModel(file))
      var seeded = SeededInputs(graph, seed: 1, range: -1...1)
      let samples = (0..<8).map { _ in seeded.next() }
      let quantizer = try quantization.quantizer(for: graph, samples: samples)
      let model = try SlicedModel(
        name: "bench", quantizer: quantizer, rules: SlicingRules(count: slices))
      let inputs = try zip(samples[0], model.manifest.inputs).map {
        try BoundaryValues.bytes($0.values, as: $1)
      }
      var report: Report?
      try await BenchBroker.run(in: directory) { broker in
        progress.show("publishing the model and starting the provers")
        let logger = Logger(label: "bourse.bench", level: .error)
        let client = WireClient(card: broker.card, identity: broker.operatorKey, logger: logger)
        try await client.connect(deadline: .seconds(20))
        let publication = ModelPublication(client: client, key: broker.operatorKey)
        let id = try await publication.publish(model)
        for backend in BackendOptions.builtIn {
          try await publication.awaitKeys(
            of: id, backend: backend, slices: model.manifest.slices.count, within: .seconds(60))
        }
        let processes = try await startProvers(broker, client)
        progress.show("measuring")
        report = try await measure(
          Crowd(
            broker: broker, client: client, model: id, manifest: model.manifest, inputs: inputs),
          processes)
        await client.close()
      }
      progress.finish()
      guard let report else { return }
      if output.json { return try printJSON(report) }
      print("\(report.settled) requests of \(report.slices) slices, load \(report.load)")
      var table = Table(
        [
          ("settled per second", .right), ("commands each", .right), ("broker ms", .right),
          ("provers' ms", .right), ("requesters' ms", .right),
        ] + Latencies.columns)
      table.append(
        [
          report.requestsPerSecond, report.commandsPerRequest, report.brokerProcessorMilliseconds,
          report.proverProcessorMilliseconds, report.requesterProcessorMilliseconds,
        ].map { String(format: "%.1f", $0) } + report.latencies.cells)
      print(table.text)
    }

    private struct Crowd {
      let broker: BenchBroker
      let client: WireClient
      let model: ModelID
      let manifest: Manifest
      let inputs: [[UInt8]]
    }

    private func startProvers(
      _ broker: BenchBroker, _ client: WireClient
    ) async throws -> [Process] {
      var processes: [Process] = []
      for number in 0..<provers {
        let path = "\(broker.folder)/prover-\(number).key"
        let key = try KeyFile.readOrCreate(path)
        try await client.perform(
          .deposit(owner: key.publicKey, amount: Amount(microcredits: 1 << 40)),
          signedBy: broker.operatorKey)
        processes.append(
          try broker.children.start(
            "prover-\(number)",
            [
              "prover", "run", "--broker", broker.cardPath, "--key", path, "--price", "1000",
              "--capacity", "256", "--bond", "100000c",
            ]))
        let deadline = ContinuousClock.now + .seconds(20)
        while try await client.bids(of: key.publicKey).count < BackendOptions.builtIn.count {
          guard ContinuousClock.now < deadline else {
            throw DemoError.tooSlow("a prover's bids", broker.children.log("prover-\(number)"))
          }
          try await Task.sleep(for: .milliseconds(20))
        }
      }
      return processes
    }

    private func measure(_ crowd: Crowd, _ processes: [Process]) async throws -> Report {
      let executor = PollExecutor()
      let logger = Logger(label: "bourse.bench", level: .error)
      var sessions: [(WireClient, RequestSession)] = []
      for _ in 0..<requesters {
        let key = SigningKey.random()
        try await crowd.client.perform(
          .deposit(owner: key.publicKey, amount: Amount(microcredits: 1 << 40)),
          signedBy: crowd.broker.operatorKey)
        let client = WireClient(
          card: crowd.broker.card, identity: key, executor: executor, logger: logger)
        try await client.connect(deadline: .seconds(20))
        sessions.append((client, RequestSession(client: client, key: key)))
      }
      func proverSeconds() -> Double {
        processes.reduce(0) { $0 + Machine.familySeconds(of: $1.processIdentifier) }
      }
      var order = RequestSession.Order()
      order.proving = prove
      let entries = try await crowd.client.status().sequence
      let (broker, proving, own) = (
        crowd.broker.processorSeconds, proverSeconds(), Machine.processorSeconds()
      )
      let start = ContinuousClock.now
      let end = start + .seconds(seconds)
      let (model, manifest, inputs) = (crowd.model, crowd.manifest, crowd.inputs)
      let nanoseconds = try await withThrowingTaskGroup(of: [Int64].self) { group in
        for (_, session) in sessions {
          group.addTask { [order] in
            var nanoseconds: [Int64] = []
            while ContinuousClock.now < end {
              let submitted = ContinuousClock.now
              let performed = try await session.submit(
                model: model, manifest: manifest, inputs: inputs, order: order)
              let report = try await session.follow(performed.envelope.digest) { _ in }
              guard report.state == .final else {
                throw LoadError.unusable("a request, which ended as \(report.state)")
              }
              nanoseconds.append((ContinuousClock.now - submitted).nanoseconds)
            }
            return nanoseconds
          }
        }
        return try await group.reduce(into: [Int64]()) { $0 += $1 }
      }
      let wall = (ContinuousClock.now - start).inSeconds
      let settled = Double(nanoseconds.count)
      let commands = try await crowd.client.status().sequence - entries
      let report = Report(
        load: Machine.load, slices: manifest.slices.count, settled: nanoseconds.count,
        requestsPerSecond: settled / wall, commandsPerRequest: Double(commands) / settled,
        brokerProcessorMilliseconds: (crowd.broker.processorSeconds - broker) * 1e3 / settled,
        proverProcessorMilliseconds: (proverSeconds() - proving) * 1e3 / settled,
        requesterProcessorMilliseconds: (Machine.processorSeconds() - own) * 1e3 / settled,
        latencies: Latencies(nanoseconds: nanoseconds))
      for (client, _) in sessions { await client.close() }
      return report
    }
  }
}
