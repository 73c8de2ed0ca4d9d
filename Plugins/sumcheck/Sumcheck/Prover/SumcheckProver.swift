import CSumcheckKernels

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

/// One side of `ProofReader.productSumcheck`: turns kernels' quadratics into messages and
/// challenges.
struct ProductRounds {
  private(set) var point: [Extension] = []

  /// Nanoseconds for a pair of a round.
  static let cost = 14.0

  /// Gives the challenge.
  @discardableResult
  mutating func send(_ quadratic: sumcheck_quadratic, _ proof: inout ProofWriter) -> Extension {
    proof.append(Extension(quadratic.at_zero))
    proof.append(Extension(quadratic.leading))
    let challenge = proof.transcript.challenge()
    point.append(challenge)
    return challenge
  }

  /// The rounds that are left over f and w of `size` values, to which the latest challenge has not
  /// been bound; they are folded in place. Gives both
  /// values at the point.
  mutating func finish(
    _ f: ExtensionVector, _ w: ExtensionVector, size: Int, _ parallel: Parallel,
    _ proof: inout ProofWriter
  ) throws(Cancelled) -> (f: Extension, w: Extension) {
    var size = size
    while size > 2 {
      let (r, quarter) = (point[point.count - 1].kernel, size / 4)
      send(
        try parallel.sum(of: quarter, cost: Self.cost, +) { part in
          sumcheck_product_fold_round_extension(
            f.view, w.view, quarter, r, part.lowerBound, part.upperBound)
        }, &proof)
      size /= 2
    }
    if let last = point.last {
      for vector in [f, w] {
        sumcheck_fold_extension(vector.view, vector.view, 1, last.kernel, 0, 1)
      }
    }
    return (f[0], w[0])
  }

  /// All rounds of Σ f·w.
  static func prove(
    _ f: ExtensionVector, _ w: ExtensionVector, _ parallel: Parallel, _ proof: inout ProofWriter
  ) throws(Cancelled) -> (point: [Extension], f: Extension, w: Extension) {
    var rounds = ProductRounds()
    let half = f.count / 2
    if half > 0 {
      rounds.send(
        try parallel.sum(of: half, cost: cost, +) { part in
          sumcheck_product_round_extension(
            f.view, w.view, half, part.lowerBound, part.upperBound)
        }, &proof)
    }
    let values = try rounds.finish(f, w, size: f.count, parallel, &proof)
    return (rounds.point, values.f, values.w)
  }
}

extension EqualityRounds {
  /// Nanoseconds for a pair of one factor of a round.
  private static let cost = 8.0

  /// All rounds of Σ eq(at, ·)·Π factors, which is `claim`; the factors are folded in place. Gives
  /// the point and the factors' values there.
  static func prove(
    _ factors: [ExtensionVector], at: [Extension], claim: Extension, _ parallel: Parallel,
    _ proof: inout ProofWriter
  ) throws(Cancelled) -> (point: [Extension], values: [Extension]) {
    precondition(factors.count <= SUMCHECK_FACTOR_LIMIT)
    let views = factors.map(\.view)
    let cost = Self.cost * Double(factors.count)
    var rounds = EqualityRounds(claim: claim)
    var equality = EqualityTable(at.dropFirst())
    for (round, coordinate) in at.enumerated() {
      if round > 0 { equality.dropFirst() }
      let half = factors[0].count >> (round + 1)
      let tensor = equality.tensor
      let sums = try parallel.sum(
        of: equality.highCount, cost: cost * Double(equality.lowCount),
        { zip($0, $1).map(+) }
      ) { part in
        var sums = [sumcheck_extension](repeating: sumcheck_extension(), count: factors.count + 1)
        sumcheck_factors_round(
          &sums, views, views.count, tensor, half, part.lowerBound, part.upperBound)
        return sums.map { Extension($0) }
      }
      let challenge = rounds.send([sums[0]] + sums[2...], coordinate, &proof)
      try parallel.forEachPart(of: half, cost: cost) { part in
        for view in views {
          sumcheck_fold_extension(
            view, view, half, challenge.kernel, part.lowerBound, part.upperBound)
        }
      }
    }
    return (rounds.point, factors.map { $0[0] })
  }
}
