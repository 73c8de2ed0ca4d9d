/// Settles all claims: one product sumcheck brings them to one point of the committed vector, and
/// one combination of the rows of its matrix shows the value there.
///
/// The rows are words of a Reed-Solomon code, interleaved, under a Merkle tree over the columns
/// (Ligero, Ames et al. 2017). The coefficients of the combination are the equality of the point's
/// first coordinates: uniform, drawn after the root, and so also a proximity test, with error at
/// most log2(rows)·n/|E| up to the unique decoding radius (Diamond and Gruen, ePrint 2024/1351,
/// Corollary 3.7, on Theorem 4.1 of BCIKS, ePrint 2020/654).
///
/// Committed weights are further rows of the same matrix, under a root of their own that the key
/// fixed before any challenge.
struct OpeningVerifier {
  let circuit: Circuit
  let root: SIMD8<UInt32>
  let weightRoot: SIMD8<UInt32>?

  func verify(
    _ claims: [Claim], _ tensors: PublicTensors, _ proof: inout ProofReader,
    _ constraints: Constraints
  ) throws(VerificationError) {
    let parameters = circuit.parameters
    let beta = proof.transcript.challenge()
    var (total, power) = (Extension.zero, Extension.one)
    var columns: [(column: Int, functional: Functional, power: Extension)] = []
    for claim in claims {
      let resolved = circuit.resolve(claim)
      var value = claim.value
      for (tensor, functional) in resolved.public {
        value -= tensors.evaluate(tensor, functional)
      }
      total += power * value
      columns += resolved.columns.map { ($0.column, $0.functional, power) }
      power *= beta
    }
    let (point, value) = try proof.productSumcheck(total, rounds: circuit.vectorLog)
    let weight = columns.reduce(Extension.zero) { sum, term in
      let (index, length) = circuit.prefix(ofColumn: term.column)
      return sum
        + term.power * Multilinear.equality(point[..<length], index: index)
        * term.functional.weight(at: point[length...])
    }
    let combination = try proof.elements(1 << parameters.messageLog)
    let rowVariables = circuit.vectorLog - parameters.messageLog
    let opened = zip(
      combination,
      Multilinear.equality(Array(point[rowVariables...]), count: combination.count)
    ).reduce(Extension.zero) { $0 + $1.0 * $1.1 }
    try constraints.require(value == opened * weight, .opening)

    let positions = proof.transcript.positions(parameters.queryCount, log: parameters.codeLog)
    let word = ReedSolomon.encode(combination, rateLog: parameters.rateLog)
    let rows = Multilinear.equality(
      Array(point[..<rowVariables]), count: circuit.weightRows.upperBound)
    var sums = [Extension](repeating: .zero, count: positions.count)
    var roots = [
      (root, try openColumns(positions, 0..<circuit.rowCount, rows, &sums, &proof))
    ]
    if let weightRoot {
      roots.append(
        (weightRoot, try openColumns(positions, circuit.weightRows, rows, &sums, &proof)))
    }
    for (position, sum) in zip(positions, sums) {
      try constraints.require(sum == word[position], .codeword)
    }
    try constraints.require(roots.allSatisfy { $0 == $1 }, .merklePath)
  }

  /// Reads the columns of one matrix at all positions and adds what each of its rows contributes
  /// to the combination; gives the root that they have with the siblings that follow.
  private func openColumns(
    _ positions: [Int], _ matrix: Range<Int>, _ weights: [Extension], _ sums: inout [Extension],
    _ proof: inout ProofReader
  ) throws(VerificationError) -> SIMD8<UInt32> {
    var leaves: [(position: Int, hash: SIMD8<UInt32>)] = []
    for (place, position) in positions.enumerated() {
      let column = try proof.unabsorbedColumn(matrix.count)
      sums[place] = zip(weights[matrix], column).reduce(sums[place]) { $0 + $1.0 * $1.1 }
      leaves.append((position, MerkleColumns.leaf(column)))
    }
    let log = circuit.parameters.codeLog
    var siblings: [SIMD8<UInt32>] = []
    for _ in 0..<MerkleColumns.siblingCount(positions, log: log) {
      siblings.append(try proof.unabsorbedHash())
    }
    return MerkleColumns.root(leaves, siblings: siblings, log: log)
  }
}

/// The code: a row is the coefficients of a polynomial, lowest first, and position j of its word
/// the value at w^j, with w of order 2^(messageLog + rateLog).
enum ReedSolomon {
  static func encode(_ row: [Extension], rateLog: Int) -> [Extension] {
    let count = row.count << rateLog
    let log = count.ceilingLog
    var values = [Extension](repeating: .zero, count: count)
    // The bits of an index in reverse, counted up from the top. Of each block of 2^rateLog values
    // all but the first begin as 0, and the first steps only repeat it.
    var place = 0
    for element in row {
      for copy in 0..<1 << rateLog { values[place + copy] = element }
      var bit = count >> 1
      while bit > 0, place & bit != 0 {
        place ^= bit
        bit >>= 1
      }
      place |= bit
    }
    var roots = [Goldilocks.one]
    let root = Goldilocks.rootOfUnity(log: log)
    for index in 1..<max(count / 2, 1) { roots.append(roots[index - 1] * root) }
    values.withUnsafeMutableBufferPointer { values in
      roots.withUnsafeBufferPointer { roots in
        var half = 1 << rateLog
        while half < count {
          let stride = count / (2 * half)
          for start in Swift.stride(from: 0, to: count, by: 2 * half) {
            for index in 0..<half {
              let (even, odd) = (start + index, start + half + index)
              let turned = values[odd] * roots[index * stride]
              values[odd] = values[even] - turned
              values[even] += turned
            }
          }
          half *= 2
        }
      }
    }
    return values
  }
}
