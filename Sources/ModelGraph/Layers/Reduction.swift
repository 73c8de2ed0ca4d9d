import Foundation

/// Sums, means and maxima over axes, and the softmax along one.
enum Reduction {
  static let names = [
    "GlobalMaxPool", "LogSoftmax", "ReduceMax", "ReduceMean", "ReduceSum", "Softmax",
  ]

  static func read(_ reader: NodeReader) throws(ModelError) -> GeneralLayer {
    let input = try reader.shape(0)
    switch reader.operatorName {
    case "Softmax", "LogSoftmax": return try softmax(reader, input)
    case "GlobalMaxPool":
      try reader.allow([], operands: 1...1)
      guard input.count > 2 else { throw reader.fail(.shape("\(input) has no image axes")) }
      return layer(input, axes: Set(2..<input.count), keeps: true, name: "ReduceMax")
    default: break
    }
    // Axes became an operand with version 13 for the sum and 18 for the others.
    let isOld = reader.opset < (reader.operatorName == "ReduceSum" ? 13 : 18)
    try reader.allow(
      isOld ? ["axes", "keepdims"] : ["keepdims", "noop_with_empty_axes"],
      operands: isOld ? 1...1 : 1...2)
    var stated = try isOld ? reader.signedIntegers("axes") : reader.constantIntegers(1)
    if stated?.isEmpty ?? true, reader.integer("noop_with_empty_axes", default: 0) == 0 {
      stated = Array(input.indices)
    }
    let axes = try reader.axes(stated ?? [], rank: input.count)
    return layer(
      input, axes: Set(axes), keeps: reader.integer("keepdims", default: 1) != 0,
      name: reader.operatorName)
  }

  private static func layer(
    _ input: [Int], axes: Set<Int>, keeps: Bool, name: String
  ) -> GeneralLayer {
    let kept = input.enumerated().map { axes.contains($0) ? 1 : $1 }
    let shape = keeps ? kept : input.indices.filter { !axes.contains($0) }.map { input[$0] }
    var strides = Shape.strides(kept)
    for axis in axes { strides[axis] = 0 }
    let (steps, count) = (strides, kept.reduce(1, *))
    let cells = Float(input.reduce(1, *) / count)
    return GeneralLayer(shape: shape) { operands in
      let takesLargest = name == "ReduceMax"
      var result = [Float](repeating: takesLargest ? -.infinity : 0, count: count)
      var element = 0
      Shape.forEach(input) { position in
        var target = 0
        for axis in position.indices { target += position[axis] * steps[axis] }
        let value = operands[0].values[element]
        result[target] = takesLargest ? max(result[target], value) : result[target] + value
        element += 1
      }
      return name == "ReduceMean" ? result.map { $0 / cells } : result
    }
  }

  /// Before version 13 the axes from `axis` on count as one.
  private static func softmax(
    _ reader: NodeReader, _ input: [Int]
  ) throws(ModelError) -> GeneralLayer {
    try reader.allow(["axis"], operands: 1...1)
    let isOld = reader.opset < 13
    let axis = try reader.axis(
      reader.integer("axis", default: isOld ? 1 : -1), rank: input.count)
    let stride = isOld ? 1 : input[(axis + 1)...].reduce(1, *)
    let count = isOld ? input[axis...].reduce(1, *) : input[axis]
    let isLogarithm = reader.operatorName == "LogSoftmax"
    return GeneralLayer(shape: input) { operands in
      var values = operands[0].values
      for lane in 0..<values.count / count {
        let start = lane / stride * stride * count + lane % stride
        let places = (0..<count).map { start + $0 * stride }
        let largest = places.reduce(-Float.infinity) { max($0, values[$1]) }
        let sum = places.reduce(0) { $0 + exp(values[$1] - largest) }
        for place in places {
          let value = values[place] - largest
          values[place] = isLogarithm ? value - log(sum) : exp(value) / sum
        }
      }
      return values
    }
  }
}
