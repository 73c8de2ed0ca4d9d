import ArgumentParser
import Broker
import Logging
import Market
import Primitives
import ProverHost

/// Where backends come from: the plugins that are part of the project, and those that are named.
struct BackendOptions: ParsableArguments {
  /// The project's own, in the order in which the broker publishes their keys: who waits for those
  /// of `reexec`, which every slice has, then has the proving ones too.
  static let builtIn: [BackendID] = [.sumcheck, .reexec]

  @Option(
    name: .long, help: "The directory with bourse-prover-host and the plugins (this program's).")
  var libexec: String?
  @Option(
    name: .customLong("plugin"),
    help: ArgumentHelp(
      "A plugin's file, beside the built-in sumcheck and reexec. Repeatable.", valueName: "file"))
  var plugins: [String] = []

  /// The backends of the named plugins and the built-in ones, or those of them that are wanted. The
  /// files are pinned to the bytes that are there now.
  ///
  /// A named plugin goes before a built-in one of the same id, except `reexec`, which decides in
  /// every doubt. A proving built-in that cannot be opened and is not asked for by its id is left
  /// out, and logged.
  func open(
    _ wanted: Set<BackendID>?, _ logger: Logger
  ) async throws -> [ServedBackend] {
    let files = InstalledFiles(directory: libexec)
    var named: [ServedBackend] = []
    for file in plugins {
      for served in try await Self.backends(of: file, files, wanted) {
        let id = served.backend.descriptor.id
        guard id != .reexec, !named.contains(where: { $0.backend.descriptor.id == id }) else {
          throw BackendChoiceError.offeredTwice(id, file: file)
        }
        named.append(served)
      }
    }
    // Side by side: each starts a process and loads a library.
    let opening = Self.builtIn.filter { id in
      wanted?.contains(id) ?? true && !named.contains { $0.backend.descriptor.id == id }
    }.map { id in
      (id, Task { try await Self.backend(id, of: files.plugin(id.name), files) })
    }
    var opened: [ServedBackend] = []
    for (id, task) in opening {
      do {
        opened.append(try await task.value)
      } catch  where id != .reexec && wanted == nil {
        logger.error("going on without the built-in backend '\(id)': \(error)")
      }
    }
    opened += named
    for id in (wanted ?? []).sorted()
    where !opened.contains(where: { $0.backend.descriptor.id == id }) {
      throw BackendChoiceError.notOffered(id)
    }
    return opened
  }

  /// What a named file offers, each in a process of its own.
  private static func backends(
    of file: String, _ files: InstalledFiles, _ wanted: Set<BackendID>?
  ) async throws -> [ServedBackend] {
    let first = try await backend(nil, of: file, files)
    var backends: [ServedBackend] = []
    for descriptor in first.backend.plugin.backends where wanted?.contains(descriptor.id) ?? true {
      let isFirst = descriptor.id == first.backend.descriptor.id
      backends.append(isFirst ? first : try await backend(descriptor.id, of: file, files))
    }
    return backends
  }

  private static func backend(
    _ id: BackendID?, of file: String, _ files: InstalledFiles
  ) async throws -> ServedBackend {
    let pinned = try PluginFile(path: file)
    return ServedBackend(
      backend: try await Backend(pinned.configuration(files, backend: id)), plugin: pinned.digest)
  }
}

/// Why the backends that are asked for cannot serve together.
enum BackendChoiceError: CodedError, Equatable {
  case notOffered(BackendID)
  case offeredTwice(BackendID, file: String)
  case reexecutes(BackendID)
  case foreignSemantics(BackendID, String)

  var code: String {
    switch self {
    case .notOffered: "no-such-backend"
    case .offeredTwice: "backend-twice"
    case .reexecutes: "backend-reexecutes"
    case .foreignSemantics: "backend-semantics"
    }
  }

  var sentence: String {
    switch self {
    case .notOffered(let id):
      "No plugin here offers the backend '\(id)'; name its file with --plugin."
    case .offeredTwice(let id, let file):
      "'\(file)' offers the backend '\(id)', which another plugin here offers already; leave one out."
    case .reexecutes(let id):
      "The backend '\(id)' only runs slices again, and its work would be counted as proven; leave its plugin out, 'reexec' is served already."
    case .foreignSemantics(let id, let semantics):
      "The backend '\(id)' works by '\(semantics)', and running a slice again by '\(Market.semantics)' would contradict its honest provers; leave its plugin out."
    }
  }
}
