package import Primitives

/// The journal's first entry: who runs the exchange, and under which rules it starts.
package struct Genesis: Hashable, Sendable, CanonicalCodable {
  package static let rulesVersion: UInt32 = 1

  package let network: NetworkID
  package let `operator`: PublicKey
  package let broker: PublicKey
  package let rulesVersion: UInt32
  package let parameters: Parameters

  package init(
    network: NetworkID, operator: PublicKey, broker: PublicKey,
    rulesVersion: UInt32 = Genesis.rulesVersion, parameters: Parameters = Parameters()
  ) {
    self.network = network
    self.operator = `operator`
    self.broker = broker
    self.rulesVersion = rulesVersion
    self.parameters = parameters
  }

  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(network)
    encoder.append(`operator`)
    encoder.append(broker)
    encoder.append(rulesVersion)
    encoder.append(parameters)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    network = try decoder.record()
    `operator` = try decoder.record()
    broker = try decoder.record()
    rulesVersion = try decoder.integer()
    parameters = try decoder.record()
  }
}

/// The numbers that the rules leave to the operator. Durations are milliseconds of sequencer time.
package struct Parameters: Hashable, Sendable, CanonicalCodable {
  /// The least stake behind any lease.
  package var minimumStake = Amount(microcredits: 1_000)
  /// The least bond with which a prover may place a bid.
  package var minimumBond = Amount(microcredits: 10_000)
  /// From a lease's begin to its output commitment.
  package var executeWindow: UInt64 = 10_000
  /// From the output commitment to the batch that holds its receipt.
  package var proveWindow: UInt64 = 60_000
  /// Share of its fee that a requester pays for a lease of an order that was never complete. None
  /// by itself: it can be earned by coming just before the deadline.
  package var reservationShare = PartsPerMillion(clamping: 0)
  /// From asking for a verification to counting it as inconclusive.
  package var verifyWindow: UInt64 = 30_000
  /// How many further verifications an inconclusive one gets before re-execution decides.
  package var inconclusiveRetries: UInt32 = 2
  /// Share of the stake that a late lease loses at least.
  package var latenessShare = PartsPerMillion(clamping: 100_000)
  /// No lateness penalty is above this.
  package var latenessCap = Amount(microcredits: 100_000_000)
  /// Lapses in a row after which a prover's bids are closed.
  package var lapseLimit: UInt32 = 3
  /// Share of every fee that the exchange keeps.
  package var feeShare = PartsPerMillion(clamping: 10_000)
  /// Share of a slash that goes to whoever completes the slice instead.
  package var replacementShare = PartsPerMillion(clamping: 100_000)
  /// Share of a slash that goes to the treasury; what no one gets is burned.
  package var treasuryShare = PartsPerMillion(clamping: 250_000)
  /// A broker that was away for longer may shift the open deadlines.
  package var outageBound: UInt64 = 5_000
  /// From the operator's announcement of a change to its effect.
  package var noticePeriod: UInt64 = 3_600_000
  /// From `unbond` until the money is free.
  package var unbondingPeriod: UInt64 = 86_400_000
  /// Share of an attested slice's fee at the limit that is held for its audit.
  package var auditShare = PartsPerMillion(clamping: 200_000)
  /// From a request's first answer until every nonce must be revealed.
  package var revealWindow: UInt64 = 30_000
  /// How long an attested lease that is not audited can be challenged.
  package var challengeWindow: UInt64 = 60_000
  /// Share of a slash that goes to the challenger who brought it about.
  package var challengerShare = PartsPerMillion(clamping: 100_000)
  /// Delegated stake is at most so many times the prover's own.
  package var delegationMultiple: UInt32 = 4
  /// The least that a delegator may leave behind a prover.
  package var minimumDelegation = Amount(microcredits: 10_000)
  /// How long a slashed prover places no bid.
  package var coolDown: UInt64 = 600_000
  /// So many provers slashed under one key, within `breakerWindow`, stop its leases; 0 for never.
  package var breakerSlashes: UInt32 = 3
  package var breakerWindow: UInt64 = 3_600_000

  package init() {}

  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(minimumStake)
    encoder.append(minimumBond)
    encoder.append(executeWindow)
    encoder.append(proveWindow)
    encoder.append(reservationShare)
    encoder.append(verifyWindow)
    encoder.append(inconclusiveRetries)
    encoder.append(latenessShare)
    encoder.append(latenessCap)
    encoder.append(lapseLimit)
    encoder.append(feeShare)
    encoder.append(replacementShare)
    encoder.append(treasuryShare)
    encoder.append(outageBound)
    encoder.append(noticePeriod)
    encoder.append(unbondingPeriod)
    encoder.append(auditShare)
    encoder.append(revealWindow)
    encoder.append(challengeWindow)
    encoder.append(challengerShare)
    encoder.append(delegationMultiple)
    encoder.append(minimumDelegation)
    encoder.append(coolDown)
    encoder.append(breakerSlashes)
    encoder.append(breakerWindow)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    minimumStake = try decoder.record()
    minimumBond = try decoder.record()
    executeWindow = try decoder.integer()
    proveWindow = try decoder.integer()
    reservationShare = try decoder.record()
    verifyWindow = try decoder.integer()
    inconclusiveRetries = try decoder.integer()
    latenessShare = try decoder.record()
    latenessCap = try decoder.record()
    lapseLimit = try decoder.integer()
    feeShare = try decoder.record()
    replacementShare = try decoder.record()
    treasuryShare = try decoder.record()
    outageBound = try decoder.integer()
    noticePeriod = try decoder.integer()
    unbondingPeriod = try decoder.integer()
    auditShare = try decoder.record()
    revealWindow = try decoder.integer()
    challengeWindow = try decoder.integer()
    challengerShare = try decoder.record()
    delegationMultiple = try decoder.integer()
    minimumDelegation = try decoder.record()
    coolDown = try decoder.integer()
    breakerSlashes = try decoder.integer()
    breakerWindow = try decoder.integer()
  }
}
