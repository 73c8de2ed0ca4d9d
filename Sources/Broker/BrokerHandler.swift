import Journal
import Logging
import Market
import MerkleLog
import Primitives
import Statements
import Wire

/// What the broker does with messages from the wire.
struct BrokerHandler: WireHandler {
  let admission: CommandAdmission
  let sequencer: Sequencer
  let feed: JournalFeed
  let history: History
  let blobs: BlobStore
  let desk: VerificationDesk
  let logger: Logger

  func take(_ commands: [CommandDelivery]) {
    var submissions: [Sequencer.Submission] = []
    for delivery in commands {
      do {
        let (envelope, command) = try admission.read(delivery.envelope)
        guard !command.needsBlobs else {
          Task.detached { delivery.answer(await act(on: command, in: envelope)) }
          continue
        }
        submissions.append(
          Sequencer.Submission(envelope, command) { result in
            delivery.answer(result.mapError(WireRefusal.init))
          })
      } catch {
        delivery.answer(.failure(refusal(of: error)))
      }
    }
    sequencer.submit(submissions)
  }

  /// The acknowledgement of a command with blobs.
  private func act(
    on command: Command, in envelope: Envelope
  ) async -> Result<[UInt8], WireRefusal> {
    // What has been acknowledged is durable, so that the sequencer need not be asked once more.
    await refusing(isDurable: true) {
      try await admission.checkBlobs(of: command, in: envelope)
      let acknowledgement = try await sequencer.submit(envelope, command).get()
      // What only a rejected command names stays on its sender's account.
      if try Acknowledgement(canonicalBytes: acknowledgement).rejection == nil {
        await blobs.name(command.blobs)
      }
      return acknowledgement
    }
  }

  func putBlob(_ chunk: BlobChunk, from peer: Peer) async -> Result<UInt64, WireRefusal> {
    await refusing {
      guard let owner = peer.identity else { throw BrokerError.helloNeeded }
      guard await sequencer.read({ $0.hasAccount(owner) }) else {
        throw BrokerError.unknownAuthor(owner)
      }
      // What its sender may read anyway need not be sent again.
      if await sequencer.mayRead(chunk.digest, owner),
        let held = try await blobs.byteCount(of: chunk.digest), UInt64(held) == chunk.total
      {
        return chunk.total
      }
      return try await blobs.stage(
        chunk.digest, total: chunk.total, offset: chunk.offset, chunk: chunk.bytes, by: owner)
    }
  }

  func getBlob(
    _ digest: Digest, offset: UInt64, limit: Int, from peer: Peer
  ) async -> Result<BlobChunk, WireRefusal> {
    await refusing {
      var isDisclosed = await sequencer.mayRead(digest, peer.identity)
      if !isDisclosed { isDisclosed = await desk.mayRead(digest, peer.identity) }
      if !isDisclosed { isDisclosed = await mayReadEvidence(digest, peer.identity) }
      guard isDisclosed else { throw BrokerError.notDisclosed(digest) }
      guard let total = try await blobs.byteCount(of: digest) else {
        throw BrokerError.blobMissing(digest)
      }
      let bytes = try await blobs.data(digest, offset: offset, limit: limit)
      return BlobChunk(digest: digest, total: UInt64(total), offset: offset, bytes: bytes)
    }
  }

  func query(_ bytes: [UInt8], from peer: Peer) async -> Result<[UInt8], WireRefusal> {
    await refusing {
      switch try Query(canonicalBytes: bytes) {
      case .status: await sequencer.status().canonicalBytes
      case .models:
        await sequencer.read { Records($0.models.keys.sorted()) }.canonicalBytes
      case .model(let id): try await manifest(id).canonicalBytes
      case .keyRecords(let id): try await keyRecords(id).canonicalBytes
      case .account(let owner):
        await sequencer.read { $0.accounts(of: owner) }.canonicalBytes
      case .bids(let prover): await sequencer.read { $0.openBids(of: prover) }.canonicalBytes
      case .work:
        if let prover = peer.identity {
          await sequencer.work(of: prover).canonicalBytes
        } else {
          throw BrokerError.helloNeeded
        }
      case .request(let id): try await report(id).canonicalBytes
      case .quote(let terms, let requester):
        try await sequencer.read { market in
          Result { try market.quote(terms, by: requester) }
        }.get().canonicalBytes
      case .stake(let key):
        await sequencer.read { StakeReport(key, in: $0, at: max($0.now, .now)) }.canonicalBytes
      case .provers: await sequencer.read { $0.proverRecords() }.canonicalBytes
      case .checkpoint(let since): try await sequencer.checkpoint(since: since).canonicalBytes
      case .inclusion(let sequence): try await sequencer.inclusion(of: sequence).canonicalBytes
      case .entries(let sequence): try await feed.entries(from: sequence).canonicalBytes
      case .entryPart(let sequence, let offset):
        try await feed.part(of: sequence, from: offset).canonicalBytes
      case .book(let backend, let model, let levels):
        await sequencer.book(on: backend, of: model, levels: Int(clamping: levels)).canonicalBytes
      case .trades(let before, let limit):
        try await history.trades(before: before, limit: Int(clamping: limit)).canonicalBytes
      case .requests(let requester, let before, let limit):
        try await history.requests(
          of: requester, before: before, limit: Int(clamping: limit)
        ).canonicalBytes
      case .history(let subject, let sequence):
        try await history.page(of: subject, after: sequence).canonicalBytes
      case .outlook(let subject, let leases):
        await sequencer.outlook(of: subject, leases: leases).canonicalBytes
      case .verificationJob(let slot):
        Records([try await desk.job(for: peer.identity, slot)].compactMap { $0 }).canonicalBytes
      case .verdict(let word): try await desk.take(word).canonicalBytes
      }
    }
  }

