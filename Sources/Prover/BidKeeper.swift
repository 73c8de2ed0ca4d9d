import Logging
import Market
import Primitives
import ProverHost
import ServiceLifecycle
import Wire

/// Keeps one bid for each offer in the book for as long as the rules let it, and says what to do
/// where they do not.
struct BidKeeper: Sendable {
  let configuration: ProverService.Configuration
  let offers: [ProverService.Offer]
  let client: WireClient
  let key: SigningKey
  let slices: SliceCache
  let clock: BrokerClock
  let logger: Logger
  let onReady: @Sendable ([BidID]) -> Void
  let onCoolDown: @Sendable (Tick) -> Void

  /// Between two looks at what nobody tells of.
  private static let lookInterval = Duration.seconds(2)
  /// Before bids that were rejected are placed again: each rejection stands in the journal.
  private static let retryInterval = Duration.seconds(30)

  /// Returns when the service is stopped, with the bids that are then to be withdrawn.
  func keep() async throws -> [BidID] {
    var hasBid = false
    while true {
      if hasBid, await !awaitBond() { return [] }
      guard await awaitCoolDown() else { return [] }
      while await !prepare() {
        guard await pause(Self.lookInterval) else { return [] }
      }
      guard let report = await stake(), !Task.isShuttingDownGracefully else { return [] }
      // Opening slices takes time, in which it may have been slashed.
      if report.isCoolingUntil != nil { continue }
      var bids: [BidID]
      do {
        bids = try await placeBids()
      } catch let error where hasBid {
        // It has leases to work, and goes on.
        logger.warning("could not place the bids again, and will try: \(error)")
        guard await pause(Self.retryInterval) else { return [] }
        continue
      }
      hasBid = true
      onReady(bids)
      guard await awaitSlash(of: &bids, after: report) else { return bids }
    }
  }

  /// Waits until no slash keeps its key from bidding. False where the service was stopped before.
  private func awaitCoolDown() async -> Bool {
    while let report = await stake() {
      guard let until = report.isCoolingUntil else { return true }
      onCoolDown(until)
      guard await pause(.milliseconds(until.milliseconds - report.tick.milliseconds)) else {
        return false
      }
    }
    return false
  }

  /// Nil where the service was stopped before.
  private func stake() async -> StakeReport? {
    while true {
      if let report = await asked({ try await client.stake(of: key.publicKey) }) { return report }
      guard await pause(Self.lookInterval) else { return nil }
    }
  }

  /// Replaces whatever an earlier run left in the books.
  private func placeBids() async throws -> [BidID] {
    for stale in try await client.bids(of: key.publicKey) {
      _ = try? await client.perform(.cancelBid(stale.id), signedBy: key)
    }
    var bids: [BidID] = []
    for offer in offers {
      let terms = BidTerms(
        backend: offer.backend.descriptor.id, scope: .any, price: offer.price,
        capacity: configuration.capacity, largestSlice: configuration.largestSlice)
      let placed = try await client.perform(.placeBid(terms), signedBy: key)
      bids.append(placed.envelope.digest)
      logger.info(
        "bid \(placed.envelope.digest.short) on \(terms.backend) rests at \(offer.price)")
    }
    return bids
  }

  // MARK: What becomes of them

  /// Returns once a slash has closed the bids; false where the service was stopped before. Of bids
  /// that something else has closed it tells, and leaves them out from then on: whoever did it, or
  /// the market after too many lapses, meant it.
  private func awaitSlash(of bids: inout [BidID], after placed: StakeReport) async -> Bool {
    while await pause(Self.lookInterval) {
      _ = await prepare()
      guard !bids.isEmpty, let open = await asked({ try await client.bids(of: key.publicKey) })
      else { continue }
      let gone = bids.filter { bid in !open.contains { $0.id == bid } }
      guard !gone.isEmpty, let report = await asked({ try await client.stake(of: key.publicKey) })
      else { continue }
      bids.removeAll { gone.contains($0) }
      // Every slash sets another end of the cool-down.
      guard report.coolingUntil != placed.coolingUntil else {
        for bid in gone {
          logger.warning(
            "bid \(bid.short) rests in the book no longer: it was cancelled, or closed after several lapses in a row. It is not placed again; 'bourse explain \(bid)' says why, and starting this prover again places it"
          )
        }
        continue
      }
      logger.warning(
        "this prover was slashed, its bids are closed, and its bond is \(report.bond) micro-credits; 'bourse explain \(gone[0])' shows the leases of a bid and why"
      )
      if configuration.misbehaviour == nil { return true }
      logger.notice("it cheated on purpose, and bids no more")
    }
    return false
  }

  /// Waits until the bond is what a bid needs. False where the service was stopped before.
  private func awaitBond() async -> Bool {
    var isTold = false
    while let bond = await stake()?.bond {
      if let needed = await asked({ try await client.status().parameters.minimumBond }) {
        let wanted = max(needed, configuration.bond)
        if bond < wanted, !isTold {
          isTold = true
          let outcome =
            bond < needed
            ? "too small for any bid, which needs \(needed)"
            : "less than the \(wanted) it is to be, and carries fewer leases"
          logger.warning(
            "the bond of \(bond) micro-credits is \(outcome); 'bourse account bond \(wanted.saturatingSubtract(bond)) --key FILE' with this prover's key file tops it up"
          )
        }
        if bond >= needed { return true }
      }
      guard await pause(Self.lookInterval) else { return false }
    }
    return false
  }

  /// Whether everything that its bids cover has been opened, as far as it can be: what is opened at
  /// a lease is opened out of the lease's own time.
  private func prepare() async -> Bool {
    await asked {
      clock.tell(try await client.status().tick)
      try await slices.prepare()
      return true
    } ?? false
  }

  /// Nil where the broker did not answer, or the service was stopped before.
  private func asked<Answer: Sendable>(
    _ question: @escaping @Sendable () async throws -> Answer
  ) async -> Answer? {
    do {
      return try await cancelWhenGracefulShutdown(question)
    } catch {
      if !Task.isShuttingDownGracefully { logger.debug("will ask again: \(error)") }
      return nil
    }
  }

  /// False where the service was stopped before it was over.
  private func pause(_ duration: Duration) async -> Bool {
    (try? await cancelWhenGracefulShutdown { try await Task.sleep(for: duration) }) != nil
  }
}
