import SwiftProtobuf

extension Graph {
  /// Some nodes as an ONNX model of their own: `inputs` and `outputs` are value indices, the
  /// initialisers are those that the nodes read. The bytes are the same on every machine.
  package func onnxBytes(
    nodes indices: [Int], inputs: [Int], outputs: [Int], name: String
  ) throws(ModelError) -> [UInt8] {
    var graph = Onnx_GraphProto()
    graph.name = name
    graph.input = inputs.map { describe(values[$0]) }
    graph.output = outputs.map { describe(values[$0]) }
    var written: Set<Int> = []
    for node in indices.map({ nodes[$0] }) {
      graph.node.append(
        .with {
          $0.name = node.name
          $0.opType = node.proto.opType
          $0.attribute = node.proto.attribute
          $0.input = operandNames(of: node)
          $0.output = [values[node.output].name]
        })
      for input in node.inputs where values[input].isConstant && written.insert(input).inserted {
        graph.initializer.append(constant(values[input]))
      }
    }
    var model = Onnx_ModelProto()
    model.irVersion = 8
    model.producerName = "bourse"
    model.opsetImport = [
      .with {
        $0.version = opset; $0.domain = ""
      }
    ]
    model.graph = graph
    var options = BinaryEncodingOptions()
    options.useDeterministicOrdering = true
    do {
      return try model.serializedBytes(options: options)
    } catch {
      throw ModelError(.tooLarge("a slice does not fit in one ONNX file"), at: name)
    }
  }

  /// The operands as the node names them, with an empty name for each that is omitted before
  /// another.
  func operandNames(of node: Node) -> [String] {
    var names = node.inputs.map { values[$0].name }
    for (place, name) in node.proto.input.enumerated() where name.isEmpty && place < names.count {
      names.insert("", at: place)
    }
    return names
  }

  private func describe(_ value: Value) -> Onnx_ValueInfoProto {
    .with {
      $0.name = value.name
      $0.type.tensorType.elemType = Int32(value.type.onnx.rawValue)
      $0.type.tensorType.shape.dim = value.shape.map { axis in
        .with { $0.dimValue = Int64(axis) }
      }
    }
  }

  private func constant(_ value: Value) -> Onnx_TensorProto {
    .with {
      $0.name = value.name
      $0.dims = value.shape.map { Int64($0) }
      // Shapes and the like are int64, all else of a network of floats is float32.
      let type = value.type.isFloat ? NumericType.float : .int64
      $0.dataType = Int32(type.onnx.rawValue)
      switch (type, value.origin) {
      case (.int64, .integers(let values)): $0.int64Data = values
      case (.int64, _): $0.int64Data = value.tensor?.doubles.values.map { Int64($0) } ?? []
      default: $0.floatData = value.tensor?.floats.values ?? []
      }
    }
  }
}
