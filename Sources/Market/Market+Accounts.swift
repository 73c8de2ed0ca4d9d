import Primitives
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

  private func requireAvailable(_ amount: Amount, of owner: PublicKey) throws(Refused) {
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
