import Journal
import Logging
import Market
import Primitives
import ProverHost
import Statements
import Wire

/// Answers `verificationWanted`: runs the backend's `verify`, or the program again, beside the
/// sequencer, and tells it the verdict with evidence that anyone can check.
struct Verifier: Sendable {
  /// A proof, program or verifier key above this is not read.
  private static let blobLimit = 1 << 29

  let network: NetworkID
  let sequencer: Sequencer
  let blobs: BlobStore
  let sessions: SessionCache
  let key: SigningKey
  let logger: Logger

  /// One outstanding verification.
  struct Job: Sendable {
    let lease: LeaseID
    let purpose: VerificationPurpose
    let attempt: UInt32
  }

  /// The jobs that a recovered market still waits for.
  func outstanding() async -> [Job] {
    await sequencer.read { market in
      market.sortedLeases.compactMap { lease in
        lease.verification.map { Job(lease: lease.id, purpose: $0, attempt: lease.attempt) }
      }
    }
  }

  func run(_ job: Job) async {
    guard let subject = await subject(of: job) else { return }
    let verdict: Verdict
    do {
      verdict = try await verify(subject, job.purpose)
    } catch {
      logger.warning("lease \(job.lease): verification failed: \(error)")
      verdict = .inconclusive
    }
    // A broker that stops has not tried: the job is outstanding again when it starts.
    if verdict == .inconclusive, Task.isCancelled { return }
    let evidence = Evidence(
      statement: subject.statement, proof: subject.proof, purpose: job.purpose, verdict: verdict)
    let digest = (try? await blobs.put(evidence.canonicalBytes)) ?? Digest.of([])
    let record = VerdictRecord(
      lease: job.lease, attempt: job.attempt, verdict: verdict, evidence: digest)
    logger.info("lease \(job.lease): \(verdict)")
    await sequencer.perform(.recordVerdict(record), network: network, signedBy: key, logger)
  }

  private struct Subject: Sendable {
    let statement: Statement
    let proof: Digest
    let slice: Manifest.Slice
    let verifierKey: Digest
    let context: Digest
  }

  private func subject(of job: Job) async -> Subject? {
    await sequencer.read { market in
      guard let lease = market.leases[job.lease], lease.attempt == job.attempt,
        lease.verification == job.purpose, let manifest = market.models[lease.terms.model]
      else { return nil }
      let record = market.keyRecords[
        Market.KeySubject(
          model: lease.terms.model, slice: lease.terms.slice,
          backend: lease.terms.assurance.backend)]
      let statement = market.statement(of: lease)
      return Subject(
        statement: statement, proof: lease.receipt?.proof ?? Digest.of([]),
        slice: manifest.slices[lease.terms.slice],
        verifierKey: record?.verifierKey ?? Digest.of([]), context: statement.digest)
    }
  }

  private func verify(_ subject: Subject, _ purpose: VerificationPurpose) async throws -> Verdict {
    let inputs = try await tensors(subject.statement.inputs)
    switch purpose {
    case .receipt:
      let outputs = try await tensors(subject.statement.outputs)
      let proof = subject.proof == Digest.of([]) ? [] : try await blobs.read(subject.proof)
      let session = try await sessions.verifier(
        subject.statement.backend, subject.slice, key: subject.verifierKey, blobs)
      guard let session else { return .inconclusive }
      var verification = await session.verify(
        inputs: inputs, outputs: outputs, proof: proof, context: subject.context)
      if verification.verdict == .invalid {
        verification = try await secondWord(subject, inputs, outputs, proof)
      }
      if verification.verdict != .valid {
        logger.notice("lease \(subject.statement.lease): \(verification.reason)")
      }
      return verification.verdict
    case .fallback, .late, .unprovable, .rangeFault, .audit, .challenge:
      return try await reexecute(subject, inputs, purpose)
    }
  }

  /// `invalid` takes a stake, so a process that has done nothing else has to say it too. Where it
  /// does not, nobody knows which of them is right.
  private func secondWord(
    _ subject: Subject, _ inputs: [[UInt8]], _ outputs: [[UInt8]], _ proof: [UInt8]
  ) async throws -> Verification {
    let backend = try await sessions.freshBackend(subject.statement.backend)
    let session = try await backend.openVerifier(
      key: try await blobs.read(subject.verifierKey),
      boundaries: SessionCache.boundaries(subject.slice))
    let second = await session.verify(
      inputs: inputs, outputs: outputs, proof: proof, context: subject.context)
    await backend.close()
    guard second.verdict == .invalid else {
      return Verification(
        verdict: .inconclusive, reason: "a fresh process calls it \(second.verdict)")
    }
    return second
  }

