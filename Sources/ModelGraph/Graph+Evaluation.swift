extension Graph {
  /// Runs the model in 32-bit float and gives every value that is no constant, by index.
  ///
  /// Plain loops in the order of the definition: the reference that quantisation is measured
  /// against, not a fast runtime. Throws where an input's shape is not the model's.
  package func evaluateAll(_ inputs: [FloatTensor]) throws(ModelError) -> [FloatTensor?] {
    guard inputs.count == self.inputs.count else {
      throw ModelError(
        .shape("\(inputs.count) inputs came and the model takes \(self.inputs.count)"))
    }
    var results = values.map(\.constant)
    for (index, input) in zip(self.inputs, inputs) {
      guard input.shape == values[index].shape, input.values.count == values[index].elementCount
      else {
        throw ModelError(
          .shape("\(input.shape) came and \(values[index].shape) was expected"),
          at: values[index].name)
      }
      results[index] = input
    }
    for node in nodes {
      // Integer constants are shapes, which the layer has already resolved.
      let operands = node.inputs.compactMap { results[$0] }
      results[node.output] = node.layer.evaluate(operands, into: values[node.output].shape)
    }
    for index in values.indices where values[index].isConstant { results[index] = nil }
    return results
  }

  package func evaluate(_ inputs: [FloatTensor]) throws(ModelError) -> [FloatTensor] {
    let results = try evaluateAll(inputs)
    return outputs.compactMap { results[$0] }
  }
}
