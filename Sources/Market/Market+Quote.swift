package import Primitives
import Statements

/// What a request would meet if it came now.
package struct Quote: Sendable {
  /// A bid that covers a slice, and why it may not take it; nil where it may.
  package struct Candidate: Sendable, Hashable {
    package let bid: BidID
    package let prover: PublicKey
    package let price: Price
    package let ineligibility: Ineligibility?
  }

  package struct Slice: Sendable {
    /// The bid that would take it, or nil.
    package let taken: Candidate?
    /// What it would cost at that bid's price.
    package let fee: Amount?
    /// The slice's stake.
    package let stake: Amount
    /// Wrong work on it pays only where it gains more than this: what is burned at least of the
    /// taker's own part of the stake, times the probability that the slice is checked. Where nobody
    /// takes it, all of the stake counts as own.
    package let deterred: Amount
    /// The first in the order of the queue. Full bids stand in no queue and are not among them.
    package let candidates: [Candidate]
  }

  /// Candidates of all slices together.
  package static let candidateLimit = 8_192

  package let slices: [Slice]
  /// What would be held: every slice's fee at the limit price, its reservation and its audit.
  package let held: Amount

  /// The smallest of the slices': whoever cheats chooses the slice where that costs least.
  package var deterred: Amount { slices.map(\.deterred).min() ?? .zero }

  /// The fees at the bids' prices, or nil where a slice is not taken.
  package var price: Amount? {
    var sum: Amount? = .zero
    for slice in slices { sum = slice.fee.flatMap { fee in sum.flatMap { $0.adding(fee) } } }
    return sum
  }
}

extension Market {
  /// What `submitRequest` would do with these terms now: the same checks, the same greedy plan, and
  /// for the bids that cover a slice the reason why each would not take it. Changes nothing.
  package func quote(_ terms: RequestTerms, by requester: PublicKey) throws(Refused) -> Quote {
    let request = try opened(terms, id: .zero, by: requester)
    var tally = Tally()
    var slices: [Quote.Slice] = []
    for slice in request.slices.indices {
      let stake = stake(for: request, slice)
      let best = bestBid(for: request, slice, tally)
      let drawn = best.flatMap { parts(for: request, slice, by: $0.prover, tally) }
      let candidates = candidates(for: request, slice, tally)
      slices.append(
        Quote.Slice(
          taken: best.map { Quote.Candidate($0, nil) },
          fee: best?.terms.price.fee(for: request.slices[slice].cost), stake: stake,
          deterred: parameters.burned(of: drawn?.own ?? stake).share(
            terms.assurances[slice].assurance == .attested ? terms.auditRate : .whole),
          candidates: candidates))
      if let best, let drawn { tally.add(best, stake: drawn) }
    }
    return Quote(slices: slices, held: request.held)
  }

  /// Why nobody has taken a resting slice yet: the bids that cover it, each with its reason.
  package func candidates(_ id: RequestID, _ slice: Int) -> [Quote.Candidate] {
    guard let request = requests[id], request.slices.indices.contains(slice),
      request.slices[slice].lease == nil
    else { return [] }
    return candidates(for: request, slice, Tally())
  }

  private func candidates(
    for request: Request, _ slice: Int, _ tally: Tally
  ) -> [Quote.Candidate] {
    let limit = max(1, Quote.candidateLimit / request.slices.count)
    var candidates: [Quote.Candidate] = []
    _ = book.firstBid(
      on: request.terms.assurances[slice].backend, for: request.terms.model, slice,
      upTo: Price(ticks: .max)
    ) { bid in
      candidates.append(
        Quote.Candidate(bid, ineligibility(of: bid, for: request, slice, tally)))
      return candidates.count == limit
    }
    return candidates
  }
}

extension Parameters {
  /// What a slash of this stake burns at least: others are given up to a half of it, and the
  /// treasury takes its share of the rest.
  func burned(of stake: Amount) -> Amount {
    let kept = stake.saturatingSubtract(Amount(microcredits: stake.microcredits / 2))
    return kept.saturatingSubtract(stake.share(treasuryShare))
  }
}

extension Quote.Candidate {
  fileprivate init(_ bid: Bid, _ ineligibility: Ineligibility?) {
    self.init(
      bid: bid.id, prover: bid.prover, price: bid.terms.price, ineligibility: ineligibility)
  }
}

extension Quote.Candidate: CanonicalCodable {
  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(bid)
    encoder.append(prover)
    encoder.append(price)
    encoder.append(ineligibility?.rawValue ?? 0)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    bid = try decoder.record()
    prover = try decoder.record()
    price = try decoder.record()
    let start = decoder.offset
    let tag = try decoder.integer(UInt8.self)
    ineligibility = Ineligibility(rawValue: tag)
    guard tag == 0 || ineligibility != nil else {
      throw decoder.failure(.unknownTag(tag, of: "Ineligibility"), at: start)
    }
  }
}

extension Quote.Slice: CanonicalCodable {
  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(taken)
    encoder.append(fee)
    encoder.append(stake)
    encoder.append(deterred)
    encoder.append(candidates)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    taken = try decoder.optional()
    fee = try decoder.optional()
    stake = try decoder.record()
    deterred = try decoder.record()
    candidates = try decoder.list(limit: Quote.candidateLimit, elementSize: 73)
  }
}

extension Quote: CanonicalCodable {
  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(slices)
    encoder.append(held)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    slices = try decoder.list(limit: Manifest.sliceLimit, elementSize: 22)
    held = try decoder.record()
  }
}
