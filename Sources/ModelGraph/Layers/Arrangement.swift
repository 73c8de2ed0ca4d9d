/// Operators that only move elements.
enum Arrangement {
  static let names = [
    "Concat", "Expand", "Gather", "Pad", "Slice", "Squeeze", "Transpose", "Unsqueeze",
  ]

  static func read(_ reader: NodeReader) throws(ModelError) -> GeneralLayer {
    switch reader.operatorName {
    case "Concat": try concat(reader)
    case "Expand": try expand(reader)
    case "Gather": try gather(reader)
    case "Pad": try pad(reader)
    case "Slice": try slice(reader)
    case "Transpose": try transpose(reader)
    default: try squeeze(reader)
    }
  }

  private static func concat(_ reader: NodeReader) throws(ModelError) -> GeneralLayer {
    try reader.allow(["axis"], operands: 1...65536)
    try reader.requireFloats()
    var shape = try reader.shape(0)
    let axis = try reader.axis(reader.integer("axis", default: 1), rank: shape.count)
    for operand in reader.operands.dropFirst() {
      var other = operand.shape
      guard other.count == shape.count else {
        throw reader.fail(.shape("\(shape) and \(other) cannot be joined"))
      }
      let size = other[axis]
      other[axis] = shape[axis]
      guard other == shape else {
        throw reader.fail(.shape("\(shape) and \(operand.shape) cannot be joined"))
      }
      shape[axis] += size
    }
    let rows = shape[..<axis].reduce(1, *)
    return GeneralLayer(shape: shape) { operands in
      var result: [Float] = []
      for row in 0..<rows {
        for operand in operands {
          let width = operand.values.count / rows
          result += operand.values[row * width..<(row + 1) * width]
        }
      }
      return result
    }
  }

  private static func expand(_ reader: NodeReader) throws(ModelError) -> GeneralLayer {
    try reader.allow([], operands: 2...2)
    let input = try reader.shape(0)
    guard let target = try reader.constantIntegers(1), Shape.elementCount(target) != nil,
      let shape = Shape.broadcast(input, target)
    else {
      throw reader.fail(.shape("\(input) cannot be expanded to what the node states"))
    }
    return GeneralLayer(shape: shape) { Shape.expand($0[0].values, from: input, to: shape) }
  }

  private static func gather(_ reader: NodeReader) throws(ModelError) -> GeneralLayer {
    try reader.allow(["axis"], operands: 2...2)
    let input = try reader.shape(0)
    let axis = try reader.axis(reader.integer("axis", default: 0), rank: input.count)
    var indices: [Int] = []
    for index in try reader.constantIntegers(1) ?? [] {
      indices.append(try reader.axis(index, rank: input[axis]))
    }
    let chosen = indices
    let shape = input[..<axis] + reader.operands[1].shape + input[(axis + 1)...]
    let (rows, block) = (input[..<axis].reduce(1, *), input[(axis + 1)...].reduce(1, *))
    return GeneralLayer(shape: Array(shape)) { operands in
      var result: [Float] = []
      for row in 0..<rows {
        for index in chosen {
          let start = (row * input[axis] + index) * block
          result += operands[0].values[start..<start + block]
        }
      }
      return result
    }
  }

  /// Pads and value are attributes before version 11 and operands since.
  private static func pad(_ reader: NodeReader) throws(ModelError) -> GeneralLayer {
    try reader.allow(
      reader.opset < 11 ? ["mode", "pads", "value"] : ["mode"],
      operands: reader.opset < 11 ? 1...1 : 2...4)
    let input = try reader.shape(0)
    let mode = reader.text("mode", default: "constant")
    let stated =
      try reader.opset < 11 ? reader.signedIntegers("pads") : reader.constantIntegers(1)
    let axes = try reader.axes(
      try reader.constantIntegers(3) ?? Array(input.indices), rank: input.count)
    guard let stated, stated.count == 2 * axes.count else {
      throw reader.fail(.shape("its pads are not two per axis of \(input)"))
    }
    var (before, shape) = ([Int](repeating: 0, count: input.count), input)
    for (index, axis) in axes.enumerated() {
      before[axis] = stated[index]
      shape[axis] += stated[index] + stated[axes.count + index]
      let most = max(stated[index], stated[axes.count + index])
      guard shape[axis] > 0, mode != "reflect" || most < input[axis] else {
        throw reader.fail(.shape("pads \(stated) do not fit \(input)"))
      }
    }
    guard ["constant", "edge", "reflect", "wrap"].contains(mode) else {
      throw reader.fail(.unsupportedFeature("Pad has the mode '\(mode)'"))
    }
    let valueSlot = reader.hasSlot(2) ? try reader.floatSlot(2) : nil
    let value = reader.opset < 11 ? reader.float("value", default: 0) : 0
    let (first, result, strides) = (before, shape, Shape.strides(input))
    return GeneralLayer(shape: shape) { operands in
      let fill = valueSlot.map { operands[$0].values[0] } ?? value
      var values: [Float] = []
      Shape.forEach(result) { position in
        var source = 0
        for axis in position.indices {
          let size = input[axis]
          var place = position[axis] - first[axis]
          if place < 0 || place >= size {
            switch mode {
            case "edge": place = max(0, min(size - 1, place))
            case "wrap": place = ((place % size) + size) % size
            case "reflect": place = place < 0 ? -place : 2 * (size - 1) - place
            default:
              values.append(fill)
              return
            }
          }
          source += place * strides[axis]
        }
        values.append(operands[0].values[source])
      }
      return values
    }
  }

