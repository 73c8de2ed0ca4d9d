import Testing

struct TidyTests {
  @Test func theTreeIsTidy() throws {
    let files = try Tree.files()
    #expect(files.contains { $0.path == "scripts/test" })
    #expect(files.contains { $0.path == ".ci/run" })
    let findings = files.flatMap(Tidy.findings)
    #expect(findings.isEmpty, "\(findings.map(\.description).joined(separator: "\n"))")
  }

  @Test func everyRelativeLinkResolves() throws {
    let findings = try Tree.files().filter(\.isMarkdown).flatMap { file in
      DocumentLinks.findings(in: file, exists: Tree.exists)
    }
    #expect(findings.isEmpty, "\(findings.map(\.description).joined(separator: "\n"))")
  }

  @Test func everyPageIsOnTheMap() throws {
    let files = try Tree.files()
    let map = try #require(files.first { $0.path == "docs/README.md" })
    #expect(DocumentLinks.unlisted(files.map(\.path), in: map) == [])
  }

  /// The canary: each habit catches the text made to break it, and nothing else.
  @Test(arguments: [
    ("docs/a.md", "a\tb", "a tab"),
    ("Sources/Wire/A.swift", "let a = 1 ", "trailing"),
    ("scripts/a", "echo\r", "trailing"),
    ("docs/a.md", "see /ro" + "ot/x", "a path of one machine"),
    ("Sources/Wire/A.swift", "let a = \"/ho" + "me/me\"", "a path of one machine"),
    ("Tests/WireTests/A.swift", "let a = \"/wo" + "rk/x\"", "a path of one machine"),
    ("scripts/a", "cd /tmp/bou" + "rse/x", "a path of one machine"),
    ("Sources/Wire/A.swift", "let a = " + String(repeating: "b", count: 93), "101 columns"),
    ("Plugins/example-c/a.c", "int " + String(repeating: "b", count: 97), "101 columns"),
    ("Sources/Wire/A.swift", "let a = try" + "! b()", "a forced try"),
    ("Sources/Wire/A.swift", "final class A: @unchecked " + "Sendable {", "unchecked"),
  ])
  func refuses(_ path: String, _ line: String, _ what: String) {
    let findings = Tidy.findings(in: SourceFile(path: path, text: "\n\(line)\n"))
    #expect(findings.count == 1, "\(findings)")
    #expect(findings.first?.line == 2)
    #expect(findings.first?.what.contains(what) == true, "\(findings)")
  }

  @Test(arguments: [
    ("Sources/Wire/A.swift", "// Proof: one thread.\nfinal class A: @unchecked " + "Sendable {"),
    ("Sources/Wire/A.swift", "let a = b()  // never try" + "! here"),
    ("Sources/Wire/A.swift", "  \"" + String(repeating: "b", count: 100) + "\""),
    ("Sources/ModelGraph/Generated/onnx.pb.swift", "let a = try" + "! b()\t "),
    ("Tests/WireTests/A.swift", "let a = try" + "! b()"),
    ("docs/a.md", String(repeating: "b", count: 101)),
  ])
  func allows(_ path: String, _ text: String) {
    #expect(Tidy.findings(in: SourceFile(path: path, text: text)).isEmpty)
  }

  @Test func refusesALinkToNothing() {
    let page = SourceFile(
      path: "docs/adr/0009-a.md",
      text: """
        [there](../there.md#part), [web](https://example.org/x), [part](#part)
        ```
        [code](nowhere.md)
        ```
        [gone](../gone.md) and [gone](gone.md)
        """)
    let findings = DocumentLinks.findings(in: page) { $0 == "docs/there.md" }
    #expect(
      findings == [
        Finding(path: page.path, line: 5, what: "no file docs/gone.md"),
        Finding(path: page.path, line: 5, what: "no file docs/adr/gone.md"),
      ])
  }

  @Test func refusesAPageThatTheMapDoesNotList() {
    let map = SourceFile(path: "docs/README.md", text: "[one](adr/0001-a.md)")
    let paths = ["docs/README.md", "docs/adr/0001-a.md", "docs/adr/0002-b.md", "docs/a.md", "a.md"]
    #expect(DocumentLinks.unlisted(paths, in: map) == ["docs/adr/0002-b.md", "docs/a.md"])
  }
}
