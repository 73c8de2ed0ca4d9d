import FixedPoint
import ModelGraph

/// Turns nodes into operations of a program, one at a time.
struct Lowering {
  let quantizer: Quantizer
  private(set) var operations: [Program.Operation] = []
  /// Value index -> tensor number in the program.
  private(set) var tensors: [Int: Int] = [:]
  private let inputCount: Int

  init(quantizer: Quantizer, inputs: [Int]) {
    self.quantizer = quantizer
    inputCount = inputs.count
    for (tensor, value) in inputs.enumerated() { tensors[value] = tensor }
  }

  mutating func append(_ node: Graph.Node) throws(QuantizationError) {
    let exponent = quantizer.exponents[node.output]
    switch node.layer {
    case .convolution(let layer):
      let rows = try linear(
        node, weights: constant(node, 1).values,
        biases: node.inputs.count > 2 ? constant(node, 2).values : nil,
        rowCount: constant(node, 1).shape[0])
      let convolution = Convolution(
        rows: rows, groups: layer.groups, window: Window(layer.window), exponent: exponent)
      try emit(.convolution(convolution), node, reading: [node.inputs[0]])
    case .gemm(let layer):
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
      let rows = try linear(node, weights: weights, biases: biases, rowCount: rowCount)
      try emit(
        .matrixProduct(MatrixProduct(rows: rows, exponent: exponent)), node,
        reading: [node.inputs[0]])
    case .matMul:
      let matrix = try constant(node, 1)
      let rows = try linear(
        node, weights: transposed(matrix), biases: nil, rowCount: matrix.shape[1])
      try emit(
        .matrixProduct(MatrixProduct(rows: rows, exponent: exponent)), node,
        reading: [node.inputs[0]])
    case .relu: try emit(.relu(Relu()), node, reading: node.inputs)
    case .reshape, .identity:
      try emit(
        .reshape(Reshape(shape: quantizer.graph.values[node.output].shape)), node,
        reading: [node.inputs[0]])
    case .pool(let layer) where layer.reduction == .maximum:
      try emit(.maxPool(MaxPool(window: Window(layer.window))), node, reading: node.inputs)
    case .pool(let layer): try appendMean(node, layer)
    case .add: try appendAddition(node)
    case .general:
      throw .unsupported(
        node: node.name,
        "\(node.operatorName) in this form has no integer meaning, only a float one")
    case .batchNormalization:
      throw .unsupported(node: node.name, "a BatchNormalization was left by simplification")
    }
  }

  private mutating func emit(
    _ operation: Operator, _ node: Graph.Node, reading values: [Int]
  ) throws(QuantizationError) {
    let inputs = values.compactMap { tensors[$0] }
    operations.append(.init(name: node.name, inputs: inputs, operator: operation))
    tensors[node.output] = inputCount + operations.count - 1
  }

  private func constant(
    _ node: Graph.Node, _ operand: Int
  ) throws(QuantizationError) -> FloatTensor {
    guard let constant = quantizer.graph.values[node.inputs[operand]].constant else {
      throw .unsupported(node: node.name, "operand \(operand) is not constant")
    }
    return constant
  }

  private func transposed(_ matrix: FloatTensor) -> [Float] {
    let (rows, columns) = (matrix.shape[0], matrix.shape[1])
    return (0..<rows * columns).map { matrix.values[$0 % rows * columns + $0 / rows] }
  }

