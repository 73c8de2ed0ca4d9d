import Foundation
import Market
import Primitives
import Statements
import Testing

/// Figures of the pure core, in a release build only:
/// `BOURSE_BENCHMARK=1 swift test -c release --filter MarketBenchmarks`.
@Suite(.enabled(if: ProcessInfo.processInfo.environment["BOURSE_BENCHMARK"] != nil), .serialized)
struct MarketBenchmarks {
  typealias F = MarketFixture

  private static let resting = 100_000

  /// A market in which 100,000 bids of 200 provers rest, and what a resting bid costs in memory.
  private static func filled() throws -> (Market, [(id: BidID, prover: PublicKey)], Double) {
    var market = try Market(genesis: OrderFlow.genesis)
    let provers = (20..<220).map { F.key($0).publicKey }
    var commands: UInt64 = 0
    func execute(_ command: Command, by author: PublicKey) -> Digest {
      commands += 1
      let digest = F.digest("filled \(commands)")
      let outcome = market.execute(
        command, by: author, digest: digest, at: Tick(milliseconds: 1_000))
      #expect(outcome.rejection == nil)
      return digest
    }
    _ = execute(.publishModel(F.chain), by: F.broker.publicKey)
    for prover in provers {
      _ = execute(
        .deposit(owner: prover, amount: Amount(1_000_000)), by: F.operatorKey.publicKey)
      _ = execute(.bond(amount: Amount(1_000_000)), by: prover)
    }
    var generator = SeededGenerator(seed: 1)
    // Touched before the measurement, because it is the benchmark's own.
    var bids = Array(repeating: (id: BidID.zero, prover: provers[0]), count: resting)
    let before = residentBytes()
    for index in 0..<resting {
      let prover = provers[index % provers.count]
      bids[index] = (execute(.placeBid(terms(&generator)), by: prover), prover)
    }
    return (market, bids, Double(residentBytes() - before) / Double(resting))
  }

  private static func terms(_ generator: inout SeededGenerator) -> BidTerms {
    let scope: Scope =
      switch generator.below(3) {
      case 0: .model(F.chain.id)
      case 1: .slice(F.chain.id, generator.below(3))
      default: .any
      }
    return BidTerms(
      backend: .reexec, scope: scope, price: Price(ticks: UInt64(1_000 + generator.below(50_000))),
      capacity: 4)
  }

  private static func residentBytes() -> Int {
    let pages = (try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8))?
      .split(separator: " ").dropFirst().first.flatMap { Int($0) }
    return (pages ?? 0) * 4_096
  }

  @Test func commandsAt100000RestingBids() throws {
    var (market, bids, bytes) = try Self.filled()
    print("memory: \(Int(bytes)) bytes of resident memory per resting bid")
    var generator = SeededGenerator(seed: 2)
    let rounds = 400_000
    // All commands are made before the clock starts.
    var steps: [(command: Command, author: PublicKey, digest: Digest)] = []
    steps.reserveCapacity(rounds)
    for round in 0..<rounds {
      let digest = F.digest("round \(round)")
      let index = generator.below(bids.count)
      let (id, prover) = bids[index]
      switch round % 3 {
      case 0: steps.append((.cancelBid(id), prover, digest))
      case 1:
        // Amends the bid placed last, which is open.
        let last = bids[bids.count - 1]
        steps.append(
          (
            .amendBid(
              last.id, price: Price(ticks: UInt64(1_000 + generator.below(50_000))),
              capacity: 5), last.prover, digest
          ))
      default: steps.append((.placeBid(Self.terms(&generator)), prover, digest))
      }
      switch round % 3 {
      case 0:
        bids.swapAt(index, bids.count - 1)
        bids.removeLast()
      case 2: bids.append((digest, prover))
      default: break
      }
    }
    let clock = ContinuousClock()
    var nanoseconds: [Int64] = []
    nanoseconds.reserveCapacity(rounds)
    var accepted = 0
    for step in steps {
      let start = clock.now
      let outcome = market.execute(
        step.command, by: step.author, digest: step.digest, at: Tick(milliseconds: 2_000))
      nanoseconds.append((clock.now - start).components.attoseconds / 1_000_000_000)
      if outcome.rejection == nil { accepted += 1 }
    }
    #expect(accepted > rounds * 9 / 10)
    let total = nanoseconds.reduce(0, +)
    nanoseconds.sort()
    func percentile(_ parts: Int) -> Int64 { nanoseconds[nanoseconds.count * parts / 10_000] }
    print(
      """
      bids: \(rounds) commands, \(accepted) accepted, \(Int64(rounds) * 1_000_000_000 / total) /s, \
      p50 \(percentile(5_000)) ns, p99 \(percentile(9_900)) ns, p99.9 \(percentile(9_990)) ns
      """)
  }
}
