import Foundation
import Quantization
import TensorFiles
import Testing

/// A folder that is gone after the test, filled with files by their paths.
private func withFiles<Result>(
  _ files: [String: String], _ body: (String) throws -> Result
) throws -> Result {
  let folder = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
  defer { try? FileManager.default.removeItem(at: folder) }
  for (path, text) in files {
    let file = folder.appending(path: path)
    try FileManager.default.createDirectory(
      at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
    try Data(text.utf8).write(to: file)
  }
  return try body(folder.path())
}

@Suite struct SampleVectorsTests {
  private static let file = TensorFile(shape: [1, 2])

  @Test func readsVectorsWithLabels() throws {
    let text = """
      {"input_shape": [2], "inputs": [[1, 2], [3, 4]], "outputs": [[1], [0]], "labels": [1, 0]}
      """
    let vectors = try withFiles(["v.json": text]) {
      try SampleVectors(path: $0 + "/v.json", as: Self.file)
    }
    // Of the model's shape, which differs by a leading axis of 1.
    #expect(vectors.inputShape == [1, 2])
    #expect(vectors.inputs == [[1, 2], [3, 4]])
    #expect(vectors.labels == [1, 0])
  }

  @Test(arguments: [
    #"{"input_shape": [1, 2], "inputs": []}"#,
    #"{"input_shape": [1, 2], "inputs": [[1]]}"#,
    #"{"input_shape": [1, 2], "inputs": [[1, 2]], "labels": [1, 2]}"#,
    #"{"input_shape": [1, 2], "inputs": [[1, 2]], "outputs": []}"#,
    #"{"input_shape": [9223372036854775807, 2], "inputs": [[1, 2]]}"#,
    #"{"input_shape": [-1, -2], "inputs": [[1, 2]]}"#,
    #"{"inputs": [[1, 2]]}"#, "{", #"{"input_shape": [1, 2], "inputs": [[1, null]]}"#,
  ])
  func refusesVectorsThatDoNotFit(text: String) throws {
    _ = try withFiles(["v.json": text]) { folder in
      #expect(throws: SampleVectorsError.self) {
        try SampleVectors(path: folder + "/v.json", as: Self.file)
      }
    }
  }

  @Test func foldersAreReadInTheOrderOfNames() throws {
    let vectors = try withFiles(["b.json": "[3, 4]", "a.json": "[1, 2]", ".hidden": "x"]) {
      try SampleVectors(path: $0, as: Self.file)
    }
    #expect(vectors.inputs == [[1, 2], [3, 4]])
    #expect(vectors.labels == nil)
  }

  @Test func subfoldersAreClasses() throws {
    let named = ["cat/1.json": "[1, 2]", "ape/1.json": "[3, 4]"]
    let byPlace = try withFiles(named) { try SampleVectors(path: $0, as: Self.file) }
    #expect(byPlace.labels == [0, 1])
    try withFiles(named.merging(["names": "dog\ncat\nape\n"]) { $1 }) { folder in
      let classes = try ClassNames(path: folder + "/names")
      try FileManager.default.removeItem(atPath: folder + "/names")
      let vectors = try SampleVectors(path: folder, as: Self.file, classes: classes)
      #expect(vectors.inputs == [[3, 4], [1, 2]])
      #expect(vectors.labels == [2, 1])
    }
    let byNumber = try withFiles(["7/1.json": "[1, 2]", "10/1.json": "[3, 4]"]) {
      try SampleVectors(path: $0, as: Self.file)
    }
    #expect(byNumber.labels == [10, 7])
  }

  @Test(arguments: [
    [:], ["a.json": "[1, 2]", "b/c.json": "[1, 2]"], ["b/c.json": "[1, 2]", "d/.e": ""],
  ])
  func refusesFoldersThatHoldNoSamples(files: [String: String]) throws {
    _ = try withFiles(files.merging(["x/y": "z"]) { $1 }) { folder in
      #expect(throws: (any Error).self) { try SampleVectors(path: folder, as: Self.file) }
    }
  }
}

@Suite struct ClassNamesTests {
  @Test(arguments: ["zero\none\n", "zero\r\none", #" ["zero", "one"]"#])
  func readsLinesAndJSON(text: String) throws {
    let names = try withFiles(["names": text]) { try ClassNames(path: $0 + "/names") }
    #expect(names.names == ["zero", "one"])
    #expect(names.describe(1) == "1 (one)")
    #expect(names.describe(2) == "2")
  }

  @Test(arguments: [
    "", "a\n\nb\n", "[1, 2]", "[", "a\u{1B}[31mb\n", String(repeating: "x", count: 257),
    String(repeating: "x\n", count: 65537),
  ])
  func refusesOtherFiles(text: String) throws {
    _ = try withFiles(["names": text]) { folder in
      #expect(throws: ClassNamesError.self) { try ClassNames(path: folder + "/names") }
    }
  }
}