  /// Each row gets the weight exponent at which its largest weight fits, as far as the shift
  /// operand exponent + weight exponent - result exponent stays within 0...16: shifts beyond that
  /// cost a prover a second limb and gain nothing.
  private func linear(
    _ node: Graph.Node, weights: [Float], biases: [Float]?, rowCount: Int
  ) throws(QuantizationError) -> LinearRows {
    let operand = Int(quantizer.exponents[node.inputs[0]])
    let result = Int(quantizer.exponents[node.output])
    let columns = weights.count / rowCount
    let limit = Double((1 << (Quantizer.weightBits - 1)) - 1)
    var integers: [Int16] = []
    integers.reserveCapacity(weights.count)
    var integerBiases: [Int64] = []
    var shifts: [UInt8] = []
    for row in 0..<rowCount {
      let slice = weights[row * columns..<(row + 1) * columns]
      let largest = slice.reduce(0) { max($0, abs(Double($1))) }
      let shift = (operand + PowerOfTwo.exponent(fitting: largest, limit: limit) - result)
        .clamped(to: 0...16)
      let scale = PowerOfTwo.value(shift + result - operand)
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

  /// multiplier / 2^shift = 2^(result - operand exponent) / cells: exact where the count of cells
  /// is a power of two, otherwise to 15 bits.
  private mutating func appendMean(
    _ node: Graph.Node, _ layer: PoolLayer
  ) throws(QuantizationError) {
    let exponent = quantizer.exponents[node.output]
    let cells = layer.window.kernel[0] * layer.window.kernel[1]
    let ratio =
      PowerOfTwo.value(Int(exponent) - Int(quantizer.exponents[node.inputs[0]])) / Double(cells)
    let isExact = ratio.significand == 1
    let shift = (isExact ? -Int(ratio.exponent) : 14 - Int(ratio.exponent)).clamped(to: 0...31)
    let multiplier = (ratio * PowerOfTwo.value(shift)).rounded()
    guard multiplier >= 1, multiplier <= Double(AveragePool.multiplierLimit) else {
      throw .unrepresentable(node: node.name, "a mean over \(cells) cells has no 16-bit multiplier")
    }
    try emit(
      .averagePool(
        AveragePool(
          window: Window(layer.window), multiplier: UInt32(multiplier), shift: UInt8(shift),
          exponent: exponent)),
      node, reading: node.inputs)
  }

  private mutating func appendAddition(_ node: Graph.Node) throws(QuantizationError) {
    let shape = quantizer.graph.values[node.output].shape
    var operands: [(tensor: Int, exponent: Int)] = []
    for input in node.inputs {
      let value = quantizer.graph.values[input]
      if let constant = value.constant {
        let exponent = PowerOfTwo.exponent(fitting: Double(constant.maxMagnitude), limit: 32767)
          .clamped(to: -16...15)
        guard Double(constant.maxMagnitude) * PowerOfTwo.value(exponent) <= 32767 else {
          throw .unrepresentable(node: node.name, "its constant is too large")
        }
        let integers = Shape.expand(constant.values, from: constant.shape, to: shape).map {
          Int16((Double($0) * PowerOfTwo.value(exponent)).rounded())
        }
        operations.append(
          .init(
            name: value.name, inputs: [],
            operator: .constant(
              Constant(shape: shape, exponent: Int8(exponent), values: integers))))
        operands.append((inputCount + operations.count - 1, exponent))
      } else if value.shape == shape, let tensor = tensors[input] {
        operands.append((tensor, Int(quantizer.exponents[input])))
      } else {
        throw .unsupported(
          node: node.name, "\(value.shape) is broadcast to \(shape), which only constants may be")
      }
    }
    let exponent = quantizer.exponents[node.output]
    let common = max(operands[0].exponent, operands[1].exponent, Int(exponent))
    let alignments = operands.map { common - $0.exponent }
    let shift = common - Int(exponent)
    guard (alignments + [shift]).allSatisfy({ $0 <= Requantization.shiftLimit }) else {
      throw .unrepresentable(node: node.name, "its operands differ too much in range")
    }
    operations.append(
      .init(
        name: node.name, inputs: operands.map(\.tensor),
        operator: .add(
          Addition(
            leftAlignment: UInt8(alignments[0]), rightAlignment: UInt8(alignments[1]),
            shift: UInt8(shift), exponent: exponent))))
    tensors[node.output] = inputCount + operations.count - 1
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
