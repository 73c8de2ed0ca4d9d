import CSumcheckKernels
import FixedPoint

/// The claim of an accumulator at a point of its result, with what its sumcheck needs.
struct AccumulatorProof {
  private enum Operands {
    /// A and B of `WeightedSum`, over its inner block.
    case weighted(WeightedSum, a: ExtensionVector, b: ExtensionVector)
    case product([Circuit.ProductCheck.Factor], [ExtensionVector])
  }

  let point: [Extension]
  let value: Extension
  private let operands: Operands

  init(
    _ circuit: Circuit, _ accumulator: Int, at point: [Extension], _ witness: Witness,
    _ parallel: Parallel
  ) throws(Cancelled) {
    self.point = point
    switch circuit.accumulators[accumulator] {
    case .weighted(let sum):
      let a = try sum.foldedOperand(witness.tensors[sum.source], at: point, parallel)
      let b = try sum.foldedWeights(at: point, parallel)
      value = Extension(sumcheck_inner_extension(a.view, b.view, a.count))
      operands = .weighted(sum, a: a, b: b)
    case .product(let left, let right):
      let factors = [left, right].map { Circuit.ProductCheck.Factor(form: $0) }
      var values: [ExtensionVector] = []
      for factor in factors { values.append(try witness.elements(factor, circuit, parallel)) }
      let equality = EqualityTable(point)
      let (l, r, low, tensor) = (values[0], values[1], equality.lowCount, equality.tensor)
      let product = ExtensionVector(unfilled: l.count)
      value = try parallel.sum(of: equality.highCount, cost: 6 * Double(low), +) { part in
        let start = part.lowerBound * low
        sumcheck_extension_multiply(
          product.view(from: start), l.view(from: start), r.view(from: start), part.count * low)
        return Extension(
          sumcheck_evaluate_extension(product.view, tensor, part.lowerBound, part.upperBound))
      }
      operands = .product(factors, values)
    }
  }

  func prove(
    _ circuit: Circuit, _ parallel: Parallel, _ proof: inout ProofWriter
  ) throws(Cancelled) -> [Claim] {
    switch operands {
    case .weighted(let sum, let a, let b):
      let (inner, operand, weight) = try ProductRounds.prove(a, b, parallel, &proof)
      proof.append(operand)
      let claim = Claim(
        terms: [
          (.tensor(sum.source), sum.operandFunctional(at: point[...], inner: inner[...]))
        ], value: operand)
      guard let column = sum.column else { return [claim] }
      proof.append(weight)
      return [
        claim,
        Claim(
          terms: [(.column(column), sum.weightFunctional(at: point[...], inner: inner[...]))],
          value: weight),
      ]
    case .product(let factors, let values):
      return try circuit.prove(factors, values, at: point, claim: value, parallel, &proof)
    }
  }
}

extension Witness {
  /// The padded values of a factor, in E.
  fileprivate func elements(
    _ factor: Circuit.ProductCheck.Factor, _ circuit: Circuit, _ parallel: Parallel
  ) throws(Cancelled) -> ExtensionVector {
    let integers = try integers(factor.form, circuit, parallel)
    let elements = ExtensionVector(unfilled: integers.count)
    let inside = try factor.outside.map { mask throws(Cancelled) in
      let inside = try IntegerVector(count: integers.count, parallel)
      try mask.mark(inside.values, parallel)
      return inside
    }
    try parallel.forEachPart(of: integers.count, cost: 3) { part in
      if let inside {
        for index in part { integers.values[index] &+= 1 &- inside.values[index] }
      }
      let view = elements.view(from: part.lowerBound)
      sumcheck_base_from_int32(view.c0, integers.values + part.lowerBound, part.count)
      view.c1.initialize(repeating: 0, count: part.count)
    }
    return elements
  }
}

extension Circuit {
  /// The sumcheck of Σ eq(point, ·)·Π factors.
  fileprivate func prove(
    _ factors: [ProductCheck.Factor], _ values: [ExtensionVector], at point: [Extension],
    claim: Extension, _ parallel: Parallel, _ proof: inout ProofWriter
  ) throws(Cancelled) -> [Claim] {
    let (inner, ends) = try EqualityRounds.prove(
      values, at: point, claim: claim, parallel, &proof)
    for end in ends { proof.append(end) }
    return zip(factors, ends).map { factor, end in
      let outside = factor.outside.map { .one - $0.value(at: inner[...]) } ?? Extension.zero
      return self.claim(factor.form, at: inner[...], is: end - outside)
    }
  }

