import FixedPoint
import ModelGraph

/// Windows of which the largest value or the mean is taken.
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

  /// multiplier / 2^shift = ratio: exact where the ratio is a power of two, otherwise to 15 bits.
  func ratio(
    _ ratio: Double, _ node: Graph.Node
  ) throws(QuantizationError) -> (multiplier: UInt32, shift: UInt8) {
    let isExact = ratio.significand == 1
    let shift = (isExact ? -Int(ratio.exponent) : 14 - Int(ratio.exponent)).clamped(to: 0...31)
    let multiplier = (ratio * PowerOfTwo.value(shift)).rounded()
    guard multiplier >= 1, multiplier <= Double(AveragePool.multiplierLimit) else {
      throw .unrepresentable(node: node.name, "its factor of \(ratio) has no 16-bit multiplier")
    }
    return (UInt32(multiplier), UInt8(shift))
  }
}
