package import Market
package import Primitives

/// What a key has behind a prover.
package struct Delegation: Hashable, Sendable, CanonicalCodable {
  package let prover: PublicKey
  package let position: Position

  package init(prover: PublicKey, position: Position) {
    (self.prover, self.position) = (prover, position)
  }

  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(prover)
    encoder.append(position)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    prover = try decoder.record()
    position = try decoder.record()
  }
}

/// What stands behind a key as a prover, and what it has delegated to others.
package struct StakeReport: Hashable, Sendable, CanonicalCodable {
  /// The broker's time.
  package let tick: Tick
  /// The key's own stake, that behind leases included.
  package let bond: Amount
  /// Until when it places no bid, after a slash; past or zero where nothing stands in its way.
  package let coolingUntil: Tick
  /// Its sums on their way out of the bond.
  package let unbondings: [Prover.Unbonding]
  /// Nil where nothing was ever delegated to it, and it has offered no commission.
  package let pool: DelegationPool?
  /// What of the pool stands behind leases.
  package let held: Amount
  /// By prover.
  package let delegations: [Delegation]

  package init(_ key: PublicKey, in market: Market, at tick: Tick) {
    self.tick = tick
    bond = market.bonded(by: key)
    coolingUntil = market.provers[key]?.coolingUntil ?? .zero
    unbondings = market.provers[key]?.unbondings ?? []
    pool = market.pools[key]
    held = market.ledger.amount(.delegatedHold(key))
    delegations = market.pools.compactMap { prover, pool in
      pool.position(of: key).map { Delegation(prover: prover, position: $0) }
    }.sorted { $0.prover < $1.prover }
  }

  /// Until when it places no bid; nil where it may.
  package var isCoolingUntil: Tick? { coolingUntil > tick ? coolingUntil : nil }

  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(tick)
    encoder.append(bond)
    encoder.append(coolingUntil)
    encoder.append(unbondings)
    encoder.append(pool)
    encoder.append(held)
    encoder.append(delegations)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    tick = try decoder.record()
    bond = try decoder.record()
    coolingUntil = try decoder.record()
    unbondings = try decoder.list(limit: Prover.unbondingLimit, elementSize: 16)
    pool = try decoder.optional()
    held = try decoder.record()
    delegations = try decoder.list(limit: 1 << 16)
  }
}