  func prove(
    _ check: ProductCheck, at point: [Extension], _ witness: Witness, _ parallel: Parallel,
    _ proof: inout ProofWriter
  ) throws(Cancelled) -> [Claim] {
    var values: [ExtensionVector] = []
    for factor in check.factors {
      values.append(try witness.elements(factor, self, parallel))
    }
    switch check.result {
    case .outside(let mask):
      return try prove(
        check.factors, values, at: point, claim: .one - mask.value(at: point[...]), parallel,
        &proof)
    case .form(let form):
      let value = try parallel.evaluate(
        try witness.integers(form, self, parallel), EqualityTable(point))
      proof.append(value)
      return [claim(form, at: point[...], is: value)]
        + (try prove(check.factors, values, at: point, claim: value, parallel, &proof))
    }
  }
}

extension WeightedSum {
  /// A over the padded inner block: the operand folded with the equality of the point's positions.
  func foldedOperand(
    _ operand: [Int16], at point: [Extension], _ parallel: Parallel
  ) throws(Cancelled) -> ExtensionVector {
    let inner = Layout(innerShape)
    let axes = zip(Layout(resultShape).split(point[...]), resultShape).map {
      Multilinear.equality(Array($0), count: $1)
    }
    guard let window else {
      let columns = innerShape[0]
      let rowWeights = axes.dropLast().reduce([Extension.one]) { product, axis in
        product.flatMap { left in axis.map { left * $0 } }
      }
      let (weights, folded) = (ExtensionVector(rowWeights), ExtensionVector(count: inner.size))
      try parallel.forEachPart(of: columns, cost: 0.4 * Double(weights.count)) { part in
        operand.withUnsafeBufferPointer { operand in
          sumcheck_combine_rows_int16(
            folded.view, operand.baseAddress, columns, weights.view, weights.count,
            part.lowerBound, part.upperBound)
        }
      }
      return folded
    }
    let (channels, height, width) = (
      sourceShape[channelAxis], sourceShape[channelAxis + 1], sourceShape[channelAxis + 2]
    )
    let images = axes[..<channelAxis].reduce([Extension.one]) { product, axis in
      product.flatMap { left in axis.map { left * $0 } }
    }
    // Column weights: per kernel column, the equality moved to the positions under it.
    let columnWeights = (0..<window.kernelWidth).map { cell in
      ExtensionVector(Self.moved(axes[channelAxis + 2], window.horizontal, cell: cell, size: width))
    }
    let rowWeights = (0..<window.kernelHeight).map { cell in
      Self.moved(axes[channelAxis + 1], window.vertical, cell: cell, size: height)
    }
    let result = ExtensionVector(count: inner.size)
    let stride = inner.size >> inner.logs[0]
    let rowStride = 1 << inner.logs[2]
    let cost = Double(imageCount * height * window.cellCount * (width + 20))
    try parallel.forEachPart(of: channels, cost: cost) { part in
      operand.withUnsafeBufferPointer { operand in
        guard let operand = operand.baseAddress else { return }
        for image in images.indices {
          for channel in part {
            for line in 0..<height {
              let row = operand + ((image * channels + channel) * height + line) * width
              for x in 0..<window.kernelWidth {
                let fold =
                  Extension(sumcheck_inner_int16(row, columnWeights[x].view, width))
                  * images[image]
                for y in 0..<window.kernelHeight {
                  let weight = rowWeights[y][line]
                  if !weight.isZero {
                    result[channel * stride + y * rowStride + x] += fold * weight
                  }
                }
              }
            }
          }
        }
      }
    }
    return result
  }

  private static func moved(
    _ weights: [Extension], _ slide: Slide, cell: Int, size: Int
  ) -> [Extension] {
    var moved = [Extension](repeating: .zero, count: size)
    for (output, weight) in weights.enumerated() {
      if let position = slide.position(output: output, cell: cell, size: size) {
        moved[position] += weight
      }
    }
    return moved
  }

  /// B over the padded inner block: the weights folded with the equality of the point's channel.
  func foldedWeights(
    at point: [Extension], _ parallel: Parallel
  ) throws(Cancelled) -> ExtensionVector {
    let channel = ExtensionVector(
      Multilinear.equality(
        Array(Layout(resultShape).split(point[...])[channelAxis]), count: rows.rowCount))
    let columns = rows.weights.count / rows.rowCount
    let groupRows = rows.rowCount / groups
    let folded = ExtensionVector(unfilled: columns * groups)
    for group in 0..<groups {
      try parallel.forEachPart(of: columns, cost: 0.4 * Double(groupRows)) { part in
        rows.weights.withUnsafeBufferPointer { weights in
          guard let weights = weights.baseAddress else { return }
          sumcheck_combine_rows_int16(
            folded.view(from: group * columns), weights + group * groupRows * columns, columns,
            channel.view(from: group * groupRows), groupRows, part.lowerBound, part.upperBound)
        }
      }
    }
    let inner = Layout(innerShape)
    let result = ExtensionVector(count: inner.size)
    let width = innerShape.last ?? 1
    try parallel.forEachRow(of: inner) { element, cell, _ in
      for index in 0..<width { result[cell + index] = folded[element + index] }
    }
    return result
  }
}
