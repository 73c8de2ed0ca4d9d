import ArgumentParser
import Foundation
import Logging
import Market
import Primitives
import Statements
import Wire

extension BenchCommand {
  /// Durable commands, end to end.
  struct Exchange: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Time durable commands from many clients to a broker of its own.",
      discussion: """
        Starts a broker as a process, with its journal on the disk of --directory, and connects \
        clients over tcp with CURVE on loopback. Each client sends one signed command, waits for \
        the broker's signed acknowledgement, checks it, and sends the next: it places a bid, \
        amends it, and cancels it. The commands are signed before the clock starts. The clients \
        share this machine with the broker, and what they cost is told apart.

        Clients that wait for each answer offer less where the broker is slow, and hide from its \
        latencies what they would have sent meanwhile. The last number of clients therefore offers \
        --rate commands a second as well, each at a time fixed before, from which its latency \
        counts, however late it could be sent.

        EXAMPLES
          bourse bench exchange
          bourse bench exchange --clients 64 --seconds 5 --rate 0 --json
          bourse bench exchange --clients 256 --rate 3000
          bourse bench exchange --directory /var/tmp
        """)

    @Option(
      parsing: .upToNextOption, help: "Numbers of clients, measured one after another.")
    var clients = [1, 256]
    @Option(
      help: "Commands a second that the last number of clients offers on a schedule; 0 for none.")
    var rate = 5_000
    @Option(help: "For how long each number is measured.") var seconds = 10
    @Option(help: "Where the broker's data go for the time being; by default the temporary folder.")
    var directory: String?
    @OptionGroup var output: JSONOption

    private struct Row: Encodable {
      let clients: Int
      /// Nil where each client waits for an answer before its next command.
      let offeredPerSecond: Int?
      let acknowledged: Int
      let commandsPerSecond: Double
      let brokerProcessorMicroseconds: Double
      let clientProcessorMicroseconds: Double
      let latencies: Latencies
    }

    private struct Report: Encodable {
      let load: Double
      let rows: [Row]
    }

    func validate() throws {
      guard !clients.isEmpty, clients.allSatisfy({ (1...512).contains($0) }) else {
        throw ValidationError("--clients are 1 to 512.")
      }
      guard (0...100_000).contains(rate) else {
        throw ValidationError("--rate is 0 to 100000.")
      }
      guard (1...60).contains(seconds) else { throw ValidationError("--seconds is 1 to 60.") }
    }

    func run() async throws {
      let progress = Progress(isShown: !output.json)
      var rows: [Row] = []
      try await BenchBroker.run(in: directory) { broker in
        for count in clients {
          let commands = seconds * (count == 1 ? 4_000 : max(100, 15_000 / count))
          rows.append(try await measure(count, commandsEach: commands, of: broker, progress))
        }
        if rate > 0, let count = clients.last {
          rows.append(
            try await measure(
              count, offering: rate, commandsEach: seconds * rate / count + 1, of: broker, progress)
          )
        }
      }
      progress.finish()
      let report = Report(load: Machine.load, rows: rows)
      if output.json { return try printJSON(report) }
      print("durable commands over tcp with CURVE, load \(report.load)")
      var table = Table(
        [
          ("clients", .right), ("offered/s", .right), ("acknowledged/s", .right),
          ("broker µs each", .right), ("clients' µs each", .right),
        ] + Latencies.columns)
      for row in rows {
        table.append(
          [
            "\(row.clients)", row.offeredPerSecond.map { "\($0)" } ?? "-",
            String(format: "%.0f", row.commandsPerSecond),
            String(format: "%.0f", row.brokerProcessorMicroseconds),
            String(format: "%.0f", row.clientProcessorMicroseconds),
          ] + row.latencies.cells)
      }
      print(table.text)
    }

    private func measure(
      _ count: Int, offering rate: Int? = nil, commandsEach: Int, of broker: BenchBroker,
      _ progress: Progress
    ) async throws -> Row {
      progress.show("signing for \(count) clients")
      let crowd = try await ClientCrowd(count: count, of: broker, commandsEach: commandsEach)
      progress.show("measuring \(count) clients")
      let (before, ownBefore) = (broker.processorSeconds, Machine.processorSeconds())
      let (nanoseconds, wall) = try await crowd.run(for: .seconds(seconds), offering: rate)
      let spent = broker.processorSeconds - before
      let own = Machine.processorSeconds() - ownBefore
      await crowd.close()
      let acknowledged = Double(nanoseconds.count)
      return Row(
        clients: count, offeredPerSecond: rate, acknowledged: nanoseconds.count,
        commandsPerSecond: acknowledged / wall,
        brokerProcessorMicroseconds: spent * 1e6 / acknowledged,
        clientProcessorMicroseconds: own * 1e6 / acknowledged,
        latencies: Latencies(nanoseconds: nanoseconds))
    }
  }
}

