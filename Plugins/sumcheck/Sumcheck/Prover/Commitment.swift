import CSumcheckKernels
import FixedPoint

/// A matrix of rows of the committed vector, encoded, and the Merkle tree over its columns.
final class EncodedMatrix: Sendable {
  private let rows: Range<Int>
  private let parameters: Parameters
  /// Position by position, each a column of the encoded matrix. Written by `init` alone.
  nonisolated(unsafe) private let columns: Memory<UInt64>
  /// Hashes of 32 bytes: the leaves, then level by level to the root. Written by `init` alone.
  nonisolated(unsafe) private let levels: [Memory<UInt8>]

  var root: [UInt8] { Array(levels[levels.count - 1].buffer) }

  init(
    _ rows: Range<Int>, of vector: IntegerVector, _ parameters: Parameters, _ parallel: Parallel
  ) throws(Cancelled) {
    (self.rows, self.parameters) = (rows, parameters)
    let codeLength = 1 << parameters.codeLog
    columns = Memory(unfilled: rows.count * codeLength)
    try Self.encode(
      vector.values + rows.lowerBound << parameters.messageLog, rows: rows.count, parameters,
      into: columns.values, parallel)
    var levels = [
      try Self.hashes(
        columns.buffer, length: 8 * rows.count, key: MerkleColumns.leafKey, count: codeLength,
        parallel)
    ]
    for level in (0..<parameters.codeLog).reversed() {
      levels.append(
        try Self.hashes(
          levels[levels.count - 1].buffer, length: 64, key: MerkleColumns.nodeKey,
          count: 1 << level, parallel))
    }
    self.levels = levels
  }

  /// The weights' matrix; nil where none are committed.
  convenience init?(weightsOf circuit: Circuit, _ parallel: Parallel) throws(Cancelled) {
    guard !circuit.weightRows.isEmpty else { return nil }
    let vector = try IntegerVector(count: 1 << circuit.vectorLog, parallel)
    for column in circuit.columns {
      if case .weights(let accumulator) = column.content {
        try circuit.fillWeights(of: accumulator, vector.values + column.offset, parallel)
      }
    }
    try self.init(circuit.weightRows, of: vector, circuit.parameters, parallel)
  }

  private static func encode(
    _ values: UnsafeMutablePointer<Int32>, rows: Int, _ parameters: Parameters,
    into columns: UnsafeMutablePointer<UInt64>, _ parallel: Parallel
  ) throws(Cancelled) {
    guard
      let encoder = sumcheck_encoder_create(
        UInt32(parameters.messageLog), UInt32(parameters.rateLog))
    else { fatalError("no memory for an encoder") }
    defer { sumcheck_encoder_destroy(encoder) }
    let scratchSize = sumcheck_encoder_scratch_size(encoder)
    // As many rows as the encoder takes at once, and no cache line belongs to two parts.
    let group = parameters.messageLog <= 11 ? 16 : 8
    try parallel.forEachPart(
      of: (rows + group - 1) / group, cost: Double(6 * group << parameters.codeLog)
    ) { part in
      let scratch = UnsafeMutableRawPointer.allocate(byteCount: scratchSize, alignment: 64)
      defer { scratch.deallocate() }
      sumcheck_encode_int32(
        encoder, columns, rows, values, 1 << parameters.messageLog,
        part.lowerBound * group, min(part.upperBound * group, rows), scratch)
    }
  }

  /// Of `count` inputs, one after the other.
  private static func hashes(
    _ inputs: UnsafeBufferPointer<some BitwiseCopyable>, length: Int, key: SIMD8<UInt32>,
    count: Int, _ parallel: Parallel
  ) throws(Cancelled) -> Memory<UInt8> {
    let key = Blake3.bytes(key)
    let hashes = Memory<UInt8>(unfilled: 32 * count)
    guard let start = UnsafeRawPointer(inputs.baseAddress) else { return hashes }
    let bytes = start.assumingMemoryBound(to: UInt8.self)
    try parallel.forEachPart(of: count, cost: 0.3 * Double(max(length, 64))) { part in
      sumcheck_blake3_many(
        hashes.values, bytes, length, length, key, part.lowerBound, part.upperBound)
    }
    return hashes
  }

  /// Sends the columns at the positions, and the siblings that put them under the root.
  func open(_ positions: [Int], _ proof: inout ProofWriter) {
    for position in positions {
      let start = position * rows.count
      for word in columns.buffer[start..<start + rows.count] { proof.append(unabsorbed: word) }
    }
    MerkleColumns.forEachSibling(positions, log: parameters.codeLog) { level, index in
      proof.append(unabsorbed: levels[level].buffer[32 * index..<32 * (index + 1)])
    }
  }
}

extension Circuit {
  /// The weights of an accumulator into the cells of their column, which are 0.
  func fillWeights(
    of accumulator: Int, _ cells: UnsafeMutablePointer<Int32>, _ parallel: Parallel
  ) throws(Cancelled) {
    guard case .weighted(let sum) = accumulators[accumulator] else { return }
    let width = sum.weightShape.last ?? 1
    try parallel.forEachRow(of: Layout(sum.weightShape)) { element, cell, _ in
      for index in 0..<width { cells[cell + index] = Int32(sum.rows.weights[element + index]) }
    }
  }
}

/// The committed vector, with the matrix of its witness and, where they are committed, of its
/// weights.
struct Commitment {
  private let circuit: Circuit
  private let vector: IntegerVector
  private let witness: EncodedMatrix
  private let weights: EncodedMatrix?

