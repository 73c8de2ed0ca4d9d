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
    /// In the order of the queue, the first `Quote.candidateLimit`.
    package let candidates: [Candidate]
  }

  package static let candidateLimit = 100

  package let slices: [Slice]
  /// What would be held: every slice's fee at the limit price.
  package let held: Amount

  /// The fees at the bids' prices, or nil where a slice is not taken.
  package var price: Amount? {
    var sum: Amount? = .zero
    for slice in slices { sum = slice.fee.flatMap { fee in sum.flatMap { $0.adding(fee) } } }
    return sum
  }
}

extension Market {
  /// What `submitRequest` would do with these terms now: the same checks, the same greedy plan, and
  /// for every bid that covers a slice the reason why it would not take it. Changes nothing.
  package func quote(_ terms: RequestTerms, by requester: PublicKey) throws(Refused) -> Quote {
    let request = try opened(terms, id: .zero, by: requester)
    var tally = Tally()
    var slices: [Quote.Slice] = []
    for slice in request.slices.indices {
      let stake = stake(for: request, slice)
      let best = bestBid(for: request, slice, tally)
      let candidates = candidates(for: request, slice, tally)
      slices.append(
        Quote.Slice(
          taken: best.map { Quote.Candidate($0, nil) },
          fee: best?.terms.price.fee(for: request.slices[slice].cost), stake: stake,
          candidates: candidates))
      if let best { tally.add(best, stake: stake) }
    }
    return Quote(slices: slices, held: request.held)
  }

  /// Why nobody has taken a resting slice yet: every bid that covers it, with its reason.
  package func candidates(_ id: RequestID, _ slice: Int) -> [Quote.Candidate] {
    guard let request = requests[id], request.slices.indices.contains(slice),
      request.slices[slice].lease == nil
    else { return [] }
    return candidates(for: request, slice, Tally())
  }

  private func candidates(
    for request: Request, _ slice: Int, _ tally: Tally
  ) -> [Quote.Candidate] {
    book.bids(on: request.terms.assurances[slice].backend)
      .filter { $0.terms.scope.covers(request.terms.model, slice) }
      .prefix(Quote.candidateLimit)
      .map { Quote.Candidate($0, ineligibility(of: $0, for: request, slice, tally)) }
  }
}

extension Quote.Candidate {
  fileprivate init(_ bid: Bid, _ ineligibility: Ineligibility?) {
    self.init(
      bid: bid.id, prover: bid.prover, price: bid.terms.price, ineligibility: ineligibility)
  }
}
