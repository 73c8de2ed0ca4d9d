import ArgumentParser
import Foundation
import PluginCheck
import Primitives
import ProverHost
import Synchronization

extension PluginCommand {
  /// The conformance kit.
  struct Check: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Run every function of a backend on real slices, and tamper with everything.",
      discussion: """
        On each slice: answers that repeat, agreement with the integer executor, proofs that hold, \
        refusal of every kind of change, cancellation, two sessions, memory, hostile keys. Then \
        --mutants changes more: first a flip in every byte of the proofs, as far as they go, then \
        random changes of proofs, inputs, outputs and contexts. A change that is not refused is \
        printed with its number and the seed, which find it again.

        The slices are one Relu and the sample models, or those of --model. A model's samples are \
        the NAME.vectors.json beside it, or --vectors in the order of --model, or drawn from a seed.

        EXAMPLES
          bourse plugin check libmine.so
          bourse plugin check --backend sumcheck --options mode=commit --mutants 1000000
          bourse plugin check --backend reexec --model lenet.onnx --slices 4 --json

        Exit codes: 0 every check passed, 1 one failed, 64 wrong usage.
        """)

    @Argument(help: "A plugin's shared library.") var file: String?
    @Option(help: "A built-in backend, or which one of FILE to check (its first).")
    var backend: String?
    @Option(name: .customLong("model"), help: "An ONNX file; may be given several times.")
    var modelFiles: [String] = []
    @Option(help: "Samples of the model at the same place among --model; may be repeated.")
    var vectors: [String] = []
    @Option(help: "Where the sample models are, which are checked without --model.")
    var models = "Models"
    @Option(help: "Into how many slices each model is cut.") var slices = 1
    @Option(help: "How many changed statements and proofs to try.") var mutants = 1000
    @Option(help: "What the changes are drawn from.") var seed: UInt64 = 1
    @Option(help: "Options for compile: pairs KEY=VALUE, separated by spaces.") var options = ""
    @Option(help: "Directory of bourse-prover-host and the plugins; by default this program's.")
    var libexec: String?
    @OptionGroup var quantization: QuantizationOptions
    @OptionGroup var inputs: InputOptions
    @OptionGroup var output: JSONOption

    /// Samples of each model that are executed; proofs are of the first ones.
    private static let sampleCount = 4

    func validate() throws {
      guard file != nil || backend != nil else {
        throw ValidationError("Name a plugin's file, or a built-in backend with --backend.")
      }
      guard backend.map({ BackendID($0) != nil }) ?? true else {
        throw ValidationError("'\(backend ?? "")' is no backend's name.")
      }
      guard slices >= 1, 0...1_000_000_000 ~= mutants else {
        throw ValidationError("--slices is counted from 1, --mutants from 0 to 1,000,000,000.")
      }
      guard vectors.count <= modelFiles.count else {
        throw ValidationError("--vectors belongs to a --model; give one for each at most.")
      }
    }

    private struct Shown: Encodable {
      struct Check: Encodable {
        let check: String
        let slice: String
        let outcome: String
        let measured: String
      }

      struct Mutants: Encodable {
        let seed: UInt64
        let tried: Int
        let refused: Int
        let harmless: Int
        let perSecond: Int
        let proofBytes: Int
        let visitedBytes: Int
        let failures: [String]
      }

      let plugin: String
      let sha256: String
      let backend: String
      let version: String
      let options: String
      let passed: Bool
      let checks: [Check]
      let mutants: OrNull<Mutants>
    }

    func run() async throws {
      let files = InstalledFiles(directory: libexec)
      let plugin = try PluginFile(path: file ?? files.plugin(backend ?? ""))
      let progress = Steps(isShown: !output.json)
      let checked = try checkedSlices(progress)
      var settings = PluginCheck.Settings()
      (settings.options, settings.mutants, settings.seed) = (options, mutants, seed)
      let report = try await PluginCheck(
        plugin.configuration(files, backend: backend.flatMap { BackendID($0) }), settings
      ) { progress.show($0) }.run(on: checked)
      progress.finish()
      if output.json {
        try printJSON(shown(report, plugin), keys: .convertToSnakeCase)
      } else {
        show(report, plugin)
      }
      if !report.passed { throw ExitCode.failure }
    }

    private func checkedSlices(_ progress: Steps) throws -> [CheckedSlice] {
      var checked = [try CheckedSlice.relu()]
      let named = try modelFiles.isEmpty ? sampleModels() : modelFiles
      for (number, model) in named.enumerated() {
        progress.show("reading \(model)")
        let beside = model.replacing(/\.onnx$/, with: ".vectors.json")
        let given = vectors.indices.contains(number) ? vectors[number] : nil
        let sampled = try sampled(
          model, vectors: given ?? (FileManager.default.fileExists(atPath: beside) ? beside : nil))
        for slice in sampled.slices {
          checked.append(
            try CheckedSlice(name: slice.name, bundle: slice.bundle, samples: slice.samples))
        }
      }
      return checked
    }

    private func sampled(_ model: String, vectors: String?) throws -> SampledSlices {
      try SampledSlices(
        file: model, vectors: vectors, slices: slices, samples: Self.sampleCount, quantization,
        inputs)
    }

    private func sampleModels() throws -> [String] {
      guard let names = try? FileManager.default.contentsOfDirectory(atPath: models) else {
        throw ValidationError(
          "There is no directory '\(models)'; name models with --model, or --models.")
      }
      return names.filter { $0.hasSuffix(".onnx") }.sorted().map { "\(models)/\($0)" }
    }

    private func shown(_ report: PluginCheck.Report, _ plugin: PluginFile) -> Shown {
      Shown(
        plugin: plugin.path, sha256: plugin.digest.description, backend: report.backend.id.name,
        version: report.backend.version, options: options, passed: report.passed,
        checks: report.results.map {
          Shown.Check(
            check: $0.check, slice: $0.slice, outcome: $0.outcome.rawValue, measured: $0.measured)
        },
        mutants: OrNull(
          value: report.mutants.map {
            Shown.Mutants(
              seed: $0.seed, tried: $0.tried, refused: $0.refused, harmless: $0.harmless,
              perSecond: Int($0.perSecond), proofBytes: $0.proofBytes,
              visitedBytes: $0.visitedBytes, failures: $0.failures)
          }))
    }

    private func show(_ report: PluginCheck.Report, _ plugin: PluginFile) {
      print("plugin   \(plugin.path)")
      print("sha256   \(plugin.digest)")
      print("backend  \(report.backend.id.name) \(report.backend.version)")
      var table = Table([
        ("check", .left), ("slice", .left), ("result", .left), ("measured", .left),
      ])
      for result in report.results {
        table.append([result.check, result.slice, result.outcome.rawValue, result.measured])
      }
      print(table.text)
      for failure in report.mutants?.failures ?? [] { print(Style.red(failure)) }
      let failed = report.results.count { $0.outcome == .failed }
      print(
        failed == 0
          ? Style.green("passed") : Style.red("\(failed) of \(report.results.count) checks failed"))
    }
  }
}

/// Progress that several tasks tell.
private final class Steps: Sendable {
  private let isShown: Bool
  private let line: Mutex<Progress>

  init(isShown: Bool) {
    self.isShown = isShown
    line = Mutex(Progress(isShown: isShown))
  }

  func show(_ text: String) { if isShown { line.withLock { $0.show(text) } } }
  func finish() { line.withLock { $0.finish() } }
}
