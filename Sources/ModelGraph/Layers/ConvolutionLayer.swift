/// Conv over images. Operands: input, weights [out, in / groups, height, width], optional bias.
package struct ConvolutionLayer: Sendable {
  package let window: ImageWindow
  package let groups: Int

  init(window: ImageWindow, groups: Int) { (self.window, self.groups) = (window, groups) }

  init(_ reader: NodeReader) throws(ModelError) {
    try reader.allow(ImageWindow.attributes + ["group"], operands: 2...3)
    let weights = reader.operands[1]
    guard weights.isConstant, reader.operands.dropFirst(2).allSatisfy(\.isConstant)
    else {
      throw reader.fail(.unsupportedFeature("the weights of Conv are not constant"))
    }
    guard weights.shape.count == 4 else {
      throw reader.fail(.unsupportedFeature("Conv has weights of shape \(weights.shape)"))
    }
    let kernel = try reader.integers(
      "kernel_shape", count: 2, default: Array(weights.shape.suffix(2)))
    guard kernel == Array(weights.shape.suffix(2)) else {
      throw reader.fail(.shape("kernel_shape \(kernel) is not that of weights \(weights.shape)"))
    }
    window = try ImageWindow(reader, kernel: kernel)
    groups = reader.integer("group", default: 1)
  }

  func resultShape(_ operands: [Graph.Value], at node: String) throws(ModelError) -> [Int] {
    let (input, weights) = (operands[0].shape, operands[1].shape)
    guard groups > 0, groups <= input[1], input[1].isMultiple(of: groups),
      weights[0].isMultiple(of: groups), weights[1] == input[1] / groups
    else {
      throw ModelError(
        .shape("weights \(weights) in \(groups) groups do not fit an input of \(input)"), at: node)
    }
    if operands.count > 2, operands[2].shape != [weights[0]] {
      throw ModelError(
        .shape("a bias of \(operands[2].shape) came and [\(weights[0])] was expected"), at: node)
    }
    return [input[0], weights[0]] + window.resultSize(input)
  }

  func evaluate(_ operands: [FloatTensor], into shape: [Int]) -> [Float] {
    FloatConvolution(self, operands[0].shape, into: shape).evaluate(operands)
  }
}
