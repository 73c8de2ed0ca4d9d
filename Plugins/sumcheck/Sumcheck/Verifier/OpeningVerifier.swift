/// Settles all claims: one product sumcheck brings them to one point of the committed vector, and
/// one combination of the rows of its matrix shows the value there.
///
/// The rows are words of a Reed-Solomon code, interleaved, under a Merkle tree over the columns
/// (Ligero, Ames et al. 2017). The coefficients of the combination are the equality of the point's
/// first coordinates: uniform, drawn after the root, and so also a proximity test, with error at
/// most log2(rows)·n/|E| up to the unique decoding radius (Diamond and Gruen, ePrint 2024/1351,
/// Corollary 3.7, on Theorem 4.1 of BCIKS, ePrint 2020/654).
struct OpeningVerifier {
  let circuit: Circuit
  let root: SIMD8<UInt32>

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
    let rows = Multilinear.equality(Array(point[..<rowVariables]), count: circuit.rowCount)
    var leaves: [(position: Int, hash: SIMD8<UInt32>)] = []
    for position in positions {
      let column = try proof.unabsorbedColumn(circuit.rowCount)
      let sum = zip(rows, column).reduce(Extension.zero) { $0 + $1.0 * $1.1 }
      try constraints.require(sum == word[position], .codeword)
      leaves.append((position, MerkleColumns.leaf(column)))
    }
    var siblings: [SIMD8<UInt32>] = []
    for _ in 0..<MerkleColumns.siblingCount(positions, log: parameters.codeLog) {
      siblings.append(try proof.unabsorbedHash())
    }
    try constraints.require(
      MerkleColumns.root(leaves, siblings: siblings, log: parameters.codeLog) == root,
      .merklePath)
  }
}

/// The code: a row is the coefficients of a polynomial, lowest first, and position j of its word
/// the value at w^j, with w of order 2^(messageLog + rateLog).
enum ReedSolomon {
  static func encode(_ row: [Extension], rateLog: Int) -> [Extension] {
    let count = row.count << rateLog
    let log = count.ceilingLog
    var values = [Extension](repeating: .zero, count: count)
    // The bits of an index in reverse, counted up from the top.
    var place = 0
    for element in row {
      values[place] = element
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
      var half = 1
      while half < count {
        let stride = count / (2 * half)
        for start in Swift.stride(from: 0, to: count, by: 2 * half) {
          for index in 0..<half {
            let odd = values[start + half + index] * roots[index * stride]
            values[start + half + index] = values[start + index] - odd
            values[start + index] += odd
          }
        }
        half *= 2
      }
    }
    return values
  }
}
