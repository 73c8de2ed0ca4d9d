package import Logging
import Market
package import Primitives
package import ProverHost
import ServiceLifecycle
import Statements
package import Wire

/// A prover: keeps a bid in the book of each of its backends and works the leases it is given.
///
/// Notices are only hints. What is to be done is always asked for, so a lost notice, a reconnection
/// or a restart costs a moment and never a lease.
package struct ProverService: Service {
  /// A backend, and what its work costs.
  package struct Offer: Sendable {
    package let backend: Backend
    package let price: Price

    package init(_ backend: Backend, at price: Price) {
      (self.backend, self.price) = (backend, price)
    }
  }

  package struct Configuration: Sendable {
    /// Leases at a time, of each backend.
    package var capacity: UInt32
    /// In cost units: what takes longer than the exchange gives for it costs stake.
    package var largestSlice: Cost
    /// The bond to have, own bond and held stake together; the difference is bonded at the start.
    package var bond: Amount
    package var misbehaviour: Misbehaviour?

    package init(
      capacity: UInt32, largestSlice: Cost = .maximum, bond: Amount,
      misbehaviour: Misbehaviour? = nil
    ) {
      self.capacity = capacity
      self.largestSlice = largestSlice
      self.bond = bond
      self.misbehaviour = misbehaviour
    }
  }

  /// How long a stop waits for the leases that are held.
  private static let finishingLimit = Duration.seconds(30)
  /// After this long without an answer a stop takes the broker for gone.
  private static let silenceLimit = Duration.seconds(2)

  private let configuration: Configuration
  private let offers: [Offer]
  private let client: WireClient
  private let key: SigningKey
  private let logger: Logger
  private let onReady: @Sendable ([BidID]) -> Void
  private let onCoolDown: @Sendable (Tick) -> Void

  /// - Parameters:
  ///   - offers: One bid each.
  ///   - onReady: Called whenever the bids rest in the book, in the order of the offers.
  ///   - onCoolDown: Called where they have to wait, after a slash, with the tick until which.
  package init(
    configuration: Configuration, offers: [Offer], client: WireClient, key: SigningKey,
    logger: Logger, onReady: @escaping @Sendable ([BidID]) -> Void = { _ in },
    onCoolDown: @escaping @Sendable (Tick) -> Void = { _ in }
  ) {
    self.configuration = configuration
    self.offers = offers
    self.client = client
    self.key = key
    self.logger = logger
    self.onReady = onReady
    self.onCoolDown = onCoolDown
  }

  package func run() async throws {
    let clock = BrokerClock(try await client.connect().tick)
    if let misbehaviour = configuration.misbehaviour {
      logger.warning("THIS PROVER CHEATS ON PURPOSE (\(misbehaviour.rawValue)): it will lose stake")
    }
    try await ensureBond()
    let slices = SliceCache(
      client: client, backends: offers.map(\.backend), largest: configuration.largestSlice,
      logger: logger)
    let worker = LeaseWorker(
      client: client, slices: slices, key: key, network: client.card.network,
      clock: clock, misbehaviour: configuration.misbehaviour, logger: logger)
    let keeper = BidKeeper(
      configuration: configuration, offers: offers, client: client, key: key, slices: slices,
      clock: clock, logger: logger, onReady: onReady, onCoolDown: onCoolDown)
    var failure: (any Error)?
    do {
      try await withThrowingTaskGroup(of: Void.self) { group in
        defer { group.cancelAll() }
        // Leases of an earlier run do not wait for the bids.
        group.addTask { await serve(worker) }
        group.addTask { try await bid(keeper) }
        try await group.next()
      }
    } catch {
      failure = error
    }
    await slices.close()
    await client.close()
    if let failure { throw failure }
  }

  /// Keeps the bids in the book until the service is stopped, and then leaves in good order.
  private func bid(_ keeper: BidKeeper) async throws {
    let bids = try await keeper.keep()
    guard (try? await gracefulShutdown()) != nil else { return }
    logger.info("withdrawing what it bids")
    do {
      try await withdraw(bids)
    } catch {
      logger.warning("the broker does not answer (\(error)); leaving without it")
    }
  }

  /// Throws at the first question that a broker leaves open: one that is gone gives no leases
  /// either.
  private func withdraw(_ bids: [BidID]) async throws {
    for bid in bids { try await cancel(.cancelBid(bid)) }
    // What has not begun is given back, as far as the rules let it: nobody will be here when it
    // does.
    for item in try await client.work(deadline: Self.silenceLimit) where item.state == .leased {
      try await cancel(.cancelLease(item.terms.id))
    }
    if configuration.misbehaviour == nil { try await finishHeldLeases() }
  }

  /// What the market rejects has ended by itself.
  private func cancel(_ command: Command) async throws {
    do {
      try await client.perform(command, signedBy: key, deadline: Self.silenceLimit)
    } catch is Rejection {}
  }

  /// Waits, within bounds, until no lease needs its lessee: leaving one would cost stake.
  private func finishHeldLeases() async throws {
    let end = ContinuousClock.now + Self.finishingLimit
    while ContinuousClock.now < end {
      let items = try await client.work(deadline: Self.silenceLimit)
      let isNeeded = items.contains {
        $0.state.rawValue < LeaseState.submitted.rawValue || $0.nonceDuty != .none
      }
      guard isNeeded else { return }
      try await Task.sleep(for: .milliseconds(50))
    }
  }

  private func ensureBond() async throws {
    let balances = try await client.balances(of: key.publicKey)
    func balance(_ purpose: Purpose) -> UInt64 {
      balances.first { $0.account.purpose == purpose }.map { UInt64(max(0, $0.balance)) } ?? 0
    }
    let bonded = balance(.bond) + balance(.stakeHold)
    guard bonded < configuration.bond.microcredits else { return }
    let missing = Amount(microcredits: configuration.bond.microcredits - bonded)
    try await client.perform(.bond(amount: missing), signedBy: key)
    logger.info("bonded \(missing) micro-credits")
  }

  /// Asks for work at every notice and once a second, and works each lease once.
  private func serve(_ worker: LeaseWorker) async {
    let (preparing, working, revealing) = (LeaseProgress(), LeaseProgress(), LeaseProgress())
    await withDiscardingTaskGroup { group in
      for await _ in client.wakes(every: .seconds(1)) {
        if Task.isCancelled { break }
        let items: [WorkItem]
        do {
          items = try await client.work()
        } catch {
          logger.warning("could not ask for work: \(error)")
          continue
        }
        for progress in [preparing, working, revealing] {
          progress.keep(Set(items.map(\.terms.id)))
        }
        for item in items where item.state == .leased {
          guard preparing.start(item.terms.id) != nil else { continue }
          group.addTask { await attempt(item, preparing) { try await worker.prepare(item) } }
        }
        for item in items where item.state == .begun || item.state == .committed {
          guard let failures = working.start(item.terms.id) else { continue }
          group.addTask {
            await attempt(item, working) { try await worker.work(item, after: failures) }
          }
        }
        for item in items where item.nonceDuty == .now {
          guard revealing.start(item.terms.id) != nil else { continue }
          group.addTask { await attempt(item, revealing) { try await worker.reveal(item) } }
        }
      }
      group.cancelAll()
    }
  }

  /// What fails is tried again at the next notice; what the exchange rejects is not, unless an
  /// earlier delivery of it has acted meanwhile: then the lease goes on from there.
  private func attempt(
    _ item: WorkItem, _ progress: LeaseProgress, _ body: () async throws -> Void
  ) async {
    do {
      try await body()
    } catch let rejection as Rejection {
      logger.warning("lease \(item.terms.id): \(rejection.sentence)")
      if item.state == .begun, rejection.code == "lease-not-in-state" {
        progress.retry(item.terms.id)
      }
    } catch {
      logger.warning("lease \(item.terms.id): \(error); trying again")
      progress.retry(item.terms.id)
    }
  }
}
