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
  /// The column of the weights, where they are committed.
  var column: Int?

  /// The axis of the result that counts rows of weights, as the operand's counts channels; axes
  /// before it count images, or rows.
  var channelAxis: Int { resultShape.count - (window == nil ? 1 : 3) }

  /// Images, each a sum of its own.
  var imageCount: Int { resultShape[..<channelAxis].reduce(1, *) }

  /// [channel, kernel y, kernel x], or [column].
  var innerShape: [Int] {
    guard let window else { return [sourceShape[channelAxis]] }
    return [sourceShape[channelAxis], window.kernelHeight, window.kernelWidth]
  }

  /// [row, then the inner axes of one group].
  var weightShape: [Int] {
    [rows.rowCount, innerShape[0] / groups] + innerShape.dropFirst()
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
      let (y, x) = (channelAxis + 1, channelAxis + 2)
      axes[y] = Self.spread(axes[y], innerAxes[1], window.vertical, size: sourceShape[y])
      axes[x] = Self.spread(axes[x], innerAxes[2], window.horizontal, size: sourceShape[x])
    }
    return Functional(axes: axes)
  }

  /// B's extension as a functional on the weights, of `weightShape`.
  func weightFunctional(
    at point: ArraySlice<Extension>, inner: ArraySlice<Extension>
  ) -> Functional {
    let channel = Multilinear.equality(
      Array(Layout(resultShape).split(point)[channelAxis]), count: rows.rowCount)
    let axes = zip(Layout(innerShape).split(inner), innerShape).map {
      Multilinear.equality(Array($0), count: $1)
    }
    guard groups > 1 else { return Functional(axes: [channel] + axes) }
    // A row meets the channels of its own group.
    let (groupRows, width) = (rows.rowCount / groups, weightShape[1])
    let joint = channel.indices.flatMap { row in
      let first = row / groupRows * width
      return axes[0][first..<first + width].map { channel[row] * $0 }
    }
    return Functional(
      shape: weightShape,
      factors: [.init(axes: [0, 1], values: joint)]
        + axes.indices.dropFirst().map { .init(axes: [$0 + 1], values: axes[$0]) })
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

extension WeightedSum {
  /// Nil for an operation of another kind. The shapes may have leading axes that the operation's
  /// own tensors have not.
  init?(_ operation: Program.Operation, source sourceShape: [Int], result resultShape: [Int]) {
    switch operation.operator {
    case .convolution(let convolution):
      (rows, groups, window) = (convolution.rows, convolution.groups, convolution.window)
    case .matrixProduct(let product): (rows, groups, window) = (product.rows, 1, nil)
    default: return nil
    }
    source = operation.inputs[0]
    (self.sourceShape, self.resultShape) = (sourceShape, resultShape)
  }
}

extension CircuitBuilder {
  mutating func relate(_ tensor: Int, _ sum: WeightedSum) throws(Obstacle) {
    guard Layout(sum.innerShape).size <= Self.sizeLimit else {
      throw Obstacle(reason: "its kernel has more than 2^24 cells")
    }
    let accumulator = addAccumulator(sum)
    let shifts = sum.rows.shifts.map { Int64($0) }
    let first = shifts[0]
    let isUniform = shifts.allSatisfy { $0 == first }
    requantize(
      tensor,
      Circuit.Quantity(
        form: LinearForm(
          shape: sum.resultShape, [], constant: .along(axis: sum.channelAxis, sum.rows.biases)),
        accumulator: accumulator),
      shifts: isUniform ? .uniform(first) : .along(axis: sum.channelAxis, shifts))
  }
}
