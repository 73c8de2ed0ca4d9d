import Logging
import Market
import Primitives
import ProverHost
import Statements
import Wire

/// The slices a prover works on: fetched and compiled once, sessions kept open. What its bids cover
/// is prepared in advance: the time that a lease gives for its outputs runs from its begin on.
actor SliceCache {
  struct Slice: Sendable {
    let manifest: Manifest.Slice
    let boundaries: Boundaries
    let executor: ProverSession
    /// In another process than the executor where the backend proves: the calls of one process wait
    /// for each other, and an output is due much sooner than a proof is made.
    let prover: ProverSession
    /// The process of `prover`.
    let proving: Backend
    /// As this prover's plugin compiles it.
    let verifierKey: [UInt8]
    /// Of the programs and keys.
    let byteCount: Int
  }

  /// A program, sub-model or key above this is not fetched.
  private static let blobLimit = 1 << 29
  /// Bytes of programs and keys that are opened before anybody pays for it; the rest waits for a
  /// lease. Anyone may publish models.
  private static let preparedLimit = 1 << 30

  private let client: WireClient
  private let backends: [Backend]
  private let largest: Cost
  private let logger: Logger
  /// Processes that prove; their executors are in `backends`.
  private var proving: [BackendID: Task<Backend, any Error>] = [:]
  private var manifests: [ModelID: Manifest] = [:]
  /// A task, so that leases of one slice that begin together wait for one compilation.
  private var slices: [Market.KeySubject: Task<Slice, any Error>] = [:]
  /// By the key record that leases pin, whose key decides.
  private var verifiers: [Digest: Task<VerifierSession, any Error>] = [:]
  /// Models of which everything was tried in advance.
  private var prepared: Set<ModelID> = []
  private var preparedBytes = 0

  /// - Parameter largest: The largest slice that its prover bids on.
  init(client: WireClient, backends: [Backend], largest: Cost, logger: Logger) {
    self.client = client
    self.backends = backends
    self.largest = largest
    self.logger = logger
  }

  func slice(of terms: LeaseTerms) async throws -> Slice {
    let subject = Market.KeySubject(
      model: terms.model, slice: terms.slice, backend: terms.assurance.backend)
    guard let slice = try await slice(subject, byteLimit: nil) else {
      throw Rejection(
        code: "backend-not-run",
        sentence:
          "The lease is for '\(subject.backend)', which this prover does not run; cancel that bid.")
    }
    return slice
  }

  /// Opens what it has of a slice's proofs under the key that the lease pins.
  func verifier(of terms: LeaseTerms, _ slice: Slice) async throws -> VerifierSession {
    let opening =
      verifiers[terms.keyRecord]
      ?? Task {
        let key = try await pinnedKey(of: terms, compiled: slice.verifierKey)
        return try await slice.proving.openVerifier(key: key, boundaries: slice.boundaries)
      }
    verifiers[terms.keyRecord] = opening
    do {
      return try await opening.value
    } catch {
      if verifiers[terms.keyRecord] == opening { verifiers[terms.keyRecord] = nil }
      throw error
    }
  }

  // MARK: In advance

  /// Opens every slice of the models that were published since the last call, one after the other.
  /// A slice that does not open is told of and left. Throws where the broker does not answer; the
  /// next call goes on from there.
  func prepare() async throws {
    for model in try await client.models() where !prepared.contains(model) {
      if preparedBytes < Self.preparedLimit {
        let slices = try await manifest(of: model).slices
        logger.notice("preparing model \(model.short), \(slices.count) slices, to bid on it")
        for backend in backends.map(\.descriptor.id) {
          for index in slices.indices where slices[index].cost <= largest {
            try await prepare(Market.KeySubject(model: model, slice: index, backend: backend))
          }
        }
      }
      if preparedBytes >= Self.preparedLimit {
        logger.notice(
          "\(preparedBytes) bytes are prepared: slices of model \(model.short) are opened at their first leases"
        )
      }
      prepared.insert(model)
    }
  }

  private func prepare(_ subject: Market.KeySubject) async throws {
    guard slices[subject] == nil, preparedBytes < Self.preparedLimit else { return }
    do {
      guard let slice = try await slice(subject, byteLimit: Self.preparedLimit - preparedBytes)
      else { return }
      preparedBytes += slice.byteCount
      logger.info("prepared slice '\(slice.manifest.name)' for \(subject.backend)")
    } catch let error where Task.isCancelled || (error as? WireError)?.isPassing == true {
      throw error
    } catch BackendError.refused(.unsupported, let why) {
      logger.debug("\(subject.backend) does not take slice \(subject.slice): \(why)")
    } catch {
      logger.warning(
        "slice \(subject.slice) of model \(subject.model.short) is not prepared for \(subject.backend), and its first lease may be late: \(error)"
      )
    }
  }

  // MARK: Opening

  /// Nil where the backend is none of this prover's.
  ///
  /// - Parameter byteLimit: Of what is opened in advance; nil for a lease.
  private func slice(_ subject: Market.KeySubject, byteLimit: Int?) async throws -> Slice? {
    guard let backend = backends.first(where: { $0.descriptor.id == subject.backend }) else {
      return nil
    }
    let opening = slices[subject] ?? Task { try await open(subject, backend, byteLimit: byteLimit) }
    slices[subject] = opening
    do {
      return try await withTaskCancellationHandler {
        try await opening.value
      } onCancel: {
        opening.cancel()
      }
    } catch {
      // The next lease tries again.
      if slices[subject] == opening { slices[subject] = nil }
      throw error
    }
  }

  private func open(
    _ subject: Market.KeySubject, _ backend: Backend, byteLimit: Int?
  ) async throws -> Slice {
    let slices = try await manifest(of: subject.model).slices
    guard slices.indices.contains(subject.slice) else {
      throw Rejection(
        code: "unknown-slice",
        sentence:
          "The broker leased slice \(subject.slice) and the model has \(slices.count).")
    }
    let entry = slices[subject.slice]
    let limit = byteLimit ?? .max
    let onnx = try await client.download(entry.onnx, byteLimit: min(Self.blobLimit, limit))
    let bundle = SliceBundle(
      onnx: onnx,
      program: try await client.download(
        entry.program, byteLimit: min(Self.blobLimit, limit - onnx.count)),
      boundaries: Boundaries(inputs: entry.inputs, outputs: entry.outputs))
    let keys = try await compile(bundle, with: backend)
    let proving = try await proving(backend)
    return Slice(
      manifest: entry, boundaries: bundle.boundaries,
      executor: try await backend.openProver(key: keys.prover, boundaries: bundle.boundaries),
      prover: try await proving.openProver(key: keys.prover, boundaries: bundle.boundaries),
      proving: proving, verifierKey: keys.verifier,
      byteCount: bundle.onnx.count + bundle.program.count + keys.prover.count + keys.verifier.count)
  }

  /// In a process of its own where it may take long: no lease waits for it.
  private func compile(
    _ bundle: SliceBundle, with backend: Backend
  ) async throws -> CompiledKeys {
    guard backend.descriptor.id != .reexec else { return try await backend.compile(bundle) }
    let compiling = try await backend.another()
    let result: Result<CompiledKeys, any Error>
    do {
      let obstacles = try await compiling.obstacles(to: bundle)
      guard obstacles.isEmpty else {
        throw BackendError.refused(.unsupported, obstacles.joined(separator: "; "))
      }
      result = .success(try await compiling.compile(bundle))
    } catch {
      result = .failure(error)
    }
    await compiling.close()
    return try result.get()
  }

  /// The process that proves with the backend; its own where there is nothing to prove.
  private func proving(_ backend: Backend) async throws -> Backend {
    let id = backend.descriptor.id
    guard id != .reexec else { return backend }
    let opening = proving[id] ?? Task { try await backend.another() }
    proving[id] = opening
    do {
      return try await opening.value
    } catch {
      if proving[id] == opening { proving[id] = nil }
      throw error
    }
  }

  /// Ends the processes that it has started.
  func close() async {
    for opening in proving.values { await (try? opening.value)?.close() }
    proving = [:]
  }

  private func manifest(of model: ModelID) async throws -> Manifest {
    if let known = manifests[model] { return known }
    let manifest = try await client.model(model)
    manifests[model] = manifest
    return manifest
  }

  /// The verifier key that the lease is judged by: fetched where this plugin compiles another.
  private func pinnedKey(of terms: LeaseTerms, compiled: [UInt8]) async throws -> [UInt8] {
    let records = try await client.keyRecords(of: terms.model)
    guard let record = records.first(where: { $0.digest == terms.keyRecord }) else {
      throw Rejection(
        code: "key-unknown",
        sentence: "The broker does not show the key that lease \(terms.id) pins; ask its operator.")
    }
    if record.verifierKey == Digest.of(compiled) { return compiled }
    logger.warning(
      "the broker's \(record.backend) \(record.backendVersion) has another key for slice \(terms.slice) of \(terms.model.short): proofs of this plugin may be worth nothing"
    )
    return try await client.download(record.verifierKey, byteLimit: Self.blobLimit)
  }
}
