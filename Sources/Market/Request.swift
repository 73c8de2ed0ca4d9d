package import Primitives
package import Statements

/// `open -> running -> answered -> final | unmatched | cancelled | failed`. The design's `matched`
/// is the instant between `open` and `running`: every graph has a slice that needs the input only.
package enum RequestState: UInt8, Sendable, Hashable, CustomStringConvertible {
  case open = 1
  case running = 2
  case answered = 3
  /// No new lease is made; those that committed are being decided. Ends as `failed`.
  case failing = 4
  case final = 5
  case unmatched = 6
  case cancelled = 7
  case failed = 8

  package var isFinal: Bool { rawValue >= RequestState.final.rawValue }

  package var description: String {
    switch self {
    case .open: "open"
    case .running: "running"
    case .answered: "answered"
    case .failing: "failing"
    case .final: "final"
    case .unmatched: "unmatched"
    case .cancelled: "cancelled"
    case .failed: "failed"
    }
  }
}

/// How a request's slices came to be paid, in slices and in cost units. What was re-executed is
/// never called proven; what was attested counts as audited only where it was run again.
package struct Coverage: Hashable, Sendable, CanonicalCodable {
  package var proven: UInt32 = 0
  package var provenCost = Cost(units: 0)
  package var reexecuted: UInt32 = 0
  package var reexecutedCost = Cost(units: 0)
  package var audited: UInt32 = 0
  package var auditedCost = Cost(units: 0)
  package var attested: UInt32 = 0
  package var attestedCost = Cost(units: 0)

  package init() {}

  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(proven)
    encoder.append(provenCost.units)
    encoder.append(reexecuted)
    encoder.append(reexecutedCost.units)
    encoder.append(audited)
    encoder.append(auditedCost.units)
    encoder.append(attested)
    encoder.append(attestedCost.units)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    proven = try decoder.integer()
    provenCost = Cost(units: try decoder.integer())
    reexecuted = try decoder.integer()
    reexecutedCost = Cost(units: try decoder.integer())
    audited = try decoder.integer()
    auditedCost = Cost(units: try decoder.integer())
    attested = try decoder.integer()
    attestedCost = Cost(units: try decoder.integer())
  }
}

/// One slice of a request: its current lease, or an order that rests in the book.
package struct RequestSlice: Sendable {
  package let cost: Cost
  /// Fee at the limit price: what is held for the slice.
  package let limitFee: Amount
  /// What is still held for the slice's audit; nothing where it is not attested.
  package var auditFee: Amount
  package var lease: LeaseID?
  /// Leases that ended by their lessee's fault or by inconclusiveness.
  package var failures: UInt32 = 0
  /// Provers that failed on this slice.
  package var ineligible: [PublicKey] = []
  /// Set aside in the slash escrow for whoever completes the slice.
  package var bonus: Amount = .zero
}

/// The reveal of a request's nonces: asked for once, when it is first answered, so that whose
/// nonces make the seed is settled before any is known.
package struct Reveals: Sendable, Hashable {
  /// The leases that the answer rested on, in slice order.
  package let leases: [LeaseID]
  package var deadline: Tick
  package var requester: AuditNonce?
  package var broker: AuditNonce?
}

/// A requester's signed order, while it lives and after.
package struct Request: Sendable {
  package let id: RequestID
  package let requester: PublicKey
  let keptTerms: Kept<RequestTerms>
  /// Order of arrival among all bids and requests.
  package let ordinal: UInt64
  package var state: RequestState = .open
  /// Milliseconds by which outages of the broker have shifted its deadlines.
  package var delay: UInt64 = 0
  /// Its begin deadline has been acted upon; leases made since then wait as long as they must.
  package var isBeginOver = false
  /// The parameters' reservation share when it opened.
  package let reservationShare: PartsPerMillion
  /// The parameters' reveal window when it opened.
  package let revealWindow: UInt64
  /// What it pays at most now: below the limit price only while a ramp rises.
  package var limit: Price
  package var slices: [RequestSlice]
  /// What is left of the fees held.
  package var held: Amount
  /// Digests of the answer's tensors while it stands.
  package var answer: [Digest]?
  package var coverage: Coverage?
  /// Merkle root over the receipts of all slices, in slice order.
  package var jobRoot: Digest?
  /// The broker's nonce commitment. No lease of a request with attested slices begins before it.
  package var brokerCommitment: Digest?
  package var reveals: Reveals?
  /// Whether its audits have been drawn, by a seed or because none will come.
  package var isDrawn = false
  package var seed: Digest?

  /// A request that has just come, whose fees at the limit price are held. Nil where they overflow.
  init?(
    id: RequestID, requester: PublicKey, terms: RequestTerms, ordinal: UInt64,
    slices: [RequestSlice], parameters: Parameters
  ) {
    var held = Amount.zero
    for slice in slices {
      guard let sum = held.adding(slice.limitFee),
        let sum = sum.adding(slice.limitFee.share(parameters.reservationShare)),
        let sum = sum.adding(slice.auditFee)
      else { return nil }
      held = sum
    }
    self.id = id
    self.requester = requester
    keptTerms = Kept(terms)
    self.ordinal = ordinal
    self.slices = slices
    self.held = held
    reservationShare = parameters.reservationShare
    revealWindow = parameters.revealWindow
    limit = terms.ramp.map { min($0.start, terms.limitPrice) } ?? terms.limitPrice
  }

  package var terms: RequestTerms { keptTerms.value }

  /// The last tick at which an open request rests in the book.
  package var restsUntil: Tick {
    guard case .goodTill(let tick) = terms.timeInForce else { return beginDeadline }
    return min(beginDeadline, tick.advanced(by: delay))
  }

  /// The last tick before its ramp's next step; nil where no step is left.
  var rampDeadline: Tick? {
    guard let step = terms.ramp?.tick(after: limit, limit: terms.limitPrice), step < .never,
      step > .zero
    else { return nil }
    return Tick(milliseconds: step.milliseconds - 1).advanced(by: delay)
  }

  /// Whether nonces are being revealed.
  package var isRevealing: Bool { reveals != nil && !isDrawn && !state.isFinal }

  package var beginDeadline: Tick { terms.beginDeadline.advanced(by: delay) }
  package var finalDeadline: Tick { terms.finalDeadline.advanced(by: delay) }

  /// Whether a lease can be made now. The deadlines hold by themselves, however late the tick that
  /// acts on them.
  package func takesLeases(at now: Tick) -> Bool {
    switch state {
    case .open: now <= restsUntil
    case .running, .answered: now <= finalDeadline
    case .failing, .final, .unmatched, .cancelled, .failed: false
    }
  }
}
