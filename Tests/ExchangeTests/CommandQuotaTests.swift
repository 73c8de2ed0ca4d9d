import Market
import Primitives
import Synchronization
import Testing

@testable import Broker

/// A clock that stands until it is moved.
final class StandingClock: Sendable {
  private let instant = Mutex(ContinuousClock.now)

  var now: ContinuousClock.Instant { instant.withLock { $0 } }
  func pass(_ duration: Duration) { instant.withLock { $0 += duration } }
}

@Suite struct CommandQuotaTests {
  private let clock = StandingClock()
  private let key = SigningKey.random().publicKey

  private func quota(_ limits: CommandQuota.Limits = CommandQuota.Limits()) -> CommandQuota {
    CommandQuota(limits: limits) { [clock] in clock.now }
  }

  @Test func refusesAKeyAfterItsRejectionsAndSaysForHowLong() throws {
    let quota = quota(
      CommandQuota.Limits(
        rejections: CommandQuota.Allowance(burst: 3, interval: .milliseconds(100))))
    quota.noteAccount(of: key)
    for _ in 0..<3 {
      try quota.admit(key)
      quota.noteRejection(of: key)
    }
    #expect(throws: BrokerError.tooManyRejections(key, wait: .milliseconds(100))) {
      try quota.admit(key)
    }
    clock.pass(.milliseconds(99))
    #expect(throws: BrokerError.tooManyRejections(key, wait: .milliseconds(1))) {
      try quota.admit(key)
    }
    clock.pass(.milliseconds(1))
    try quota.admit(key)
    // What was on its way with it makes the wait longer, and nobody else's.
    for _ in 0..<4 { quota.noteRejection(of: key) }
    #expect(throws: BrokerError.tooManyRejections(key, wait: .milliseconds(400))) {
      try quota.admit(key)
    }
    let other = SigningKey.random().publicKey
    quota.noteAccount(of: other)
    try quota.admit(other)
    // However long a key was quiet, no more than the whole allowance comes back.
    clock.pass(.seconds(86_400))
    for _ in 0..<3 {
      try quota.admit(key)
      quota.noteRejection(of: key)
    }
    #expect(throws: BrokerError.self) { try quota.admit(key) }
  }

  @Test func countsNothingThatTheRulesAccept() throws {
    let quota = quota()
    quota.noteAccount(of: key)
    for _ in 0..<100_000 { try quota.admit(key) }
  }

  /// As races bring them: late commitments, bids that have just been closed.
  @Test func sparesAProverOfHundredsASecondWithSomeRejections() throws {
    let quota = quota()
    quota.noteAccount(of: key)
    for command in 0..<500 * 60 {
      try quota.admit(key)
      if command.isMultiple(of: 50) { quota.noteRejection(of: key) }
      clock.pass(.milliseconds(2))
    }
  }

  @Test func refusesStrangersAllTogetherAndNobodyWithAnAccount() throws {
    let quota = quota(
      CommandQuota.Limits(
        strangers: CommandQuota.Allowance(burst: 2, interval: .milliseconds(10))))
    quota.noteAccount(of: key)
    for _ in 0..<2 { try quota.admit(SigningKey.random().publicKey) }
    let stranger = SigningKey.random().publicKey
    #expect(throws: BrokerError.tooManyStrangers(wait: .milliseconds(10))) {
      try quota.admit(stranger)
    }
    try quota.admit(key)
    quota.noteAccount(of: stranger)
    try quota.admit(stranger)
    // An account that is gone is a stranger's again.
    quota.noteStranger(key)
    #expect(throws: BrokerError.tooManyStrangers(wait: .milliseconds(10))) {
      try quota.admit(key)
    }
    clock.pass(.milliseconds(10))
    try quota.admit(key)
    // Money may have come back to it otherwise than by a deposit.
    quota.noteRejection(of: key)
    try quota.admit(key)
  }

  @Test func saysTheWaitInWholeMillisecondsThatAreEnough() {
    let sentence = BrokerError.tooManyStrangers(wait: .microseconds(9_001)).sentence
    #expect(sentence.contains("try again in 10 ms"))
  }
}
