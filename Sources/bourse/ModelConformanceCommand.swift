import ArgumentParser
import Foundation
import ModelGraph

extension ModelCommand {
  /// For scripts/onnx-conformance, not for users.
  struct Conformance: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Run ONNX's backend tests in the float evaluator.", shouldDisplay: false)

    @Argument(
      help: """
        A directory of cases, each with model.onnx and test_data_set_N, or of NAME.onnx with \
        NAME_output_0.pb.
        """)
    var directory: String
    @Flag(help: "Print one JSON object.") var json = false

    private struct Report: Encodable {
      struct Case: Encodable {
        let name: String
        let operators: [String]
        let opset: Int64
        let outcome: String
        let reason: String?
        let seconds: Double
      }

      let cases: [Case]
      let passed: Int
      let failed: Int
      let refused: Int
      let notApplicable: Int
    }

    func run() async throws {
      let root = URL(fileURLWithPath: directory)
      let names = try FileManager.default.contentsOfDirectory(atPath: directory).sorted()
      let cases = names.compactMap { examine(root.appendingPathComponent($0)) }
      func count(_ outcome: String) -> Int { cases.count { $0.outcome == outcome } }
      let report = Report(
        cases: cases, passed: count("passed"), failed: count("failed"), refused: count("refused"),
        notApplicable: count("not applicable"))
      if json {
        try printJSON(report)
      } else {
        for item in cases { print("\(item.outcome) \(item.name) \(item.reason ?? "")") }
        print(
          "passed \(report.passed), failed \(report.failed), refused \(report.refused), "
            + "not applicable \(report.notApplicable)")
      }
      if report.failed + report.refused > 0 { throw ExitCode.failure }
    }

    /// Nil where there is no model.
    private func examine(_ place: URL) -> Report.Case? {
      let isFile = place.pathExtension == "onnx"
      let file = isFile ? place : place.appendingPathComponent("model.onnx")
      guard let bytes = try? Data(contentsOf: file),
        let subject = try? ConformanceCase(model: [UInt8](bytes))
      else { return nil }
      let clock = ContinuousClock()
      var outcome = ConformanceCase.Outcome.failed("it has no data")
      let time = clock.measure {
        outcome =
          isFile
          ? subject.outcomeOfRamp(
            outputs: tensors(
              "\(place.deletingPathExtension().lastPathComponent)_output",
              in: place.deletingLastPathComponent()))
          : self.outcome(of: subject, in: place)
      }
      let (word, reason): (String, String?) =
        switch outcome {
        case .passed: ("passed", nil)
        case .failed(let reason): ("failed", reason)
        case .refused(let reason): ("refused", reason)
        case .notApplicable(let reason): ("not applicable", reason.rawValue)
        }
      return Report.Case(
        name: place.deletingPathExtension().lastPathComponent, operators: subject.operators,
        opset: subject.opset, outcome: word, reason: reason,
        seconds: Double(time.components.seconds) + Double(time.components.attoseconds) / 1e18)
    }

    /// Of all data sets, or of the first that did not pass.
    private func outcome(
      of subject: ConformanceCase, in folder: URL
    ) -> ConformanceCase.Outcome {
      var outcome = ConformanceCase.Outcome.failed("it has no data")
      for set in 0..<16 {
        let data = folder.appendingPathComponent("test_data_set_\(set)")
        guard FileManager.default.fileExists(atPath: data.path) else { break }
        outcome = subject.outcome(
          inputs: tensors("input", in: data), outputs: tensors("output", in: data))
        guard outcome == .passed else { break }
      }
      return outcome
    }

    private func tensors(_ role: String, in folder: URL) -> [[UInt8]] {
      var tensors: [[UInt8]] = []
      while let data = try? Data(
        contentsOf: folder.appendingPathComponent("\(role)_\(tensors.count).pb"))
      {
        tensors.append([UInt8](data))
      }
      return tensors
    }
  }
}
