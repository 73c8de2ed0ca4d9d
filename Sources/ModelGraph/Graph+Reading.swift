extension Graph {
  /// Elements of all values of a graph together.
  package static let elementLimit = 1 << 28

  package init(bytes: [UInt8]) throws(ModelError) { try self.init(ModelFile(bytes: bytes)) }

  /// Throws, naming the node, unless every operator, attribute, name and shape is understood.
  package init(_ file: ModelFile) throws(ModelError) {
    let opset = try file.opset()
    var builder = GraphBuilder(opset: opset)
    let graph = file.proto.graph
    for initializer in graph.initializer {
      let (shape, origin) = try TensorReader.read(initializer, at: initializer.name)
      _ = try builder.define(initializer.name, shape: shape, origin: origin)
    }
    // Before IR version 4 initialisers are listed among the inputs as well.
    let stated = graph.input.filter { builder.index(of: $0.name) == nil }
    guard !stated.isEmpty else { throw ModelError(.malformed("the model has no input")) }
    var inputs: [Int] = []
    for input in stated {
      let shape = try inputShape(input)
      inputs.append(try builder.define(input.name, shape: shape, origin: .input))
    }
    for node in try sorted(graph.node, defined: builder) { try builder.append(node) }
    var outputs: [Int] = []
    for output in graph.output {
      guard let index = builder.index(of: output.name) else {
        throw ModelError(.missingValue(output.name), at: "(the model's outputs)")
      }
      guard !builder.values[index].isConstant else {
        throw ModelError(.unsupportedFeature("an output is constant"), at: output.name)
      }
      outputs.append(index)
    }
    guard !outputs.isEmpty, Set(outputs).count == outputs.count else {
      throw ModelError(.malformed("the model has no output, or one twice"))
    }
    self.init(
      name: graph.name, opset: opset, values: builder.values, nodes: builder.nodes, inputs: inputs,
      outputs: outputs)
  }
}

/// A batch whose size the file leaves open is a batch of one; every other axis must be stated.
private func inputShape(_ input: Onnx_ValueInfoProto) throws(ModelError) -> [Int] {
  let type = input.type.tensorType
  guard type.elemType == Onnx_TensorProto.DataType.float.rawValue else {
    throw ModelError(.unsupportedType("an input is no float32 tensor"), at: input.name)
  }
  var shape: [Int] = []
  for (axis, dimension) in type.shape.dim.enumerated() {
    switch dimension.value {
    case .dimValue(let size) where size > 0 && size <= Shape.elementLimit: shape.append(Int(size))
    case .dimValue(let size):
      throw ModelError(.shape("axis \(axis) has size \(size)"), at: input.name)
    case .dimParam, nil:
      guard axis == 0 else {
        throw ModelError(
          .unsupportedFeature("axis \(axis) has no fixed size"), at: input.name)
      }
      shape.append(1)
    }
  }
  guard Shape.elementCount(shape) != nil else {
    throw ModelError(.shape("\(shape) is out of bounds"), at: input.name)
  }
  return shape
}

/// Nodes in an order in which each comes after what it reads, the file's order kept where it can
/// be.
private func sorted(
  _ nodes: [Onnx_NodeProto], defined builder: GraphBuilder
) throws(ModelError) -> [Onnx_NodeProto] {
  var producers: [String: Int] = [:]
  for (index, node) in nodes.enumerated() {
    for output in node.output where !output.isEmpty {
      guard builder.index(of: output) == nil, producers.updateValue(index, forKey: output) == nil
      else {
        throw ModelError(.duplicateName, at: output)
      }
    }
  }
  var waiting = [Int](repeating: 0, count: nodes.count)
  var readers = [[Int]](repeating: [], count: nodes.count)
  for (index, node) in nodes.enumerated() {
    for input in node.input where !input.isEmpty && builder.index(of: input) == nil {
      guard let producer = producers[input] else {
        throw ModelError(.missingValue(input), at: node.displayName)
      }
      readers[producer].append(index)
      waiting[index] += 1
    }
  }
  var order = nodes.indices.filter { waiting[$0] == 0 }
  var next = 0
  while next < order.count {
    for reader in readers[order[next]] {
      waiting[reader] -= 1
      if waiting[reader] == 0 { order.append(reader) }
    }
    next += 1
  }
  if order.count < nodes.count, let index = waiting.firstIndex(where: { $0 > 0 }) {
    throw ModelError(.cycle, at: nodes[index].displayName)
  }
  // A file that is already sorted, as ONNX demands, keeps its order.
  var position = [Int](repeating: 0, count: nodes.count)
  for (place, index) in order.enumerated() { position[index] = place }
  let isSorted = nodes.indices.allSatisfy { index in readers[index].allSatisfy { $0 > index } }
  return isSorted ? nodes : order.map { nodes[$0] }
}

