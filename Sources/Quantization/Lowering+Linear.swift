import FixedPoint
import ModelGraph

/// Convolutions and matrix products with constant weights.
extension Lowering {
  mutating func convolution(
    _ node: Graph.Node, _ layer: ConvolutionLayer
  ) throws(QuantizationError) -> Operand {
    let operand = try operand(node, 0)
    let weights = try constant(node, 1)
    let rows = try linear(
      operand, weights: weights.values,
      biases: node.inputs.count > 2 ? constant(node, 2).values : nil,
      rowCount: weights.shape[0], to: exponent(of: node), node)
    let convolution = Convolution(
      rows: rows, groups: layer.groups, window: Window(layer.window),
      exponent: Int8(exponent(of: node)))
    return try emit(.convolution(convolution), node.name, reading: [operand])
  }

  /// Conv and ConvTranspose over one to four image axes.
  mutating func convolution(
    _ node: Graph.Node, _ form: GeneralConvolution
  ) throws(QuantizationError) -> Operand {
    let weights = try constant(node, 1)
    let operand = try operand(node, 0)
    return try convolution(
      operand, form.window, isTransposed: form.isTransposed, groups: form.groups, node
    ) { lowering, patches throws(QuantizationError) in
      try lowering.linear(
        patches,
        weights: form.isTransposed ? Self.flipped(weights, form) : weights.values,
        biases: node.inputs.count > 2 ? lowering.constant(node, 2).values : nil,
        rowCount: form.rows, to: lowering.exponent(of: node), node)
    }
  }

  /// Weights [in, out / groups, cells] of a transposed convolution as those of the convolution that
  /// reads its inputs with zeros between them: [out, in / groups, cells backwards].
  private static func flipped(_ weights: FloatTensor, _ form: GeneralConvolution) -> [Float] {
    let cells = weights.shape.dropFirst(2).reduce(1, *)
    let (perGroup, rowsPerGroup) = (form.channels / form.groups, form.rows / form.groups)
    var result: [Float] = []
    result.reserveCapacity(weights.values.count)
    for row in 0..<form.rows {
      for channel in 0..<perGroup {
        let source = row / rowsPerGroup * perGroup + channel
        let first = (source * rowsPerGroup + row % rowsPerGroup) * cells
        result += weights.values[first..<first + cells].reversed()
      }
    }
    return result
  }

  /// A convolution over any image axes as one over two: a missing axis has size 1; where there are
  /// more than two, the patches along the leading ones are unfolded into channels. `rows` gives
  /// weights [out, in / groups, cells] for the operand that the convolution reads.
  mutating func convolution(
    _ operand: Operand, _ window: SpatialWindow, isTransposed: Bool, groups: Int,
    _ node: Graph.Node,
    rows: (inout Self, Operand) throws(QuantizationError) -> LinearRows
  ) throws(QuantizationError) -> Operand {
    let shape = operand.shape
    var axes = window.kernel.indices.map { axis in
      isTransposed
        ? ConvolutionAxis(transposed: window, axis) : ConvolutionAxis(window, axis)
    }
    if axes.count == 1 { axes.insert(ConvolutionAxis(), at: 0) }
    let leading = axes.count - 2
    guard leading <= 2 else {
      throw .unsupported(
        node: node.name, "it has \(axes.count) image axes and integers know at most 4")
    }
    var image = try reshaped(operand, to: shape[..<2] + axes.map(\.input), node.name)
    if axes.contains(where: { $0.isArranged }) || leading > 0 {
      var lists: [FixedPoint.Arrangement.Axis] = (0..<2).map {
        .init(whole: $0, count: shape[$0])
      }
      for (axis, step) in axes.enumerated() {
        lists.append(
          .init(source: axis + 2, indices: axis < leading ? step.patches : step.places))
        if axis >= leading { axes[axis].isArranged = true }
      }
      image = try emit(
        .arrangement(FixedPoint.Arrangement(axes: lists)), node.name, reading: [image])
    }
    let front = axes[..<leading]
    let results = front.map(\.result)
    if leading > 0 {
      // [batch, channel, kernel, place, ..., height, width]: places join the batch, kernels the
      // channels.
      let rest = Array(image.shape.suffix(2))
      image = try reshaped(
        image, to: shape[..<2] + front.flatMap { [$0.kernel, $0.result] } + rest, node.name)
      let order =
        [0] + (0..<leading).map { 3 + 2 * $0 } + [1] + (0..<leading).map { 2 + 2 * $0 }
        + [2 + 2 * leading, 3 + 2 * leading]
      image = try transposed(image, order, node.name)
      image = try reshaped(
        image,
        to: [
          shape[0] * results.reduce(1, *), shape[1] * front.reduce(1) { $0 * $1.kernel },
        ] + rest, node.name)
    }
    let (height, width) = (axes[leading], axes[leading + 1])
    let exponent = Int8(exponent(of: node))
    var result = try emit(
      .convolution(
        Convolution(
          rows: rows(&self, image), groups: groups,
          window: Window(
            kernel: (height.kernel, width.kernel), stride: (height.stride, width.stride),
            pads: (height.before, width.before, height.after, width.after),
            dilation: (height.dilation, width.dilation)), exponent: exponent)),
      node.name, reading: [image])
    if leading > 0 {
      let tail = Array(result.shape.dropFirst())
      result = try reshaped(result, to: [shape[0]] + results + tail, node.name)
      let order = [0, leading + 1] + (1...leading) + [leading + 2, leading + 3]
      result = try transposed(result, order, node.name)
    }
    return try reshaped(result, to: result.shape[..<2] + window.result, node.name)
  }

