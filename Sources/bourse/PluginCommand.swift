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

    @Flag(help: "Print one JSON object.")
    var json = false

    func run() async throws {
      let digest = try Self.digest(of: file)
      let plugin = try await Backend(
        Backend.Configuration(
          host: InstalledFiles(directory: libexec).proverHost, plugin: file, digest: digest,
          backend: nil)
      ).plugin
      if json {
        print(Self.json(plugin, file: file, digest: digest))
        return
      }
      print("file         \(file)")
      print("sha256       \(digest)")
      print("abi          \(plugin.abiMajor).\(plugin.abiMinor)")
      for backend in plugin.backends {
        print("")
        print("backend      \(backend.id)")
        print("version      \(backend.version)")
        print("semantics    \(backend.semantics)")
        print("traits       \(backend.traits.names.joined(separator: ", "))")
        print("description  \(backend.summary)")
      }
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

    private static func json(
      _ plugin: PluginDescriptor, file: String, digest: Digest
    ) -> String {
      let backends = plugin.backends.map { backend in
        let traits = backend.traits.names.map(quoted).joined(separator: ",")
        return """
          {"id":\(quoted(backend.id.name)),"version":\(quoted(backend.version)),\
          "semantics":\(quoted(backend.semantics)),"traits":[\(traits)],\
          "description":\(quoted(backend.summary))}
          """
      }
      return """
        {"file":\(quoted(file)),"sha256":"\(digest)","abi":\
        "\(plugin.abiMajor).\(plugin.abiMinor)","backends":[\(backends.joined(separator: ","))]}
        """
    }

    private static func quoted(_ text: String) -> String {
      var quoted = "\""
      for scalar in text.unicodeScalars {
        switch scalar {
        case "\"", "\\": quoted += "\\\(scalar)"
        case _ where scalar.value < 0x20:
          let digits = String(scalar.value, radix: 16)
          quoted += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
        default: quoted.unicodeScalars.append(scalar)
        }
      }
      return quoted + "\""
    }
  }
}
