import Foundation
import Market
import Primitives
import Testing

/// The fast book against the reference book: one market over each, the same commands, and the same
/// bytes out of both. `BOURSE_BOOK_COMMANDS=10000000` in a release build is the full run; with
/// `BOURSE_BOOK_SEED` several processes take histories of their own.
struct BookDifferentialTests {
  /// Commands of one history; longer runs are more histories, each with its own seed. What is
  /// compared beside the outcomes grows with all that a history has seen, so that many short ones
  /// cost less than few long ones.
  private static let length = 4_000

  private static func asked(_ name: String) -> Int? {
    ProcessInfo.processInfo.environment[name].flatMap { Int($0) }
  }
  private static let total = asked("BOURSE_BOOK_COMMANDS") ?? 3_000

  @Test func fastBookDecidesAsTheReferenceBookDoes() throws {
    var done = 0
    var seed = UInt64(Self.asked("BOURSE_BOOK_SEED") ?? 1)
    var (trades, rejected) = (0, 0)
    while done < Self.total {
      let count = min(Self.length, max(1_000, Self.total / 3), Self.total - done)
      var flow = OrderFlow(seed: seed)
      var fast = try Market(genesis: OrderFlow.genesis, book: FastBook())
      var reference = try Market(genesis: OrderFlow.genesis, book: ReferenceBook())
      for step in flow.opening() {
        #expect(execute(step, &fast) == execute(step, &reference))
      }
      for index in 0..<count {
        let step = flow.next(fast)
        let outcome = execute(step, &fast)
        guard outcome == execute(step, &reference) else {
          Issue.record("seed \(seed), command \(index): the books decide differently")
          return
        }
        trades += outcome.bodies.count { if case .leased = $0 { true } else { false } }
        rejected += outcome.rejection == nil ? 0 : 1
        if index.isMultiple(of: 1_000) {
          #expect(fast.stateDigest == reference.stateDigest)
          #expect(fast.book.bids(on: .reexec) == reference.book.bids(on: .reexec))
          #expect(fast.book.orders(on: .reexec) == reference.book.orders(on: .reexec))
          #expect(fast.invariantViolations() == [])
          expectEqualDepths(fast, reference)
        }
      }
      #expect(fast.stateDigest == reference.stateDigest)
      done += count
      seed += 1
    }
    #expect(trades > done / 10, "\(trades) trades in \(done) commands")
    #expect(rejected < done / 2, "\(rejected) of \(done) commands were rejected")
  }

  /// By price, for all and for one model, with as many prices as there are and with few.
  private func expectEqualDepths(_ fast: Market, _ reference: Market) {
    for model in [nil] + fast.models.keys.sorted() {
      for levels in [2, 1_000] {
        let depth = fast.depth(on: nil, of: model, levels: levels)
        #expect(depth == reference.depth(on: nil, of: model, levels: levels))
        #expect(depth.allSatisfy { $0.bids.count <= levels && $0.orders.count <= levels })
      }
    }
  }

  private func execute(_ step: OrderFlow.Step, _ market: inout Market) -> Outcome {
    market.execute(step.command, by: step.author, digest: step.digest, at: step.tick)
  }

  /// The trees stay trees: whatever is inserted and removed, a walk gives what sorting gives.
  @Test func emptiedAndRefilledBookKeepsItsOrder() {
    var generator = SeededGenerator(seed: 3)
    var (fast, reference) = (FastBook(), ReferenceBook())
    var ids: [BidID] = []
    for round in 0..<3 {
      for index in 0..<300 {
        let bid = Bid(
          id: MarketFixture.digest("\(round) \(index)"),
          prover: generator.pick(MarketFixture.provers).publicKey,
          terms: BidTerms(
            backend: .reexec, scope: .any, price: Price(ticks: UInt64(generator.below(40))),
            capacity: 1),
          ordinal: UInt64(round * 300 + index))
        _ = fast.insert(bid)
        _ = reference.insert(bid)
        ids.append(bid.id)
      }
      while ids.count > 20 * round {
        let id = ids.remove(at: generator.below(ids.count))
        fast.removeBid(id)
        reference.removeBid(id)
        guard ids.count.isMultiple(of: 25) else { continue }
        #expect(fast.bids(on: .reexec) == reference.bids(on: .reexec))
        var walked: [Bid] = []
        _ = fast.firstBid(
          on: .reexec, for: .zero, 0, upTo: Price(ticks: .max)
        ) { bid in
          walked.append(bid)
          return false
        }
        #expect(walked == reference.bids(on: .reexec))
      }
    }
  }
}
