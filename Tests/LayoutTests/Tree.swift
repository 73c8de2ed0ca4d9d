import Foundation

/// A file of the repository as a test sees it: its path from the root, and its lines.
struct SourceFile {
  let path: String
  let lines: [String]

  init(path: String, text: String) {
    self.path = path
    // By bytes: to `Character`, a carriage return and a line feed are one.
    lines = text.utf8.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
      .map { String(Substring($0)) }
  }

  var isSwift: Bool { path.hasSuffix(".swift") }
  var isMarkdown: Bool { path.hasSuffix(".md") }
  /// Made by a script and never edited, so not held to our habits.
  var isGenerated: Bool { path.contains("/Generated/") }
}

/// What a check found wrong, and where.
struct Finding: Equatable, CustomStringConvertible {
  let path: String
  let line: Int
  let what: String

  var description: String { "\(path):\(line): \(what)" }
}

/// The repository around these tests.
enum Tree {
  static let root = URL(filePath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

  private static let folders = [
    "Sources", "Plugins", "migrations", "Tests", "Benchmarks", "docs", "scripts", ".ci",
  ]
  private static let single = [
    "Package.swift", "README.md", "CHANGELOG.md", ".gitignore", ".swift-format",
  ]
  private static let textExtensions: Set = ["swift", "c", "h", "md", "sql", "modulemap", "py", ""]

  /// Every text file that people write, in the order of its path. Resources, such as models and
  /// golden journals, are not text.
  static func files() throws -> [SourceFile] {
    var paths = single.filter { exists($0) }
    for folder in folders where exists(folder) {
      let enumerator = FileManager.default.enumerator(
        at: root.appending(path: folder), includingPropertiesForKeys: [.isRegularFileKey])
      while let url = enumerator?.nextObject() as? URL {
        let path = String(url.standardizedFileURL.path().dropFirst(root.path().count))
        let isFile = try url.resourceValues(forKeys: [.isRegularFileKey]).isRegularFile == true
        if isFile, textExtensions.contains(url.pathExtension), !path.contains("/.build/") {
          paths.append(path)
        }
      }
    }
    return try paths.sorted().compactMap { path in
      let bytes = try Data(contentsOf: root.appending(path: path))
      return String(data: bytes, encoding: .utf8).map { SourceFile(path: path, text: $0) }
    }
  }

  static func exists(_ path: String) -> Bool {
    FileManager.default.fileExists(atPath: root.appending(path: path).path())
  }
}
