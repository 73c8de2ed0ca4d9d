/// What the evaluator computes with: `Float` or `Double`.
package typealias Scalar = BinaryFloatingPoint & Sendable

/// A tensor in row-major order, held as numbers of one kind of float.
package struct DenseTensor<Number: Scalar>: Hashable, Sendable {
  package let shape: [Int]
  package var values: [Number]

  package init(shape: [Int], values: [Number]) { (self.shape, self.values) = (shape, values) }

  package init(shape: [Int], repeating value: Number = 0) {
    self.init(shape: shape, values: .init(repeating: value, count: shape.reduce(1, *)))
  }

  package var maxMagnitude: Number { values.reduce(0) { max($0, abs($1)) } }

  var floats: FloatTensor {
    self as? FloatTensor ?? FloatTensor(shape: shape, values: values.map { Float($0) })
  }
}

package typealias FloatTensor = DenseTensor<Float>

/// A tensor of any numeric type of ONNX: `Float`s where the type is one of 32-bit floats or
/// narrower, else `Double`s.
package struct TypedTensor: Hashable, Sendable {
  private enum Numbers: Hashable, Sendable {
    case floats(FloatTensor)
    case doubles(DenseTensor<Double>)
  }

  package let type: NumericType
  private let numbers: Numbers

  /// Of float32.
  package init(_ tensor: FloatTensor) { (type, numbers) = (.float, .floats(tensor)) }

  /// Rounds `result`, which was computed in `Float`s, to the numbers of `type`.
  init(_ result: FloatTensor, roundedTo type: NumericType) {
    self.type = type
    var result = result
    if type != .float {
      for index in result.values.indices {
        result.values[index] = Float(type.rounded(Double(result.values[index])))
      }
    }
    numbers = .floats(result)
  }

  /// Rounds `result`, which was computed in `Double`s, to the numbers of `type`.
  init(_ result: DenseTensor<Double>, roundedTo type: NumericType) {
    self.type = type
    let values = type == .double ? result.values : result.values.map { type.rounded($0) }
    numbers =
      type.isComputedInFloat
      ? .floats(DenseTensor(shape: result.shape, values: values.map { Float($0) }))
      : .doubles(DenseTensor(shape: result.shape, values: values))
  }

  package var shape: [Int] {
    switch numbers {
    case .floats(let tensor): tensor.shape
    case .doubles(let tensor): tensor.shape
    }
  }

  package var count: Int {
    switch numbers {
    case .floats(let tensor): tensor.values.count
    case .doubles(let tensor): tensor.values.count
    }
  }

  /// The numbers, rounded where they are no `Float`s.
  package var floats: FloatTensor {
    switch numbers {
    case .floats(let tensor): tensor
    case .doubles(let tensor):
      DenseTensor(shape: tensor.shape, values: tensor.values.map { Float($0) })
    }
  }

  package var doubles: DenseTensor<Double> {
    switch numbers {
    case .floats(let tensor):
      DenseTensor(shape: tensor.shape, values: tensor.values.map { Double($0) })
    case .doubles(let tensor): tensor
    }
  }
}

/// Shapes as ONNX writes them, outermost axis first.
package enum Shape {
  package static let rankLimit = 8
  package static let elementLimit = 1 << 28

  /// Nil where an axis is negative, or rank or element count are out of bounds.
  package static func elementCount(_ shape: [Int]) -> Int? {
    guard shape.count <= rankLimit else { return nil }
    var count = 1
    for axis in shape {
      guard axis >= 0, axis <= elementLimit else { return nil }
      count *= axis
      guard count <= elementLimit else { return nil }
    }
    return count
  }

  /// The common shape of two operands by numpy's rule; nil where there is none.
  package static func broadcast(_ left: [Int], _ right: [Int]) -> [Int]? {
    let rank = max(left.count, right.count)
    var result: [Int] = []
    for index in 0..<rank {
      let a = index < rank - left.count ? 1 : left[index - (rank - left.count)]
      let b = index < rank - right.count ? 1 : right[index - (rank - right.count)]
      guard a == b || a == 1 || b == 1 else { return nil }
      result.append(a == 1 ? b : a)
    }
    return result
  }

  /// Repeats `values` of `shape` along its axes of 1 until it fills `target`.
  package static func expand<Value>(_ values: [Value], from shape: [Int], to target: [Int])
    -> [Value]
  {
    if shape == target { return values }
    let padded = Array(repeating: 1, count: target.count - shape.count) + shape
    var strides = Array(repeating: 0, count: target.count)
    var stride = 1
    for axis in target.indices.reversed() {
      strides[axis] = padded[axis] == 1 ? 0 : stride
      stride *= padded[axis]
    }
    let count = target.reduce(1, *)
    return (0..<count).map { index in
      var rest = index
      var source = 0
      for axis in target.indices.reversed() {
        source += rest % target[axis] * strides[axis]
        rest /= target[axis]
      }
      return values[source]
    }
  }
}
