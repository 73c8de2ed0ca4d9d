import FixedPoint
import ModelGraph

/// Windows and axes of which the largest value, the sum or the mean is taken.
extension Lowering {
  mutating func pool(
    _ node: Graph.Node, _ layer: PoolLayer
  ) throws(QuantizationError) -> Operand {
    let operand = try operand(node, 0)
    let window = Window(layer.window)
    if layer.reduction == .maximum {
      return try emit(.maxPool(MaxPool(window: window)), node.name, reading: [operand])
    }
    let ratio = try ratio(
      PowerOfTwo.value(exponent(of: node) - operand.exponent) / Double(window.cellCount), node)
    let pool = AveragePool(
      window: window, multiplier: ratio.multiplier, shift: ratio.shift,
      exponent: Int8(exponent(of: node)))
    return try emit(.averagePool(pool), node.name, reading: [operand])
  }

  /// Pools over any number of image axes, with every way of counting cells.
  mutating func pool(
    _ node: Graph.Node, _ form: GeneralPool
  ) throws(QuantizationError) -> Operand {
    let operand = try operand(node, 0)
    let pooled =
      form.isMaximum
      ? try maximum(operand, form.window, node) : try mean(operand, form, node)
    return try reshaped(pooled, to: shape(of: node), node.name)
  }

  /// The leading image axes one after the other, then the last two together.
  private mutating func maximum(
    _ operand: Operand, _ window: SpatialWindow, _ node: Graph.Node
  ) throws(QuantizationError) -> Operand {
    var image = operand
    let rank = window.kernel.count
    let planes = operand.shape[0] * operand.shape[1]
    var outer = planes
    for axis in 0..<max(0, rank - 2) {
      let (kernel, result) = (window.kernel[axis], window.result[axis])
      let inner = window.input[(axis + 1)...].reduce(1, *)
      image = try reshaped(image, to: [outer, window.input[axis], inner], node.name)
      let places = (0..<kernel).flatMap { cell in
        (0..<result).map { place -> Int? in
          let source =
            place * window.strides[axis] + cell * window.dilations[axis] - window.before[axis]
          return (0..<window.input[axis]).contains(source) ? source : nil
        }
      }
      // The smallest integer never wins.
      let patches = FixedPoint.Arrangement(
        axes: [
          .init(whole: 0, count: outer), .init(source: 1, indices: places),
          .init(whole: 2, count: inner),
        ], fill: places.contains(nil) ? .min : 0)
      image = try emit(.arrangement(patches), node.name, reading: [image])
      image = try reshaped(image, to: [outer, kernel, result * inner], node.name)
      image = try emit(
        .reduce(FixedPoint.Reduction(.maximum, axes: [1])), node.name, reading: [image])
      outer *= result
    }
    let last = window.kernel.indices.suffix(2)
    let missing = Array(repeating: 1, count: 2 - last.count)
    image = try reshaped(
      image, to: [1, outer] + missing + last.map { window.input[$0] }, node.name)
    return try emit(.maxPool(MaxPool(window: Window(window))), node.name, reading: [image])
  }

