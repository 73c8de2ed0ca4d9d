import FixedPoint

/// acc[.., o, ..] = Σ over the inner cells of weight·operand: a convolution or a matrix product
/// with weights that the program fixes, without its bias.
///
/// Its claim at z is Σ over inner cells of A·B, where A folds the operand with the equality of z's
/// positions and B the weights with that of z's channel (Thaler 2013 for products of matrices; Liu,
/// Xie, Zhang 2021, zkCNN, for convolutions, here without a transform, since the fold is
/// separable).
struct WeightedSum: Sendable {
  let source: Int
  let sourceShape: [Int]
  let resultShape: [Int]
  let rows: LinearRows
  let groups: Int
  /// Nil for a matrix product, whose one inner axis is the operand's last.
  let window: Window?

  /// The axis of the result that counts rows of weights.
  var channelAxis: Int { window == nil ? resultShape.count - 1 : 1 }

  /// [channel, kernel y, kernel x], or [column].
  var innerShape: [Int] {
    guard let window else { return [sourceShape[sourceShape.count - 1]] }
    return [sourceShape[1], window.kernelHeight, window.kernelWidth]
  }

  /// B's extension: Σ_o channel[o]·Σ weight[o, inner]·inner[inner], with `channel` and `inner` the
  /// equalities of z's channel and of the inner point. A row of a group has weights for its own
  /// channels only.
  func weight(channel: [Extension], inner: ArraySlice<Extension>) -> Extension {
    let axes = zip(Layout(innerShape).split(inner), innerShape).map {
      Multilinear.equality(Array($0), count: $1)
    }
    let cells = axes.reduce([.one]) { product, axis in
      product.flatMap { left in axis.map { left * $0 } }
    }
    let columns = rows.weights.count / rows.rowCount
    let groupRows = rows.rowCount / groups
    return (0..<groups).reduce(.zero) { sum, group in
      let dot = DotProduct(cells[group * columns..<(group + 1) * columns])
      return (group * groupRows..<(group + 1) * groupRows).reduce(sum) {
        $0 + channel[$1] * dot.of(rows.weights[$1 * columns..<($1 + 1) * columns])
      }
    }
  }

  /// A's extension at `inner` as a functional on the operand, for a claim at `point` of the result.
  func operandFunctional(
    at point: ArraySlice<Extension>, inner: ArraySlice<Extension>
  ) -> Functional {
    let coordinates = Layout(resultShape).split(point)
    var axes = zip(coordinates, resultShape).map { Multilinear.equality(Array($0), count: $1) }
    let innerAxes = zip(Layout(innerShape).split(inner), innerShape).map {
      Multilinear.equality(Array($0), count: $1)
    }
    axes[channelAxis] = innerAxes[0]
    if let window {
      axes[2] = Self.spread(axes[2], innerAxes[1], window.vertical, size: sourceShape[2])
      axes[3] = Self.spread(axes[3], innerAxes[2], window.horizontal, size: sourceShape[3])
    }
    return Functional(axes: axes)
  }

  /// Weight of each source position: Σ over outputs and kernel cells that meet there.
  private static func spread(
    _ outputs: [Extension], _ kernel: [Extension], _ slide: Slide, size: Int
  ) -> [Extension] {
    var weights = [Extension](repeating: .zero, count: size)
    for (output, weight) in outputs.enumerated() {
      for (cell, factor) in kernel.enumerated() {
        if let position = slide.position(output: output, cell: cell, size: size) {
          weights[position] += weight * factor
        }
      }
    }
    return weights
  }
}

/// A window's way along one axis.
struct Slide: Hashable, Sendable {
  let kernel: Int
  let stride: Int
  let pad: Int
  let dilation: Int

  /// The position under a kernel cell, nil in the padding.
  func position(output: Int, cell: Int, size: Int) -> Int? {
    let position = output * stride + cell * dilation - pad
    return position >= 0 && position < size ? position : nil
  }
}

extension Window {
  var vertical: Slide {
    Slide(kernel: kernelHeight, stride: strideHeight, pad: padTop, dilation: dilationHeight)
  }
  var horizontal: Slide {
    Slide(kernel: kernelWidth, stride: strideWidth, pad: padLeft, dilation: dilationWidth)
  }
}

extension CircuitBuilder {
  mutating func relate(_ tensor: Int, _ operation: Convolution, _ operand: Int) throws(Obstacle) {
    try relate(
      tensor,
      WeightedSum(
        source: operand, sourceShape: shape(operand), resultShape: shape(tensor),
        rows: operation.rows, groups: operation.groups, window: operation.window))
  }

  mutating func relate(_ tensor: Int, _ operation: MatrixProduct, _ operand: Int) throws(Obstacle) {
    try relate(
      tensor,
      WeightedSum(
        source: operand, sourceShape: shape(operand), resultShape: shape(tensor),
        rows: operation.rows, groups: 1, window: nil))
  }

  private mutating func relate(_ tensor: Int, _ sum: WeightedSum) throws(Obstacle) {
    guard Layout(sum.innerShape).size <= Self.sizeLimit else {
      throw Obstacle(reason: "its kernel has more than 2^24 cells")
    }
    accumulators.append(.weighted(sum))
    let shifts = sum.rows.shifts.map { Int64($0) }
    let first = shifts[0]
    let isUniform = shifts.allSatisfy { $0 == first }
    requantize(
      tensor,
      Circuit.Quantity(
        form: LinearForm(
          shape: sum.resultShape, [], constant: .along(axis: sum.channelAxis, sum.rows.biases)),
        accumulator: accumulators.count - 1),
      shifts: isUniform ? .uniform(first) : .along(axis: sum.channelAxis, shifts))
  }
}