  func helloAccepted(_ peer: Peer) async {
    logger.debug("\(peer.identity?.short ?? "-") said hello")
  }

  func knows(_ identity: PublicKey) async -> Bool {
    if desk.options.verifiers.contains(identity) { return true }
    return await sequencer.read { $0.hasAccount(identity) }
  }

  /// Evidence says itself which lease it is about, so who may read it needs no list.
  private func mayReadEvidence(_ digest: Digest, _ reader: PublicKey?) async -> Bool {
    guard let size = try? await blobs.byteCount(of: digest), size <= Evidence.byteLimit,
      let bytes = try? await blobs.read(digest),
      let lease = (try? Evidence(canonicalBytes: bytes))?.statement.lease
    else { return false }
    return await sequencer.read { $0.discloses(lease, to: reader) }
  }

  private func manifest(_ id: ModelID) async throws -> Manifest {
    guard let manifest = await sequencer.read({ $0.models[id] }) else {
      throw BrokerError.unknownModel(id)
    }
    return manifest
  }

  private func keyRecords(_ id: ModelID) async throws -> Records<KeyRecord> {
    _ = try await manifest(id)
    let records = await sequencer.read { market in
      market.keySubjects[id, default: []].compactMap { market.keyRecords[$0] }
    }
    return Records(records.sorted { ($0.slice, $0.backend) < ($1.slice, $1.backend) })
  }

  private func report(_ id: RequestID) async throws -> RequestReport {
    guard let report = await sequencer.report(on: id) else {
      throw BrokerError.unknownRequest(id)
    }
    return report
  }

  /// Every failure becomes a refusal with its stable code; what has none is the broker's own fault.
  private func refusing<Value>(
    isDurable: Bool = false, _ body: () async throws -> Value
  ) async -> Result<Value, WireRefusal> {
    do {
      let value = try await body()
      // After a failed commit the state in memory has what will never have happened.
      if !isDurable, let failure = await sequencer.failureIfAny() { throw failure }
      return .success(value)
    } catch {
      return .failure(refusal(of: error))
    }
  }

  private func refusal(of error: any Error) -> WireRefusal {
    if let error = error as? any CodedError {
      logger.debug("refused: \(error)")
      return WireRefusal(code: error.code, sentence: error.sentence)
    }
    logger.error("a request failed: \(error)")
    return WireRefusal(BrokerError.blobStoreFailed("an unexpected failure; see the broker's log"))
  }
}

/// Views that queries read.
extension Market {
  func accounts(of owner: PublicKey) -> Records<AccountBalance> {
    let own = Purpose.allCases.map { Account(owner: owner, purpose: $0) }
    let exchange = Purpose.allCases.map { Account(owner: nil, purpose: $0) }
    // The operator asks for the exchange's own accounts under the operator's key.
    let asked = owner == genesis.operator ? own + exchange : own
    return Records(
      asked.compactMap { account in
        let balance = balance(account)
        return balance == 0 ? nil : AccountBalance(account: account, balance: balance)
      })
  }

  func openBids(of prover: PublicKey) -> Records<OpenBid> {
    Records(
      book.bids(of: prover).filter { !$0.isClosed }
        .map { OpenBid(id: $0.id, terms: $0.terms, leases: $0.leases) })
  }

  func proverRecords() -> Records<ProverRecord> {
    let keys = Set(provers.keys).union(pools.keys).sorted()
    return Records(keys.map { ProverRecord($0, in: self) })
  }

  /// What their lessees must do about these leases.
  func work(on leases: [LeaseID]) -> Records<WorkItem> {
    Records(
      leases.compactMap { self.leases[$0] }.compactMap { lease in
        let duty = nonceDuty(of: lease)
        // A lease that has ended may still owe its nonce.
        guard !lease.state.isFinal || duty == .now else { return nil }
        return WorkItem(
          terms: lease.terms, state: lease.state, inputs: lease.inputs,
          outputs: lease.commitment?.outputs ?? [], deadline: lease.deadline, nonceDuty: duty)
      })
  }

  private func nonceDuty(of lease: Lease) -> NonceDuty {
    guard lease.commitment != nil, lease.nonce == nil,
      let request = requests[lease.terms.request], request.terms.isAttested, !request.isDrawn,
      !request.state.isFinal
    else { return .none }
    guard let reveals = request.reveals else { return .later }
    return reveals.leases.contains(lease.id) ? .now : .none
  }

  /// `leases` are all of the request's, in the order they were made.
  func report(on id: RequestID, leases: [LeaseID]) -> RequestReport? {
    guard let request = requests[id] else { return nil }
    return RequestReport(
      request, leases: leases.compactMap { self.leases[$0] }.map(LeaseReport.init))
  }
}
