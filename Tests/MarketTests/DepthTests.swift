import Market
import Primitives
import Statements
import Testing

/// The book by price, and what time will do.
struct DepthTests {
  typealias F = MarketFixture

  @Test func countsWhatCanStillBeTakenByPrice() {
    var f = MarketFixture()
    _ = f.bid(F.quinn, at: 120, capacity: 3)
    _ = f.bid(F.paula, at: 120, capacity: 4)
    _ = f.bid(F.rita, at: 130, capacity: 1)
    let request = f.request(f.terms(limit: 110))
    let depth = f.market.depth(on: nil, of: nil, levels: 10)
    #expect(depth.map(\.backend) == [.reexec])
    #expect(
      depth[0].bids == [
        DepthLevel(price: Price(ticks: 120), capacity: 7, count: 2),
        DepthLevel(price: Price(ticks: 130), capacity: 1, count: 1),
      ])
    #expect(depth[0].orders == [DepthLevel(price: Price(ticks: 110), capacity: 3, count: 3)])
    #expect(depth[0].spread == 10)
    #expect(f.market.depth(on: .reexec, of: nil, levels: 1)[0].bids.count == 1)
    // Another model's orders are not in this one's book; a bid for any model is in both.
    let other = f.market.depth(on: .reexec, of: F.digest("other"), levels: 10)[0]
    #expect(other.orders.isEmpty && other.bids.count == 2)
    // What is taken is gone from both sides.
    _ = f.bid(F.rita, at: 110, capacity: 3)
    let after = f.market.depth(on: nil, of: nil, levels: 10)[0]
    #expect(after.orders.isEmpty && after.spread == nil)
    #expect(f.state(request) == .running)
    #expect(after.bids.first?.price == Price(ticks: 120))
  }

  @Test func tellsWhichDeadlineComesNextAndWhatItCosts() throws {
    var f = MarketFixture()
    let request = f.request(f.terms(limit: 100))
    #expect(f.market.upcoming(for: request).map(\.action) == [.unmatched, .waitsForBids])
    _ = f.bid(F.paula, at: 100)
    let running = f.market.upcoming(for: request)
    let lease = try #require(f.lease(request, 0))
    let lapse = try #require(running.first)
    #expect(lapse.action == .lapses && lapse.lease == lease.id && lapse.tick == lease.deadline)
    #expect(lapse.amount == lease.stake.share(f.market.parameters.latenessShare))
    #expect(running.contains { $0.action == .requestFails && $0.lease == nil })
    // What is foretold is what happens.
    f.pass(lapse.tick.milliseconds + 1 - f.market.now.milliseconds)
    #expect(f.market.leases[lease.id]?.state == .lapsed)
    let burned = f.balance(.burned)
    #expect(burned == Int64(lapse.amount.microcredits))
    #expect(f.market.upcoming(for: F.digest("nothing")).isEmpty)
  }
}