  /// Starts and ends are attributes before version 10 and operands since.
  private static func slice(_ reader: NodeReader) throws(ModelError) -> GeneralLayer {
    let isOld = reader.opset < 10
    try reader.allow(isOld ? ["axes", "ends", "starts"] : [], operands: isOld ? 1...1 : 3...5)
    var shape = try reader.shape(0)
    guard
      let starts = try isOld ? reader.signedIntegers("starts") : reader.constantIntegers(1),
      let ends = try isOld ? reader.signedIntegers("ends") : reader.constantIntegers(2)
    else { throw reader.fail(.malformed("Slice lacks its starts or ends")) }
    let stated = try isOld ? reader.signedIntegers("axes") : reader.constantIntegers(3)
    let axes = try reader.axes(stated ?? Array(starts.indices), rank: shape.count)
    let steps = try reader.constantIntegers(4) ?? starts.map { _ in 1 }
    guard starts.count == axes.count, ends.count == axes.count, steps.count == axes.count,
      steps.allSatisfy({ $0 != 0 })
    else { throw reader.fail(.shape("its starts, ends, axes and steps differ in number")) }
    var strides = Shape.strides(shape)
    var start = 0
    for (index, axis) in axes.enumerated() {
      let (size, step) = (shape[axis], steps[index])
      let range = step > 0 ? 0...size : -1...size - 1
      let from = clamp(starts[index] < 0 ? starts[index] + size : starts[index], range)
      let to = clamp(ends[index] < 0 ? ends[index] + size : ends[index], range)
      shape[axis] = max(0, (to - from + step - step.signum()) / step)
      start += from * strides[axis]
      strides[axis] *= step
    }
    let (result, steppings, first) = (shape, strides, start)
    return GeneralLayer(shape: shape) {
      Shape.view($0[0].values, shape: result, strides: steppings, start: first)
    }
  }

  private static func clamp(_ value: Int, _ range: ClosedRange<Int>) -> Int {
    max(range.lowerBound, min(range.upperBound, value))
  }

  private static func transpose(_ reader: NodeReader) throws(ModelError) -> GeneralLayer {
    try reader.allow(["perm"], operands: 1...1)
    let input = try reader.shape(0)
    let order = try reader.axes(
      try reader.signedIntegers("perm") ?? input.indices.reversed(), rank: input.count)
    guard order.count == input.count else {
      throw reader.fail(.shape("\(order) is no order of the axes of \(input)"))
    }
    let strides = Shape.strides(input)
    let (shape, steppings) = (order.map { input[$0] }, order.map { strides[$0] })
    return GeneralLayer(shape: shape) {
      Shape.view($0[0].values, shape: shape, strides: steppings)
    }
  }

  /// Squeeze and Unsqueeze; axes are an attribute before version 13 and an operand since.
  private static func squeeze(_ reader: NodeReader) throws(ModelError) -> GeneralLayer {
    let isOld = reader.opset < 13
    try reader.allow(isOld ? ["axes"] : [], operands: isOld ? 1...1 : 1...2)
    let input = try reader.shape(0)
    let stated = try isOld ? reader.signedIntegers("axes") : reader.constantIntegers(1)
    var shape = input
    if reader.operatorName == "Squeeze" {
      let axes = try reader.axes(
        stated ?? input.indices.filter { input[$0] == 1 }, rank: input.count)
      guard axes.allSatisfy({ input[$0] == 1 }) else {
        throw reader.fail(.shape("axes \(axes) of \(input) are not all 1"))
      }
      shape = input.indices.filter { !axes.contains($0) }.map { input[$0] }
    } else {
      guard let stated, stated.count + input.count <= Shape.rankLimit else {
        throw reader.fail(.shape("Unsqueeze has no axes, or too many"))
      }
      for axis in try reader.axes(stated, rank: input.count + stated.count).sorted() {
        shape.insert(1, at: axis)
      }
    }
    return GeneralLayer(shape: shape) { $0[0].values }
  }
}
