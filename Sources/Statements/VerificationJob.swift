package import Primitives

/// Why re-execution or a backend's `verify` is asked for.
package enum VerificationPurpose: UInt8, Sendable, Hashable {
  /// The lease's own assurance.
  case receipt = 1
  /// The backend's verifier stayed inconclusive; re-execution decides.
  case fallback = 2
  /// The lease is late after its commitment; re-execution tells wrong from merely late.
  case late = 3
  /// The lessee claims that the program faults on its inputs.
  case rangeFault = 4
  /// The lessee says that no proof of its output verifies; re-execution tells wrong from right.
  case unprovable = 5
  /// An attested lease whose audit is drawn, or due in any case.
  case audit = 6
  /// Somebody holds an attested output for wrong.
  case challenge = 7
}

/// One verdict that is wanted: on which statement, why, and under which key.
package struct VerificationJob: Hashable, Sendable, CanonicalCodable {
  package let statement: Statement
  package let purpose: VerificationPurpose
  /// Which verification of the lease it is, from 1.
  package let attempt: UInt32
  /// Blob of the proof. The digest of no bytes where there is none, or an empty one.
  package let proof: Digest
  /// The one that the statement names.
  package let keyRecord: KeyRecord

  package init(
    statement: Statement, purpose: VerificationPurpose, attempt: UInt32, proof: Digest,
    keyRecord: KeyRecord
  ) {
    self.statement = statement
    self.purpose = purpose
    self.attempt = attempt
    self.proof = proof
    self.keyRecord = keyRecord
  }

  package var lease: LeaseID { statement.lease }

  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(statement)
    encoder.append(purpose.rawValue)
    encoder.append(attempt)
    encoder.append(proof)
    encoder.append(keyRecord)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    statement = try decoder.record()
    purpose = try decoder.choice(VerificationPurpose.self)
    attempt = try decoder.integer()
    proof = try decoder.record()
    keyRecord = try decoder.record()
  }
}
