import FixedPoint
import ModelGraph

/// Operators of several operands, element by element.
extension Lowering {
  mutating func sum(_ node: Graph.Node) throws(QuantizationError) -> Operand {
    var operands: [Operand] = []
    for place in 0..<2 {
      let index = values(node)[place]
      let value = quantizer.graph.values[index]
      if let constant = value.constant {
        let shape = shape(of: node)
        operands.append(
          try self.constant(
            FloatTensor(
              shape: shape,
              values: Shape.expand(constant.values, from: constant.shape, to: shape)), value.name))
      } else {
        operands.append(try operand(node, place))
      }
    }
    let exponent = exponent(of: node)
    let common = max(operands[0].exponent, operands[1].exponent, exponent)
    let alignments = operands.map { common - $0.exponent }
    guard (alignments + [common - exponent]).allSatisfy({ $0 <= Requantization.shiftLimit }) else {
      throw .unrepresentable(node: node.name, "its operands differ too much in range")
    }
    return try emit(
      .add(
        Addition(
          leftAlignment: UInt8(alignments[0]), rightAlignment: UInt8(alignments[1]),
          shift: UInt8(common - exponent), exponent: Int8(exponent))),
      node.name, reading: operands)
  }
}
