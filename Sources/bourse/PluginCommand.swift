import ArgumentParser
import Primitives
import ProverHost

/// `bourse plugin`: for authors and operators of prover plugins.
struct PluginCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "plugin", abstract: "Look at prover plugins, and check them.",
    subcommands: [Inspect.self, Check.self])

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
      let pinned = try PluginFile(path: file)
      let plugin = try await Backend(
        pinned.configuration(InstalledFiles(directory: libexec), backend: nil)
      ).plugin
      let shown = Shown(
        file: file, sha256: pinned.digest.description, abi: "\(plugin.abiMajor).\(plugin.abiMinor)",
        backends: plugin.backends.map {
          Shown.Backend(
            id: $0.id.name, version: $0.version, semantics: $0.semantics,
            traits: $0.traits.names + ($0.provesBatches ? ["batches"] : []),
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
  }
}
