import Market
import Primitives
import Synchronization

/// How many commands that come to nothing the broker takes: of a key, those that the rules reject,
/// for each stands in the journal for ever and costs its author nothing; of all keys without an
/// account together, any, for there is no end of such keys.
///
/// An allowance is a number at once, and one more with each interval. Whoever sends what the rules
/// accept never uses it. A rejection counts once it is journaled, so that what is on its way with
/// it counts too, and the wait becomes longer by it.
package final class CommandQuota: Sendable {
  package struct Allowance: Sendable {
    package var burst: Int
    package var interval: Duration

    package init(burst: Int, interval: Duration) { (self.burst, self.interval) = (burst, interval) }

    /// For how long nothing is left, where all of it will be there again at `whole`.
    fileprivate func wait(
      whole: ContinuousClock.Instant?, now: ContinuousClock.Instant
    ) -> Duration? {
      guard let whole, whole > now + interval * (burst - 1) else { return nil }
      return whole - now - interval * (burst - 1)
    }

    /// When all of it will be there again after one use more.
    fileprivate func used(
      whole: ContinuousClock.Instant?, now: ContinuousClock.Instant
    ) -> ContinuousClock.Instant {
      max(whole ?? now, now) + interval
    }
  }

  package struct Limits: Sendable {
    /// Rejected commands of one key.
    package var rejections: Allowance
    /// Commands of all keys without an account.
    package var strangers: Allowance

    package init(
      rejections: Allowance = Allowance(burst: 1_000, interval: .milliseconds(100)),
      strangers: Allowance = Allowance(burst: 1_000, interval: .milliseconds(10))
    ) {
      (self.rejections, self.strangers) = (rejections, strangers)
    }
  }

  private struct State {
    /// Keys that have an account, or had one when they were last heard.
    var accounts: Set<PublicKey> = []
    /// When the allowance of a key will be whole again. Only keys with an account come here.
    var rejections: [PublicKey: ContinuousClock.Instant] = [:]
    var strangers: ContinuousClock.Instant?
  }

  private let limits: Limits
  private let now: @Sendable () -> ContinuousClock.Instant
  private let state = Mutex(State())

  package init(
    limits: Limits = Limits(),
    now: @escaping @Sendable () -> ContinuousClock.Instant = { .now }
  ) {
    (self.limits, self.now) = (limits, now)
  }

  /// Uses a stranger's command up.
  ///
  /// - Throws: where nothing is left for the author; it says for how long.
  func admit(_ author: PublicKey) throws(BrokerError) {
    let now = now()
    let refusal = state.withLock { state -> BrokerError? in
      guard state.accounts.contains(author) else {
        if let wait = limits.strangers.wait(whole: state.strangers, now: now) {
          return .tooManyStrangers(wait: wait)
        }
        state.strangers = limits.strangers.used(whole: state.strangers, now: now)
        return nil
      }
      return limits.rejections.wait(whole: state.rejections[author], now: now)
        .map { .tooManyRejections(author, wait: $0) }
    }
    if let refusal { throw refusal }
  }

  func noteAccounts(of market: Market) {
    var keys: Set = [market.genesis.operator, market.genesis.broker]
    for (account, balance) in market.balances where balance > 0 {
      if let owner = account.owner { keys.insert(owner) }
    }
    for pool in market.pools.values { keys.formUnion(pool.positions.map(\.holder)) }
    state.withLock { $0.accounts.formUnion(keys) }
  }

  func noteAccount(of owner: PublicKey) { state.withLock { _ = $0.accounts.insert(owner) } }

  /// The key has no account any more.
  func noteStranger(_ key: PublicKey) {
    state.withLock {
      $0.accounts.remove(key)
      $0.rejections[key] = nil
    }
  }

  /// A command of the author's, which has an account, was rejected and stands in the journal.
  func noteRejection(of author: PublicKey) {
    let now = now()
    state.withLock {
      $0.accounts.insert(author)
      $0.rejections[author] = limits.rejections.used(whole: $0.rejections[author], now: now)
    }
  }
}
