package import Logging
package import Primitives
package import ProverHost
import ServiceLifecycle
import Statements
import Verdicts
package import Wire

/// A verifier: finds verdicts for a broker that has named its key, on a machine of its own, and
/// signs them.
///
/// It holds no state. A job is asked for, its blobs are read over the wire, its verdict is told; a
/// verifier that is lost loses its jobs to others, and one that starts again is given what it held.
package struct VerifierService: Service {
  private let client: WireClient
  private let key: SigningKey
  private let verifier: Verifier
  private let manifests: ManifestCache
  private let workers: UInt32
  private let logger: Logger
  private let onReady: @Sendable () -> Void

  /// - Parameters:
  ///   - client: Under the identity of `key`.
  ///   - workers: Jobs at a time.
  ///   - onReady: Called once the broker has let the verifier in.
  package init(
    client: WireClient, key: SigningKey, backends: [Backend], workers: UInt32, logger: Logger,
    onReady: @escaping @Sendable () -> Void = {}
  ) {
    self.client = client
    self.key = key
    verifier = Verifier(backends, reading: client)
    manifests = ManifestCache(client: client)
    self.workers = workers
    self.logger = logger
    self.onReady = onReady
  }

  /// Works until it is asked to stop, or the broker will not have it: then it throws the refusal.
  package func run() async throws {
    try await client.connect()
    do {
      _ = try await client.verificationJob(slot: 0)
      onReady()
      try await cancelWhenGracefulShutdown {
        try await withThrowingTaskGroup(of: Void.self) { group in
          for slot in 0..<workers { group.addTask { try await work(slot) } }
          try await group.next()
          group.cancelAll()
        }
      }
    } catch is CancellationError {
      // Asked to stop.
    } catch {
      await client.close()
      throw error
    }
    await client.close()
  }

  /// Asks until nothing is left, at every notice and once a second.
  private func work(_ slot: UInt32) async throws {
    for await _ in client.wakes(every: .seconds(1)) {
      do {
        while let job = try await client.verificationJob(slot: slot) {
          try await answer(job)
        }
      } catch let refusal as WireRefusal where Self.endings.contains(refusal.code) {
        throw refusal
      } catch {
        try Task.checkCancellation()
        logger.warning("\(error); trying again")
      }
    }
  }

  /// Refusals after which nothing more will be given.
  private static let endings: Set = ["not-a-verifier", "verdict-contradicted", "too-many-slots"]

  private func answer(_ job: VerificationJob) async throws {
    let start = ContinuousClock.now
    let verification: Verification
    do {
      let slice = try await manifests.slice(of: job.statement)
      verification = try await verifier.verify(job, of: slice)
    } catch {
      try Task.checkCancellation()
      verification = Verification(verdict: .inconclusive, reason: "\(error)")
    }
    // Who stops has not tried.
    try Task.checkCancellation()
    let reason = verification.reason.isEmpty ? "" : ": \(verification.reason)"
    logger.info(
      "lease \(job.lease): \(verification.verdict) after \(ContinuousClock.now - start)\(reason)")
    do {
      try await client.submit(SignedVerdict(job, verification.verdict, signedBy: key))
    } catch let refusal as WireRefusal where refusal.code == "verdict-not-awaited" {
      // It was told twice, or it took too long and is another's now.
      logger.notice("lease \(job.lease): \(refusal.sentence)")
    }
  }
}

/// Manifests of the models that jobs are about, whose digests the client checks.
private actor ManifestCache {
  private let client: WireClient
  private var manifests: [ModelID: Manifest] = [:]

  init(client: WireClient) { self.client = client }

  func slice(of statement: Statement) async throws -> Manifest.Slice {
    let manifest: Manifest
    if let known = manifests[statement.model] {
      manifest = known
    } else {
      manifest = try await client.model(statement.model)
      manifests[statement.model] = manifest
    }
    guard manifest.slices.indices.contains(statement.slice) else {
      throw WireError.unexpectedAnswer("a job on slice \(statement.slice), which its model lacks")
    }
    return manifest.slices[statement.slice]
  }
}
