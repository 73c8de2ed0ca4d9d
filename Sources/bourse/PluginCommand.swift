import ArgumentParser
import Glibc
import Primitives
import ProverHost

/// `bourse plugin`: for authors and operators of prover plugins.
struct PluginCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "plugin", abstract: "Look at prover plugins.", subcommands: [Inspect.self])

  struct Inspect: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Open a plugin in a host process and print what it offers.",
      discussion: """
        The SHA-256 it prints is the one to pin in a configuration.

        EXAMPLE
          bourse plugin inspect .build/debug/libbourse-reexec.so
        """)

    @Argument(help: "The plugin's shared library.")
    var file: String

    @Option(help: "Directory of bourse-prover-host; by default that of this program.")
    var libexec: String?

    @OptionGroup var output: JSONOption

    private struct Shown: Encodable {
      struct Backend: Encodable {
        let id: String
        let version: String
        let semantics: String
        let traits: [String]
        let description: String
      }

      let file: String
      let sha256: String
      let abi: String
      let backends: [Backend]
    }

    func run() async throws {
      let digest = try Self.digest(of: file)
      let plugin = try await Backend(
        Backend.Configuration(
          host: InstalledFiles(directory: libexec).proverHost, plugin: file, digest: digest,
          backend: nil)
      ).plugin
      let shown = Shown(
        file: file, sha256: digest.description, abi: "\(plugin.abiMajor).\(plugin.abiMinor)",
        backends: plugin.backends.map {
          Shown.Backend(
            id: $0.id.name, version: $0.version, semantics: $0.semantics, traits: $0.traits.names,
            description: $0.summary)
        })
      if output.json { return try printJSON(shown) }
      print("file    \(shown.file)")
      print("sha256  \(shown.sha256)")
      print("abi     \(shown.abi)")
      var table = Table([
        ("backend", .left), ("version", .left), ("semantics", .left), ("traits", .left),
        ("description", .left),
      ])
      for backend in shown.backends {
        table.append([
          backend.id, backend.version, backend.semantics, backend.traits.joined(separator: ", "),
          backend.description,
        ])
      }
      print(table.text)
    }

    private static func digest(of file: String) throws -> Digest {
      guard let stream = fopen(file, "rb") else {
        throw BackendError.pluginUnusable(
          .missing, "\(file) cannot be opened: \(String(cString: strerror(errno)))")
      }
      defer { fclose(stream) }
      var hasher = SHA256()
      var chunk = [UInt8](repeating: 0, count: 1 << 18)
      while case let count = fread(&chunk, 1, chunk.count, stream), count > 0 {
        hasher.update(chunk[..<count])
      }
      return hasher.finalize()
    }
  }
}
