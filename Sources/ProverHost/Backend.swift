import Glibc
package import Primitives
import Statements

/// A prover backend behind its plugin, in a host process of its own.
///
/// Any number of tasks may call it; calls run one after the other. A plugin that crashes, hangs or
/// answers nonsense costs the call it was in: a verification is then `inconclusive`, anything else
/// throws `BackendError`, and the next call finds a fresh process with its sessions reopened.
package final class Backend: Sendable {
  package struct Configuration: Sendable {
    /// Path of `bourse-prover-host`; `InstalledFiles` finds it.
    package let host: String
    /// Path of the plugin's shared library.
    package let plugin: String
    /// SHA-256 that the plugin's file must have.
    package let digest: Digest
    /// Which of the plugin's backends to use; none where only a description is wanted.
    package let backend: BackendID?
    /// Threads that a call should keep busy at most: all processors, unless its user knows better.
    package var threads = max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN)))
    /// How long a call may take before its process is killed.
    package var openMilliseconds = 10_000
    package var executeMilliseconds = 60_000
    package var verifyMilliseconds = 60_000
    /// Of `compile` and `prove`.
    package var proveMilliseconds = 1_800_000
    /// Jobs after which a process is replaced, so that what a plugin leaks stays bounded.
    package var jobsPerProcess = 10_000

    package init(host: String, plugin: String, digest: Digest, backend: BackendID?) {
      self.host = host
      self.plugin = plugin
      self.digest = digest
      self.backend = backend
    }

    func milliseconds(for operation: HostOperation) -> Int {
      switch operation {
      case .open, .openSession, .closeSession, .supports, .estimate: openMilliseconds
      case .execute: executeMilliseconds
      case .verify, .verifyBatch: verifyMilliseconds
      case .compile, .prove, .proveBatch: proveMilliseconds
      }
    }
  }

  package let descriptor: BackendDescriptor
  package let plugin: PluginDescriptor
  private let configuration: Configuration
  private let worker: HostWorker

  /// Starts the host process and opens the plugin in it. Throws `BackendError`.
  package init(_ configuration: Configuration) async throws {
    let worker = HostWorker(configuration: configuration)
    worker.start()
    do {
      guard case .opened(let plugin) = try await worker.perform(nil),
        let descriptor = plugin.backends.first(where: {
          configuration.backend == nil || $0.id == configuration.backend
        })
      else { throw BackendError.malformedAnswer(.open, "it describes no backend") }
      (self.plugin, self.descriptor, self.worker) = (plugin, descriptor, worker)
      self.configuration = configuration
    } catch {
      worker.stop()
      throw error
    }
  }

  deinit { worker.stop() }

  /// The same backend in another process, which has done nothing yet. Throws `BackendError`.
  package func another() async throws -> Backend { try await Backend(configuration) }

  /// Finishes what is queued, ends the host process and removes what it left. Later calls throw.
  package func close() async { await worker.stopAndWait() }

  /// Why the backend cannot take the slice: one line `operator: reason` each, none where it can.
  package func obstacles(to bundle: SliceBundle) async throws -> [String] {
    switch try await worker.perform(.supports(bundle)) {
    case .supported: []
    case .unsupported(let reasons):
      reasons.split(separator: "\n").map(String.init) + (reasons.isEmpty ? ["unsupported"] : [])
    case let other: throw failure(other, .supports)
    }
  }

  package func estimate(_ bundle: SliceBundle) async throws -> Estimate {
    let reply = try await worker.perform(.estimate(bundle))
    guard case .estimated(let estimate) = reply else { throw failure(reply, .estimate) }
    return estimate
  }

  /// UTF-8 bytes of options that `compile` passes on.
  package static let optionsLimit = 4096

  /// - Parameter options: The backend's own, as pairs `key=value` separated by spaces.
  /// - Throws: `BackendError`; `optionsRefused` where the backend takes the slice without them.
  package func compile(
    _ bundle: SliceBundle, options: String = ""
  ) async throws -> CompiledKeys {
    guard options.utf8.count <= Self.optionsLimit, !options.utf8.contains(0) else {
      throw BackendError.refused(
        .malformed, "Options are at most \(Self.optionsLimit) bytes of text; shorten them.")
    }
    let reply = try await worker.perform(.compile(bundle, options: options))
    if case .compiled(let keys) = reply { return keys }
    let failure = failure(reply, .compile)
    guard !options.isEmpty, case .refused(let status, let diagnostic) = failure else {
      throw failure
    }
    // A plugin has the same status for a slice and for an option that it does not take, and nobody
    // else makes arguments that may be malformed.
    let areRefused =
      switch status {
      case .malformed: true
      case .unsupported: try await obstacles(to: bundle).isEmpty
      default: false
      }
    throw areRefused ? .optionsRefused(options, diagnostic) : failure
  }

  package func openProver(key: [UInt8], boundaries: Boundaries) async throws -> ProverSession {
    ProverSession(backend: self, source: try await open(.prover, key, boundaries))
  }

  package func openVerifier(key: [UInt8], boundaries: Boundaries) async throws -> VerifierSession {
    VerifierSession(backend: self, source: try await open(.verifier, key, boundaries))
  }

  /// Of the host process that is running now.
  package func usage() async throws -> HostUsage { try await worker.usage() }

  fileprivate func requireBatch(_ count: Int) throws {
    guard descriptor.provesBatches else {
      throw BackendError.batchesUnsupported(descriptor.id)
    }
    guard 1...Inference.batchLimit ~= count else {
      throw BackendError.refused(
        .malformed, "A batch has 1 to \(Inference.batchLimit) inferences and \(count) came.")
    }
  }

  func open(
    _ role: SessionRole, _ key: [UInt8], _ boundaries: Boundaries
  ) async throws -> SessionSource {
    let source = SessionSource(
      id: worker.newID(), role: role, key: key, boundaries: boundaries)
    let reply = try await worker.perform(nil, session: source)
    guard case .opened = reply else { throw failure(reply, .openSession) }
    return source
  }

  func perform(
    _ request: HostRequest, in session: SessionSource, within limit: Duration? = nil
  ) async throws -> HostReply {
    try await worker.perform(
      request, session: session, within: limit.map { CallLimit($0) } ?? .none)
  }

  func measure(
    _ request: HostRequest, in session: SessionSource, stopAfter: UInt64
  ) async -> (reply: Result<HostReply, any Error>, times: CallTimes?) {
    await worker.measure(request, session: session, stopAfter: stopAfter)
  }

  func close(_ session: SessionSource) { worker.close(session: session.id) }

  func failure(_ reply: HostReply, _ operation: HostOperation) -> BackendError {
    guard case .refused(let code, let diagnostic) = reply else {
      return .malformedAnswer(operation, "it is the answer to another question")
    }
    guard let status = PluginStatus(rawValue: code) else {
      return .malformedAnswer(operation, "status \(code) is unknown")
    }
    return .refused(status, diagnostic)
  }
}

