extension Graph {
  /// Elements of all values of a graph together.
  package static let elementLimit = 1 << 28

  package init(bytes: [UInt8]) throws(ModelError) { try self.init(ModelFile(bytes: bytes)) }

  /// Throws, naming the node, unless every operator, attribute, name, type and shape is understood.
  package init(_ file: ModelFile) throws(ModelError) {
    let opset = try file.opset()
    var builder = GraphBuilder(opset: opset)
    let graph = file.proto.graph
    for initializer in graph.initializer {
      let name = initializer.name
      _ = try builder.define(try TensorReader.read(initializer, named: name, at: name))
    }
    var inputs: [Int] = []
    // Before IR version 4 initialisers are listed among the inputs as well.
    for input in graph.input.filter({ builder.index(of: $0.name) == nil }) {
      inputs.append(try builder.define(try readInput(input)))
    }
    for node in try sorted(graph.node, defined: builder) { try builder.append(node) }
    var outputs: [Int] = []
    for output in graph.output {
      guard let index = builder.index(of: output.name) else {
        throw ModelError(.missingValue(output.name), at: "(the model's outputs)")
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

  /// Throws unless the model computes tensors of float32 from tensors of float32 throughout, none
  /// of them without elements, which is what integer slices stand for. An input that is only looked
  /// up in tables may be of integers.
  func requireFloatNetwork() throws(ModelError) {
    guard !inputs.isEmpty else { throw ModelError(.malformed("the model has no input")) }
    var (looked, otherwise): (Set<Int>, Set<Int>) = ([], Set(outputs))
    for node in nodes {
      if case .general(let layer) = node.layer, case .lookup = layer.form {
        looked.insert(node.operands[1])
        otherwise.insert(node.operands[0])
      } else {
        otherwise.formUnion(node.operands)
      }
    }
    let indices = looked.subtracting(otherwise).intersection(inputs)
    for index in inputs + nodes.map(\.output) {
      let value = values[index]
      guard value.type == .float || indices.contains(index) else {
        throw ModelError(
          .unsupportedType("a tensor of \(value.type) cannot be quantised"), at: value.name)
      }
      guard value.elementCount > 0 else {
        throw ModelError(.shape("\(value.shape) has no elements"), at: value.name)
      }
    }
    for index in outputs where values[index].isConstant {
      throw ModelError(.unsupportedFeature("an output is constant"), at: values[index].name)
    }
  }
}

/// A batch whose size the file leaves open is a batch of one; every other axis must be stated.
private func readInput(_ input: Onnx_ValueInfoProto) throws(ModelError) -> Graph.Value {
  let type = input.type.tensorType
  guard let element = NumericType(Onnx_TensorProto.DataType(rawValue: Int(type.elemType))) else {
    throw ModelError(.unsupportedType("an input is no tensor of numbers"), at: input.name)
  }
  var shape: [Int] = []
  for (axis, dimension) in type.shape.dim.prefix(Shape.rankLimit + 1).enumerated() {
    switch dimension.value {
    case .dimValue(let size) where size >= 0 && size <= Shape.elementLimit: shape.append(Int(size))
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
  return Graph.Value(name: input.name, shape: shape, type: element, origin: .input)
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
  /// Numbers that layers keep beside the values.
  private var heldNumbers = 0
  static let heldNumberLimit = 1 << 22
  /// Of all nodes together, so that sums over them cannot overflow.
  private var multiplications = 0
  /// Elements read and written by folding so far.
  var foldedElements = 0

  init(opset: Int64) { self.opset = opset }

  func index(of name: String) -> Int? { indices[name] }

  /// Gives the value's index. Errors name `node`, or else the value.
  mutating func define(
    _ value: Graph.Value, at node: String? = nil
  ) throws(ModelError) -> Int {
    let name = value.name
    guard !name.isEmpty, name.utf8.count <= ModelFile.nameLimit else {
      throw ModelError(
        .malformed("a name is empty or above \(ModelFile.nameLimit) bytes"),
        at: String(name.prefix(40)))
    }
    guard let count = Shape.elementCount(value.shape) else {
      throw ModelError(
        .shape("a result of shape \(value.shape) is out of bounds"), at: node ?? name)
    }
    elements += count
    guard elements <= Graph.elementLimit else {
      throw ModelError(
        .tooLarge("its tensors have more than \(Graph.elementLimit) elements together"),
        at: node ?? name)
    }
    guard indices.updateValue(values.count, forKey: name) == nil else {
      throw ModelError(.duplicateName, at: name)
    }
    values.append(value)
    return values.count - 1
  }

  mutating func append(_ proto: Onnx_NodeProto) throws(ModelError) {
    let name = proto.displayName
    guard proto.usesDefaultDomain else {
      throw ModelError(.unsupportedOperator("\(proto.domain).\(proto.opType)"), at: name)
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
    guard let output = proto.output.first(where: { !$0.isEmpty }) else {
      throw ModelError(.malformed("\(proto.opType) has no result"), at: name)
    }
    if try appendRewritten(reader) { return }
    if proto.output.count(where: { !$0.isEmpty }) > 1 {
      throw ModelError(
        .unsupportedFeature("\(proto.opType) has \(proto.output.count) results"), at: name)
    }
    if let constant = try constant(reader, named: output) {
      _ = try define(constant, at: name)
      return
    }
    let type = try reader.resultType()
    let layer = try Layer.read(reader)
    let inputs = slots.compactMap(\.self)
    let operands = slots.indices.filter { !reader.isParameter($0) }.compactMap { slots[$0] }
    if operands.allSatisfy({ values[$0].isConstant }) {
      let constant = try folded(layer, type, operands.map { values[$0] }, reader, named: output)
      _ = try define(constant, at: name)
      return
    }
    try append(
      name: name, layer: layer, inputs: inputs, operands: operands, output: output, type: type,
      proto: proto)
  }

  /// Appends a node of `graph`, whose values have the indices `renamed` here.
  mutating func append(
    _ node: Graph.Node, of graph: Graph, renamed: [Int: Int]
  ) throws(ModelError) {
    let result = graph.values[node.output]
    try append(
      name: node.name, layer: node.layer, inputs: node.inputs.compactMap { renamed[$0] },
      operands: node.operands.compactMap { renamed[$0] }, output: result.name, type: result.type,
      proto: node.proto)
  }

  mutating func append(
    name: String, layer: Layer, inputs: [Int], operands: [Int], output: String, type: NumericType,
    proto: Onnx_NodeProto
  ) throws(ModelError) {
    heldNumbers += layer.heldNumbers
    guard heldNumbers <= Self.heldNumberLimit else {
      throw ModelError(.tooLarge("the model rearranges too many places"), at: name)
    }
    let shape = try layer.resultShape(operands.map { values[$0] }, at: name)
    let value = Graph.Value(name: output, shape: shape, type: type, origin: .node)
    let index = try define(value, at: name)
    let (sum, overflows) = multiplications.addingReportingOverflow(
      layer.multiplications(operands.map { values[$0].shape }, shape))
    guard !overflows else { throw ModelError(.tooLarge("its multiplications overflow"), at: name) }
    multiplications = sum
    nodes.append(
      Graph.Node(
        name: name, layer: layer, inputs: inputs, operands: operands, output: index, proto: proto))
  }
}
