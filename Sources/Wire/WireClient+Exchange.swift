package import Market
package import MerkleLog
package import Primitives
package import Statements

/// The exchange as every client sees it: signed commands and typed queries over the frames.
extension WireClient {
  /// How long a command waits for its first delivery, in milliseconds.
  private static var expiryWindow: UInt64 { 120_000 }

  /// Signs and submits. A rejection is thrown as the error it is.
  @discardableResult
  package func perform(
    _ command: Command, signedBy key: SigningKey, deadline: Duration = defaultDeadline
  ) async throws -> Performed {
    let envelope = Envelope(
      network: card.network, nonce: .random(), expiry: Tick.now.advanced(by: Self.expiryWindow),
      body: command.canonicalBytes, signedBy: key)
    let acknowledgement = try await submit(envelope, deadline: deadline)
    if let rejection = acknowledgement.rejection { throw rejection }
    return Performed(envelope: envelope, acknowledgement: acknowledgement)
  }

  /// An accepted command, as it was signed and acknowledged.
  package struct Performed: Sendable {
    package let envelope: Envelope
    package let acknowledgement: Acknowledgement
  }

  package func status() async throws -> BrokerStatus { try await answer(to: .status) }

  package func models() async throws -> [ModelID] {
    try await answer(to: .models, as: Records<ModelID>.self).records
  }

  /// The manifest, whose digest is checked to be `id`.
  package func model(_ id: ModelID) async throws -> Manifest {
    let manifest = try await answer(to: .model(id), as: Manifest.self)
    guard manifest.id == id else {
      throw Rejection(
        code: "wrong-manifest",
        sentence: "The broker sent another manifest than that of model \(id.short); use another.")
    }
    return manifest
  }

  package func keyRecords(of model: ModelID) async throws -> [KeyRecord] {
    try await answer(to: .keyRecords(model), as: Records<KeyRecord>.self).records
  }

  package func balances(of owner: PublicKey) async throws -> [AccountBalance] {
    try await answer(to: .account(owner), as: Records<AccountBalance>.self).records
  }

  package func bids(of prover: PublicKey) async throws -> [OpenBid] {
    try await answer(to: .bids(prover), as: Records<OpenBid>.self).records
  }

  /// The live leases of the client's own identity.
  package func work(deadline: Duration = defaultDeadline) async throws -> [WorkItem] {
    try await answer(to: .work, as: Records<WorkItem>.self, deadline: deadline).records
  }

  package func provers() async throws -> [ProverRecord] {
    try await answer(to: .provers, as: Records<ProverRecord>.self).records
  }

  package func stake(of key: PublicKey) async throws -> StakeReport {
    try await answer(to: .stake(key))
  }

  package func quote(_ terms: RequestTerms, by requester: PublicKey) async throws -> Quote {
    try await answer(to: .quote(terms, by: requester))
  }

  package func report(on request: RequestID) async throws -> RequestReport {
    try await answer(to: .request(request))
  }

  /// The broker's checkpoint of now, whose signature is checked. With an `earlier` one it is
  /// checked to continue it: the broker has changed nothing that it signed before.
  package func checkpoint(since earlier: Checkpoint? = nil) async throws -> Checkpoint {
    let answer = try await answer(
      to: .checkpoint(since: earlier?.size ?? 0), as: CheckpointAnswer.self)
    try check(answer.checkpoint)
    guard let earlier else { return answer.checkpoint }
    guard earlier.network == card.network, earlier.broker == card.brokerKey, earlier.isAuthentic
    else {
      throw Rejection(
        code: "foreign-checkpoint",
        sentence: "The earlier checkpoint is not one of this broker's; name the one you kept of it."
      )
    }
    guard let proof = answer.consistency, proof.oldSize == earlier.size,
      proof.newSize == answer.checkpoint.size,
      proof.verifies(oldRoot: earlier.root, newRoot: answer.checkpoint.root)
    else {
      throw RewrittenHistory(earlier: earlier, later: answer.checkpoint)
    }
    return answer.checkpoint
  }

  /// Shows that entry `sequence` is in the journal under a signed checkpoint, and gives its proof.
  package func inclusion(
    of sequence: UInt64
  ) async throws -> InclusionAnswer {
    let answer = try await answer(to: .inclusion(sequence), as: InclusionAnswer.self)
    try check(answer.checkpoint)
    guard answer.proof.index == sequence, answer.proof.size == answer.checkpoint.size,
      answer.proof.verifies(
        leafHash: MerkleTree.leafHash(of: answer.entryHash), root: answer.checkpoint.root)
    else {
      throw Rejection(
        code: "entry-not-included",
        sentence:
          "The proof does not show entry \(sequence) under the broker's own checkpoint; keep its acknowledgement of that entry as evidence."
      )
    }
    return answer
  }

