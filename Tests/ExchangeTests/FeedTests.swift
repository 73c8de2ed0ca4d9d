import Broker
import Foundation
import Journal
import Market
import Primitives
import Requester
import Statements
import Testing
import Wire

/// The feed of a real broker: it is the journal, whatever happens to the connection.
@Suite(.timeLimit(.minutes(3))) struct ExchangeFeedTests {
  @Test func theFeedIsTheJournalAcrossARestart() async throws {
    try await Exchange.run { exchange in
      let client = exchange.client(nil)
      let feed = FeedClient(client: client, after: exchange.beginning, logger: quiet)
      try await feed.start()
      let following = Task { () -> [FollowedEntry] in
        var entries: [FollowedEntry] = []
        while let entry = try await feed.next() {
          entries.append(entry)
          if case .withdraw = entry.command { break }
        }
        return entries
      }
      let key = try await exchange.party()
      try await exchange.restartKeepingClients()
      let operatorClient = exchange.client(exchange.operatorKey)
      for amount in 1...20 {
        try await operatorClient.perform(
          .deposit(owner: key.publicKey, amount: Amount(microcredits: UInt64(amount))),
          signedBy: exchange.operatorKey)
      }
      // What the market rejects is in the journal as well, and hence in the feed.
      _ = try? await exchange.client(key).perform(
        .bond(amount: .maximum), signedBy: key)
      try await exchange.client(key).perform(
        .withdraw(amount: Amount(microcredits: 5)), signedBy: key)
      let followed = try await following.value
      #expect(followed.map(\.sequence) == Array(1...UInt64(followed.count)))
      #expect(
        followed.filter {
          if case .rejected = $0.outcome { true } else { false }
        }.count == 1)
      await feed.close()
      try await exchange.stopBroker()
      let stored = try await exchange.storedEntries()
      #expect(stored.count == followed.count)
      for (stored, followed) in zip(stored, followed) {
        #expect(Array(stored.command) == followed.envelope.canonicalBytes)
        #expect(Array(stored.outcome) == followed.outcome.canonicalBytes)
        #expect(stored.hash == followed.acknowledgement.head)
      }
      try await exchange.restartBroker()
    }
  }

  @Test func anyoneMayReadTheJournalFromItsBeginning() async throws {
    try await Exchange.run { exchange in
      _ = try await exchange.party()
      let client = exchange.client(nil)
      let page = try await client.entries(from: 1)
      let status = try await client.status()
      #expect(page.last == status.sequence - 1 && page.entries.count == Int(page.last))
      #expect(try await client.entries(from: page.last + 1).entries.isEmpty)
      #expect(try await client.entries(from: 0).entries.isEmpty)
      #expect(try await client.entries(from: .max).entries.isEmpty)
      // A broker that has just started has nothing in memory, and reads its disk.
      try await exchange.restartKeepingClients()
      #expect(try await client.entries(from: 1).entries.prefix(Int(page.last)) == page.entries[...])
    }
  }
}