  /// x · factor + offset, each factor and offset for one index of axis 1 of [outer, channels,
  /// inner], as a convolution of single cells.
  mutating func affine(
    _ operand: Operand, as shape: [Int], factors: [Float], offsets: [Float], _ node: Graph.Node
  ) throws(QuantizationError) -> Operand {
    let image = try reshaped(operand, to: shape + [1], node.name)
    let rows = try linear(
      image, weights: factors, biases: offsets, rowCount: factors.count, to: exponent(of: node),
      node, weightBits: 16)
    return try emit(
      .convolution(
        Convolution(
          rows: rows, groups: factors.count, window: Window(kernel: (1, 1)),
          exponent: Int8(exponent(of: node)))),
      node.name, reading: [image])
  }

  mutating func gemm(
    _ node: Graph.Node, _ layer: GemmLayer
  ) throws(QuantizationError) -> Operand {
    let matrix = try constant(node, 1)
    var weights = layer.transposesRight ? matrix.values : transposed(matrix)
    for index in weights.indices { weights[index] *= layer.alpha }
    let rowCount = matrix.shape[layer.transposesRight ? 0 : 1]
    var biases: [Float]?
    if node.inputs.count > 2 {
      let bias = try constant(node, 2)
      biases = Shape.expand(bias.values, from: bias.shape, to: [1, rowCount])
        .map { $0 * layer.beta }
    }
    return try matrixProduct(node, weights: weights, biases: biases, rowCount: rowCount)
  }

  mutating func matMul(_ node: Graph.Node) throws(QuantizationError) -> Operand {
    let matrix = try constant(node, 1)
    return try matrixProduct(
      node, weights: transposed(matrix), biases: nil, rowCount: matrix.shape[1])
  }

  private mutating func matrixProduct(
    _ node: Graph.Node, weights: [Float], biases: [Float]?, rowCount: Int
  ) throws(QuantizationError) -> Operand {
    let operand = try operand(node, 0)
    let rows = try linear(
      operand, weights: weights, biases: biases, rowCount: rowCount, to: exponent(of: node), node)
    return try emit(
      .matrixProduct(MatrixProduct(rows: rows, exponent: Int8(exponent(of: node)))), node.name,
      reading: [operand])
  }