  /// The books, and the point of the journal at which they were so.
  package func book(
    on backend: BackendID? = nil, of model: ModelID? = nil, levels: UInt32
  ) async throws -> BookSnapshot {
    try await answer(to: .book(backend, model, levels: levels))
  }

  /// The latest leases made, latest first; of those below `before`.
  package func trades(
    before: LeaseID = LeaseID(ordinal: .max), limit: UInt32
  ) async throws -> [Trade] {
    try await answer(to: .trades(before: before, limit: limit), as: Records<Trade>.self).records
  }

  /// The latest requests of a key, latest first; of those that entries below `before` opened.
  package func requests(
    of requester: PublicKey, before: UInt64 = .max, limit: UInt32
  ) async throws -> [RequestSummary] {
    try await answer(
      to: .requests(of: requester, before: before, limit: limit),
      as: Records<RequestSummary>.self
    ).records
  }

  /// Everything that happened to the subject, and the request that it is about, if any.
  package func history(
    of subject: HistorySubject
  ) async throws -> (request: RequestID?, entries: [HistoryEntry]) {
    var entries: [HistoryEntry] = []
    var after: UInt64? = 0
    var request: RequestID?
    while let start = after {
      let page = try await answer(
        to: .history(subject, after: start), as: HistoryPage.self)
      guard page.next.map({ $0 > start }) ?? true else {
        throw WireError.unexpectedAnswer("a page of history that does not go on")
      }
      entries += page.entries
      (request, after) = (page.request, page.next)
    }
    return (request, entries)
  }

  package func outlook(
    of subject: HistorySubject, leases: [LeaseID] = []
  ) async throws -> Outlook {
    try await answer(to: .outlook(subject, leases: leases.suffix(Outlook.leaseLimit)))
  }

  /// The journal's entries from a sequence (at least 1) on: one page, which nobody has checked.
  package func entries(from sequence: UInt64) async throws -> EntryPage {
    try await answer(to: .entries(from: sequence))
  }

  /// An entry of `byteCount` bytes, more than a page.
  func largeEntry(_ sequence: UInt64, byteCount: UInt64) async throws -> FeedEntry {
    guard byteCount <= UInt64(FeedEntry.byteLimit) else {
      throw WireError.unexpectedAnswer("an entry of \(byteCount) bytes")
    }
    var bytes: [UInt8] = []
    while UInt64(bytes.count) < byteCount {
      let part = try await answer(
        to: .entryPart(sequence, offset: UInt64(bytes.count)), as: EntryPart.self)
      guard part.offset == UInt64(bytes.count), !part.bytes.isEmpty,
        UInt64(bytes.count + part.bytes.count) <= byteCount
      else { throw WireError.unexpectedAnswer("another part of entry \(sequence)") }
      bytes += part.bytes
    }
    return try FeedEntry(canonicalBytes: bytes)
  }

  /// A verification for one of this verifier's workers; the same one until its verdict is in.
  package func verificationJob(slot: UInt32) async throws -> VerificationJob? {
    try await answer(to: .verificationJob(slot: slot), as: Records<VerificationJob>.self)
      .records.first
  }

  /// Returns once the verdict is recorded. The broker may find it again itself before.
  package func submit(_ word: SignedVerdict) async throws {
    let bytes = try await ask(
      Query.verdict(word).canonicalBytes, deadline: Self.verdictDeadline)
    guard try Digest(canonicalBytes: bytes) == word.evidence else {
      throw WireError.unexpectedAnswer("the digest of another verdict")
    }
  }

  private static var verdictDeadline: Duration { .seconds(300) }

  private func check(_ checkpoint: Checkpoint) throws {
    guard checkpoint.network == card.network, checkpoint.broker == card.brokerKey,
      checkpoint.isAuthentic
    else {
      throw Rejection(
        code: "false-checkpoint",
        sentence: "The checkpoint is not signed by the broker of this card; do not rely on it.")
    }
  }

  private func answer<Answer: CanonicalCodable>(
    to query: Query, as type: Answer.Type = Answer.self, deadline: Duration = defaultDeadline
  ) async throws -> Answer {
    try Answer(canonicalBytes: try await ask(query.canonicalBytes, deadline: deadline))
  }
}

/// Two checkpoints of one broker that no proof links: together they convict it of two histories.
package struct RewrittenHistory: CodedError {
  package let earlier: Checkpoint
  package let later: Checkpoint

  package var code: String { "history-rewritten" }
  package var sentence: String {
    """
    The broker cannot show that its \(later.size) entries begin with the \(earlier.size) it signed \
    before; keep both checkpoints, which together convict it.
    """
  }
}
