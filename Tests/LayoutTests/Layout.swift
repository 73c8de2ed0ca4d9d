/// Who may import whom, by hand: Package.swift says what is linked, this says what is allowed.
enum Layout {
  /// A module may import modules of the rows above its own, and nothing of its own row or below.
  /// The order is docs/architecture.md's, with ADR 0001's additions.
  static let rows: [[String]] = [
    ["CZeroMQ", "CSodium", "COpenSSL", "CPNG", "CLinux", "CBourseProver", "CFixedPoint"],
    ["Primitives"],
    ["MerkleLog"],
    ["Statements"],
    ["ModelGraph"],
    ["TensorFiles"],
    ["FixedPoint"],
    ["BoursePlugin"],
    ["Quantization"],
    ["Slicing"],
    ["Market", "Migrations"],
    ["Journal"],
    ["Replay"],
    ["ProverHost"],
    ["PluginCheck", "Verdicts"],
    ["Wire"],
    ["Broker", "VerifierWorker", "Prover", "Requester", "Auditor"],
    ["bourse", "bourse-prover-host"],
  ]

  /// A plugin lives in another process: of the host it may see only the interface and the records.
  static let plugins: [String: Set<String>] = [
    "reexec": ["CBourseProver", "Primitives", "Statements", "FixedPoint", "BoursePlugin"],
    "sumcheck": ["CBourseProver", "Primitives", "Statements", "FixedPoint", "BoursePlugin"],
    "example-c": ["CBourseProver"],
  ]

  /// Modules whose results are journaled, replayed or signed, or that are linked into plugins: they
  /// compute and do nothing else.
  static let pure: Set = [
    "Primitives", "MerkleLog", "Statements", "Market", "FixedPoint", "BoursePlugin",
  ]
  static let impure: Set = [
    "Foundation", "FoundationEssentials", "Dispatch", "Glibc", "Musl", "Darwin", "GRDB",
    "GRDBSQLite",
  ]

  /// The one door to each library.
  static let doors: [String: Set<String>] = [
    "CZeroMQ": ["Wire"],
    "CSodium": ["Primitives", "Wire"],
    "CPNG": ["TensorFiles"],
    "CLinux": ["ProverHost", "bourse-prover-host", "bourse"],
    "CFixedPoint": ["FixedPoint"],
    "BoursePlugin": ["plugin reexec", "plugin sumcheck"],
    "GRDB": ["Journal"],
    "GRDBSQLite": ["Journal"],
    "SwiftProtobuf": ["ModelGraph"],
    "ArgumentParser": ["bourse"],
  ]

  private static let rowOf: [String: Int] = Dictionary(
    uniqueKeysWithValues: rows.enumerated().flatMap { row, modules in
      modules.map { ($0, row) }
    })

  /// The target a file belongs to, or nil where it is of no target (tests, documentation).
  static func target(of path: String) -> String? {
    let parts = path.split(separator: "/")
    return switch parts.first {
    case "Sources" where parts.count > 2: String(parts[1])
    case "Plugins" where parts.count > 2: "plugin " + parts[1]
    case "migrations": "Migrations"
    default: nil
    }
  }

  /// The module that a line imports: `package import struct Foundation.Data` gives `Foundation`.
  static func importedModule(_ line: String) -> String? {
    var words = line.split(separator: " ").map(String.init)
    while let first = words.first,
      first.hasPrefix("@") || ["public", "package", "internal", "private"].contains(first)
    {
      words.removeFirst()
    }
    guard words.first == "import", words.count > 1 else { return nil }
    let kinds: Set = ["struct", "class", "enum", "protocol", "func", "var", "let", "typealias"]
    let name = kinds.contains(words[1]) && words.count > 2 ? words[2] : words[1]
    return name.split(separator: ".").first.map(String.init)
  }

  static func findings(in file: SourceFile) -> [Finding] {
    guard file.isSwift, let target = target(of: file.path) else { return [] }
    return file.lines.enumerated().flatMap { index, line in
      importedModule(line).map { module in
        complaints(about: module, in: target).map {
          Finding(path: file.path, line: index + 1, what: $0)
        }
      } ?? []
    }
  }

  private static func complaints(about module: String, in target: String) -> [String] {
    var complaints: [String] = []
    if target.hasPrefix("plugin ") {
      let allowed = plugins[String(target.dropFirst("plugin ".count))] ?? ["CBourseProver"]
      if rowOf[module] != nil, !allowed.contains(module) {
        complaints.append("a plugin may not import \(module)")
      }
    } else if let row = rowOf[target] {
      if let imported = rowOf[module], imported >= row {
        complaints.append("\(target) may not import \(module), which is not above it")
      }
    } else {
      complaints.append("\(target) has no row in the table of this test")
    }
    if pure.contains(target), impure.contains(module) {
      complaints.append("\(target) is pure and may not import \(module)")
    }
    if let door = doors[module], !door.contains(target) {
      complaints.append("only \(door.sorted().joined(separator: " and ")) may import \(module)")
    }
    return complaints
  }
}
