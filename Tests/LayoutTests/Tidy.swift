import Foundation

/// Habits that neither the compiler nor `swift format` holds.
enum Tidy {
  static let columns = 100

  static func findings(in file: SourceFile) -> [Finding] {
    guard !file.isGenerated else { return [] }
    var findings: [Finding] = []
    for (index, line) in file.lines.enumerated() {
      let previous = index > 0 ? file.lines[index - 1] : ""
      for what in spelling(line) + code(line, after: previous, in: file) {
        findings.append(Finding(path: file.path, line: index + 1, what: what))
      }
    }
    return findings
  }

  private static func spelling(_ line: String) -> [String] {
    var complaints: [String] = []
    if line.utf8.contains(UInt8(ascii: "\t")) { complaints.append("a tab") }
    if let last = line.utf8.last, last == UInt8(ascii: " ") || last == UInt8(ascii: "\r") {
      complaints.append("trailing white space")
    }
    for path in machinePaths where line.contains(path) {
      complaints.append("a path of one machine, \(path)")
    }
    return complaints
  }

  private static func code(
    _ line: String, after previous: String, in file: SourceFile
  ) -> [String] {
    guard file.isSwift || file.path.hasSuffix(".c") || file.path.hasSuffix(".h") else { return [] }
    var complaints: [String] = []
    if line.count > columns, !isUnbreakable(line) {
      complaints.append("\(line.count) columns, above \(columns)")
    }
    guard file.isSwift, !file.path.hasPrefix("Tests/") else { return complaints }
    if statement(line).contains("try" + "!") { complaints.append("a forced try") }
    if statement(line).contains("@unchecked " + "Sendable"), !isComment(previous) {
      complaints.append("unchecked sendability without a comment above that proves it")
    }
    return complaints
  }

  /// Paths of the machines on which the project has been worked on, in pieces, so that this file
  /// does not name them either.
  private static let machinePaths = ["work", "root", "home", "tmp/bourse"].map { "/" + $0 + "/" }

  /// One string literal, or one address, that no formatter can break.
  private static func isUnbreakable(_ line: String) -> Bool {
    let text = line.drop { $0 == " " }
    return text.hasPrefix("\"") || text.contains("https://")
  }

  private static func isComment(_ line: String) -> Bool {
    line.drop { $0 == " " }.hasPrefix("//")
  }

  /// The line without its comment.
  private static func statement(_ line: String) -> String {
    isComment(line) ? "" : line.components(separatedBy: "// ")[0]
  }
}

/// Links and lists of the documentation.
enum DocumentLinks {
  struct Link: Equatable {
    let line: Int
    let target: String
  }

  /// The relative targets of `[text](target)` outside code, without their fragments.
  static func relative(in file: SourceFile) -> [Link] {
    var links: [Link] = []
    var isInFence = false
    for (index, line) in file.lines.enumerated() {
      if line.hasPrefix("```") { isInFence.toggle() }
      guard !isInFence else { continue }
      for match in line.matches(of: /\]\(([^()\s]+)\)/) {
        let target = String(match.1.prefix { $0 != "#" })
        if target.isEmpty || target.contains("://") || target.hasPrefix("mailto:") { continue }
        links.append(Link(line: index + 1, target: target))
      }
    }
    return links
  }

  static func findings(in file: SourceFile, exists: (String) -> Bool) -> [Finding] {
    relative(in: file).compactMap { link in
      let path = resolve(link.target, from: file.path)
      return exists(path)
        ? nil : Finding(path: file.path, line: link.line, what: "no file \(path)")
    }
  }

  /// The pages that the map of the documentation does not link.
  static func unlisted(_ paths: [String], in map: SourceFile) -> [String] {
    let listed = Set(relative(in: map).map { resolve($0.target, from: map.path) })
    return paths.filter {
      $0.hasPrefix("docs/") && $0.hasSuffix(".md") && $0 != map.path && !listed.contains($0)
    }
  }

  static func resolve(_ target: String, from path: String) -> String {
    var parts = path.split(separator: "/").dropLast().map(String.init)
    for part in target.split(separator: "/") {
      switch part {
      case ".": continue
      case "..": if !parts.isEmpty { parts.removeLast() }
      default: parts.append(String(part))
      }
    }
    return parts.joined(separator: "/")
  }
}
