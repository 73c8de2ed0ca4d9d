import CSumcheckKernels

/// A quadratic's value at 0 and coefficient of X^2.
typealias Quadratic = (zero: Extension, leading: Extension)

func + (left: sumcheck_quadratic, right: sumcheck_quadratic) -> sumcheck_quadratic {
  sumcheck_quadratic(
    at_zero: (Extension(left.at_zero) + Extension(right.at_zero)).kernel,
    leading: (Extension(left.leading) + Extension(right.leading)).kernel)
}

/// One side of `ProofReader.equalitySumcheck` for degree 2: turns kernels' quadratics into messages
/// and challenges, and follows the claim.
struct EqualityRounds {
  private var claim: Extension
  private(set) var point: [Extension] = []

  init(claim: Extension) { self.claim = claim }

  /// Sends a round whose quadratic is t, at the coordinate; gives the challenge.
  mutating func send(
    _ quadratic: sumcheck_quadratic, coordinate: Extension, _ proof: inout ProofWriter
  ) -> Extension {
    send([Extension(quadratic.at_zero), Extension(quadratic.leading)], coordinate, &proof)
  }

  /// `coefficients` are t(0) and those of X^2 and above.
  mutating func send(
    _ coefficients: [Extension], _ coordinate: Extension, _ proof: inout ProofWriter
  ) -> Extension {
    let zero = coefficients[0]
    for element in coefficients { proof.append(element) }
    let one = (claim - (.one - coordinate) * zero) * coordinate.inverse
    let linear = coefficients.dropFirst().reduce(one - zero) { $0 - $1 }
    let challenge = proof.transcript.challenge()
    claim =
      zero + challenge
      * coefficients.dropFirst().reversed().reduce(.zero) { ($0 + $1) * challenge }
      + challenge * linear
    point.append(challenge)
    return challenge
  }
}

/// Small sumchecks, over elements in memory.
enum SmallSumcheck {
  /// Σ f·w; gives the point and both values there.
  static func product(
    _ f: [Extension], _ w: [Extension], _ proof: inout ProofWriter
  ) -> (point: [Extension], f: Extension, w: Extension) {
    var (f, w, point) = (f, w, [Extension]())
    while f.count > 1 {
      let half = f.count / 2
      var (zero, leading) = (Extension.zero, Extension.zero)
      for index in 0..<half {
        zero += f[index] * w[index]
        leading += (f[index + half] - f[index]) * (w[index + half] - w[index])
      }
      proof.append(zero)
      proof.append(leading)
      let challenge = proof.transcript.challenge()
      point.append(challenge)
      fold(&f, challenge)
      fold(&w, challenge)
    }
    return (point, f[0], w[0])
  }

  /// Σ eq(at, ·)·Π factors, which is `claim`; gives the point and the factors' values there.
  static func equality(
    _ factors: [[Extension]], at: [Extension], claim: Extension, _ proof: inout ProofWriter
  ) -> (point: [Extension], values: [Extension]) {
    precondition(factors.count <= SUMCHECK_FACTOR_LIMIT)
    let vectors = factors.map { ExtensionVector($0) }
    let views = vectors.map(\.view)
    var rounds = EqualityRounds(claim: claim)
    var equality = EqualityTable(at.dropFirst())
    for (round, coordinate) in at.enumerated() {
      if round > 0 { equality.dropFirst() }
      let half = factors[0].count >> (round + 1)
      var sums = [sumcheck_extension](repeating: sumcheck_extension(), count: factors.count + 1)
      sumcheck_factors_round(
        &sums, views, views.count, equality.tensor, half, 0, equality.highCount)
      let coefficients = sums.map { Extension($0) }
      let challenge = rounds.send([coefficients[0]] + coefficients[2...], coordinate, &proof)
      for view in views { sumcheck_fold_extension(view, view, half, challenge.kernel, 0, half) }
    }
    return (rounds.point, vectors.map { $0[0] })
  }

  private static func fold(_ values: inout [Extension], _ challenge: Extension) {
    let half = values.count / 2
    for index in 0..<half {
      values[index] += challenge * (values[index + half] - values[index])
    }
    values.removeLast(half)
  }
}
