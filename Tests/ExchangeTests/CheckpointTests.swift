import Market
import MerkleLog
import Primitives
import Statements
import Testing
import Wire

extension ExchangeTests {
  @Suite(.serialized) struct CheckpointTests {}
}

extension ExchangeTests.CheckpointTests {
  @Test func aRunningBrokerProvesThatItContinuesWhatItSigned() async throws {
    try await Exchange.run { exchange in
      let auditor = exchange.client(nil)
      let first = try await auditor.checkpoint()
      _ = try await exchange.party()
      let second = try await auditor.checkpoint(since: first)
      #expect(second.size == first.size + 1)
      #expect(second.root != first.root)
      #expect(try await auditor.checkpoint(since: second) == second)
    }
  }

  @Test func aRewrittenHistoryIsShownWithBothCheckpoints() async throws {
    try await Exchange.run { exchange in
      let auditor = exchange.client(nil)
      _ = try await exchange.party()
      let honest = try await auditor.checkpoint()
      let other = Checkpoint(
        network: honest.network, size: honest.size, root: .zero, signedBy: exchange.brokerKey)
      let error = await #expect(throws: RewrittenHistory.self) {
        try await auditor.checkpoint(since: other)
      }
      #expect(error?.earlier == other)
      #expect(error?.later == honest)
    }
  }

  @Test func refusesToCompareWithAnotherBrokersCheckpoint() async throws {
    try await Exchange.run { exchange in
      let auditor = exchange.client(nil)
      let honest = try await auditor.checkpoint()
      let foreign = Checkpoint(
        network: honest.network, size: honest.size, root: honest.root, signedBy: .random())
      let error = await #expect(throws: Rejection.self) {
        try await auditor.checkpoint(since: foreign)
      }
      #expect(error?.code == "foreign-checkpoint")
      let longer = Checkpoint(
        network: honest.network, size: honest.size + 1, root: honest.root,
        signedBy: exchange.brokerKey)
      let refusal = await #expect(throws: WireRefusal.self) {
        try await auditor.checkpoint(since: longer)
      }
      #expect(refusal?.code == "journal-unknown-entry")
    }
  }

  @Test func anAcknowledgedCommandIsInTheJournalUnderItsHead() async throws {
    try await Exchange.run { exchange in
      let key = try await exchange.party()
      let performed = try await exchange.client(key).perform(
        .bond(amount: Amount(microcredits: 5_000_000)), signedBy: key)
      let sequence = performed.acknowledgement.sequence
      let shown = try await exchange.client(nil).inclusion(of: sequence)
      #expect(shown.entryHash == performed.acknowledgement.head)
      #expect(shown.checkpoint.size > sequence)
    }
  }
}
