package import Primitives

/// What a verdict rests on: with the blobs that the statement names, anyone can run it again.
package struct Evidence: Hashable, Sendable, CanonicalCodable {
  /// Above this a blob is no evidence: a statement names at most as many tensors as a slice has.
  package static let byteLimit = 1 << 16

  package let statement: Statement
  package let proof: Digest
  package let purpose: VerificationPurpose
  package let verdict: Verdict
  /// Of the verifier elsewhere that found it; nil where the broker did.
  package let word: SignedVerdict?

  package init(_ job: VerificationJob, _ verdict: Verdict, word: SignedVerdict? = nil) {
    statement = job.statement
    proof = job.proof
    purpose = job.purpose
    self.verdict = verdict
    self.word = word
  }

  /// Digest of all but the word, which is about it.
  package var finding: Digest {
    var encoder = CanonicalEncoder()
    encodeFinding(into: &encoder)
    return Digest.of(encoder.bytes, domain: .evidence)
  }

  private func encodeFinding(into encoder: inout CanonicalEncoder) {
    encoder.append(statement)
    encoder.append(proof)
    encoder.append(purpose.rawValue)
    encoder.append(verdict)
  }

  package func encode(into encoder: inout CanonicalEncoder) {
    encodeFinding(into: &encoder)
    encoder.append(word)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    statement = try decoder.record()
    proof = try decoder.record()
    purpose = try decoder.choice(VerificationPurpose.self)
    verdict = try decoder.record()
    word = try decoder.optional()
  }
}

/// A verifier's word on one job, and on no other: it names the attempt and the digests of the
/// statement and of the evidence.
package struct SignedVerdict: Hashable, Sendable, CanonicalCodable {
  package let network: NetworkID
  package let lease: LeaseID
  package let attempt: UInt32
  package let purpose: VerificationPurpose
  /// Digest of the statement.
  package let statement: Digest
  package let verdict: Verdict
  /// `Evidence.finding`.
  package let evidence: Digest
  package let verifier: PublicKey
  package let signature: Signature

  package init(_ job: VerificationJob, _ verdict: Verdict, signedBy key: SigningKey) {
    network = job.statement.network
    lease = job.lease
    attempt = job.attempt
    purpose = job.purpose
    statement = job.statement.digest
    self.verdict = verdict
    evidence = Evidence(job, verdict).finding
    verifier = key.publicKey
    var encoder = CanonicalEncoder()
    Self.encode(
      network, lease, attempt, purpose, statement, verdict, evidence, verifier, into: &encoder)
    signature = key.sign(Digest.of(encoder.bytes, domain: .verdict))
  }

  /// Whether it is its verifier's, and about this job.
  package func holds(for job: VerificationJob) -> Bool {
    network == job.statement.network && lease == job.lease && attempt == job.attempt
      && purpose == job.purpose && statement == job.statement.digest
      && evidence == Evidence(job, verdict).finding && isAuthentic
  }

  package var isAuthentic: Bool {
    var encoder = CanonicalEncoder()
    Self.encode(
      network, lease, attempt, purpose, statement, verdict, evidence, verifier, into: &encoder)
    return verifier.verifies(signature, over: Digest.of(encoder.bytes, domain: .verdict))
  }

  private static func encode(
    _ network: NetworkID, _ lease: LeaseID, _ attempt: UInt32, _ purpose: VerificationPurpose,
    _ statement: Digest, _ verdict: Verdict, _ evidence: Digest, _ verifier: PublicKey,
    into encoder: inout CanonicalEncoder
  ) {
    encoder.append(network)
    encoder.append(lease)
    encoder.append(attempt)
    encoder.append(purpose.rawValue)
    encoder.append(statement)
    encoder.append(verdict)
    encoder.append(evidence)
    encoder.append(verifier)
  }

  package func encode(into encoder: inout CanonicalEncoder) {
    Self.encode(
      network, lease, attempt, purpose, statement, verdict, evidence, verifier, into: &encoder)
    encoder.append(signature)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    network = try decoder.record()
    lease = try decoder.record()
    attempt = try decoder.integer()
    purpose = try decoder.choice(VerificationPurpose.self)
    statement = try decoder.record()
    verdict = try decoder.record()
    evidence = try decoder.record()
    verifier = try decoder.record()
    signature = try decoder.record()
  }
}