  /// Runs the program again: its key under `reexec` is the program itself.
  private func reexecute(
    _ subject: Subject, _ inputs: [[UInt8]], _ purpose: VerificationPurpose
  ) async throws -> Verdict {
    guard let session = try await sessions.program(subject.slice, blobs) else {
      return .inconclusive
    }
    do {
      let outputs = try await session.execute(inputs)
      guard purpose != .rangeFault else { return .invalid }
      return outputs.map { Digest.of($0) } == subject.statement.outputs ? .valid : .invalid
    } catch let error as BackendError {
      guard case .refused(.rangeFault, _) = error else { throw error }
      // Outputs of a program that faults do not exist, so whatever was committed is wrong.
      return purpose == .rangeFault ? .valid : .invalid
    }
  }

  private func tensors(_ digests: [Digest]) async throws -> [[UInt8]] {
    var tensors: [[UInt8]] = []
    for digest in digests { tensors.append(try await blobs.read(digest)) }
    return tensors
  }
}

/// Sessions that verify, kept open: one per slice and backend that has been verified.
actor SessionCache {
  private struct Name: Hashable {
    let backend: BackendID
    let key: Digest
  }

  private let backends: [BackendID: Backend]
  private var verifiers: [Name: VerifierSession] = [:]
  private var programs: [Digest: ProverSession] = [:]

  init(_ served: [ServedBackend]) {
    backends = Dictionary(served.map { ($0.backend.descriptor.id, $0.backend) }) { first, _ in
      first
    }
  }

  /// Nil where the broker does not have the backend.
  func verifier(
    _ id: BackendID, _ slice: Manifest.Slice, key: Digest, _ blobs: BlobStore
  ) async throws -> VerifierSession? {
    guard let backend = backends[id] else { return nil }
    let name = Name(backend: id, key: key)
    if let open = verifiers[name] { return open }
    let session = try await backend.openVerifier(
      key: try await blobs.read(key), boundaries: Self.boundaries(slice))
    verifiers[name] = session
    return session
  }

  /// The slice's program under `reexec`, whose prover key is the program itself.
  func program(_ slice: Manifest.Slice, _ blobs: BlobStore) async throws -> ProverSession? {
    guard let backend = backends[.reexec] else { return nil }
    if let open = programs[slice.program] { return open }
    let session = try await backend.openProver(
      key: try await blobs.read(slice.program), boundaries: Self.boundaries(slice))
    programs[slice.program] = session
    return session
  }

  /// In a process of its own, for its caller to close.
  func freshBackend(_ id: BackendID) async throws -> Backend {
    guard let backend = backends[id] else {
      throw BackendError.pluginUnusable(.noSuchBackend, "'\(id)' is not served here")
    }
    return try await backend.another()
  }

  static func boundaries(_ slice: Manifest.Slice) -> Boundaries {
    Boundaries(inputs: slice.inputs, outputs: slice.outputs)
  }
}

/// What a verdict rests on: with the blobs that the statement names, anyone can run it again.
struct Evidence: CanonicalCodable {
  let statement: Statement
  let proof: Digest
  let purpose: VerificationPurpose
  let verdict: Verdict

  init(statement: Statement, proof: Digest, purpose: VerificationPurpose, verdict: Verdict) {
    self.statement = statement
    self.proof = proof
    self.purpose = purpose
    self.verdict = verdict
  }

  func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(statement)
    encoder.append(proof)
    encoder.append(purpose.rawValue)
    encoder.append(verdict)
  }

  init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    statement = try decoder.record()
    proof = try decoder.record()
    let start = decoder
    let tag = try decoder.integer(UInt8.self)
    guard let purpose = VerificationPurpose(rawValue: tag) else {
      throw start.failure(.unknownTag(tag, of: "VerificationPurpose"))
    }
    self.purpose = purpose
    verdict = try decoder.record()
  }
}

extension Sequencer {
  /// A command of the broker's own. What the market rejects has been overtaken by another event.
  func perform(
    _ command: Command, network: NetworkID, signedBy key: SigningKey, _ logger: Logger
  ) async {
    let envelope = Envelope(
      network: network, nonce: .random(), expiry: Tick.now.advanced(by: 60_000),
      body: command.canonicalBytes, signedBy: key)
    switch await submit(envelope, command) {
    case .failure(let error): logger.critical("\(error)")
    case .success(let bytes):
      if let rejection = (try? Acknowledgement(canonicalBytes: bytes))?.rejection {
        logger.debug("\(command.name): \(rejection)")
      }
    }
  }
}
