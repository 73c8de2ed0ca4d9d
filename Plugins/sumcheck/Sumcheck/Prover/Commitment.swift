import CSumcheckKernels
import FixedPoint

/// A matrix of rows of the committed vector, encoded, and the Merkle tree over its columns.
final class EncodedMatrix: Sendable {
  private let rows: Range<Int>
  private let parameters: Parameters
  /// Position by position, each a column of the encoded matrix. Written by `init` alone.
  nonisolated(unsafe) private let columns: UnsafeMutablePointer<UInt64>
  /// Hashes of 32 bytes: the leaves, then level by level to the root.
  private let levels: [[UInt8]]

  var root: [UInt8] { levels[levels.count - 1] }

  init(_ rows: Range<Int>, of vector: IntegerVector, _ parameters: Parameters, _ parallel: Parallel)
  {
    (self.rows, self.parameters) = (rows, parameters)
    let codeLength = 1 << parameters.codeLog
    let columns = UnsafeMutablePointer<UInt64>.allocate(capacity: rows.count * codeLength)
    self.columns = columns
    Self.encode(
      vector.values + rows.lowerBound << parameters.messageLog, rows: rows.count, parameters,
      into: columns, parallel)
    let length = 8 * rows.count
    var levels = [
      Self.hashes(
        UnsafeRawPointer(columns), stride: length, length: length, key: MerkleColumns.leafKey,
        count: codeLength, parallel)
    ]
    for level in (0..<parameters.codeLog).reversed() {
      levels.append(
        levels[levels.count - 1].withUnsafeBytes { below in
          Self.hashes(
            below.baseAddress.unsafelyUnwrapped, stride: 64, length: 64,
            key: MerkleColumns.nodeKey, count: 1 << level, parallel)
        })
    }
    self.levels = levels
  }

  /// The weights' matrix; nil where none are committed.
  convenience init?(weightsOf circuit: Circuit, _ parallel: Parallel) {
    guard !circuit.weightRows.isEmpty else { return nil }
    let vector = IntegerVector(count: 1 << circuit.vectorLog)
    for column in circuit.columns {
      if case .weights(let accumulator) = column.content {
        circuit.fillWeights(of: accumulator, vector.values + column.offset)
      }
    }
    self.init(circuit.weightRows, of: vector, circuit.parameters, parallel)
  }

  deinit { columns.deallocate() }

  private static func encode(
    _ values: UnsafeMutablePointer<Int32>, rows: Int, _ parameters: Parameters,
    into columns: UnsafeMutablePointer<UInt64>, _ parallel: Parallel
  ) {
    guard
      let encoder = sumcheck_encoder_create(
        UInt32(parameters.messageLog), UInt32(parameters.rateLog))
    else { fatalError("no memory for an encoder") }
    defer { sumcheck_encoder_destroy(encoder) }
    let scratchSize = sumcheck_encoder_scratch_size(encoder)
    // Parts begin at multiples of 8 rows, so that they share no cache line.
    let groups = (rows + 7) / 8
    parallel.forEachPart(of: groups, grain: 1) { part in
      let scratch = UnsafeMutableRawPointer.allocate(byteCount: scratchSize, alignment: 64)
      defer { scratch.deallocate() }
      sumcheck_encode_int32(
        encoder, columns, rows, values, 1 << parameters.messageLog, part.lowerBound * 8,
        min(part.upperBound * 8, rows), scratch)
    }
  }

  private static func hashes(
    _ bytes: UnsafeRawPointer, stride: Int, length: Int, key: SIMD8<UInt32>, count: Int,
    _ parallel: Parallel
  ) -> [UInt8] {
    let key = Blake3.bytes(key)
    return [UInt8](unsafeUninitializedCapacity: 32 * count) { buffer, written in
      // Each part writes hashes of its own.
      nonisolated(unsafe) let hashes = buffer.baseAddress
      nonisolated(unsafe) let bytes = bytes
      parallel.forEachPart(of: count, grain: max(16, (1 << 16) / length)) { part in
        sumcheck_blake3_many(
          hashes, bytes.assumingMemoryBound(to: UInt8.self), stride, length, key,
          part.lowerBound, part.upperBound)
      }
      written = 32 * count
    }
  }

