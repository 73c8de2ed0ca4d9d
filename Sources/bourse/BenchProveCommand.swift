import ArgumentParser
import FixedPoint
import Foundation
import ModelGraph
import Primitives
import ProverHost
import Quantization
import Slicing
import Statements

extension BenchCommand {
  /// What a backend takes for what others pay for.
  struct Prove: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Compile, execute, prove and verify a model, slice by slice.",
      discussion: """
        Times are medians over the runs, in milliseconds, each a call of the backend through its \
        host process; of several slices, the sum. Opening a session is measured apart: it happens \
        once per key.

        EXAMPLES
          bourse bench prove Models/digits_lenet5.onnx --vectors Models/digits_lenet5.vectors.json
          bourse bench prove conv56.onnx --runs 9 --json
          bourse bench prove Models/digits_lenet5.onnx --slices 4
        """)

    @Argument(help: "An ONNX file.") var file: String
    @Option(help: "How many slices.") var slices = 1
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

    private struct Report: Encodable {
      let model: String
      let backend: String
      let slices: Int
      let mode = "commit"
      var compileMilliseconds = 0.0
      var openMilliseconds = 0.0
      var executeMilliseconds = 0.0
      var proveMilliseconds = 0.0
      /// Of the slice that takes longest, where every slice has a prover of its own.
      var proveCriticalMilliseconds = 0.0
      var verifyMilliseconds = 0.0
      var proofBytes = 0
      var verifierKeyBytes = 0
      var estimatedMegabytes = 0.0
      var peakMegabytes = 0.0
      var proveToExecute = 0.0

      enum CodingKeys: String, CodingKey {
        case model, backend, slices, mode
        case compileMilliseconds = "compile_ms"
        case openMilliseconds = "open_ms"
        case executeMilliseconds = "execute_ms"
        case proveMilliseconds = "prove_ms"
        case proveCriticalMilliseconds = "prove_critical_ms"
        case verifyMilliseconds = "verify_ms"
        case proofBytes = "proof_bytes"
        case verifierKeyBytes = "verifier_key_bytes"
        case estimatedMegabytes = "estimated_peak_mb"
        case peakMegabytes = "peak_rss_mb"
        case proveToExecute = "prove_to_execute"
      }
    }

    func validate() throws {
      guard slices >= 1, runs >= 1 else {
        throw ValidationError("Slices and runs are counted from 1.")
      }
      guard BackendID(backend) != nil else {
        throw ValidationError("'\(backend)' is no backend's name.")
      }
    }

    func run() async throws {
      let (model, input) = try prepared()
      let opened = try await open()
      var report = Report(
        model: model.manifest.name, backend: backend, slices: model.manifest.slices.count)
      // What each slice gives, for those after it.
      var results: [[[UInt8]]] = []
      for (index, slice) in model.manifest.slices.enumerated() {
        let inputs = slice.sources.map { source in
          switch source {
          case .input(let place): input[place]
          case .slice(let slice, output: let place): results[slice][place]
          }
        }
        guard let onnx = model.blobs[slice.onnx], let program = model.blobs[slice.program] else {
          throw SlicingError.missingBlob(slice.program)
        }
        let bundle = SliceBundle(
          onnx: onnx, program: program,
          boundaries: Boundaries(inputs: slice.inputs, outputs: slice.outputs))
        if !output.json { FileHandle.standardError.write(Data("slice \(index)\n".utf8)) }
        results.append(try await measure(bundle, inputs, opened, &report))
      }
      await opened.close()
      report.peakMegabytes = Self.peakMegabytesOfChildren()
      report.proveToExecute = report.proveMilliseconds / max(report.executeMilliseconds, 1e-3)
      if output.json { return try printJSON(report) }
      show(report)
    }

    /// The model in slices, and the bytes of one input.
    private func prepared() throws -> (SlicedModel, [[UInt8]]) {
      let graph = try Graph(try readModel(file))
      let samples: [[FloatTensor]]
      if let vectors {
        let read = try self.inputs.vectors(vectors, for: graph)
        samples = read.samples(0..<min(read.inputs.count, 64))
      } else {
        var seeded = SeededInputs(graph, seed: 1, range: -1...1)
        samples = (0..<8).map { _ in seeded.next() }
      }
      let quantizer = try quantization.quantizer(for: graph, samples: samples)
      let name = URL(fileURLWithPath: file).deletingPathExtension().lastPathComponent
      let model = try SlicedModel(
        name: name, quantizer: quantizer, rules: SlicingRules(count: slices))
      let bytes = try zip(samples[0], model.manifest.inputs).map {
        try BoundaryValues.bytes($0.values, as: $1)
      }
      return (model, bytes)
    }

    private func open() async throws -> Backend {
      let files = InstalledFiles(directory: libexec)
      let path = plugin ?? files.plugin(backend)
      guard let bytes = FileManager.default.contents(atPath: path) else {
        throw BackendError.pluginUnusable(.missing, "there is no file '\(path)'")
      }
      return try await Backend(
        Backend.Configuration(
          host: files.proverHost, plugin: path, digest: Digest.of(bytes),
          backend: BackendID(backend)))
    }

    /// Adds one slice to the report; gives its outputs.
    private func measure(
      _ bundle: SliceBundle, _ inputs: [[UInt8]], _ opened: Backend, _ report: inout Report
    ) async throws -> [[UInt8]] {
      let obstacles = try await opened.obstacles(to: bundle)
      guard obstacles.isEmpty else {
        throw BackendError.refused(.unsupported, obstacles.joined(separator: "; "))
      }
      let estimate = try await opened.estimate(bundle)
      report.estimatedMegabytes = max(
        report.estimatedMegabytes, Double(estimate.peakMemoryBytes) / 1e6)
      let keys = try await median(of: &report.compileMilliseconds) {
        try await opened.compile(bundle)
      }
      report.verifierKeyBytes += keys.verifier.count
      let prover = try await opened.openProver(key: keys.prover, boundaries: bundle.boundaries)
      let outputs = try await median(of: &report.executeMilliseconds) {
        try await prover.execute(inputs)
      }
      let context = Digest.of(bundle.program)
      var proving = 0.0
      let proof = try await median(of: &proving) {
        try await prover.prove(inputs: inputs, outputs: outputs, context: context)
      }
      report.proveMilliseconds += proving
      report.proveCriticalMilliseconds = max(report.proveCriticalMilliseconds, proving)
      report.proofBytes += proof.count
      let verifier = try await median(of: &report.openMilliseconds) {
        try await opened.openVerifier(key: keys.verifier, boundaries: bundle.boundaries)
      }
      let verification = try await median(of: &report.verifyMilliseconds) {
        await verifier.verify(inputs: inputs, outputs: outputs, proof: proof, context: context)
      }
      guard verification.verdict == .valid else {
        throw BackendError.refused(.failed, "its own proof is refused: \(verification.reason)")
      }
      return outputs
    }

    /// Runs the work as often as asked, adds the median of its milliseconds to `total`, and gives
    /// its last result.
    private func median<Result>(
      of total: inout Double, _ work: () async throws -> Result
    ) async throws -> Result {
      let clock = ContinuousClock()
      var times: [Double] = []
      while true {
        let start = clock.now
        let result = try await work()
        times.append((clock.now - start) / .milliseconds(1))
        guard times.count < runs else {
          total += times.sorted()[times.count / 2]
          return result
        }
      }
    }

    /// Of the host processes that have ended.
    private static func peakMegabytesOfChildren() -> Double {
      var usage = rusage()
      getrusage(__rusage_who_t(RUSAGE_CHILDREN.rawValue), &usage)
      // Linux counts in kibibytes.
      return Double(usage.ru_maxrss) * 1024 / 1e6
    }

    private func show(_ report: Report) {
      var table = Table([("what", .left), ("value", .right)])
      func milliseconds(_ value: Double) -> String { String(format: "%.2f ms", value) }
      table.append(["compile", milliseconds(report.compileMilliseconds)])
      table.append(["open a verifier", milliseconds(report.openMilliseconds)])
      table.append(["execute", milliseconds(report.executeMilliseconds)])
      table.append(["prove", milliseconds(report.proveMilliseconds)])
      table.append(["prove, slowest slice", milliseconds(report.proveCriticalMilliseconds)])
      table.append(["verify", milliseconds(report.verifyMilliseconds)])
      table.append(["prove / execute", String(format: "%.1f", report.proveToExecute)])
      table.append(["proof", "\(report.proofBytes) bytes"])
      table.append(["verifier key", "\(report.verifierKeyBytes) bytes"])
      table.append(["peak memory, estimated", String(format: "%.0f MB", report.estimatedMegabytes)])
      table.append(["peak memory", String(format: "%.0f MB", report.peakMegabytes)])
      print("\(report.model) in \(report.slices) slices by \(report.backend)")
      print(table.text)
    }
  }
}