  /// The mean over a full window, times what it lacks where fewer cells count.
  private mutating func mean(
    _ operand: Operand, _ form: GeneralPool, _ node: Graph.Node
  ) throws(QuantizationError) -> Operand {
    let window = form.window
    let counts = window.kernel.indices.map { axis in form.cellCounts(along: axis) }
    let full = counts.reduce(1) { $0 * ($1.max() ?? 1) }
    let exponent = exponent(of: node)
    let factor = PowerOfTwo.value(exponent - operand.exponent) / Double(full)
    var result: Operand
    if window.kernel.count <= 2 {
      let missing = Array(repeating: 1, count: 2 - window.kernel.count)
      let image = try reshaped(
        operand, to: operand.shape[..<2] + missing + window.input, node.name)
      let ratio = try ratio(factor, node)
      result = try emit(
        .averagePool(
          AveragePool(
            window: Window(window), multiplier: ratio.multiplier, shift: ratio.shift,
            exponent: Int8(exponent))),
        node.name, reading: [image])
      result = try reshaped(result, to: result.shape[..<2] + window.result, node.name)
    } else {
      let channels = operand.shape[1]
      let cells = window.kernel.reduce(1, *)
      result = try convolution(
        operand, window, isTransposed: false, groups: channels, node
      ) { lowering, _ throws(QuantizationError) in
        let ratio = try lowering.ratio(factor, node, limit: 32767)
        return LinearRows(
          weights: .init(repeating: Int16(ratio.multiplier), count: channels * cells),
          biases: .init(repeating: 0, count: channels),
          shifts: .init(repeating: ratio.shift, count: channels))
      }
    }
    guard counts.contains(where: { Set($0).count > 1 }) else { return result }
    // The product over the axes, as an outer product.
    var shares: [Float] = [Float(full)]
    for axis in counts { shares = shares.flatMap { share in axis.map { share / Float($0) } } }
    let map = try constant(
      FloatTensor(shape: [1, 1] + window.result, values: shares), node.name)
    return try multiplied(result, map, to: exponent, node)
  }

  mutating func reduction(
    _ node: Graph.Node, _ form: ModelGraph.Reduction
  ) throws(QuantizationError) -> Operand {
    let operand = try operand(node, 0)
    let operation: FixedPoint.Reduction.Operation
    switch form.operation {
    case .maximum: operation = .maximum
    case .minimum: operation = .minimum
    case .sum, .mean:
      let count = form.axes.reduce(1) { $0 * operand.shape[$1] }
      let exponent = exponent(of: node)
      let ratio = try ratio(
        PowerOfTwo.value(exponent - operand.exponent)
          / Double(form.operation == .mean ? count : 1), node)
      operation = .sum(
        multiplier: ratio.multiplier, shift: ratio.shift, exponent: Int8(exponent))
    }
    let result = try emit(
      .reduce(FixedPoint.Reduction(operation, axes: form.axes)), node.name, reading: [operand])
    return try reshaped(result, to: shape(of: node), node.name)
  }

  /// multiplier / 2^shift = ratio: exact where the ratio is a power of two, otherwise to 15 bits.
  private func ratio(
    _ ratio: Double, _ node: Graph.Node, limit: UInt32 = AveragePool.multiplierLimit
  ) throws(QuantizationError) -> (multiplier: UInt32, shift: UInt8) {
    let isExact = ratio.significand == 1
    let shift = (isExact ? -Int(ratio.exponent) : 14 - Int(ratio.exponent)).clamped(to: 0...31)
    let multiplier = (ratio * PowerOfTwo.value(shift)).rounded()
    guard multiplier >= 1, multiplier <= Double(limit) else {
      throw .unrepresentable(node: node.name, "its factor of \(ratio) has no 16-bit multiplier")
    }
    return (UInt32(multiplier), UInt8(shift))
  }
}

extension Window {
  /// The last two axes of a window, with a height of 1 where there is but one.
  fileprivate init(_ window: SpatialWindow) {
    let axes = window.kernel.indices.suffix(2).map { axis in
      let needed =
        (window.result[axis] - 1) * window.strides[axis]
        + window.dilations[axis] * (window.kernel[axis] - 1) + 1
      return (
        kernel: window.kernel[axis], stride: window.strides[axis],
        dilation: window.dilations[axis], before: window.before[axis],
        after: max(0, needed - window.input[axis] - window.before[axis])
      )
    }
    let single = (kernel: 1, stride: 1, dilation: 1, before: 0, after: 0)
    let (height, width) = (axes.count > 1 ? axes[0] : single, axes[axes.count - 1])
    self.init(
      kernel: (height.kernel, width.kernel), stride: (height.stride, width.stride),
      pads: (height.before, width.before, height.after, width.after),
      dilation: (height.dilation, width.dilation))
  }
}