  /// Sends the columns at the positions, and the siblings that put them under the root.
  func open(_ positions: [Int], _ proof: inout ProofWriter) {
    for position in positions {
      for row in 0..<rows.count {
        proof.append(unabsorbed: columns[position * rows.count + row])
      }
    }
    MerkleColumns.forEachSibling(positions, log: parameters.codeLog) { level, index in
      proof.append(unabsorbed: levels[level][32 * index..<32 * (index + 1)])
    }
  }
}

extension Circuit {
  /// The weights of an accumulator into the cells of their column, which are 0.
  func fillWeights(of accumulator: Int, _ cells: UnsafeMutablePointer<Int32>) {
    guard case .weighted(let sum) = accumulators[accumulator] else { return }
    let width = sum.weightShape.last ?? 1
    Layout(sum.weightShape).forEachRow { element, cell in
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
  ) {
    (self.circuit, self.vector, self.weights) = (circuit, vector, weights)
    witness = EncodedMatrix(0..<circuit.rowCount, of: vector, circuit.parameters, parallel)
  }

  // MARK: Opening

  /// The prover's side of `OpeningVerifier`, whose description holds the protocol.
  func open(_ claims: [Claim], _ parallel: Parallel, _ proof: inout ProofWriter) {
    let weights = combinedWeights(claims, beta: proof.transcript.challenge(), parallel)
    let point = sumcheck(weights, parallel, &proof)
    let parameters = circuit.parameters
    let rowVariables = circuit.vectorLog - parameters.messageLog
    let rowWeights = ExtensionVector.equality(point[..<rowVariables])
    let length = 1 << parameters.messageLog
    let combination = ExtensionVector(unfilled: length)
    parallel.forEachPart(of: length, grain: 256) { part in
      sumcheck_combine_rows_int32(
        combination.view, vector.values, length, rowWeights.view, circuit.weightRows.upperBound,
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
  ) -> ExtensionVector {
    let weights = ExtensionVector(count: 1 << circuit.vectorLog)
    var power = Extension.one
    for claim in claims {
      for (column, functional) in circuit.resolve(claim).columns {
        functional.add(times: power, to: weights, at: circuit.columns[column].offset, parallel)
      }
      power *= beta
    }
    return weights
  }

  private func sumcheck(
    _ weights: ExtensionVector, _ parallel: Parallel, _ proof: inout ProofWriter
  ) -> [Extension] {
    let grain = 1 << 12
    var point: [Extension] = []
    func send(_ quadratic: sumcheck_quadratic) {
      proof.append(Extension(quadratic.at_zero))
      proof.append(Extension(quadratic.leading))
      point.append(proof.transcript.challenge())
    }
    let (f, w) = (vector.values, weights.view)
    var size = weights.count
    let half = size / 2
    send(
      parallel.sum(of: half, grain: grain, +) { part in
        sumcheck_product_round_int32(f, w, half, part.lowerBound, part.upperBound)
      })
    let folded = ExtensionVector(unfilled: half)
    let (first, quarter) = (point[0].kernel, size / 4)
    send(
      parallel.sum(of: quarter, grain: grain, +) { part in
        sumcheck_product_fold_round_int32(
          folded.view, f, w, quarter, first, part.lowerBound, part.upperBound)
      })
    size /= 2
    while size > 2 {
      let (r, quarter) = (point[point.count - 1].kernel, size / 4)
      send(
        parallel.sum(of: quarter, grain: grain, +) { part in
          sumcheck_product_fold_round_extension(
            folded.view, w, quarter, r, part.lowerBound, part.upperBound)
        })
      size /= 2
    }
    return point
  }
}

extension Functional {
  /// weights[offset...] += factor·self, over the padded block.
  func add(
    times factor: Extension, to weights: ExtensionVector, at offset: Int, _ parallel: Parallel
  ) {
    let ordered = factors.sorted { ($0.axes.first ?? -1) < ($1.axes.first ?? -1) }
    guard ordered.flatMap(\.axes) == Array(shape.indices), let last = ordered.last else {
      addDense(times: factor, to: weights, at: offset)
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
    parallel.forEachPart(of: high.count, grain: max(1, (1 << 12) / low.count)) { part in
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

  private func addDense(times factor: Extension, to weights: ExtensionVector, at offset: Int) {
    let dense = dense
    let layout = Layout(shape)
    let width = shape.last ?? 1
    layout.forEachRow { element, cell in
      for index in 0..<width {
        weights[offset + cell + index] += factor * dense[element + index]
      }
    }
  }
}
