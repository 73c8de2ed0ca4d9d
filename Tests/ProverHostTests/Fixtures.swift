import FixedPoint
import Glibc
import Primitives
import ProverHost
import Statements
import Synchronization

/// Real plugins, real files: those of the build, and faulty ones compiled here.
enum Fixtures {
  static let installed = InstalledFiles(directory: buildDirectory)

  /// The directory of the test executable, which is where the build puts the host and the plugins.
  private static var buildDirectory: String {
    // `swift test` runs the tests in its own helper process; the bundle is among its arguments.
    let bundle = CommandLine.arguments.first { $0.hasSuffix(".xctest") }
    guard let slash = bundle?.lastIndex(of: "/"), let bundle else {
      return InstalledFiles().directory
    }
    return String(bundle[..<slash])
  }

  static func configuration(plugin: String, backend: String?) throws -> Backend.Configuration {
    Backend.Configuration(
      host: installed.proverHost, plugin: plugin, digest: try digest(of: plugin),
      backend: backend.flatMap { BackendID($0) })
  }

  static func reexec() throws -> Backend.Configuration {
    try configuration(plugin: installed.plugin("reexec"), backend: "reexec")
  }

  /// Compiles `Fixtures/fault.c` with the fault of that name (none: it works).
  static func fault(_ name: String) throws -> Backend.Configuration {
    try configuration(plugin: try compileFault(name), backend: "fault")
  }

  /// Tests that run side by side may want the same fault.
  private static let compiled = Atomic(0)

  static func compileFault(_ name: String) throws -> String {
    let tests = String(#filePath[..<(#filePath.lastIndex(of: "/") ?? #filePath.endIndex)])
    let number = compiled.add(1, ordering: .relaxed).newValue
    let output = "\(installed.directory)/fault-\(name)-\(getpid())-\(number).so"
    var arguments: [UnsafeMutablePointer<CChar>?] = [
      "cc", "-shared", "-fPIC", "-DFAULT_\(name)", "-I",
      "\(tests)/../../Sources/CBourseProver/include", "\(tests)/Fixtures/fault.c", "-o", output,
    ].map { (argument: String) in strdup(argument) }
    arguments.append(nil)
    defer { for argument in arguments { free(argument) } }
    var pid: pid_t = 0
    var status: Int32 = -1
    guard posix_spawnp(&pid, "cc", nil, nil, &arguments, environ) == 0,
      waitpid(pid, &status, 0) == pid, status == 0
    else { throw CompilationFailed() }
    return output
  }

  struct CompilationFailed: Error {}

  static func digest(of path: String) throws -> Digest {
    guard let file = fopen(path, "rb") else { throw CompilationFailed() }
    defer { fclose(file) }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let count = fread(&chunk, 1, chunk.count, file)
      if count == 0 { return Digest.of(bytes) }
      bytes += chunk[..<count]
    }
  }

  static func specification(_ name: String, _ shape: [Int]) -> BoundarySpecification {
    BoundarySpecification(name: name, elementType: .int16, shape: shape, exponent: 8)!
  }

  /// One Relu over four elements.
  static func relu() throws -> SliceBundle {
    try bundle(.relu(Relu()), inputs: 1)
  }

  /// The sum of two inputs of four elements, which can leave int16.
  static func bundle(_ operation: Operator, inputs count: Int) throws -> SliceBundle {
    let inputs = (0..<count).map { specification("input\($0)", [4]) }
    let outputs = [specification("output", [4])]
    let program = try Program(
      inputs: inputs,
      operations: [
        Program.Operation(name: "node", inputs: Array(0..<count), operator: operation)
      ],
      outputTensors: [count], outputs: outputs)
    return SliceBundle(
      onnx: [], program: program.canonicalBytes,
      boundaries: Boundaries(inputs: inputs, outputs: outputs))
  }

  static func tensor(_ values: [Int16]) -> [UInt8] {
    values.flatMap { [UInt8(truncatingIfNeeded: $0), UInt8(truncatingIfNeeded: $0 >> 8)] }
  }
}