  /// Gemm and MatMul in every other form: computed operands, batches, a transposed left operand, a
  /// third operand of any broadcast shape.
  mutating func product(
    _ node: Graph.Node, _ form: GeneralProduct
  ) throws(QuantizationError) -> Operand {
    let addend = try addend(node, form)
    let exponent = exponent(of: node)
    // Without the addend a product may be larger than the result.
    let productExponent = addend.map { min($0.exponent, exponent) - 1 } ?? exponent
    var result: Operand
    if let matrix = knownConstant(node, 1), matrix.shape.count == 2,
      shape(of: node).count > 1
    {
      let left = try matrixOperand(node, 0, turns: form.transposesLeft)
      var weights = form.transposesRight ? matrix.values : transposed(matrix)
      for index in weights.indices { weights[index] *= form.alpha }
      let rowCount = matrix.shape[form.transposesRight ? 0 : 1]
      let rows = try linear(
        left, weights: weights, biases: nil, rowCount: rowCount, to: productExponent, node)
      result = try emit(
        .matrixProduct(MatrixProduct(rows: rows, exponent: Int8(productExponent))), node.name,
        reading: [left])
    } else {
      let left = try matrixOperand(node, 0, turns: form.transposesLeft)
      let right = try matrixOperand(node, 1, turns: form.transposesRight)
      guard form.alpha != 0 else {
        throw .unsupported(node: node.name, "its alpha of 0 leaves nothing of the product")
      }
      // What alpha multiplies is larger or smaller than the result by as much.
      let scale = form.alpha == 1 ? 0 : Int(form.alpha.magnitude.exponent)
      let factors = try factors(left, right, for: productExponent + scale, node.name)
      result = try emit(
        .tensorProduct(TensorProduct(exponent: Int8(factors.exponent))), node.name,
        reading: [factors.left, factors.right])
      if form.alpha != 1 {
        let alpha = try constant(FloatTensor(shape: [], values: [form.alpha]), node.name)
        result = try multiplied(result, alpha, to: productExponent, node)
      }
    }
    if let addend { result = try added(result, addend, to: exponent, node) }
    return try reshaped(result, to: shape(of: node), node.name)
  }

  /// beta · C; nil where there is none.
  private mutating func addend(
    _ node: Graph.Node, _ form: GeneralProduct
  ) throws(QuantizationError) -> Operand? {
    guard node.operands.count > 2, form.beta != 0 else { return nil }
    if let known = knownConstant(node, 2) {
      let scaled = FloatTensor(shape: known.shape, values: known.values.map { $0 * form.beta })
      return try constant(scaled, node.name)
    }
    let operand = try operand(node, 2)
    guard form.beta != 1 else { return operand }
    let beta = try constant(FloatTensor(shape: [], values: [form.beta]), node.name)
    let growth = max(0, Int(form.beta.magnitude.exponent) + 1)
    return try multiplied(operand, beta, to: operand.exponent - growth, node)
  }

  /// The operand as a matrix: a vector is a row on the left and a column on the right.
  private mutating func matrixOperand(
    _ node: Graph.Node, _ place: Int, turns: Bool
  ) throws(QuantizationError) -> Operand {
    var operand = try operand(node, place)
    if operand.shape.count == 1 {
      let count = operand.shape[0]
      operand = try reshaped(operand, to: place == 0 ? [1, count] : [count, 1], node.name)
    }
    guard turns else { return operand }
    var order = Array(operand.shape.indices)
    order.swapAt(order.count - 2, order.count - 1)
    return try transposed(operand, order, node.name)
  }

  func transposed(_ matrix: FloatTensor) -> [Float] {
    let (rows, columns) = (matrix.shape[0], matrix.shape[1])
    return (0..<rows * columns).map { matrix.values[$0 % rows * columns + $0 / rows] }
  }

