import Testing

struct LayoutTests {
  @Test func importsKeepTheirDirection() throws {
    let files = try Tree.files().filter { Layout.target(of: $0.path) != nil }
    #expect(files.count > 20)
    let findings = files.flatMap(Layout.findings)
    #expect(findings.isEmpty, "\(findings.map(\.description).joined(separator: "\n"))")
  }

  @Test func everyTargetFolderHasARow() throws {
    let targets = Set(try Tree.files().compactMap { Layout.target(of: $0.path) })
    for target in targets where !target.hasPrefix("plugin ") {
      #expect(Layout.rows.joined().contains(target), "\(target)")
    }
  }

  @Test(arguments: [
    ("import Foundation", "Foundation"),
    ("package import Primitives", "Primitives"),
    ("@preconcurrency internal import struct Foundation.Data", "Foundation"),
    ("@testable import Market", "Market"),
    ("import func Glibc.getpid", "Glibc"),
    ("// import Market", nil),
    ("let important = 1", nil),
  ])
  func readsTheImportedModule(_ line: String, _ module: String?) {
    #expect(Layout.importedModule(line) == module)
  }

  /// The canary: each rule catches the text made to break it, and nothing else.
  @Test(arguments: [
    ("Sources/Primitives/A.swift", "import Market", "not above it"),
    ("Sources/Market/A.swift", "package import Journal", "not above it"),
    ("Sources/Broker/A.swift", "import Prover", "not above it"),
    ("Sources/Wire/A.swift", "import Broker", "not above it"),
    ("Sources/Primitives/A.swift", "import Foundation", "is pure"),
    ("Sources/MerkleLog/A.swift", "import Dispatch", "is pure"),
    ("Sources/Statements/A.swift", "import Glibc", "is pure"),
    ("Sources/Market/A.swift", "internal import struct Foundation.Date", "is pure"),
    ("Sources/FixedPoint/A.swift", "@preconcurrency import Foundation", "is pure"),
    ("Sources/Replay/A.swift", "import GRDB", "only Journal may import"),
    ("Sources/Broker/A.swift", "import CZeroMQ", "only Wire may import"),
    ("Sources/Slicing/A.swift", "import SwiftProtobuf", "only ModelGraph may import"),
    ("Plugins/reexec/A.swift", "import Market", "a plugin may not"),
    ("Plugins/unheard-of/A.swift", "import Primitives", "a plugin may not"),
    ("Sources/Unheard/A.swift", "import Primitives", "no row"),
    ("migrations/A.swift", "import Journal", "not above it"),
  ])
  func refuses(_ path: String, _ line: String, _ what: String) {
    let findings = Layout.findings(in: SourceFile(path: path, text: "// why\n\(line)\n"))
    #expect(findings.count == 1)
    #expect(findings.first?.line == 2)
    #expect(findings.first?.what.contains(what) == true, "\(findings)")
  }

  @Test(arguments: [
    ("Sources/Market/A.swift", "package import Statements"),
    ("Sources/Market/A.swift", "import HeapModule"),
    ("Sources/Journal/A.swift", "import GRDB"),
    ("Sources/Wire/A.swift", "import Foundation"),
    ("Sources/bourse/A.swift", "import Auditor"),
    ("Plugins/reexec/A.swift", "import FixedPoint"),
    ("Tests/MarketTests/A.swift", "import Foundation"),
  ])
  func allows(_ path: String, _ line: String) {
    #expect(Layout.findings(in: SourceFile(path: path, text: line)).isEmpty)
  }
}