/// Collects values and nodes, each checked against those before it.
struct GraphBuilder {
  let opset: Int64
  private(set) var values: [Graph.Value] = []
  private(set) var nodes: [Graph.Node] = []
  private var indices: [String: Int] = [:]
  private var elements = 0

  init(opset: Int64) { self.opset = opset }

  func index(of name: String) -> Int? { indices[name] }

  mutating func define(
    _ name: String, shape: [Int], origin: Graph.Value.Origin
  ) throws(ModelError) -> Int {
    guard !name.isEmpty, name.utf8.count <= ModelFile.nameLimit else {
      throw ModelError(
        .malformed("a name is empty or above \(ModelFile.nameLimit) bytes"),
        at: String(name.prefix(40)))
    }
    guard let count = Shape.elementCount(shape) else {
      throw ModelError(.shape("a result of shape \(shape) is out of bounds"), at: name)
    }
    elements += count
    guard elements <= Graph.elementLimit else {
      throw ModelError(.tooLarge("its tensors have more than 2^28 elements together"), at: name)
    }
    guard indices.updateValue(values.count, forKey: name) == nil else {
      throw ModelError(.duplicateName, at: name)
    }
    values.append(Graph.Value(name: name, shape: shape, origin: origin))
    return values.count - 1
  }

  mutating func append(_ proto: Onnx_NodeProto) throws(ModelError) {
    let name = proto.displayName
    guard name.utf8.count <= ModelFile.nameLimit, proto.usesDefaultDomain else {
      throw ModelError(.unsupportedOperator("\(proto.domain).\(proto.opType)"), at: name)
    }
    if proto.opType == "Split" { return try appendSplit(proto) }
    guard let output = proto.output.first,
      !proto.output.dropFirst().contains(where: { !$0.isEmpty })
    else {
      throw ModelError(
        .unsupportedFeature("\(proto.opType) has \(proto.output.count) results"), at: name)
    }
    if proto.opType == "Constant" {
      let (shape, origin) = try TensorReader.readConstant(proto, at: name)
      _ = try define(output, shape: shape, origin: origin)
      return
    }
    // An omitted trailing operand may be written as an empty name.
    var slots: [Int?] = []
    let named = proto.input.prefix(through: proto.input.lastIndex { !$0.isEmpty } ?? -1)
    for input in named {
      guard !input.isEmpty else {
        slots.append(nil)
        continue
      }
      guard let index = indices[input] else {
        throw ModelError(.missingValue(input), at: name)
      }
      slots.append(index)
    }
    let reader = NodeReader(
      name: name, proto: proto, slots: slots.map { $0.map { values[$0] } }, opset: opset)
    if let (shape, origin) = try folded(reader) {
      _ = try define(output, shape: shape, origin: origin)
      return
    }
    let inputs = slots.compactMap(\.self)
    let layer = try Layer.read(reader)
    try append(name: name, layer: layer, inputs: inputs, output: output, proto: proto)
  }

  mutating func append(
    name: String, layer: Layer, inputs: [Int], output: String, proto: Onnx_NodeProto
  ) throws(ModelError) {
    guard let first = inputs.first, !values[first].isConstant || inputs.count > 1 else {
      throw ModelError(.unsupportedFeature("it computes on constants only"), at: name)
    }
    if layer.takesConstantsFirst {
      guard inputs.contains(where: { !values[$0].isConstant }) else {
        throw ModelError(.unsupportedFeature("it computes on constants only"), at: name)
      }
    } else if values[first].isConstant {
      throw ModelError(.unsupportedFeature("its first operand is constant"), at: name)
    }
    let shape = try layer.resultShape(inputs.map { values[$0] }, at: name)
    let index = try define(output, shape: shape, origin: .node)
    nodes.append(
      Graph.Node(name: name, layer: layer, inputs: inputs, output: index, proto: proto))
  }
}
