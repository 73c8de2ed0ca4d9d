import Testing

struct ErrorCodesTests {
  private static func codes() throws -> (given: [ErrorCodes.Code], listed: Set<String>) {
    let files = try Tree.files()
    let page = try #require(files.first { $0.path == "docs/errors.md" })
    let sources = files.filter { $0.isSwift && $0.path.hasPrefix("Sources/") && !$0.isGenerated }
    return (sources.flatMap(ErrorCodes.given), ErrorCodes.listed(in: page))
  }

  @Test func everyCodeIsDocumented() throws {
    let (given, listed) = try Self.codes()
    #expect(given.count > 100)
    for code in given { #expect(listed.contains(code.text), "\(code.path):\(code.line)") }
  }

  @Test func everyDocumentedCodeExists() throws {
    let (given, listed) = try Self.codes()
    #expect(listed.subtracting(given.map(\.text)).sorted() == [])
  }

  @Test func everyCodeIsKebabCase() throws {
    for code in try Self.codes().given {
      let isKebabCase = code.text.wholeMatch(of: /[a-z0-9]+(-[a-z0-9]+)*/) != nil
      #expect(isKebabCase, "\(code.path):\(code.line)")
    }
  }

  /// The canary: each way of giving a code is seen, and nothing else is taken for one.
  @Test func seesEachWayOfGivingACode() {
    let file = SourceFile(
      path: "Sources/Wire/A.swift",
      text: """
        package static let overloadedCode = "on-its-own"
        package var code: String { "in-one-line" }
        package var code: String {
          switch self {
          case .first: "in-a-switch"
          default: "at-its-end"
          }
        }
        let name = "no-code"
        throw Rejection(
          code: "as-an-argument", sentence: "no-code")
        """)
    #expect(
      ErrorCodes.given(in: file).map(\.text)
        == ["on-its-own", "in-one-line", "in-a-switch", "at-its-end", "as-an-argument"])
  }

  @Test func readsOnlyTheFirstCell() {
    let page = SourceFile(
      path: "docs/errors.md", text: "| code | when |\n|---|---|\n| `one-code` | `no-code` |\n`two`")
    #expect(ErrorCodes.listed(in: page) == ["one-code"])
  }
}
