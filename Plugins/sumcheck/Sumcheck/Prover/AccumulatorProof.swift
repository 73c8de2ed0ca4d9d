import CSumcheckKernels
import FixedPoint

/// The claim of an accumulator at a point of its result, with what its sumcheck needs.
struct AccumulatorProof {
  private enum Operands {
    /// A and B of `WeightedSum`, over its inner block.
    case weighted(WeightedSum, a: [Extension], b: [Extension])
    case product([Circuit.ProductCheck.Factor], [[Extension]])
  }

  let point: [Extension]
  let value: Extension
  private let operands: Operands

  init(
    _ circuit: Circuit, _ accumulator: Int, at point: [Extension], _ witness: Witness,
    _ parallel: Parallel
  ) {
    self.point = point
    switch circuit.accumulators[accumulator] {
    case .weighted(let sum):
      let a = sum.foldedOperand(witness.tensors[sum.source], at: point, parallel)
      let b = sum.foldedWeights(at: point)
      value = zip(a, b).reduce(.zero) { $0 + $1.0 * $1.1 }
      operands = .weighted(sum, a: a, b: b)
    case .product(let left, let right):
      let forms = [left, right]
      let values = forms.map { witness.elements($0, circuit) }
      let weights = Multilinear.equality(point, count: values[0].count)
      value = weights.indices.reduce(.zero) {
        $0 + weights[$1] * values[0][$1] * values[1][$1]
      }
      operands = .product(forms.map { .init(form: $0) }, values)
    }
  }

  func prove(_ circuit: Circuit, _ proof: inout ProofWriter) -> [Claim] {
    switch operands {
    case .weighted(let sum, let a, let b):
      let (inner, operand, weight) = SmallSumcheck.product(a, b, &proof)
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
      return circuit.prove(factors, values, at: point, claim: value, &proof)
    }
  }
}

extension Witness {
  /// The padded values of a form, in E.
  func elements(_ form: LinearForm, _ circuit: Circuit) -> [Extension] {
    let integers = integers(form, circuit)
    return (0..<integers.count).map { Extension(Int64(integers.values[$0])) }
  }
}

extension Circuit {
  /// The sumcheck of Σ eq(point, ·)·Π factors.
  func prove(
    _ factors: [ProductCheck.Factor], _ values: [[Extension]], at point: [Extension],
    claim: Extension, _ proof: inout ProofWriter
  ) -> [Claim] {
    let (inner, ends) = SmallSumcheck.equality(values, at: point, claim: claim, &proof)
    for end in ends { proof.append(end) }
    return zip(factors, ends).map { factor, end in
      let outside = factor.outside.map { .one - $0.value(at: inner[...]) } ?? Extension.zero
      return self.claim(factor.form, at: inner[...], is: end - outside)
    }
  }

  func prove(
    _ check: ProductCheck, at point: [Extension], _ witness: Witness, _ proof: inout ProofWriter
  ) -> [Claim] {
    let values = check.factors.map { factor in
      var values = witness.elements(factor.form, self)
      if let mask = factor.outside {
        for (index, isInside) in mask.cells.enumerated() where !isInside { values[index] += .one }
      }
      return values
    }
    switch check.result {
    case .outside(let mask):
      return prove(
        check.factors, values, at: point, claim: .one - mask.value(at: point[...]), &proof)
    case .form(let form):
      let weights = Multilinear.equality(point, count: 1 << point.count)
      let value = zip(weights, witness.elements(form, self)).reduce(Extension.zero) {
        $0 + $1.0 * $1.1
      }
      proof.append(value)
      return [claim(form, at: point[...], is: value)]
        + prove(check.factors, values, at: point, claim: value, &proof)
    }
  }
}

extension Mask {
  /// Over the padded block.
  var cells: [Bool] {
    zip(axes, Layout(axes.map(\.count)).logs).reduce([true]) { cells, axis in
      let padded = axis.0 + [Bool](repeating: false, count: 1 << axis.1 - axis.0.count)
      return cells.flatMap { cell in padded.map { cell && $0 } }
    }
  }
}

extension WeightedSum {
  /// A over the padded inner block: the operand folded with the equality of the point's positions.
  func foldedOperand(
    _ operand: [Int16], at point: [Extension], _ parallel: Parallel
  ) -> [Extension] {
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
      operand.withUnsafeBufferPointer { operand in
        sumcheck_combine_rows_int16(
          folded.view, operand.baseAddress, columns, weights.view, rowWeights.count, 0, columns)
      }
      return folded.elements
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
    var result = [Extension](repeating: .zero, count: inner.size)
    let stride = inner.size >> inner.logs[0]
    let rowStride = 1 << inner.logs[2]
    result.withUnsafeMutableBufferPointer { buffer in
      // Each part writes its own channels.
      nonisolated(unsafe) let cells = buffer
      operand.withUnsafeBufferPointer { operand in
        nonisolated(unsafe) let operand = operand.baseAddress.unsafelyUnwrapped
        nonisolated(unsafe) let columnWeights = columnWeights
        parallel.forEachPart(of: channels, grain: max(1, (1 << 13) / (height * width))) { part in
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
                      cells[channel * stride + y * rowStride + x] += fold * weight
                    }
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
  func foldedWeights(at point: [Extension]) -> [Extension] {
    let channel = ExtensionVector(
      Multilinear.equality(
        Array(Layout(resultShape).split(point[...])[channelAxis]), count: rows.rowCount))
    let columns = rows.weights.count / rows.rowCount
    let groupRows = rows.rowCount / groups
    let folded = ExtensionVector(count: columns * groups)
    rows.weights.withUnsafeBufferPointer { weights in
      guard let weights = weights.baseAddress else { return }
      for group in 0..<groups {
        sumcheck_combine_rows_int16(
          folded.view(from: group * columns), weights + group * groupRows * columns, columns,
          channel.view(from: group * groupRows), groupRows, 0, columns)
      }
    }
    let inner = Layout(innerShape)
    var result = [Extension](repeating: .zero, count: inner.size)
    let width = innerShape.last ?? 1
    inner.forEachRow { element, cell in
      for index in 0..<width { result[cell + index] = folded[element + index] }
    }
    return result
  }
}
