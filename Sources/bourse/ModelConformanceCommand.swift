import ArgumentParser
import Foundation
import ModelGraph

extension ModelCommand {
  /// For scripts/onnx-conformance, not for users.
  struct Conformance: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Run ONNX's backend tests in the float evaluator.", shouldDisplay: false)

    @Argument(help: "A directory of cases, each with model.onnx and test_data_set_N.")
    var directory: String
    @Flag(help: "Print one JSON object.") var json = false

    private struct Report: Encodable {
      struct Case: Encodable {
        let name: String
        let operators: [String]
        let opset: Int64
        let outcome: String
        let reason: String?
      }

      let cases: [Case]
      let passed: Int
      let failed: Int
      let notApplicable: Int
    }

    func run() async throws {
      let root = URL(fileURLWithPath: directory)
      let names = try FileManager.default.contentsOfDirectory(atPath: directory).sorted()
      let cases = names.compactMap { examine(root.appendingPathComponent($0)) }
      func count(_ outcome: String) -> Int { cases.count { $0.outcome == outcome } }
      let report = Report(
        cases: cases, passed: count("passed"), failed: count("failed"),
        notApplicable: count("not applicable"))
      if json {
        try printJSON(report)
      } else {
        for item in cases { print("\(item.outcome) \(item.name) \(item.reason ?? "")") }
        print(
          "passed \(report.passed), failed \(report.failed), "
            + "not applicable \(report.notApplicable)")
      }
      if report.failed > 0 { throw ExitCode.failure }
    }

    /// Nil where the directory holds no model.
    private func examine(_ folder: URL) -> Report.Case? {
      guard let bytes = try? Data(contentsOf: folder.appendingPathComponent("model.onnx")) else {
        return nil
      }
      let name = folder.lastPathComponent
      let subject: ConformanceCase
      do {
        subject = try ConformanceCase(model: [UInt8](bytes))
      } catch {
        return Report.Case(
          name: name, operators: [], opset: 0, outcome: "not applicable", reason: error.sentence)
      }
      var outcome = ConformanceCase.Outcome.notApplicable("It has no data.")
      for set in 0..<16 {
        let data = folder.appendingPathComponent("test_data_set_\(set)")
        guard FileManager.default.fileExists(atPath: data.path) else { break }
        outcome = subject.outcome(
          inputs: tensors("input", in: data), outputs: tensors("output", in: data))
        guard outcome == .passed else { break }
      }
      let (word, reason): (String, String?) =
        switch outcome {
        case .passed: ("passed", nil)
        case .failed(let reason): ("failed", reason)
        case .notApplicable(let reason): ("not applicable", reason)
        }
      return Report.Case(
        name: name, operators: subject.operators, opset: subject.opset, outcome: word,
        reason: reason)
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
