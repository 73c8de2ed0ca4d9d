import SwiftProtobuf

extension Graph {
  /// The same function without what costs nothing to remove: Identity and inference Dropout and
  /// nodes that no output needs vanish, BatchNormalization folds into the convolution before it, or
  /// becomes a 1×1 convolution of one channel each where there is none. Throws unless all tensors
  /// are of float32, which is what integer slices stand for.
  package func simplified() throws(ModelError) -> Graph {
    for value in values where !value.isConstant && value.elementCount == 0 {
      throw ModelError(.shape("\(value.shape) has no elements"), at: value.name)
    }
    var builder = GraphBuilder(opset: opset)
    // Where each old value now lives.
    var renamed: [Int: Int] = [:]
    let readerCounts = readerCounts()
    var firstReaders: [Int: Int] = [:]
    for (position, node) in nodes.enumerated().reversed() {
      firstReaders[node.inputs[0]] = position
    }
    for (index, value) in values.enumerated() where value.origin != .node {
      renamed[index] = try builder.define(value)
    }
    var folded: Set<Int> = []
    let needed = neededNodes()
    for (position, node) in nodes.enumerated()
    where needed[position] && !folded.contains(position) {
      let inputs = node.inputs.compactMap { renamed[$0] }
      switch node.layer {
      case .identity
      where !outputs.contains(node.output)
        && values[node.inputs[0]].type == values[node.output].type:
        renamed[node.output] = inputs[0]
      case .convolution(let layer):
        if let reader = firstReaders[node.output], readerCounts[node.output] == 1,
          !outputs.contains(node.output),
          case .batchNormalization(let normalization) = nodes[reader].layer
        {
          folded.insert(reader)
          renamed[nodes[reader].output] = try appendFolded(
            node, layer, nodes[reader], normalization, input: inputs[0], to: &builder)
        } else {
          renamed[node.output] = try appendUnchanged(node, renamed, to: &builder)
        }
      case .batchNormalization(let layer):
        renamed[node.output] = try appendScaling(node, layer, input: inputs[0], to: &builder)
      default:
        renamed[node.output] = try appendUnchanged(node, renamed, to: &builder)
      }
    }
    let result = Graph(
      name: name, opset: opset, values: builder.values, nodes: builder.nodes,
      inputs: inputs.compactMap { renamed[$0] }, outputs: outputs.compactMap { renamed[$0] })
    try result.requireFloatNetwork()
    return result
  }

  private func neededNodes() -> [Bool] {
    var wanted = Set(outputs)
    var needed = [Bool](repeating: false, count: nodes.count)
    for (position, node) in nodes.enumerated().reversed() where wanted.contains(node.output) {
      needed[position] = true
      wanted.formUnion(node.inputs)
    }
    return needed
  }

  private func readerCounts() -> [Int] {
    var counts = [Int](repeating: 0, count: values.count)
    for node in nodes { for input in node.inputs { counts[input] += 1 } }
    return counts
  }

  private func appendUnchanged(
    _ node: Node, _ renamed: [Int: Int], to builder: inout GraphBuilder
  ) throws(ModelError) -> Int {
    try builder.append(node, of: self, renamed: renamed)
    return builder.values.count - 1
  }

  /// w' = w · factor, b' = b · factor + offset, per output channel.
  private func appendFolded(
    _ node: Node, _ layer: ConvolutionLayer, _ normalizationNode: Node,
    _ normalization: BatchNormalizationLayer, input: Int, to builder: inout GraphBuilder
  ) throws(ModelError) -> Int {
    let parameters = normalizationNode.inputs.dropFirst().compactMap { values[$0].constant }
    let (factors, offsets) = normalization.affine(parameters)
    guard var weights = values[node.inputs[1]].constant else {
      throw ModelError(.unsupportedFeature("the weights of Conv are not constant"), at: node.name)
    }
    let columns = weights.values.count / factors.count
    for index in weights.values.indices { weights.values[index] *= factors[index / columns] }
    let bias = node.inputs.count > 2 ? values[node.inputs[2]].constant : nil
    let biases = factors.indices.map { (bias?.values[$0] ?? 0) * factors[$0] + offsets[$0] }
    return try appendConvolution(
      name: node.name, layer: layer, proto: node.proto, input: input, weights: weights,
      biases: biases, output: values[normalizationNode.output].name, to: &builder)
  }

  private func appendScaling(
    _ node: Node, _ layer: BatchNormalizationLayer, input: Int, to builder: inout GraphBuilder
  ) throws(ModelError) -> Int {
    let (factors, offsets) = layer.affine(
      node.inputs.dropFirst().compactMap { values[$0].constant })
    let window = ImageWindow(kernel: [1, 1])
    var proto = Onnx_NodeProto()
    proto.opType = "Conv"
    proto.attribute = [
      .with {
        $0.name = "group"; $0.type = .int; $0.i = Int64(factors.count)
      }
    ]
    return try appendConvolution(
      name: node.name, layer: ConvolutionLayer(window: window, groups: factors.count),
      proto: proto, input: input,
      weights: FloatTensor(shape: [factors.count, 1, 1, 1], values: factors), biases: offsets,
      output: values[node.output].name, to: &builder)
  }

  private func appendConvolution(
    name: String, layer: ConvolutionLayer, proto: Onnx_NodeProto, input: Int,
    weights: FloatTensor, biases: [Float], output: String, to builder: inout GraphBuilder
  ) throws(ModelError) -> Int {
    guard (weights.values + biases).allSatisfy(\.isFinite) else {
      throw ModelError(.malformed("its normalisation is infinite or not a number"), at: name)
    }
    func define(_ role: String, _ shape: [Int], _ values: [Float]) throws(ModelError) -> Int {
      try builder.define(
        Value(
          name: "\(output).folded.\(role)", shape: shape, type: .float, origin: .floats(values)))
    }
    let inputs = [
      input, try define("weight", weights.shape, weights.values),
      try define("bias", [biases.count], biases),
    ]
    try builder.append(
      name: name, layer: .convolution(layer), inputs: inputs, operands: inputs, output: output,
      type: .float, proto: proto)
    return builder.values.count - 1
  }
}
