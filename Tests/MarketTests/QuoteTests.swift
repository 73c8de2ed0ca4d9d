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

  /// Of a stake of 1000 half may be given away and a quarter goes to the treasury: 250 burn.
  @Test func quoteSaysWhatGainIsStillDeterred() throws {
    var f = MarketFixture()
    _ = f.bid(F.paula, at: 50)
    let proven = try f.market.quote(f.terms(), by: F.alice.publicKey)
    #expect(proven.slices.map(\.deterred) == [250, 500, 750].map { Amount($0) })
    #expect(proven.deterred == Amount(250))
    let attested = try f.market.quote(
      f.terms(attested: [1, 2], rate: 100_000), by: F.alice.publicKey)
    #expect(attested.slices.map(\.deterred) == [250, 50, 75].map { Amount($0) })
    #expect(attested.deterred == Amount(50))
    // A fifth of the fees of the attested slices at the limit is held for their audits.
    #expect(attested.held == Amount(600 + 40 + 60))
    #expect(try Quote(canonicalBytes: attested.canonicalBytes).deterred == Amount(50))
  }

  @Test func refusesToQuoteWhatItWouldRefuse() {
    let f = MarketFixture()
    #expect(throws: Refused.self) {
      try f.market.quote(f.terms(multiple: 0), by: F.alice.publicKey)
    }
  }
}
