import Broker
import Foundation
import Journal
import Market
import Primitives
import Prover
import Replay
import Requester
import Statements
import Testing
import Wire

extension ExchangeTests {
  /// What anyone can ask about the past and the present: books, trades, and the life of one thing.
  @Suite(.serialized) struct HistoryTests {}
}

extension ExchangeTests.HistoryTests {
  @Test func journalTellsWhichBidsALeasePassedOverAndWhy() async throws {
    let sample = try SampleModel.mlp.get()
    try await Exchange.run { exchange in
      try await exchange.publish(sample)
      let small = try await exchange.party()
      let client = exchange.client(small)
      try await client.perform(
        .bond(amount: Amount(microcredits: UInt64(Exchange.bond))), signedBy: small)
      let terms = BidTerms(
        backend: .reexec, scope: .any, price: Price(ticks: 1), capacity: 8,
        largestSlice: Cost(units: 1))
      let cheapest = try await client.perform(.placeBid(terms), signedBy: small).envelope.digest
      _ = try await exchange.prover(price: 1_000)
      _ = try await exchange.prover(price: 1_300)
      let report = try await exchange.ask(sample, try sample.input()).end()
      let copy = try exchange.copy()
      defer { try? FileManager.default.removeItem(atPath: copy) }
      for lease in report.leases {
        let match = try PastMatch(of: lease.terms.id, journal: copy)
        #expect(match.terms == lease.terms)
        #expect(match.passedOver.map(\.bid) == [cheapest])
        #expect(match.passedOver.map(\.ineligibility) == [.sliceTooLarge])
      }
      #expect(throws: Refused.unknownLease(LeaseID(ordinal: 99))) {
        try PastMatch(of: LeaseID(ordinal: 99), journal: copy)
      }
    }
  }

  @Test func booksTradesAndHistoriesTellWhatHappened() async throws {
    let sample = try SampleModel.mlp.get()
    try await Exchange.run { exchange in
      try await exchange.publish(sample)
      let cheat = try await exchange.prover(price: 700, capacity: 1, .wrongOutput)
      let honest = try await exchange.prover(price: 1_000)
      let client = exchange.client(nil)
      let book = try await client.book(levels: 10)
      let reexec = try #require(book.books.first { $0.backend == .reexec })
      #expect(reexec.bids.map(\.price.ticks) == [700, 1_000] && reexec.orders.isEmpty)
      #expect(reexec.bids.map(\.capacity) == [1, 8])
      #expect(book.head.sequence == (try await client.status()).sequence - 1)

      let asked = try await exchange.ask(sample, try sample.input())
      #expect(try await asked.end().state == .final)
      let trades = try await settledTrades(client, exchange)
      // Three slices and at least the replacement of the one that was slashed, latest first.
      #expect(trades.count >= 4)
      #expect(trades.map(\.terms.id.ordinal) == (1...UInt64(trades.count)).reversed())
      #expect(trades.allSatisfy { $0.terms.request == asked.id && $0.tick > .zero })
      #expect(
        try await client.trades(before: LeaseID(ordinal: 3), limit: 1) == [trades[trades.count - 2]]
      )

      let history = try await client.history(of: .request(asked.id))
      #expect(history.request == asked.id)
      #expect(history.entries.first?.command == "submitRequest")
      #expect(history.entries.first?.author == asked.requester.publicKey)
      let events = history.entries.flatMap(\.events)
      guard case .requestClosed(asked.id, .final, _, _)? = events.last?.body else {
        Issue.record("the last event is \(String(describing: events.last))")
        return
      }
      // Nothing is missing: the history has all that moved the request's money.
      let fees = events.flatMap(\.postings)
        .filter { $0.account == .feeHold(asked.requester.publicKey) }.reduce(0) { $0 + $1.delta }
      #expect(fees == 0)
      #expect(events.count { if case .leaseSlashed = $0.body { true } else { false } } == 1)
      let outlook = try await client.outlook(of: .request(asked.id))
      #expect(outlook.upcoming.isEmpty && outlook.resting.isEmpty)

      let slashed = try #require(trades.first { $0.terms.prover == cheat })
      let lease = try await client.history(of: .lease(slashed.terms.id))
      let own = lease.entries.flatMap(\.events).map(\.body.subject)
      #expect(own.contains(.lease(slashed.terms.id)))
      #expect(
        own.allSatisfy {
          if case .lease(let id) = $0 { id == slashed.terms.id } else { true }
        })
      let bid = try await client.history(of: .bid(slashed.terms.bid)).entries
      #expect(bid.map(\.command) == ["placeBid", "submitRequest", "recordVerdict"])
      #expect(bid.first?.author == cheat && honest != cheat)

      for unknown in [HistorySubject.request(.zero), .lease(LeaseID(ordinal: 99)), .bid(.zero)] {
        await #expect(throws: WireRefusal.self) { try await client.history(of: unknown) }
      }
    }
  }

  @Test func theToolShowsBooksTradesAndTheLifeOfARequest() async throws {
    let sample = try SampleModel.mlp.get()
    try await Exchange.run { exchange in
      try await exchange.publish(sample)
      try await exchange.prover(try await exchange.party(), price: 1_000)
      let asked = try await exchange.ask(sample, try sample.input())
      #expect(try await asked.end().state == .final)
      _ = try await settledTrades(exchange.client(nil), exchange)
      let card = exchange.directory + "/broker.json"
      try exchange.card.write(to: card)
      func object(_ arguments: String...) async throws -> [String: Any] {
        let run = try await Run(arguments + ["--broker", card, "--json"])
        #expect(run.status == 0, "\(run.errors)")
        return try #require(
          try JSONSerialization.jsonObject(with: run.output) as? [String: Any])
      }
      let trades = try await object("trades", "--limit", "2")["trades"] as? [[String: Any]]
      #expect(trades?.map { $0["lease"] as? Int } == [3, 2])
      let books = try await object("book", "--backend", "reexec")["books"] as? [[String: Any]]
      #expect(books?.first?["bestBid"] as? Int == 1_000)
      #expect(books?.first?["spread"] is NSNull)
      let life = try await object("explain", asked.id.description)
      #expect((life["entries"] as? [Any])?.isEmpty == false)
      #expect((life["next"] as? [Any])?.isEmpty == true)
      // Which bids were passed over, the journal alone knows.
      #expect(
        life["passedOver"] as? [String] == (1...3).map { "bourse audit match ./copy \($0)" })
      let lease = try await Run(["explain", "2", "--money", "--broker", card])
      #expect(lease.status == 0 && lease.text.contains("lease 2: paid: "), "\(lease.text)")
      #expect(lease.text.contains("  fee hold of ") && !lease.text.contains("lease 3"))
      #expect(lease.text.contains("\n  bourse audit match ./copy 2\n"))
      // A stranger sees the request, and not its answer.
      #expect(try await Run(["keys", "new", exchange.directory + "/a.key"]).status == 0)
      let stranger = try await Run([
        "request", "show", asked.id.description, "--key", exchange.directory + "/a.key",
        "--broker", card,
      ])
      #expect(stranger.status == 0 && stranger.text.contains("answer  not disclosed"))
      #expect(try await Run(["explain", "9", "--broker", card]).errors.contains("unknown-lease"))
    }
  }

  @Test func aRequesterFindsItsRequestsLatestFirst() async throws {
    let sample = try SampleModel.mlp.get()
    try await Exchange.run { exchange in
      try await exchange.publish(sample)
      let requester = try await exchange.party()
      let session = RequestSession(client: exchange.client(requester), key: requester)
      func ask(limit: UInt64 = 2_000) async throws -> RequestID {
        var order = RequestSession.Order()
        order.limitPrice = Price(ticks: limit)
        return try await session.submit(
          model: sample.manifest.id, manifest: sample.manifest, inputs: [try sample.input()],
          order: order
        ).envelope.digest
      }
      // One is cancelled, one is served, one waits; and another's, which is not shown.
      let cancelled = try await ask()
      try await exchange.client(requester).perform(
        .cancelRequest(cancelled), signedBy: requester)
      _ = try await exchange.prover(price: 1_000)
      let served = try await ask()
      #expect(try await session.follow(served) { _ in }.state == .final)
      let waiting = try await ask(limit: 500)
      let other = try await exchange.ask(sample, try sample.input())

      let client = exchange.client(nil)
      let own = try await client.requests(of: requester.publicKey, limit: 10)
      #expect(own.map(\.id) == [waiting, served, cancelled])
      #expect(own.map(\.state) == [.open, .final, .cancelled])
      #expect(own.map(\.taken) == [0, 3, 0] && own.allSatisfy { $0.slices == 3 })
      let report = try await client.report(on: served)
      let fees = report.leases.reduce(0) { $0 + $1.terms.fee.microcredits }
      #expect(own.map(\.fee.microcredits) == [0, fees, 0])
      #expect(own[0].held > .zero && own[1].held == .zero && own[2].held == .zero)
      #expect(own.map(\.sequence) == own.map(\.sequence).sorted(by: >))
      #expect(
        try await client.requests(of: requester.publicKey, before: own[0].sequence, limit: 1)
          == [own[1]])
      let theirs = try await client.requests(of: other.requester.publicKey, limit: 10)
      #expect(theirs.map(\.id) == [other.id])

      let card = exchange.directory + "/broker.json"
      try exchange.card.write(to: card)
      let common = [requester.publicKey.description, "--broker", card]
      let table = try await Run(["request", "list"] + common)
      #expect(table.status == 0, "\(table.errors)")
      let lines = table.text.split(separator: "\n")
      #expect(lines.count == 4)
      #expect(lines[1].contains(" open ") && lines[1].hasSuffix(waiting.description))
      let page = try await Run(
        ["request", "list", "--limit", "1", "--before", "\(own[0].sequence)", "--json"] + common)
      let shown = try #require(
        try JSONSerialization.jsonObject(with: page.output) as? [String: Any])
      let first = try #require((shown["requests"] as? [[String: Any]])?.first)
      #expect(first["request"] as? String == served.description)
      #expect(first["state"] as? String == "final")
      #expect(first["feeMicrocredits"] as? UInt64 == fees)
      #expect(try await Run(["request", "list", "--limit", "0"] + common).status == 64)
    }
  }

  @Test func whoWaitsLearnsWhyAndUntilWhen() async throws {
    let sample = try SampleModel.mlp.get()
    try await Exchange.run { exchange in
      try await exchange.publish(sample)
      try await exchange.prover(try await exchange.party(), price: 5_000)
      let asked = try await exchange.ask(sample, try sample.input())
      let client = exchange.client(nil)
      let outlook = try await client.outlook(of: .request(asked.id))
      #expect(outlook.resting.map(\.slice) == [0, 1, 2])
      #expect(
        outlook.resting.allSatisfy {
          $0.candidates.map(\.ineligibility) == [.priceAboveLimit]
        })
      let unmatched = try #require(outlook.upcoming.first)
      #expect(unmatched.action == .unmatched && unmatched.tick > outlook.now)
      let book = try #require(
        try await client.book(on: .reexec, of: sample.manifest.id, levels: 5).books.first)
      #expect(book.spread ?? 0 > 0 && book.orders.first?.count == 3)
      try await exchange.client(asked.requester).perform(
        .cancelRequest(asked.id), signedBy: asked.requester)
    }
  }

  /// The index is a cache: a broker makes it anew where it is gone or of another journal.
  @Test func historySurvivesARestartAndTheLossOfItsIndex() async throws {
    let sample = try SampleModel.mlp.get()
    try await Exchange.run { exchange in
      try await exchange.publish(sample)
      try await exchange.prover(try await exchange.party(), price: 1_000)
      let asked = try await exchange.ask(sample, try sample.input())
      #expect(try await asked.end().state == .final)
      let client = exchange.client(nil)
      _ = try await settledTrades(client, exchange)
      let before = try await client.history(of: .request(asked.id)).entries.map(\.sequence)
      let trades = try await client.trades(limit: 10)
      let index = exchange.directory + "/" + HistoryIndex.fileName
      for damage in ["", "not a database", nil] {
        try await exchange.restartKeepingClients {
          for suffix in ["", "-wal", "-shm"] where damage != "" {
            try? FileManager.default.removeItem(atPath: index + suffix)
          }
          if let damage, damage != "" {
            try Data(damage.utf8).write(to: URL(filePath: index))
          }
        }
        #expect(try await settledTrades(client, exchange) == trades)
        let after = try await client.history(of: .request(asked.id)).entries
        #expect(Array(after.map(\.sequence).prefix(before.count)) == before)
      }
    }
  }

  /// Once the index has all that the journal has.
  private func settledTrades(
    _ client: WireClient, _ exchange: Exchange
  ) async throws -> [Trade] {
    let deadline = ContinuousClock.now + .seconds(60)
    while true {
      do {
        return try await client.trades(limit: 100)
      } catch let refusal as WireRefusal where ContinuousClock.now < deadline {
        guard refusal.code == "history-behind" else { throw refusal }
        try await Task.sleep(for: .milliseconds(5))
      }
    }
  }
}
