import Foundation

/// The sum, mean, maximum or minimum over axes.
package struct Reduction: Sendable {
  package enum Operation: String, Sendable {
    case maximum = "ReduceMax"
    case mean = "ReduceMean"
    case minimum = "ReduceMin"
    case sum = "ReduceSum"
  }

  package let operation: Operation
  /// In ascending order; none leaves the operand as it is.
  package let axes: [Int]

  static let names = ["GlobalMaxPool", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceSum"]

  static func read(_ reader: NodeReader) throws(ModelError) -> GeneralLayer {
    let input = try reader.shape(0)
    guard let operation = Operation(rawValue: reader.operatorName) else {
      try reader.allow([], operands: 1...1)
      guard input.count > 2 else { throw reader.fail(.shape("\(input) has no image axes")) }
      return Reduction(operation: .maximum, axes: Array(2..<input.count)).layer(input, keeps: true)
    }
    // Axes became an operand with version 13 for the sum and 18 for the others.
    let isOld = reader.opset < (operation == .sum ? 13 : 18)
    try reader.allow(
      isOld ? ["axes", "keepdims"] : ["keepdims", "noop_with_empty_axes"],
      operands: isOld ? 1...1 : 1...2)
    var stated = try isOld ? reader.signedIntegers("axes") : reader.constantIntegers(1)
    if stated?.isEmpty ?? true, reader.integer("noop_with_empty_axes", default: 0) == 0 {
      stated = Array(input.indices)
    }
    let axes = try reader.axes(stated ?? [], rank: input.count)
    return Reduction(operation: operation, axes: axes.sorted())
      .layer(input, keeps: reader.integer("keepdims", default: 1) != 0)
  }

  private func layer(_ input: [Int], keeps: Bool) -> GeneralLayer {
    let shape = keeps ? kept(input) : input.indices.filter { !axes.contains($0) }.map { input[$0] }
    return GeneralLayer(.reduction(self), shape: shape)
  }

  /// The operand's shape with 1 in place of every reduced axis.
  package func kept(_ input: [Int]) -> [Int] {
    input.enumerated().map { axes.contains($0) ? 1 : $1 }
  }

  func evaluate<Number: Scalar>(_ operand: DenseTensor<Number>) -> [Number] {
    let kept = kept(operand.shape)
    let count = kept.reduce(1, *)
    var strides = Shape.strides(kept)
    for axis in axes { strides[axis] = 0 }
    let (initial, function): (Number, (Number, Number) -> Number) =
      switch operation {
      case .maximum: (-.infinity, { max($0, $1) })
      case .minimum: (.infinity, { min($0, $1) })
      case .mean, .sum: (0, { $0 + $1 })
      }
    var result = [Number](repeating: initial, count: count)
    var element = 0
    Shape.forEach(operand.shape) { position in
      var target = 0
      for axis in position.indices { target += position[axis] * strides[axis] }
      result[target] = function(result[target], operand.values[element])
      element += 1
    }
    let cells = Number(operand.values.count / count)
    return operation == .mean ? result.map { $0 / cells } : result
  }
}

/// exp(x) over the sum of exp(x) along an axis, or the logarithm of that.
package struct Softmax: Sendable {
  package let isLogarithm: Bool
  /// Lanes of `count` elements that lie `stride` apart.
  package let count: Int
  package let stride: Int

  static let names = ["LogSoftmax", "Softmax"]

  /// Before version 13 the axes from `axis` on count as one.
  static func read(_ reader: NodeReader) throws(ModelError) -> GeneralLayer {
    try reader.allow(["axis"], operands: 1...1)
    let input = try reader.shape(0)
    let isOld = reader.opset < 13
    let axis = try reader.axis(
      reader.integer("axis", default: isOld ? 1 : -1), rank: input.count)
    let softmax = Softmax(
      isLogarithm: reader.operatorName == "LogSoftmax",
      count: isOld ? input[axis...].reduce(1, *) : input[axis],
      stride: isOld ? 1 : input[(axis + 1)...].reduce(1, *))
    return GeneralLayer(.softmax(softmax), shape: input)
  }

  /// Exponentials and their sum in `Double`.
  func evaluate<Number: Scalar>(_ operand: DenseTensor<Number>) -> [Number] {
    var values = operand.values
    for lane in 0..<values.count / count {
      let start = lane / stride * stride * count + lane % stride
      let places = (0..<count).map { start + $0 * stride }
      let largest = Double(places.reduce(-Number.infinity) { max($0, values[$1]) })
      let sum = places.reduce(0) { $0 + exp(Double(values[$1]) - largest) }
      for place in places {
        let value = Double(values[place]) - largest
        values[place] = Number(isLogarithm ? value - log(sum) : exp(value) / sum)
      }
    }
    return values
  }
}
