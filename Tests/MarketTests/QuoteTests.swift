import Market
import Primitives
import Statements
import Testing

/// What a request would meet, and why it would not be taken.
struct QuoteTests {
  typealias F = MarketFixture

  @Test func quoteIsWhatTheRequestThenGets() throws {
    var f = MarketFixture()
    _ = f.bid(F.paula, at: 50, capacity: 2)
    _ = f.bid(F.quinn, at: 60)
    let before = f.market.stateDigest
    let quote = try f.market.quote(f.terms(limit: 100), by: F.alice.publicKey)
    #expect(f.market.stateDigest == before)
    #expect(quote.price == Amount(50 + 100 + 180))
    #expect(quote.held == Amount(600))
    #expect(quote.slices[2].candidates.map(\.ineligibility) == [.noCapacity, nil])
    #expect(try Quote(canonicalBytes: quote.canonicalBytes).price == quote.price)
    let request = f.request(f.terms(limit: 100))
    for slice in 0..<3 {
      let lease = f.lease(request, slice)?.terms
      #expect(quote.slices[slice].taken?.bid == lease?.bid)
      #expect(quote.slices[slice].fee == lease?.fee)
      #expect(quote.slices[slice].stake == lease?.stake)
    }
  }

  @Test func quoteSaysWhyEachBidWouldNotTakeASlice() throws {
    var f = MarketFixture()
    _ = f.bid(F.paula, at: 10, capacity: 1)
    _ = f.request(f.terms())
    let own = f.bid(F.quinn, at: 20)
    let small = f.bid(F.rita, at: 30, largestSlice: Cost(units: 2_000))
    let dear = f.bid(F.rita, at: 101)
    let terms = f.terms(limit: 100, multiple: 1_000, spread: 1)
    let quote = try f.market.quote(terms, by: F.quinn.publicKey)
    func reasons(_ slice: Int) -> [BidID: Ineligibility?] {
      Dictionary(
        uniqueKeysWithValues: quote.slices[slice].candidates.map { ($0.bid, $0.ineligibility) })
    }
    // The full bid stands in no queue.
    #expect(reasons(0) == [own: .ownRequest, small: nil, dear: .priceAboveLimit])
    #expect(reasons(1)[small] == .spreadUsedUp || reasons(1)[small] == .stakeTooSmall)
    #expect(reasons(2)[small] == .sliceTooLarge)
    #expect(quote.price == nil)
    let resting = f.request(f.terms(limit: 100, multiple: 1_000), by: F.quinn)
    #expect(
      f.market.candidates(resting, 2).map(\.ineligibility) == [
        .ownRequest, .sliceTooLarge, .priceAboveLimit,
      ])
    #expect(f.market.candidates(resting, 0) == [], "it is leased")
  }

  @Test func refusesToQuoteWhatItWouldRefuse() {
    let f = MarketFixture()
    #expect(throws: Refused.self) {
      try f.market.quote(f.terms(multiple: 0), by: F.alice.publicKey)
    }
  }
}