/// Connected clients with commands that are signed already.
private struct ClientCrowd {
  private struct Member: Sendable {
    let client: WireClient
    let envelopes: [Envelope]
  }

  private let executor = PollExecutor()
  private let members: [Member]

  init(count: Int, of broker: BenchBroker, commandsEach: Int) async throws {
    let logger = Logger(label: "bourse.bench", level: .error)
    let keys = (0..<count).map { _ in SigningKey.random() }
    var members: [Member] = []
    for key in keys {
      let client = WireClient(card: broker.card, identity: key, executor: executor, logger: logger)
      try await client.connect(deadline: .seconds(20))
      try await client.perform(
        .deposit(owner: key.publicKey, amount: Amount(microcredits: 1_000_000)),
        signedBy: broker.operatorKey)
      try await client.perform(.bond(amount: Amount(microcredits: 1_000_000)), signedBy: key)
      members.append(Member(client: client, envelopes: []))
    }
    self.members = await withTaskGroup(of: (Int, [Envelope]).self) { group in
      for (index, key) in keys.enumerated() {
        group.addTask { (index, Self.envelopes(commandsEach, broker.card.network, by: key)) }
      }
      for await (index, envelopes) in group {
        members[index] = Member(client: members[index].client, envelopes: envelopes)
      }
      return members
    }
  }

  /// Each bid is placed, amended and cancelled.
  private static func envelopes(
    _ count: Int, _ network: NetworkID, by key: SigningKey
  ) -> [Envelope] {
    var envelopes: [Envelope] = []
    envelopes.reserveCapacity(count)
    var bid = BidID.zero
    for index in 0..<count {
      let price = Price(ticks: UInt64(1_000 + index * 7 % 1_000))
      let command: Command =
        switch index % 3 {
        case 0: .placeBid(BidTerms(backend: .reexec, scope: .any, price: price, capacity: 4))
        case 1: .amendBid(bid, price: price, capacity: 5)
        default: .cancelBid(bid)
        }
      let envelope = Envelope(
        network: network, nonce: .random(), expiry: Tick.now.advanced(by: 3_600_000),
        body: command.canonicalBytes, signedBy: key)
      if index.isMultiple(of: 3) { bid = envelope.digest }
      envelopes.append(envelope)
    }
    return envelopes
  }

  /// How long each acknowledged command took, and all of them together, in seconds. Ends early once
  /// a client has no command left.
  ///
  /// - Parameter rate: Commands a second of all clients together, spread evenly: each is due at a
  ///   time of its own, from which it is timed. Nil where a command is due once the one before it
  ///   is answered.
  func run(
    for limit: Duration, offering rate: Int?
  ) async throws -> (nanoseconds: [Int64], seconds: Double) {
    let tasks = executor.tasks
    let start = ContinuousClock.now
    let end = start + limit
    let turns = members.map { _ in AsyncStream.makeStream(of: ContinuousClock.Instant.self) }
    let nanoseconds = try await withThrowingTaskGroup(of: [Int64].self) { group in
      for (member, (turns, _)) in zip(members, turns) {
        // Where its socket is, as a client has it that does nothing else.
        group.addTask(executorPreference: tasks) {
          var nanoseconds: [Int64] = []
          var turns = turns.makeAsyncIterator()
          for envelope in member.envelopes {
            var due = ContinuousClock.now
            if rate != nil {
              guard let turn = await turns.next() else { break }
              due = turn
            }
            guard due < end else { break }
            let acknowledgement = try await member.client.submit(envelope)
            if let rejection = acknowledgement.rejection { throw rejection }
            nanoseconds.append((ContinuousClock.now - due).nanoseconds)
          }
          return nanoseconds
        }
      }
      if let rate {
        try await Self.give(turns.map(\.continuation), from: start, to: end, rate: rate)
      }
      return try await group.reduce(into: [Int64]()) { $0 += $1 }
    }
    return (nanoseconds, (ContinuousClock.now - start).inSeconds)
  }

  /// Gives each client its turns, in a circle. What falls due within a millisecond is given at its
  /// end, because a timer for each command would take more of the processor than its answer's way.
  private static func give(
    _ turns: [AsyncStream<ContinuousClock.Instant>.Continuation],
    from start: ContinuousClock.Instant, to end: ContinuousClock.Instant, rate: Int
  ) async throws {
    var count = 0
    var now = start
    while now < end {
      now += .milliseconds(1)
      try await Task.sleep(until: now, tolerance: .zero)
      while case let due = start + .seconds(1) * count / rate, due < min(now, end) {
        turns[count % turns.count].yield(due)
        count += 1
      }
    }
    for turn in turns { turn.finish() }
  }

  func close() async { for member in members { await member.client.close() } }
}
