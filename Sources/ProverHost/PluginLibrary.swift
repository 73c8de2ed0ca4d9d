import CBourseProver
import CLinux
import Glibc
import Primitives

/// A plugin opened in this process, which is the child. It is never closed again: a Swift plugin's
/// types outlive `dlclose` in the runtime's tables and would crash it.
struct PluginLibrary {
  struct Refusal: Error {
    let fault: PluginFault
    let why: String
  }

  let entry: UnsafePointer<bourse_prover_entry>
  let descriptor: PluginDescriptor
  /// In the descriptor's order.
  let backends: [UnsafePointer<bourse_backend>]

  /// `host` must stay in place as long as the process lives.
  init(
    path: String, digest: Digest, host: UnsafePointer<bourse_host>
  ) throws(Refusal) {
    let file = try Self.sealedCopy(path: path, digest: digest)
    guard let library = dlopen("/proc/self/fd/\(file)", RTLD_NOW | RTLD_LOCAL) else {
      throw Refusal(fault: .notLoadable, why: "it does not load: \(Self.loaderMessage())")
    }
    close(file)
    typealias EntryFunction = @convention(c) () -> UnsafePointer<bourse_prover_entry>?
    guard let symbol = dlsym(library, "bourse_prover_entry_v1"),
      let entry = unsafeBitCast(symbol, to: EntryFunction.self)()
    else {
      throw Refusal(fault: .noEntry, why: "it exports no bourse_prover_entry_v1")
    }
    self.entry = entry
    guard entry.pointee.abi_major == UInt16(BOURSE_PROVER_ABI_MAJOR) else {
      throw Refusal(
        fault: .wrongABI,
        why: """
          it was compiled for ABI \(entry.pointee.abi_major) and this host has \
          \(BOURSE_PROVER_ABI_MAJOR); compile it with this version's bourse_prover.h
          """)
    }
    guard Int(entry.pointee.struct_size) >= MemoryLayout<bourse_prover_entry>.size,
      let initialize = entry.pointee.`init`, entry.pointee.deinit != nil,
      let backendCount = entry.pointee.backend_count, let backend = entry.pointee.backend
    else {
      throw Refusal(fault: .malformedDescriptor, why: "its entry lacks fields of version 1.0")
    }
    let status = initialize(host)
    guard status == BOURSE_OK else {
      throw Refusal(fault: .refusedToStart, why: "its init returned status \(status)")
    }
    let count = Int(backendCount())
    guard 1...PluginDescriptor.backendLimit ~= count else {
      throw Refusal(
        fault: .malformedDescriptor,
        why: "it offers \(count) backends and must offer 1 to \(PluginDescriptor.backendLimit)")
    }
    var backends: [UnsafePointer<bourse_backend>] = []
    var descriptors: [BackendDescriptor] = []
    for index in 0..<count {
      guard let backend = backend(UInt32(index)), let descriptor = Self.describe(backend) else {
        throw Refusal(
          fault: .malformedDescriptor,
          why: "backend \(index) lacks an id, a text or a function of its interface")
      }
      backends.append(backend)
      descriptors.append(descriptor)
    }
    self.backends = backends
    descriptor = PluginDescriptor(
      abiMajor: entry.pointee.abi_major, abiMinor: entry.pointee.abi_minor, backends: descriptors)
  }

  /// The file's bytes in anonymous sealed memory, after checking that they are the pinned ones:
  /// what is hashed is what is mapped, whatever happens to the file meanwhile.
  private static func sealedCopy(path: String, digest: Digest) throws(Refusal) -> Int32 {
    let file = open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else {
      throw Refusal(fault: .missing, why: "\(path) cannot be opened: \(message(errno))")
    }
    defer { close(file) }
    let copy = linux_anonymous_file("bourse-plugin")
    guard copy >= 0 else {
      throw Refusal(fault: .notLoadable, why: "no memory file: \(message(errno))")
    }
    var hasher = SHA256()
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 18, alignment: 16)
    defer { buffer.deallocate() }
    while true {
      let count = read(file, buffer.baseAddress, buffer.count)
      if count == 0 { break }
      guard count > 0, write(copy, buffer.baseAddress, count) == count else {
        throw Refusal(fault: .notLoadable, why: "\(path) cannot be read: \(message(errno))")
      }
      hasher.update(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
    }
    guard linux_seal(copy) == 0 else {
      throw Refusal(fault: .notLoadable, why: "its copy cannot be sealed: \(message(errno))")
    }
    let found = hasher.finalize()
    guard found == digest else {
      throw Refusal(
        fault: .digestMismatch,
        why:
          "its SHA-256 is \(found) and \(digest) is pinned; install the pinned file or pin this one"
      )
    }
    return copy
  }

  private static func describe(_ backend: UnsafePointer<bourse_backend>) -> BackendDescriptor? {
    guard Int(backend.pointee.struct_size) >= MemoryLayout<bourse_backend>.size,
      backend.pointee.supports != nil, backend.pointee.estimate != nil,
      backend.pointee.compile != nil, backend.pointee.session_open != nil,
      backend.pointee.session_close != nil, backend.pointee.execute != nil,
      backend.pointee.prove != nil, backend.pointee.verify != nil,
      let id = BackendID(text(backend.pointee.id, limit: BackendID.countLimit) ?? ""),
      let version = text(backend.pointee.version, limit: 64),
      let semantics = text(backend.pointee.semantics, limit: 64),
      let summary = text(backend.pointee.description, limit: 1024)
    else { return nil }
    let batch = batch(of: backend)
    if let batch {
      guard Int(batch.pointee.struct_size) >= MemoryLayout<bourse_batch>.size,
        batch.pointee.prove != nil, batch.pointee.verify != nil
      else { return nil }
    }
    return BackendDescriptor(
      id: id, version: version, semantics: semantics, summary: summary,
      traits: BackendDescriptor.Traits(rawValue: backend.pointee.flags),
      provesBatches: batch != nil)
  }

  /// The backend's table for batches, where it has one.
  static func batch(of backend: UnsafePointer<bourse_backend>) -> UnsafePointer<bourse_batch>? {
    backend.pointee.get_extension?(backend, BOURSE_BATCH)?.assumingMemoryBound(
      to: bourse_batch.self)
  }

  private static func text(_ pointer: UnsafePointer<CChar>?, limit: Int) -> String? {
    guard let pointer else { return nil }
    let count = strnlen(pointer, limit + 1)
    guard count <= limit else { return nil }
    return String(
      validating: UnsafeBufferPointer(start: pointer, count: count).map { UInt8(bitPattern: $0) },
      as: UTF8.self)
  }

  private static func loaderMessage() -> String { dlerror().map { String(cString: $0) } ?? "?" }
  private static func message(_ code: Int32) -> String { String(cString: strerror(code)) }
}
