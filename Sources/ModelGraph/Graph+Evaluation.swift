extension Graph {
  /// Runs the model in 32-bit float and gives every value that is no constant, by index.
  ///
  /// Sums are taken in the order of the definition: the reference that quantisation is measured
  /// against. Throws where an input's shape is not the model's.
  package func evaluateAll(_ inputs: [FloatTensor]) throws(ModelError) -> [FloatTensor?] {
    try run(typed(inputs), keepsAll: true).map { $0?.floats }
  }

  package func evaluate(_ inputs: [FloatTensor]) throws(ModelError) -> [FloatTensor] {
    try evaluate(typed(inputs)).map(\.floats)
  }

  /// Numbers rounded to the types of the inputs that they are for.
  private func typed(_ tensors: [FloatTensor]) -> [TypedTensor] {
    tensors.enumerated().map { place, tensor in
      guard place < inputs.count, !values[inputs[place]].type.isComputedInFloat else {
        return TypedTensor(tensor)
      }
      return TypedTensor(
        DenseTensor(shape: tensor.shape, values: tensor.values.map { Double($0) }),
        roundedTo: values[inputs[place]].type)
    }
  }

  /// Also of models whose inputs and outputs are not all of float32.
  package func evaluate(_ inputs: [TypedTensor]) throws(ModelError) -> [TypedTensor] {
    let results = try run(inputs, keepsAll: false)
    return outputs.compactMap { results[$0] ?? values[$0].tensor }
  }

  private func run(
    _ inputs: [TypedTensor], keepsAll: Bool
  ) throws(ModelError) -> [TypedTensor?] {
    guard inputs.count == self.inputs.count else {
      throw ModelError(
        .shape("\(inputs.count) inputs came and the model takes \(self.inputs.count)"))
    }
    var results = [TypedTensor?](repeating: nil, count: values.count)
    for (index, input) in zip(self.inputs, inputs) {
      let value = values[index]
      guard input.shape == value.shape, input.count == value.elementCount,
        input.type == value.type
      else {
        let (came, expected) = (
          "\(input.shape) of \(input.type)", "\(value.shape) of \(value.type)"
        )
        throw ModelError(.shape("\(came) came and \(expected) was expected"), at: value.name)
      }
      results[index] = input
    }
    var waiting = [Int](repeating: 0, count: values.count)
    for index in nodes.flatMap(\.operands) + outputs { waiting[index] += 1 }
    for node in nodes {
      // Constants are made for one node at a time: they may be filled ones of any size.
      let operands = node.operands.compactMap { results[$0] ?? values[$0].tensor }
      let output = values[node.output]
      results[node.output] = node.layer.evaluate(operands, into: output.shape, output.type)
      for index in node.operands where !keepsAll {
        waiting[index] -= 1
        if waiting[index] == 0 { results[index] = nil }
      }
    }
    return results
  }
}

extension Layer {
  /// The layer in `Float` where its operands and its result are of 32-bit floats or narrower, else
  /// in `Double`, rounded to `type`.
  func evaluate(_ operands: [TypedTensor], into shape: [Int], _ type: NumericType) -> TypedTensor {
    // Layers divide by the sizes of what they give.
    if shape.contains(0) {
      return TypedTensor(DenseTensor<Double>(shape: shape, values: []), roundedTo: type)
    }
    return if type.isComputedInFloat, operands.allSatisfy(\.type.isComputedInFloat) {
      TypedTensor(evaluate(operands.map(\.floats), into: shape), roundedTo: type)
    } else {
      TypedTensor(evaluate(operands.map(\.doubles), into: shape), roundedTo: type)
    }
  }
}
