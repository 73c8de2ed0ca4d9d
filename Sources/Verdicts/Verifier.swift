package import Primitives
package import ProverHost
package import Statements

/// Where whoever verifies reads what digests name.
package protocol BlobSource: Sendable {
  /// The bytes, which have this digest.
  func read(_ digest: Digest) async throws -> [UInt8]
}

/// Finds verdicts: runs the backend's `verify`, or the program again. Broker, verifiers elsewhere
/// and auditors find them in the same way.
package struct Verifier: Sendable {
  private let sessions: SessionCache
  private let blobs: any BlobSource

  /// - Parameter backends: By which leases can be verified; `reexec` runs programs again.
  package init(_ backends: [Backend], reading blobs: any BlobSource) {
    sessions = SessionCache(backends)
    self.blobs = blobs
  }

  /// Throws where a blob cannot be read, or a process fails in another way than by its verdict.
  package func verify(
    _ job: VerificationJob, of slice: Manifest.Slice
  ) async throws -> Verification {
    let inputs = try await tensors(job.statement.inputs)
    switch job.purpose {
    case .receipt: return try await checkReceipt(job, slice, inputs)
    case .fallback, .late, .unprovable, .rangeFault, .audit, .challenge:
      return try await reexecute(job, slice, inputs)
    }
  }

  private func tensors(_ digests: [Digest]) async throws -> [[UInt8]] {
    var tensors: [[UInt8]] = []
    for digest in digests { tensors.append(try await blobs.read(digest)) }
    return tensors
  }

  // MARK: Receipts

  private func checkReceipt(
    _ job: VerificationJob, _ slice: Manifest.Slice, _ inputs: [[UInt8]]
  ) async throws -> Verification {
    let backend = job.statement.backend
    let outputs = try await tensors(job.statement.outputs)
    let proof = job.proof == Digest.of([]) ? [] : try await blobs.read(job.proof)
    let context = job.statement.digest
    let session = try await sessions.verifier(
      backend, slice, key: job.keyRecord.verifierKey, blobs)
    guard let session else {
      return Verification(verdict: .inconclusive, reason: "no plugin here offers '\(backend)'")
    }
    let verification = await session.verify(
      inputs: inputs, outputs: outputs, proof: proof, context: context)
    guard verification.verdict == .invalid, let fresh = try await sessions.fresh(backend) else {
      return verification
    }
    return try await closing(fresh) {
      let second = try await fresh.openVerifier(
        key: try await blobs.read(job.keyRecord.verifierKey),
        boundaries: SessionCache.boundaries(slice)
      ).verify(inputs: inputs, outputs: outputs, proof: proof, context: context)
      return second.verdict == .invalid ? second : .disagreement("calls it \(second.verdict)")
    }
  }

  // MARK: Running the program again

  /// What a program makes of its inputs; the same for whoever runs it.
  private enum Outcome: Hashable {
    case outputs([Digest])
    case rangeFault
  }

  private func reexecute(
    _ job: VerificationJob, _ slice: Manifest.Slice, _ inputs: [[UInt8]]
  ) async throws -> Verification {
    guard let session = try await sessions.program(slice, blobs) else {
      return Verification(
        verdict: .inconclusive, reason: "no plugin here offers '\(BackendID.reexec)'")
    }
    let outcome = try await outcome(of: session, inputs)
    let verification = judge(outcome, job)
    guard verification.verdict == .invalid, let fresh = try await sessions.fresh(.reexec) else {
      return verification
    }
    return try await closing(fresh) {
      let second = try await fresh.openProver(
        key: try await blobs.read(slice.program), boundaries: SessionCache.boundaries(slice))
      guard try await self.outcome(of: second, inputs) == outcome else {
        return .disagreement("has another result")
      }
      return verification
    }
  }

  private func outcome(of session: ProverSession, _ inputs: [[UInt8]]) async throws -> Outcome {
    do {
      return .outputs(try await session.execute(inputs).map { Digest.of($0) })
    } catch let error as BackendError {
      guard case .refused(.rangeFault, _) = error else { throw error }
      return .rangeFault
    }
  }

  private func judge(_ outcome: Outcome, _ job: VerificationJob) -> Verification {
    switch (outcome, job.purpose) {
    case (.rangeFault, .rangeFault):
      Verification(verdict: .valid, reason: "the program faults")
    case (.rangeFault, _):
      // Outputs of a program that faults do not exist, so whatever was committed is wrong.
      Verification(verdict: .invalid, reason: "the program faults on these inputs")
    case (.outputs, .rangeFault):
      Verification(verdict: .invalid, reason: "the program does not fault on these inputs")
    case (.outputs(let outputs), _) where outputs == job.statement.outputs:
      Verification(verdict: .valid, reason: "")
    case (.outputs, _):
      Verification(verdict: .invalid, reason: "the program's output is another")
    }
  }

  /// `invalid` takes a stake, so a process that has done nothing else has to say it too. Where it
  /// does not, nobody knows which of them is right.
  private func closing(
    _ fresh: Backend, _ secondWord: () async throws -> Verification
  ) async throws -> Verification {
    do {
      let verification = try await secondWord()
      await fresh.close()
      return verification
    } catch {
      await fresh.close()
      throw error
    }
  }

  // MARK: Keys

  /// Why the record's key is not the one that its backend compiles from the slice's program here;
  /// nil where it is, or where keys come out different each time.
  package func foreignKey(
    _ record: KeyRecord, of slice: Manifest.Slice
  ) async throws -> ForeignKey? {
    guard let backend = await sessions.backend(record.backend) else {
      throw BackendError.pluginUnusable(.noSuchBackend, "'\(record.backend)' is not served here")
    }
    guard backend.descriptor.traits.contains(.deterministicKeys) else { return nil }
    let bundle = SliceBundle(
      // What only runs the program again has no use for the sub-model.
      onnx: backend.descriptor.traits.contains(.reexecutes) ? [] : try await blobs.read(slice.onnx),
      program: try await blobs.read(slice.program),
      boundaries: SessionCache.boundaries(slice))
    let compiled = Digest.of(try await backend.compile(bundle).verifier)
    guard compiled != record.verifierKey else { return nil }
    return ForeignKey(compiled: compiled, version: backend.descriptor.version)
  }

  package struct ForeignKey: Sendable {
    /// Digest of the key that was compiled instead.
    package let compiled: Digest
    /// Of the backend that compiled it.
    package let version: String
  }
}

extension Verification {
  fileprivate static func disagreement(_ what: String) -> Verification {
    Verification(verdict: .inconclusive, reason: "a fresh process \(what)")
  }
}
