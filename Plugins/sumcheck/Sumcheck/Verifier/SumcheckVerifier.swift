/// The two forms of sumcheck (Lund, Fortnow, Karloff, Nisan 1992). Each returns the point at which
/// the summand remains to be evaluated, and its claimed value there.
extension ProofReader {
  /// Σ over the cube of a product of two multilinear functions. A round sends g(0) and the
  /// coefficient of X^2; g(1) is the claim less g(0). Error at most 2/|E| per round.
  mutating func productSumcheck(
    _ claim: Extension, rounds: Int
  ) throws(VerificationError) -> (point: [Extension], value: Extension) {
    var claim = claim
    var point: [Extension] = []
    for _ in 0..<rounds {
      let zero = try element()
      let leading = try element()
      let linear = claim - zero - zero - leading
      let challenge = transcript.challenge()
      claim = zero + challenge * (linear + challenge * leading)
      point.append(challenge)
    }
    return (point, claim)
  }

  /// Σ over the cube of eq(at, ·)·t, where t is a product of `degree` multilinear functions.
  ///
  /// A round's polynomial is c·((1 - z)(1 - X) + z·X)·t(X), with z the round's coordinate and c
  /// what the challenges before have made of eq (Gruen, ePrint 2024/108). Dividing by c, the claim
  /// is (1 - z)·t(0) + z·t(1), and the next one t(r). A round sends t(0) and the coefficients of
  /// X^2 ... X^degree. Error at most (degree + 1)/|E| per round.
  mutating func equalitySumcheck(
    _ claim: Extension, at: [Extension], degree: Int
  ) throws(VerificationError) -> (point: [Extension], value: Extension) {
    var claim = claim
    var point: [Extension] = []
    for coordinate in at {
      guard !coordinate.isZero else { throw .layer }
      let zero = try element()
      let higher = try elements(degree - 1)
      let one = (claim - (.one - coordinate) * zero) * coordinate.inverse
      let linear = higher.reduce(one - zero) { $0 - $1 }
      let challenge = transcript.challenge()
      claim =
        zero + challenge * higher.reversed().reduce(.zero) { ($0 + $1) * challenge }
        + challenge * linear
      point.append(challenge)
    }
    return (point, claim)
  }
}
