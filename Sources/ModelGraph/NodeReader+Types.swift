/// Which operands are data, and of what type they and the result are.
extension Onnx_NodeProto {
  /// Places of operands that are no data but shapes, axes, indices and the like: they must be
  /// constant, and a layer resolves them when it is read.
  var parameterSlots: ClosedRange<Int>? {
    switch opType {
    case "Dropout": 1...2
    case "ConstantOfShape": 0...0
    case "Expand", "Gather", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceSum", "Reshape",
      "Split", "Squeeze", "Unsqueeze", "Upsample":
      1...1
    case "Resize": 1...3
    case "Slice": 1...4
    default: nil
    }
  }

  func isParameter(_ slot: Int) -> Bool {
    // The value that Pad fills with stands between its parameters.
    opType == "Pad" ? slot == 1 || slot == 3 : parameterSlots?.contains(slot) ?? false
  }
}

extension NodeReader {
  private static let takesAnyType: Set<String> = [
    "Cast", "Concat", "Dropout", "Expand", "Flatten", "Gather", "Identity", "Pad", "Reshape",
    "Resize", "Slice", "Squeeze", "Transpose", "Unsqueeze", "Upsample",
  ]
  private static let takesNumbers: Set<String> = [
    "Abs", "Add", "Clip", "Div", "Max", "MaxPool", "Mean", "Min", "Mul", "Neg", "PRelu", "Pow",
    "ReduceMax", "ReduceMean", "ReduceMin", "ReduceSum", "Relu", "Sign", "Sub", "Sum",
  ]
  private static let takesNarrowFloats: Set<String> = ["Conv", "ConvTranspose", "Gemm", "MatMul"]

  /// Indices of Gather that are computed are data.
  func isParameter(_ slot: Int) -> Bool {
    proto.isParameter(slot)
      && (operatorName != "Gather" || slot >= slots.count || slots[slot]?.isConstant != false)
  }

  /// Type of the result; throws where the operands' types do not fit together.
  func resultType() throws(ModelError) -> NumericType {
    let types = slots.indices.filter { !isParameter($0) }.compactMap { slots[$0]?.type }
    guard let first = types.first else {
      throw fail(.malformed("\(operatorName) has no input"))
    }
    guard ["Gather", "Pow"].contains(operatorName) || types.allSatisfy({ $0 == first }) else {
      throw fail(.unsupportedType("\(operatorName) mixes \(Set(types.map { "\($0)" }).sorted())"))
    }
    let takes: (NumericType) -> Bool =
      switch operatorName {
      case _ where Self.takesAnyType.contains(operatorName): { _ in true }
      case "ReduceMax", "ReduceMin": { _ in true }
      case _ where Self.takesNumbers.contains(operatorName): { $0 != .bool }
      case _ where Self.takesNarrowFloats.contains(operatorName): { $0.isComputedInFloat }
      default: { $0.isFloat }
      }
    for type in types where !takes(type) {
      throw fail(.unsupportedType("\(operatorName) of \(type)"))
    }
    if operatorName == "Cast" { return try castType() }
    return givesPlaces ? .int64 : first
  }

  /// Whether the node stands for the second result of a MaxPool.
  var givesPlaces: Bool { operatorName == "MaxPool" && proto.output.first?.isEmpty == true }

  private func castType() throws(ModelError) -> NumericType {
    let stated = Onnx_TensorProto.DataType(rawValue: integer("to", default: 1))
    guard let type = NumericType(stated) else {
      throw fail(.unsupportedType("Cast gives \(stated.map { "\($0)" } ?? "an unknown type")"))
    }
    return type
  }
}
