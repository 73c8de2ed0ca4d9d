import SwiftProtobuf

extension Graph {
  /// The same function without what costs nothing to remove: Identity and inference Dropout and
  /// nodes that no output needs vanish, BatchNormalization folds into the convolution before it, or
  /// becomes a 1×1 convolution of one channel each where there is none.
  package func simplified() throws(ModelError) -> Graph {
    var builder = GraphBuilder(opset: opset)
    // Where each old value now lives.
    var renamed: [Int: Int] = [:]
    let readerCounts = readerCounts()
    var firstReaders: [Int: Int] = [:]
    for (position, node) in nodes.enumerated().reversed() {
      firstReaders[node.inputs[0]] = position
    }
    for (index, value) in values.enumerated() where value.origin != .node {
      renamed[index] = try builder.define(value.name, shape: value.shape, origin: value.origin)
    }
    var folded: Set<Int> = []
    let needed = neededNodes()
    for (position, node) in nodes.enumerated()
    where needed[position] && !folded.contains(position) {
      let inputs = node.inputs.compactMap { renamed[$0] }
      switch node.layer {
      case .identity where !outputs.contains(node.output):
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
          renamed[node.output] = try appendUnchanged(node, inputs, to: &builder)
        }
      case .batchNormalization(let layer):
        renamed[node.output] = try appendScaling(node, layer, input: inputs[0], to: &builder)
      default:
        renamed[node.output] = try appendUnchanged(node, inputs, to: &builder)
      }
    }
    return Graph(
      name: name, opset: opset, values: builder.values, nodes: builder.nodes,
      inputs: inputs.compactMap { renamed[$0] }, outputs: outputs.compactMap { renamed[$0] })
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
    _ node: Node, _ inputs: [Int], to builder: inout GraphBuilder
  ) throws(ModelError) -> Int {
    try builder.append(
      name: node.name, layer: node.layer, inputs: inputs, output: values[node.output].name,
      proto: node.proto)
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
    let weight = try builder.define(
      "\(output).folded.weight", shape: weights.shape, origin: .floats(weights.values))
    let bias = try builder.define(
      "\(output).folded.bias", shape: [biases.count], origin: .floats(biases))
    try builder.append(
      name: name, layer: .convolution(layer), inputs: [input, weight, bias], output: output,
      proto: proto)
    return builder.values.count - 1
  }
}
