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
      rowCount: weights.shape[0], node)
    let convolution = Convolution(
      rows: rows, groups: layer.groups, window: Window(layer.window),
      exponent: Int8(exponent(of: node)))
    return try emit(.convolution(convolution), node.name, reading: [operand])
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
    let rows = try linear(operand, weights: weights, biases: biases, rowCount: rowCount, node)
    return try emit(
      .matrixProduct(MatrixProduct(rows: rows, exponent: Int8(exponent(of: node)))), node.name,
      reading: [operand])
  }

  private func transposed(_ matrix: FloatTensor) -> [Float] {
    let (rows, columns) = (matrix.shape[0], matrix.shape[1])
    return (0..<rows * columns).map { matrix.values[$0 % rows * columns + $0 / rows] }
  }

  /// Each row gets the weight exponent at which its largest weight fits, as far as the shift
  /// operand exponent + weight exponent - result exponent stays within 0...16: shifts beyond that
  /// cost a prover a second limb and gain nothing.
  private func linear(
    _ operand: Operand, weights: [Float], biases: [Float]?, rowCount: Int, _ node: Graph.Node
  ) throws(QuantizationError) -> LinearRows {
    let result = exponent(of: node)
    let columns = weights.count / rowCount
    let limit = Double((1 << (Quantizer.weightBits - 1)) - 1)
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
