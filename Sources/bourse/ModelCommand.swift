import ArgumentParser
import Foundation
import ModelGraph

struct ModelCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "model", abstract: "Inspect, check, run, slice and publish ONNX models.",
    subcommands: [
      Inspect.self, Check.self, Run.self, Slice.self, Publish.self, Conformance.self,
    ])
}

/// Reads a whole file up to the parser's limit.
func readModel(_ path: String) throws -> ModelFile {
  let size = (try? FileManager.default.attributesOfItem(atPath: path))?[.size] as? Int
  guard let size else { throw ValidationError("There is no file '\(path)'; name an ONNX file.") }
  guard size <= ModelFile.byteLimit else {
    throw ModelError(
      .tooLarge("the file has \(size) bytes and at most \(ModelFile.byteLimit) are read"))
  }
  guard let data = FileManager.default.contents(atPath: path) else {
    throw ValidationError("'\(path)' cannot be read; name an ONNX file.")
  }
  return try ModelFile(bytes: [UInt8](data))
}
