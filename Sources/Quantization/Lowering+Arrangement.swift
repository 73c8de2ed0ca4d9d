import FixedPoint
import ModelGraph

/// Operators that only move elements.
extension Lowering {
  mutating func arrangement(
    _ node: Graph.Node, _ form: ModelGraph.Arrangement
  ) throws(QuantizationError) -> Operand {
    var operand = try operand(node, 0)
    var fill: Int16 = 0
    if form.fills {
      // The fill value may need the range that the result was calibrated to.
      operand = try rescaled(operand, to: min(operand.exponent, exponent(of: node)), node.name)
      guard case .value(let value) = form.fill else {
        throw .unsupported(node: node.name, "its fill value is computed in the model")
      }
      fill = try integers([value], exponent: operand.exponent, node.name)[0]
    }
    let axes = form.axes.map { axis in
      FixedPoint.Arrangement.Axis(
        source: axis.source,
        indices: axis.indices.lazy.map {
          $0 == ModelGraph.Arrangement.fillIndex ? nil : Int($0)
        })
    }
    let result = try emit(
      .arrangement(FixedPoint.Arrangement(axes: axes, fill: fill)), node.name, reading: [operand])
    let shape = shape(of: node)
    return result.shape == shape ? result : try reshaped(result, to: shape, node.name)
  }

  mutating func concatenation(
    _ node: Graph.Node, _ form: ModelGraph.Concatenation
  ) throws(QuantizationError) -> Operand {
    var parts: [Operand] = []
    for place in node.operands.indices {
      parts.append(try rescaled(operand(node, place), to: exponent(of: node), node.name))
    }
    // More than an operation reads are joined in groups, and the groups again.
    while parts.count > 1 {
      var joined: [Operand] = []
      for start in stride(from: 0, to: parts.count, by: Program.Operation.inputLimit) {
        let group = Array(parts[start..<min(start + Program.Operation.inputLimit, parts.count)])
        guard group.count > 1 else {
          joined.append(group[0])
          continue
        }
        let operation = FixedPoint.Concatenation(axis: form.axis, operandCount: group.count)
        joined.append(try emit(.concatenation(operation), node.name, reading: group))
      }
      parts = joined
    }
    return parts[0]
  }

  /// The table with the gathered axis first, so that one index names one row.
  mutating func lookup(
    _ node: Graph.Node, _ form: ModelGraph.Lookup
  ) throws(QuantizationError) -> Operand {
    let table = try constant(node, 0)
    let indices = try operand(node, 1)
    let (outer, inner) = (table.shape[..<form.axis], table.shape[(form.axis + 1)...])
    let (rows, block) = (table.shape[form.axis], inner.reduce(1, *))
    var ordered: [Float] = []
    ordered.reserveCapacity(table.values.count)
    for row in 0..<rows {
      for place in 0..<outer.reduce(1, *) {
        let start = (place * rows + row) * block
        ordered += table.values[start..<start + block]
      }
    }
    // Rows that no sample looked up may need more range than the result was calibrated to.
    let exponent = min(
      exponent(of: node), Self.exponent(fitting: Double(table.maxMagnitude)))
    let operation = FixedPoint.Lookup(
      width: table.values.count / rows, exponent: Int8(exponent),
      values: try integers(ordered, exponent: exponent, node.name))
    var result = try emit(.lookup(operation), node.name, reading: [indices])
    result = try reshaped(result, to: indices.shape + outer + inner, node.name)
    let (before, moved) = (indices.shape.count, outer.count)
    let order =
      Array(before..<before + moved) + Array(0..<before)
      + Array(before + moved..<result.shape.count)
    return try transposed(result, order, node.name)
  }
}
