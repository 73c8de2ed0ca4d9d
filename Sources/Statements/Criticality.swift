package import Primitives

/// How often a changed output of a slice changed the model's answer, as its publisher measured it
/// (`docs/slicing.md`). Anyone can measure again.
package struct Influence: Hashable, Sendable {
  /// Trials in which the answer's top class was another, or in which there was no answer.
  package let flips: UInt32
  package let trials: UInt32

  package static let unmeasured = Influence(flips: 0, trials: 0)

  package init(flips: UInt32, trials: UInt32) { (self.flips, self.trials) = (flips, trials) }

  /// floor(10^6 · flips / trials); nothing where nothing was tried.
  package var share: PartsPerMillion { .share(of: UInt64(flips), in: UInt64(trials)) }
}

extension Influence: CanonicalCodable {
  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(flips)
    encoder.append(trials)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    let start = decoder.offset
    flips = try decoder.integer()
    trials = try decoder.integer()
    guard flips <= trials else {
      throw decoder.failure(
        .invalid("an influence of \(flips) flips in \(trials) trials"), at: start)
    }
  }
}

/// How much a fault in a slice matters, and why. All but the influence follows from the manifest's
/// costs and sources, so that nobody can state it falsely.
package struct Criticality: Hashable, Sendable {
  /// Of the model's cost: what a prover saves who skips the work.
  package let costShare: PartsPerMillion
  /// How many slices consume its outputs, and one more where it supplies the answer.
  package let fanOut: Int
  /// Of the largest fan-out in the model.
  package let fanOutShare: PartsPerMillion
  /// The fewest steps from the slice to one that supplies the answer, which is at 0; nil where the
  /// answer does not depend on it.
  package let distance: Int?
  package let influence: Influence

  /// floor(10^6 / (1 + distance)); nothing where the answer does not depend on the slice.
  package var nearness: PartsPerMillion {
    distance.map { .share(of: 1, in: 1 + UInt64($0)) } ?? .share(of: 0, in: 1)
  }

  /// floor((4 · influence + 3 · cost share + 2 · nearness + fan-out share) / 10).
  package var combined: PartsPerMillion {
    let sum =
      4 * influence.share.parts + 3 * costShare.parts + 2 * nearness.parts + fanOutShare.parts
    return PartsPerMillion(clamping: sum / 10)
  }
}

extension Manifest {
  /// Of every slice, in order.
  package var criticalities: [Criticality] {
    var consumers = [Int](repeating: 0, count: slices.count)
    var distances = [Int?](repeating: nil, count: slices.count)
    for case .slice(let slice, _) in outputs where distances[slice] == nil {
      distances[slice] = 0
      consumers[slice] = 1
    }
    // Consumers come after their producers, so that from the last to the first each slice's own
    // distance is known before it is passed on.
    for consumer in slices.indices.reversed() {
      for producer in producers(of: consumer) {
        consumers[producer] += 1
        if let distance = distances[consumer] {
          distances[producer] = min(distances[producer] ?? .max, distance + 1)
        }
      }
    }
    let total = totalCost.units
    let largest = consumers.max() ?? 0
    return slices.indices.map { index in
      Criticality(
        costShare: .share(of: slices[index].cost.units, in: total), fanOut: consumers[index],
        fanOutShare: .share(of: UInt64(consumers[index]), in: UInt64(largest)),
        distance: distances[index], influence: slices[index].influence)
    }
  }
}

extension PartsPerMillion {
  /// floor(10^6 · part / whole), where the part is at most the whole; nothing of nothing.
  fileprivate static func share(of part: UInt64, in whole: UInt64) -> PartsPerMillion {
    guard whole > 0 else { return PartsPerMillion(clamping: 0) }
    let wide = part.multipliedFullWidth(by: 1_000_000)
    return PartsPerMillion(clamping: UInt32(whole.dividingFullWidth(wide).quotient))
  }
}
