package import MerkleLog
package import Primitives
package import Statements

/// `leased -> begun -> committed -> submitted -> verified -> settled | slashed | released | lapsed`
package enum LeaseState: UInt8, Sendable, Hashable {
  case leased = 1
  case begun = 2
  case committed = 3
  case submitted = 4
  case verified = 5
  case settled = 6
  case slashed = 7
  case released = 8
  case lapsed = 9

  package var isFinal: Bool { rawValue >= LeaseState.settled.rawValue }
}

/// What a lease was made under; fixed from its first event on.
package struct LeaseTerms: Hashable, Sendable {
  package let id: LeaseID
  package let request: RequestID
  package let model: ModelID
  package let slice: Int
  package let bid: BidID
  package let prover: PublicKey
  package let assurance: SliceAssurance
  package let price: Price
  package let fee: Amount
  /// All of it, whosever.
  package let stake: Amount
  /// The part of the stake that is the prover's delegators'.
  package let delegated: Amount
  package let keyRecord: Digest
  /// Which of the market's parameters, counted from the genesis, hold for it to its end.
  package let parameters: UInt32
}

/// What was decided about the audit of an attested lease.
package enum AuditDraw: UInt8, Sendable, Hashable {
  case audited = 1
  /// It may be challenged, for a while.
  case spared = 2
}

/// Who holds a lease's output for wrong, and what it has put behind that.
package struct Challenge: Hashable, Sendable, CanonicalCodable {
  package let challenger: PublicKey
  package let deposit: Amount

  package init(challenger: PublicKey, deposit: Amount) {
    (self.challenger, self.deposit) = (challenger, deposit)
  }

  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(challenger)
    encoder.append(deposit)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    challenger = try decoder.record()
    deposit = try decoder.record()
  }
}

/// What a lessee has handed in for its lease.
struct Submission: Sendable {
  let receipt: Receipt
  /// The batch root that the receipt stands under, and its path there.
  let batchRoot: BatchRoot
  let inclusion: InclusionProof
}

/// One slice of one request given to one bid.
package struct Lease: Sendable {
  let keptTerms: Kept<LeaseTerms>
  /// What is left of its stake, by whose money it is.
  package var parts: StakeParts
  package var state: LeaseState = .leased
  /// Digests of the inputs it was begun with.
  package var inputs: [Digest] = []
  @KeptIfAny package var commitment: OutputCommitment?
  @KeptIfAny var submission: Submission?
  /// When a tick acts on the lease; `never` where only its request's deadlines do.
  package var deadline: Tick = .never
  /// The verification that is outstanding.
  package var verification: VerificationPurpose?
  package var attempt: UInt32 = 0
  package var verdict: Verdict?
  /// Whether the verdict came by running the program again rather than by a proof.
  package var isReexecuted = false
  /// The program faults on the inputs; confirmed.
  package var isFaulted = false
  /// It consumed an output that was found invalid: its slice has been given away again.
  package var isOrphaned = false
  /// Set aside for it in the slash escrow, should its own work prove valid.
  package var compensation: Amount = .zero
  /// The nonce it committed to, once revealed.
  package var nonce: AuditNonce?
  /// Nil where it is not attested, or nothing is decided yet.
  package var draw: AuditDraw?
  package var challenge: Challenge?
  /// Run again for an audit or a challenge, and right.
  package var isAudited = false

  package init(terms: LeaseTerms) {
    keptTerms = Kept(terms)
    parts = StakeParts(
      own: terms.stake.saturatingSubtract(terms.delegated), delegated: terms.delegated)
  }

  package var terms: LeaseTerms { keptTerms.value }
  package var id: LeaseID { terms.id }
  package var receipt: Receipt? { $submission?.value.receipt }
  package var batchRoot: BatchRoot? { $submission?.value.batchRoot }
  package var inclusion: InclusionProof? { $submission?.value.inclusion }
  package var isAttested: Bool { terms.assurance.assurance == .attested }
  /// What is left of its stake.
  package var stake: Amount { parts.own.adding(parts.delegated) ?? .maximum }
}