  /// Each row gets the weight exponent at which its largest weight fits, as far as the shift
  /// operand exponent + weight exponent - result exponent stays within 0...16: shifts beyond that
  /// cost a prover a second limb and gain nothing.
  ///
  /// `weightBits` replaces the setting where a node's accuracy hangs on few weights.
  func linear(
    _ operand: Operand, weights: [Float], biases: [Float]?, rowCount: Int, to result: Int,
    _ node: Graph.Node, weightBits: Int? = nil
  ) throws(QuantizationError) -> LinearRows {
    let columns = weights.count / rowCount
    let limit = Double((1 << ((weightBits ?? quantizer.settings.weightBits) - 1)) - 1)
    var integers: [Int16] = []
    integers.reserveCapacity(weights.count)
    var integerBiases: [Int64] = []
    var shifts: [UInt8] = []
    for row in 0..<rowCount {
      let slice = weights[row * columns..<(row + 1) * columns]
      let largest = slice.reduce(0) { max($0, abs(Double($1))) }
      let shift =
        (operand.exponent + PowerOfTwo.exponent(fitting: largest, limit: limit) - result)
        .clamped(to: 0...16)
      let scale = PowerOfTwo.value(shift + result - operand.exponent)
      guard largest * scale < 32767 else {
        throw .unrepresentable(
          node: node.name, "a weight of \(largest) is too large for its result's range")
      }
      for weight in slice { integers.append(Int16((Double(weight) * scale).rounded())) }
      let bias = (Double(biases?[row] ?? 0) * PowerOfTwo.value(shift + result)).rounded()
      guard abs(bias) < 0x1p61 else {
        throw .unrepresentable(node: node.name, "its bias of \(biases?[row] ?? 0) is too large")
      }
      integerBiases.append(Int64(bias))
      shifts.append(UInt8(shift))
    }
    return LinearRows(weights: integers, biases: integerBiases, shifts: shifts)
  }
}

extension Window {
  init(_ window: ImageWindow) {
    self.init(
      kernel: (window.kernel[0], window.kernel[1]), stride: (window.strides[0], window.strides[1]),
      pads: (window.pads[0], window.pads[1], window.pads[2], window.pads[3]),
      dilation: (window.dilations[0], window.dilations[1]))
  }
}

/// One axis of a convolution: which places of the input each kernel cell reads.
private struct ConvolutionAxis {
  var input = 1
  var kernel = 1
  var result = 1
  var stride = 1
  var dilation = 1
  /// Padding; negative where the input is cropped.
  private var padding = (before: 0, after: 0)
  /// Zeros between the inputs make one of every `spacing` places an input.
  private var spacing = 1
  /// Whether the places have been, or must be, arranged: zeros between inputs and cropping are no
  /// padding of a window.
  var isArranged = false

  init() {}

  init(_ window: SpatialWindow, _ axis: Int) {
    (input, kernel) = (window.input[axis], window.kernel[axis])
    (stride, dilation) = (window.strides[axis], window.dilations[axis])
    result = window.result[axis]
    let span = dilation * (kernel - 1) + 1
    padding = (
      window.before[axis], max(0, (result - 1) * stride + span - input - window.before[axis])
    )
  }

  /// The convolution of stride 1 over the spaced inputs that a transposed one is.
  init(transposed window: SpatialWindow, _ axis: Int) {
    (input, kernel) = (window.input[axis], window.kernel[axis])
    (spacing, dilation) = (window.strides[axis], window.dilations[axis])
    result = window.result[axis]
    let span = dilation * (kernel - 1) + 1
    let before = span - 1 - window.before[axis]
    padding = (before, result - 1 + span - before - ((input - 1) * spacing + 1))
    isArranged = spacing > 1 || padding.before < 0 || padding.after < 0
  }

  var before: Int { isArranged ? 0 : padding.before }
  var after: Int { isArranged ? 0 : padding.after }

  /// The input at a place of the padded, spaced axis.
  private func source(_ place: Int) -> Int? {
    let spaced = place - padding.before
    guard spaced >= 0, spaced.isMultiple(of: spacing), spaced / spacing < input else { return nil }
    return spaced / spacing
  }

  /// Every place that a window reads, in order.
  var places: [Int?] {
    let count = (result - 1) * stride + dilation * (kernel - 1) + 1
    return (0..<count).map(source)
  }

  /// By kernel cell: what it reads for each place of the result.
  var patches: [Int?] {
    (0..<kernel).flatMap { cell in
      (0..<result).map { source($0 * stride + cell * dilation) }
    }
  }
}
