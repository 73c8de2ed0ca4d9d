package import Primitives
import Statements

/// Money in and out, models, keys.
extension Market {
  mutating func deposit(_ amount: Amount, to owner: PublicKey, by author: PublicKey) throws(Refused)
  {
    guard author == genesis.operator else { throw .notOperator }
    guard amount > .zero else { throw .zeroAmount }
    // Everything inside is the negative of external, so this bounds every balance and every sum.
    let inside = Amount(microcredits: UInt64(-ledger.balance(.external)))
    guard inside.adding(amount) != nil else { throw .amountTooLarge }
    emit(
      .deposited(owner: owner, amount: amount),
      Posting.move(amount, from: .external, to: .available(owner)))
  }

  mutating func withdraw(_ amount: Amount, by author: PublicKey) throws(Refused) {
    try requireAvailable(amount, of: author)
    emit(
      .withdrawn(owner: author, amount: amount),
      Posting.move(amount, from: .available(author), to: .external))
  }

  mutating func bond(_ amount: Amount, by author: PublicKey) throws(Refused) {
    try requireAvailable(amount, of: author)
    emit(
      .bonded(prover: author, amount: amount),
      Posting.move(amount, from: .available(author), to: .bond(author)))
    freed.append(author)
  }

  /// Takes money out of the bond. It is free after `unbondingPeriod`, longer than any lease that
  /// was made on its strength lives.
  mutating func unbond(_ amount: Amount, by author: PublicKey) throws(Refused) {
    guard amount > .zero else { throw .zeroAmount }
    let bond = ledger.amount(.bond(author))
    guard amount <= bond else { throw .insufficientFunds(needed: amount, available: bond) }
    let left = bonded(by: author).saturatingSubtract(amount)
    guard provers[author]?.openBids ?? 0 == 0 || left >= parameters.minimumBond else {
      throw .bidsOpen(minimum: parameters.minimumBond)
    }
    let needed = bondNeeded(by: author)
    guard provers[author]?.openBids ?? 0 == 0 || left >= needed else {
      throw .bondBehindDelegation(needed: needed)
    }
    guard provers[author]?.unbondings.count ?? 0 < Prover.unbondingLimit else {
      throw .tooManyUnbondings(limit: Prover.unbondingLimit)
    }
    emit(
      .unbonding(
        prover: author, amount: amount, until: now.advanced(by: parameters.unbondingPeriod)),
      Posting.move(amount, from: .bond(author), to: .unbonding(author)))
  }

  /// Frees what the prover has waited for long enough.
  mutating func freeUnbonded(_ prover: PublicKey) {
    while let next = provers[prover]?.unbondings.first, next.until < now {
      emit(
        .unbonded(prover: prover, amount: next.amount),
        Posting.move(next.amount, from: .unbonding(prover), to: .available(prover)))
    }
  }

  /// All that is the prover's own: bond and its part of stake holds.
  package func bonded(by prover: PublicKey) -> Amount {
    Amount(
      microcredits: ledger.amount(.bond(prover)).microcredits
        + ledger.amount(.stakeHold(prover)).microcredits)
  }

  mutating func publishModel(_ manifest: Manifest, by author: PublicKey) throws(Refused) {
    guard models[manifest.id] == nil else { throw .modelKnown }
    emit(.modelPublished(publisher: author, manifest))
  }

  /// The broker compiles the slice itself and publishes what came out.
  mutating func publishKey(_ record: KeyRecord, by author: PublicKey) throws(Refused) {
    guard author == genesis.broker else { throw .notBroker }
    guard let manifest = models[record.model] else { throw .unknownModel }
    guard manifest.slices.indices.contains(record.slice) else { throw .unknownSlice }
    guard keyRecords[KeySubject(record)] == nil else { throw .keyKnown }
    emit(.keyPublished(record))
  }

  func requireAvailable(_ amount: Amount, of owner: PublicKey) throws(Refused) {
    guard amount > .zero else { throw .zeroAmount }
    let available = ledger.amount(.available(owner))
    guard amount <= available else {
      throw .insufficientFunds(needed: amount, available: available)
    }
  }
}

extension Market.KeySubject {
  init(_ record: KeyRecord) {
    self.init(model: record.model, slice: record.slice, backend: record.backend)
  }
}
