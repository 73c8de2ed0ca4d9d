/// The stable codes of errors: where the sources give them, and where the documentation lists them.
enum ErrorCodes {
  struct Code: Hashable {
    let text: String
    let path: String
    let line: Int
  }

  /// Every literal inside a `var code: String`, and every one given as `code:` or to a `…Code`.
  static func given(in file: SourceFile) -> [Code] {
    var codes: [Code] = []
    var depth = 0
    for (index, line) in file.lines.enumerated() {
      let isInside = depth > 0 || line.contains("var code: String")
      if isInside {
        depth += line.count { $0 == "{" } - line.count { $0 == "}" }
      }
      let found =
        isInside
        ? line.matches(of: /"([^"]*)"/).map(\.1)
        : line.matches(of: /(?:\bcode: |[a-z]Code = )"([^"]*)"/).map(\.1)
      for text in found { codes.append(Code(text: String(text), path: file.path, line: index + 1)) }
    }
    return codes
  }

  /// What the first cells of the page's tables hold between backquotes.
  static func listed(in page: SourceFile) -> Set<String> {
    Set(page.lines.compactMap { $0.firstMatch(of: /^\| `([a-z0-9-]+)` \|/).map { String($0.1) } })
  }
}
