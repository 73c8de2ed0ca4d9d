import Glibc

/// Where the project's own programs and plugins are: in one directory, that of the running program
/// unless its user names another (`--libexec`). A build has them so in `.build/<configuration>`.
package struct InstalledFiles: Sendable {
  package let directory: String

  package init(directory: String? = nil) {
    self.directory = directory ?? Self.directoryOfThisProgram()
  }

  package var proverHost: String { directory + "/bourse-prover-host" }

  /// The plugin of a backend that is part of the project, such as `reexec`.
  package func plugin(_ name: String) -> String { "\(directory)/libbourse-\(name).so" }

  private static func directoryOfThisProgram() -> String {
    var buffer = [CChar](repeating: 0, count: 4096)
    let count = readlink("/proc/self/exe", &buffer, buffer.count)
    let path = String(
      decoding: buffer.prefix(max(0, count)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    return path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
  }
}
