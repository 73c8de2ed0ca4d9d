import ArgumentParser
import Foundation
import Primitives
import ProverHost
import Statements

extension BenchCommand {
  /// What a backend takes for what others pay for.
  struct Prove: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Compile, execute, prove and verify a model, slice by slice.",
      discussion: """
        Times are medians over the runs, in milliseconds, each a call of the backend through its \
        host process; of several slices, the sum. With --batch they are those of the whole batch. \
        Processor time is that of all threads of the host process, beside the wall's. Opening a \
        session is measured apart: it happens once per key. Peak memory is the host's that \
        executes, proves and verifies; another one compiles.

        EXAMPLES
          bourse bench prove Models/digits_lenet5.onnx --vectors Models/digits_lenet5.vectors.json
          bourse bench prove conv56.onnx --mode commit --runs 9 --json
          bourse bench prove Models/digits_lenet5.onnx --slices 4
          bourse bench prove Models/digits_mlp.onnx --batch 16 --threads 1
        """)

    enum Mode: String, ExpressibleByArgument, CaseIterable { case auto, clear, commit }
    enum Weights: String, ExpressibleByArgument, CaseIterable { case `public`, committed }

    @Argument(help: "An ONNX file.") var file: String
    @Option(help: "How many slices.") var slices = 1
    @Option(help: "How many inferences one proof covers.") var batch = 1
    @Option(help: "How sumcheck proves a slice; auto is what it takes for cheaper.")
    var mode = Mode.auto
    @Option(help: "Whether sumcheck's verifier key holds the weights, or commits to them.")
    var weights = Weights.public
    @Option(help: "Threads that a call may keep busy; by default as many as processors.")
    var threads: Int?
    @Option(help: "Which backend proves.") var backend = "sumcheck"
    @Option(help: "A plugin's file, in place of the built-in backend's.") var plugin: String?
    @Option(
      help: "Directory of bourse-prover-host and the plugins; by default that of this program.")
    var libexec: String?
    @Option(help: "Sample inputs as JSON; without them inputs are drawn from a seed.")
    var vectors: String?
    @Option(help: "Runs of each step.") var runs = 5
    @OptionGroup var quantization: QuantizationOptions
    @OptionGroup var inputs: InputOptions
    @OptionGroup var output: JSONOption

    /// Median times of one step, of all slices together.
    fileprivate struct Step {
      var wall = 0.0
      var processor = 0.0
    }

    fileprivate struct Report {
      let model: String
      let backend: String
      let slices: Int
      let batch: Int
      let threads: Int
      /// As the backend told them at compile; of several slices, those of each kind.
      var modes: [String] = []
      var weights: [String] = []
      var compile = Step()
      var open = Step()
      var execute = Step()
      var prove = Step()
      var verify = Step()
      /// Wall time of the slice that takes longest, where every slice has a prover of its own.
      var proveCritical = 0.0
      var proofBytes = 0
      var verifierKeyBytes = 0
      /// Nil where options force what the backend would choose: an estimate is of its own choice.
      var estimatedMegabytes: Double?
      var peakMegabytes = 0.0

      var proveToExecute: Double { prove.wall / max(execute.wall, 1e-3) }
    }

    func validate() throws {
      guard slices >= 1, runs >= 1, threads.map({ $0 >= 1 }) ?? true else {
        throw ValidationError("Slices, runs and threads are counted from 1.")
      }
      guard 1...Inference.batchLimit ~= batch else {
        throw ValidationError("--batch is 1 to \(Inference.batchLimit).")
      }
      guard BackendID(backend) != nil else {
        throw ValidationError("'\(backend)' is no backend's name.")
      }
    }

    /// Those that differ from a backend's defaults, so that backends without them are measured too.
    private var options: String {
      var options: [String] = []
      if mode != .auto { options.append("mode=\(mode.rawValue)") }
      if weights != .public { options.append("weights=\(weights.rawValue)") }
      if batch > 1 { options.append("batch=\(batch)") }
      return options.joined(separator: " ")
    }

    func run() async throws {
      let progress = Progress(isShown: !output.json)
      progress.show("quantizing")
      let sampled = try SampledSlices(
        file: file, vectors: vectors, slices: slices, samples: batch, quantization, inputs)
      let files = InstalledFiles(directory: libexec)
      var configuration = try PluginFile(path: plugin ?? files.plugin(backend))
        .configuration(files, backend: BackendID(backend))
      if let threads { configuration.threads = threads }
      var report = Report(
        model: sampled.name, backend: backend, slices: sampled.slices.count, batch: batch,
        threads: configuration.threads)
      let compiler = try await Backend(configuration)
      let prover = try await Backend(configuration)
      for slice in sampled.slices {
        progress.show("compiling \(slice.name)")
        let keys = try await compile(slice, compiler, &report)
        progress.show("proving \(slice.name)")
        try await measure(slice, keys, prover, &report)
      }
      report.peakMegabytes = Double(try await prover.usage().peakResidentBytes) / 1e6
      await compiler.close()
      await prover.close()
      progress.finish()
      if output.json { return try printJSON(Shown(report), keys: .convertToSnakeCase) }
      show(report)
    }

    private func compile(
      _ slice: SampledSlices.Slice, _ backend: Backend, _ report: inout Report
    ) async throws -> CompiledKeys {
      let obstacles = try await backend.obstacles(to: slice.bundle)
      guard obstacles.isEmpty else {
        throw BackendError.refused(.unsupported, obstacles.joined(separator: "; "))
      }
      if options.isEmpty {
        let estimate = try await backend.estimate(slice.bundle)
        report.estimatedMegabytes = max(
          report.estimatedMegabytes ?? 0, Double(estimate.peakMemoryBytes) / 1e6)
      }
      let keys = try await median(of: &report.compile, backend) {
        try await backend.compile(slice.bundle, options: options)
      }
      report.verifierKeyBytes += keys.verifier.count
      report.add(optionsInEffect: keys.options)
      return keys
    }

    private func measure(
      _ slice: SampledSlices.Slice, _ keys: CompiledKeys, _ backend: Backend,
      _ report: inout Report
    ) async throws {
      let boundaries = slice.bundle.boundaries
      let prover = try await backend.openProver(key: keys.prover, boundaries: boundaries)
      let outputs = try await median(of: &report.execute, backend) {
        var outputs: [[[UInt8]]] = []
        for inputs in slice.samples { outputs.append(try await prover.execute(inputs)) }
        return outputs
      }
      let inferences = zip(slice.samples, outputs).enumerated().map { number, tensors in
        Inference(
          inputs: tensors.0, outputs: tensors.1,
          context: Digest.of(Array("\(slice.name) \(number)".utf8)))
      }
      let first = inferences[0]
      var proving = Step()
      let proof = try await median(of: &proving, backend) {
        batch > 1
          ? try await prover.prove(batch: inferences)
          : try await prover.prove(
            inputs: first.inputs, outputs: first.outputs, context: first.context)
      }
      report.prove.wall += proving.wall
      report.prove.processor += proving.processor
      report.proveCritical = max(report.proveCritical, proving.wall)
      report.proofBytes += proof.count
      let verifier = try await median(of: &report.open, backend) {
        try await backend.openVerifier(key: keys.verifier, boundaries: boundaries)
      }
      let verification = try await median(of: &report.verify, backend) {
        batch > 1
          ? await verifier.verify(batch: inferences, proof: proof)
          : await verifier.verify(
            inputs: first.inputs, outputs: first.outputs, proof: proof, context: first.context)
      }
      guard verification.verdict == .valid else {
        throw BackendError.refused(.failed, "its own proof is refused: \(verification.reason)")
      }
    }

    /// Runs the work as often as asked, adds the medians of its milliseconds to `step`, and gives
    /// its last result.
    private func median<Result>(
      of step: inout Step, _ backend: Backend, _ work: () async throws -> Result
    ) async throws -> Result {
      let clock = ContinuousClock()
      var walls: [Double] = []
      var processors: [Double] = []
      while true {
        let before = try await backend.usage()
        let start = clock.now
        let result = try await work()
        walls.append((clock.now - start) / .milliseconds(1))
        let after = try await backend.usage()
        processors.append(
          Double(after.processorNanoseconds - before.processorNanoseconds) / 1e6)
        guard walls.count < runs else {
          step.wall += walls.sorted()[walls.count / 2]
          step.processor += processors.sorted()[processors.count / 2]
          return result
        }
      }
    }

    private func show(_ report: Report) {
      var table = Table([("what", .left), ("wall", .right), ("processor", .right)])
      func row(_ name: String, _ step: Step, by count: Int = 1) {
        table.append([
          name, String(format: "%.2f ms", step.wall / Double(count)),
          String(format: "%.2f ms", step.processor / Double(count)),
        ])
      }
      row("compile", report.compile)
      row("open a verifier", report.open)
      row("execute", report.execute)
      row("prove", report.prove)
      row("verify", report.verify)
      if report.batch > 1 {
        row("execute, per inference", report.execute, by: report.batch)
        row("prove, per inference", report.prove, by: report.batch)
        row("verify, per inference", report.verify, by: report.batch)
      }
      if report.slices > 1 {
        table.append(["prove, slowest slice", String(format: "%.2f ms", report.proveCritical), ""])
      }
      var figures = Table([("what", .left), ("value", .right)])
      figures.append(["prove / execute", String(format: "%.1f", report.proveToExecute)])
      figures.append(["proof", "\(report.proofBytes) bytes"])
      figures.append(["verifier key", "\(report.verifierKeyBytes) bytes"])
      if let estimated = report.estimatedMegabytes {
        figures.append(["peak memory, estimated", String(format: "%.1f MB", estimated)])
      }
      figures.append(["peak memory", String(format: "%.1f MB", report.peakMegabytes)])
      let chosen = [report.modes, report.weights.map { "\($0) weights" }].joined()
      print(
        "\(report.model) by \(report.backend): slices \(report.slices), batch \(report.batch), "
          + "threads \(report.threads)"
          + (chosen.isEmpty ? "" : "; " + chosen.joined(separator: ", ")))
      print(table.text)
      print(figures.text)
    }

    /// The report's names for programs.
    private struct Shown: Encodable {
      let model: String
      let backend: String
      let slices: Int
      let batch: Int
      let threads: Int
      let mode: OrNull<String>
      let weights: OrNull<String>
      let compileMs, compileCpuMs, openMs, executeMs, executeCpuMs, proveMs, proveCpuMs: Double
      let proveCriticalMs, verifyMs, verifyCpuMs: Double
      let executePerInferenceMs, provePerInferenceMs, verifyPerInferenceMs: Double
      let proofBytes, verifierKeyBytes: Int
      let estimatedPeakMb: OrNull<Double>
      let peakRssMb, proveToExecute: Double

      init(_ report: Report) {
        (model, backend, slices) = (report.model, report.backend, report.slices)
        (batch, threads) = (report.batch, report.threads)
        mode = OrNull(value: report.modes.isEmpty ? nil : report.modes.joined(separator: ","))
        weights = OrNull(
          value: report.weights.isEmpty ? nil : report.weights.joined(separator: ","))
        (compileMs, compileCpuMs) = (report.compile.wall, report.compile.processor)
        openMs = report.open.wall
        (executeMs, executeCpuMs) = (report.execute.wall, report.execute.processor)
        (proveMs, proveCpuMs) = (report.prove.wall, report.prove.processor)
        proveCriticalMs = report.proveCritical
        (verifyMs, verifyCpuMs) = (report.verify.wall, report.verify.processor)
        executePerInferenceMs = executeMs / Double(batch)
        provePerInferenceMs = proveMs / Double(batch)
        verifyPerInferenceMs = verifyMs / Double(batch)
        (proofBytes, verifierKeyBytes) = (report.proofBytes, report.verifierKeyBytes)
        estimatedPeakMb = OrNull(value: report.estimatedMegabytes)
        (peakRssMb, proveToExecute) = (report.peakMegabytes, report.proveToExecute)
      }
    }
  }
}

extension BenchCommand.Prove.Report {
  /// Keeps each mode and each kind of weights once.
  fileprivate mutating func add(optionsInEffect text: String) {
    for pair in text.split(separator: " ") {
      let value = pair.drop { $0 != "=" }.dropFirst().description
      if pair.hasPrefix("mode="), !modes.contains(value) { modes.append(value) }
      if pair.hasPrefix("weights="), !weights.contains(value) { weights.append(value) }
    }
  }
}
