package import Primitives

/// A slash of a prover under a key.
package struct SlashRecord: Sendable, Hashable, CanonicalCodable {
  /// Records kept of one key: the latest, one for each prover.
  package static let limit = 16

  package let prover: PublicKey
  package let tick: Tick

  package init(prover: PublicKey, tick: Tick) { (self.prover, self.tick) = (prover, tick) }

  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(prover)
    encoder.append(tick)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    prover = try decoder.record()
    tick = try decoder.record()
  }
}

/// What a slash stops beside the prover's bids. A prover whose machine is broken must not go on
/// into the next lease; and where several provers are found wrong under one key, a fault of the
/// backend or of its verifier is likelier than so many thieves, and nobody else is led into it.
extension Market {
  mutating func cool(after lease: Lease) {
    emit(
      .proverCooling(lease.id, at: now, until: now.advanced(by: parameters.coolDown)))
    let key = KeySubject(
      model: lease.terms.model, slice: lease.terms.slice,
      backend: lease.terms.assurance.backend)
    let counted = slashRecords[key, default: []].count {
      $0.tick.advanced(by: parameters.breakerWindow) >= now
    }
    guard parameters.breakerSlashes > 0, counted >= Int(parameters.breakerSlashes),
      !halts.contains(key)
    else { return }
    emit(.changed(.halt(key)))
  }

  /// Counts a slash under its lease's key. One more of the same prover takes the place of the last.
  mutating func countSlash(of terms: LeaseTerms, at tick: Tick, coolingUntil until: Tick) {
    let key = KeySubject(
      model: terms.model, slice: terms.slice, backend: terms.assurance.backend)
    var records = slashRecords[key, default: []]
    records.removeAll { $0.prover == terms.prover }
    if records.count == SlashRecord.limit { records.removeFirst() }
    records.append(SlashRecord(prover: terms.prover, tick: tick))
    slashRecords[key] = records
    let present = provers[terms.prover]?.coolingUntil ?? .zero
    provers[terms.prover, default: Prover()].coolingUntil = max(present, until)
  }
}

extension Market.KeySubject: CanonicalCodable, Comparable {
  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(model)
    encoder.append(UInt32(slice))
    encoder.append(backend)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    model = try decoder.record()
    slice = Int(try decoder.integer(UInt32.self))
    backend = try decoder.record()
  }

  package static func < (left: Market.KeySubject, right: Market.KeySubject) -> Bool {
    (left.model, left.slice, left.backend) < (right.model, right.slice, right.backend)
  }
}