  var root: [UInt8] { witness.root }

  init(
    _ circuit: Circuit, _ vector: IntegerVector, _ weights: EncodedMatrix?, _ parallel: Parallel
  ) throws(Cancelled) {
    (self.circuit, self.vector, self.weights) = (circuit, vector, weights)
    witness = try EncodedMatrix(0..<circuit.rowCount, of: vector, circuit.parameters, parallel)
  }

  // MARK: Opening

  /// The prover's side of `OpeningVerifier`, whose description holds the protocol.
  func open(
    _ claims: [Claim], _ parallel: Parallel, _ proof: inout ProofWriter
  ) throws(Cancelled) {
    let weights = try combinedWeights(claims, beta: proof.transcript.challenge(), parallel)
    let point = try sumcheck(weights, parallel, &proof)
    let parameters = circuit.parameters
    let rowVariables = circuit.vectorLog - parameters.messageLog
    let rowWeights = ExtensionVector.equality(point[..<rowVariables])
    let (length, rowCount) = (1 << parameters.messageLog, circuit.weightRows.upperBound)
    let combination = ExtensionVector(unfilled: length)
    try parallel.forEachPart(of: length, cost: 0.4 * Double(rowCount)) { part in
      sumcheck_combine_rows_int32(
        combination.view, vector.values, length, rowWeights.view, rowCount,
        part.lowerBound, part.upperBound)
    }
    for index in 0..<length { proof.append(combination[index]) }
    let positions = proof.transcript.positions(parameters.queryCount, log: parameters.codeLog)
    witness.open(positions, &proof)
    self.weights?.open(positions, &proof)
  }

  /// Σ of the claims' functionals, each times its power of β, over the committed vector.
  private func combinedWeights(
    _ claims: [Claim], beta: Extension, _ parallel: Parallel
  ) throws(Cancelled) -> ExtensionVector {
    let weights = ExtensionVector(unfilled: 1 << circuit.vectorLog)
    try weights.clear(parallel)
    var power = Extension.one
    for claim in claims {
      for (column, functional) in circuit.resolve(claim).columns {
        try functional.add(
          times: power, to: weights, at: circuit.columns[column].offset, parallel)
      }
      power *= beta
    }
    return weights
  }

  private func sumcheck(
    _ weights: ExtensionVector, _ parallel: Parallel, _ proof: inout ProofWriter
  ) throws(Cancelled) -> [Extension] {
    var rounds = ProductRounds()
    let (f, w) = (vector.values, weights.view)
    let (half, quarter) = (weights.count / 2, weights.count / 4)
    let first = rounds.send(
      try parallel.sum(of: half, cost: ProductRounds.cost / 4, +) { part in
        sumcheck_product_round_int32(f, w, half, part.lowerBound, part.upperBound)
      }, &proof)
    let folded = ExtensionVector(unfilled: half)
    rounds.send(
      try parallel.sum(of: quarter, cost: ProductRounds.cost, +) { part in
        sumcheck_product_fold_round_int32(
          folded.view, f, w, quarter, first.kernel, part.lowerBound, part.upperBound)
      }, &proof)
    _ = try rounds.finish(folded, weights, size: half, parallel, &proof)
    return rounds.point
  }
}

extension Functional {
  /// weights[offset...] += factor·self, over the padded block.
  func add(
    times factor: Extension, to weights: ExtensionVector, at offset: Int, _ parallel: Parallel
  ) throws(Cancelled) {
    let ordered = factors.sorted { ($0.axes.first ?? -1) < ($1.axes.first ?? -1) }
    guard ordered.flatMap(\.axes) == Array(shape.indices), let last = ordered.last else {
      try addDense(times: factor, to: weights, at: offset, parallel)
      return
    }
    var high = ExtensionVector([factor])
    for next in ordered.dropLast() {
      let padded = padded(next)
      let product = ExtensionVector(unfilled: high.count * padded.count)
      sumcheck_extension_outer(product.view, high.view, high.count, padded.view, padded.count)
      high = product
    }
    let low = padded(last)
    try parallel.forEachPart(of: high.count, cost: 3 * Double(low.count)) { part in
      sumcheck_extension_outer_add(
        weights.view(from: offset + part.lowerBound * low.count), high.view(from: part.lowerBound),
        part.count, low.view, low.count)
    }
  }

  /// A factor's values over the padding of its axes too.
  private func padded(_ factor: Factor) -> ExtensionVector {
    if case .equality(let point) = factor.weights { return .equality(point) }
    let layout = Layout(factor.axes.map { shape[$0] })
    let result = ExtensionVector(count: layout.size)
    let (values, width) = (factor.values, layout.shape.last ?? 1)
    layout.forEachRow { element, cell in
      for index in 0..<width { result[cell + index] = values[element + index] }
    }
    return result
  }

  private func addDense(
    times factor: Extension, to weights: ExtensionVector, at offset: Int, _ parallel: Parallel
  ) throws(Cancelled) {
    let dense = dense
    let layout = Layout(shape)
    let width = shape.last ?? 1
    try parallel.forEachPart(of: layout.rowCount, cost: 6 * Double(width)) { part in
      layout.forEachRow(in: part) { element, cell, _ in
        for index in 0..<width {
          weights[offset + cell + index] += factor * dense[element + index]
        }
      }
    }
  }
}
