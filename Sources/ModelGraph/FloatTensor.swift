/// A float tensor in row-major order.
package struct FloatTensor: Hashable, Sendable {
  package let shape: [Int]
  package var values: [Float]

  package init(shape: [Int], values: [Float]) { (self.shape, self.values) = (shape, values) }

  package init(shape: [Int], repeating value: Float = 0) {
    self.init(shape: shape, values: .init(repeating: value, count: shape.reduce(1, *)))
  }

  package var maxMagnitude: Float { values.reduce(0) { max($0, abs($1)) } }
}

/// Shapes as ONNX writes them, outermost axis first.
package enum Shape {
  package static let rankLimit = 8
  package static let elementLimit = 1 << 28

  /// Nil where an axis is not positive, or rank or element count are out of bounds.
  package static func elementCount(_ shape: [Int]) -> Int? {
    guard shape.count <= rankLimit else { return nil }
    var count = 1
    for axis in shape {
      guard axis > 0, axis <= elementLimit else { return nil }
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
      result.append(max(a, b))
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
