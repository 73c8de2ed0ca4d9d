import ArgumentParser
import CLinux
import Foundation
import Market
import Primitives

extension BenchCommand {
  /// The rules alone: no journal, no signatures, no sockets.
  struct Book: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Time the market's pure core, command by command, over a full book.",
      discussion: """
        So many bids of 200 provers rest, over any slice, over one model and over single slices. \
        Then bids are cancelled, amended and placed in turn, and requests of three slices are \
        taken from submission to settlement. The commands are made before the clock starts. \
        Throughput is taken over the first half of them; in the second half each is timed, which \
        by itself costs some 50 ns.

        The bytes of a resting bid are what the allocator has handed out for the market with the \
        book filled, less what it had for the same market with an empty book, by their number. \
        All of its growth counts: queues, tables, ledger, deadlines, and the room that arrays and \
        tables keep for more. Arrays grow by a quarter and the table of ids doubles, so the figure \
        depends on the number: least and most are those of all thousands of bids from half of \
        --resting on, which a doubling lies in.

        EXAMPLES
          bourse bench book
          bourse bench book --resting 150000 --commands 300000 --json
        """)

    @Option(help: "Bids that rest in the book.") var resting = 100_000
    @Option(help: "Commands of each kind that are measured.") var commands = 600_000
    @OptionGroup var output: JSONOption

    private struct Kind: Encodable {
      let name: String
      let commandsPerSecond: Double
      /// Processor time of the thread alone: what a busy machine takes away is not in it.
      let processorNanosecondsPerCommand: Double
      let eventsPerCommand: Double
      let latencies: Latencies
    }

    private struct Report: Encodable {
      let resting: Int
      let load: Double
      let bytesPerRestingBid: Double
      let bytesPerRestingBidLeast: Double
      let bytesPerRestingBidMost: Double
      let kinds: [Kind]
    }

    func validate() throws {
      // Bids fall on provers by chance, and none may have more than 1,000.
      guard (1_000...150_000).contains(resting) else {
        throw ValidationError("--resting is 1,000 to 150,000: 200 provers have 1,000 bids at most.")
      }
      guard (1_000...10_000_000).contains(commands) else {
        throw ValidationError("--commands is 1,000 to 10,000,000.")
      }
    }

    func run() async throws {
      let progress = Progress(isShown: !output.json)
      progress.show("making the commands")
      var load = try MarketLoad(seed: 1, provers: 200, isSigned: false)
      let opening = load.take().steps
      for _ in 0..<resting { try load.place() }
      let places = load.take().steps
      progress.show("filling the book")
      var market = try Market(genesis: load.genesis)
      for step in opening { try execute(step, &market) }
      let bytes = try fill(&market, with: places)
      progress.show("making more commands")
      for round in 0..<commands {
        switch round % 3 {
        case 0: try load.cancel()
        case 1: try load.amend()
        default: try load.place()
        }
      }
      let orders = load.take().steps
      // Their commitments and batches are signed, which takes longer than all the rest.
      for _ in 0..<commands / 5 / MarketLoad.commandsPerRequest { try load.settleRequest() }
      let requests = load.take().steps
      progress.show("measuring")
      let kinds = [
        try measure("cancel, amend, place", orders, &market),
        try measure("requests to settlement", requests, &market),
      ]
      progress.finish()
      let report = Report(
        resting: resting, load: Machine.load, bytesPerRestingBid: bytes[bytes.count - 1],
        bytesPerRestingBidLeast: bytes.min() ?? 0, bytesPerRestingBidMost: bytes.max() ?? 0,
        kinds: kinds)
      if output.json { return try printJSON(report) }
      print("\(resting) resting bids, load \(report.load)")
      print(
        String(
          format: "%.0f bytes per resting bid, all growth counted (%.0f to %.0f from %d bids on)",
          report.bytesPerRestingBid, report.bytesPerRestingBidLeast,
          report.bytesPerRestingBidMost, resting / 2))
      var table = Table(
        [
          ("commands", .left), ("per second", .right), ("processor ns", .right),
          ("events each", .right),
        ] + Latencies.columns)
      for kind in kinds {
        table.append(
          [
            kind.name, String(format: "%.0f", kind.commandsPerSecond),
            String(format: "%.0f", kind.processorNanosecondsPerCommand),
            String(format: "%.2f", kind.eventsPerCommand),
          ] + kind.latencies.cells)
      }
      print(table.text)
    }

    /// Bytes for each bid with so many thousands of them, from half of them on; never empty.
    private func fill(
      _ market: inout Market, with places: [MarketLoad.Step]
    ) throws -> [Double] {
      let empty = linux_allocated_bytes()
      var bytes: [Double] = []
      for (index, step) in places.enumerated() {
        try execute(step, &market)
        let count = index + 1
        guard count == places.count || (count % 1_000 == 0 && 2 * count >= places.count) else {
          continue
        }
        bytes.append((Double(linux_allocated_bytes()) - Double(empty)) / Double(count))
      }
      return bytes
    }

    private func execute(_ step: MarketLoad.Step, _ market: inout Market) throws {
      let outcome = market.execute(
        step.command, by: step.author, digest: step.digest, at: step.tick, isAuthentic: true)
      if case .rejected(let rejection) = outcome { throw rejection }
    }

    private func measure(
      _ name: String, _ steps: [MarketLoad.Step], _ market: inout Market
    ) throws -> Kind {
      let half = steps.count / 2
      let clock = ContinuousClock()
      var events = 0
      let (start, startProcessor) = (clock.now, threadNanoseconds())
      // By index: a loop over the steps would copy each, which is not the market's time.
      for index in 0..<half {
        guard
          case .accepted(let caused) = market.execute(
            steps[index].command, by: steps[index].author, digest: steps[index].digest,
            at: steps[index].tick, isAuthentic: true)
        else { throw LoadError.unusable(steps[index].command.name) }
        events += caused.count
      }
      let processor = threadNanoseconds() - startProcessor
      let wall = (clock.now - start).inSeconds
      var nanoseconds: [Int64] = []
      nanoseconds.reserveCapacity(steps.count - half)
      for step in steps[half...] {
        let start = clock.now
        _ = market.execute(
          step.command, by: step.author, digest: step.digest, at: step.tick, isAuthentic: true)
        nanoseconds.append((clock.now - start).nanoseconds)
      }
      return Kind(
        name: name, commandsPerSecond: Double(half) / wall,
        processorNanosecondsPerCommand: processor / Double(half),
        eventsPerCommand: Double(events) / Double(half),
        latencies: Latencies(nanoseconds: nanoseconds))
    }

    private func threadNanoseconds() -> Double {
      var time = timespec()
      clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
      return Double(time.tv_sec) * 1e9 + Double(time.tv_nsec)
    }
  }
}