/// A prover key loaded for many executions and proofs. Closed when the last reference goes.
package final class ProverSession: Sendable {
  let backend: Backend
  let source: SessionSource

  fileprivate init(backend: Backend, source: SessionSource) {
    (self.backend, self.source) = (backend, source)
  }

  deinit { backend.close(source) }

  /// Raw little-endian bytes in, and out, one array per boundary tensor. A range fault of the
  /// semantics is `BackendError.refused(.rangeFault, ...)`: a result that anyone can reproduce.
  ///
  /// - Parameter limit: After which the caller has no use for the outputs, whatever the call waited
  ///   for; a process that is still at it then is killed. The backend's own limit holds as well.
  package func execute(
    _ inputs: [[UInt8]], within limit: Duration? = nil
  ) async throws -> [[UInt8]] {
    let reply = try await backend.perform(
      .execute(source.id, inputs: inputs), in: source, within: limit)
    guard case .executed(let outputs) = reply else { throw backend.failure(reply, .execute) }
    guard outputs.count == source.boundaries.outputs.count,
      zip(outputs, source.boundaries.outputs).allSatisfy({ $0.count == $1.byteCount })
    else {
      throw BackendError.malformedAnswer(.execute, "the outputs do not have the boundary's lengths")
    }
    return outputs
  }

  /// A proof that the inputs give the outputs, bound to the statement's digest.
  ///
  /// - Parameter limit: As of `execute`.
  package func prove(
    inputs: [[UInt8]], outputs: [[UInt8]], context: Digest, within limit: Duration? = nil
  ) async throws -> [UInt8] {
    let inference = Inference(inputs: inputs, outputs: outputs, context: context)
    let reply = try await backend.perform(
      .prove(source.id, inference), in: source, within: limit)
    guard case .proved(let proof) = reply else { throw backend.failure(reply, .prove) }
    return proof
  }

  /// One proof for all of the inferences, in their order. How many it takes may be fixed by the
  /// key.
  package func prove(batch: [Inference]) async throws -> [UInt8] {
    try backend.requireBatch(batch.count)
    let reply = try await backend.perform(.proveBatch(source.id, batch), in: source)
    guard case .proved(let proof) = reply else { throw backend.failure(reply, .proveBatch) }
    return proof
  }
}

/// A verifier key loaded for many verifications. Closed when the last reference goes.
package final class VerifierSession: Sendable {
  private let backend: Backend
  private let source: SessionSource

  fileprivate init(backend: Backend, source: SessionSource) {
    (self.backend, self.source) = (backend, source)
  }

  deinit { backend.close(source) }

  /// Whatever goes wrong on this side, or in the plugin, is `inconclusive`.
  ///
  /// - Parameter limit: As of `ProverSession.execute`.
  package func verify(
    inputs: [[UInt8]], outputs: [[UInt8]], proof: [UInt8], context: Digest,
    within limit: Duration? = nil
  ) async -> Verification {
    let inference = Inference(inputs: inputs, outputs: outputs, context: context)
    return await verify(.verify(source.id, inference, proof: proof), within: limit)
  }

  /// One proof for all of the inferences, in their order.
  package func verify(batch: [Inference], proof: [UInt8]) async -> Verification {
    await verify(.verifyBatch(source.id, batch, proof: proof), batch: batch.count)
  }

  private func verify(
    _ request: HostRequest, batch: Int? = nil, within limit: Duration? = nil
  ) async -> Verification {
    do {
      if let batch { try backend.requireBatch(batch) }
      let operation = request.operation ?? .verify
      let reply = try await backend.perform(request, in: source, within: limit)
      guard case .verified(let code, let diagnostic) = reply else {
        throw backend.failure(reply, operation)
      }
      guard let verdict = UInt8(exactly: code).flatMap(Verdict.init(rawValue:)) else {
        throw BackendError.malformedAnswer(operation, "verdict \(code) is unknown")
      }
      return Verification(verdict: verdict, reason: diagnostic)
    } catch {
      return Verification(verdict: .inconclusive, reason: "\(error)")
    }
  }
}
