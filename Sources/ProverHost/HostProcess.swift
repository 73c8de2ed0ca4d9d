import CLinux
import Glibc
import Primitives

/// One living `bourse-prover-host` and its stream. Confined to the thread that started it: the
/// kernel kills the process when that thread ends.
struct HostProcess {
  let stream: FrameSocket
  private let pid: pid_t
  private let scratch: String

  /// How long a host may take to leave by itself, in nanoseconds.
  private static let farewell: UInt64 = 1_000_000_000

  /// Starts the executable with no environment, its stream on `HostServer.streamDescriptor`, the
  /// parent's standard error, nothing else open, and a process group of its own.
  init(executable: String) throws(BackendError) {
    guard access(executable, X_OK) == 0 else {
      throw .hostUnavailable("\(executable): \(String(cString: strerror(errno)))")
    }
    var template = Array((Self.temporaryDirectory() + "/bourse-scratch-XXXXXX").utf8CString)
    guard mkdtemp(&template) != nil else {
      throw .hostUnavailable("no scratch directory: \(String(cString: strerror(errno)))")
    }
    scratch = String(
      decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    var ends: [Int32] = [-1, -1]
    guard
      socketpair(
        AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0, &ends) == 0
    else {
      linux_remove_tree(scratch)
      throw .hostUnavailable("no socket pair: \(String(cString: strerror(errno)))")
    }
    let (failure, pid) = Self.spawn(executable, stream: ends[1])
    close(ends[1])
    guard failure == 0 else {
      close(ends[0])
      linux_remove_tree(scratch)
      throw .hostUnavailable("\(executable): \(String(cString: strerror(failure)))")
    }
    linux_set_nonblocking(ends[0])
    stream = FrameSocket(descriptor: ends[0])
    self.pid = pid
  }

  /// The request that must come first.
  func opening(_ configuration: Backend.Configuration) -> HostRequest {
    .open(
      path: configuration.plugin, digest: configuration.digest, backend: configuration.backend,
      scratch: scratch, threads: UInt32(clamping: max(1, configuration.threads)))
  }

  /// As the kernel counts it, so that no plugin can misstate it; zero where it is unknown.
  var usage: HostUsage {
    var clock = clockid_t()
    var time = timespec()
    if clock_getcpuclockid(pid, &clock) == 0 { clock_gettime(clock, &time) }
    let status = Self.status(of: pid)
    return HostUsage(
      processorNanoseconds: UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec),
      residentBytes: Self.kibibytes("VmRSS:", in: status) * 1024,
      peakResidentBytes: Self.kibibytes("VmHWM:", in: status) * 1024)
  }

  /// Lets an idle host close its sessions and leave; kills it where it does not.
  func retire() -> String {
    shutdown(stream.descriptor, Int32(SHUT_WR))
    let deadline = FrameSocket.now() + Self.farewell
    while (try? stream.receive(deadline: deadline)) != nil {}
    return kill()
  }

  /// Ends the host and all that it started, whatever they do, and says how it ended. A host that
  /// had already ended keeps its own end.
  func kill() -> String {
    Glibc.kill(-pid, SIGKILL)
    Glibc.kill(pid, SIGKILL)
    var status: Int32 = 0
    while waitpid(pid, &status, 0) < 0 && errno == EINTR {}
    close(stream.descriptor)
    linux_remove_tree(scratch)
    let signal = status & 0x7f
    return signal == 0 ? "exit status \(status >> 8 & 0xff)" : "signal \(signal)"
  }

  private static func spawn(_ executable: String, stream: Int32) -> (failure: Int32, pid: pid_t) {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0)
    // glibc also clears close-on-exec where both descriptors are the same one.
    posix_spawn_file_actions_adddup2(&actions, stream, HostServer.streamDescriptor)
    linux_spawn_close_from(&actions, HostServer.streamDescriptor + 1)
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETPGROUP))
    posix_spawnattr_setpgroup(&attributes, 0)
    var pid: pid_t = 0
    let name = strdup(executable)
    defer { free(name) }
    var arguments: [UnsafeMutablePointer<CChar>?] = [name, nil]
    var environment: [UnsafeMutablePointer<CChar>?] = [nil]
    let failure = posix_spawn(&pid, executable, &actions, &attributes, &arguments, &environment)
    return (failure, pid)
  }

  private static func status(of pid: pid_t) -> String {
    guard let file = fopen("/proc/\(pid)/status", "re") else { return "" }
    defer { fclose(file) }
    var bytes = [UInt8](repeating: 0, count: 1 << 14)
    return String(decoding: bytes[..<fread(&bytes, 1, bytes.count, file)], as: UTF8.self)
  }

  private static func kibibytes(_ name: String, in status: String) -> UInt64 {
    let line = status.split(separator: "\n").first { $0.hasPrefix(name) }
    return line.flatMap { UInt64($0.dropFirst(name.count).filter(\.isNumber)) } ?? 0
  }

  private static func temporaryDirectory() -> String {
    getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
  }
}
