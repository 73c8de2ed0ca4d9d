/// A kernel that slides over any number of axes, as ONNX states it.
package struct SpatialWindow: Sendable {
  static let cellLimit = 1 << 16

  package let input: [Int]
  package let kernel: [Int]
  package let strides: [Int]
  package let dilations: [Int]
  /// Before and after each axis, without what ceil mode adds.
  package let before: [Int]
  package let after: [Int]
  package let result: [Int]
  /// Coordinates of the kernel's cells, dilated. Made anew each time: they may be 2^16.
  var cells: [[Int]] {
    var cells: [[Int]] = []
    Shape.forEach(kernel) { position in
      cells.append(zip(position, dilations).map { $0 * $1 })
    }
    return cells
  }

  /// `image` is the input without batch and channels.
  init(_ reader: NodeReader, image: [Int], kernel: [Int], transposed: Bool = false)
    throws(ModelError)
  {
    let rank = image.count
    guard rank > 0, kernel.count == rank, let count = Shape.elementCount(kernel),
      count <= Self.cellLimit
    else { throw reader.fail(.shape("a kernel of \(kernel) does not fit an image of \(image)")) }
    let ones = [Int](repeating: 1, count: rank)
    let strides = try reader.integers("strides", count: rank, default: ones)
    let dilations = try reader.integers("dilations", count: rank, default: ones)
    let pads = try reader.integers("pads", count: 2 * rank, default: image.map { _ in 0 } * 2)
    let extra = try reader.integers("output_padding", count: rank, default: image.map { _ in 0 })
    let wanted = try reader.integers("output_shape", count: rank, default: [])
    guard (strides + dilations).allSatisfy({ $0 > 0 }) else {
      throw reader.fail(.shape("strides and dilations must be positive"))
    }
    let mode = reader.text("auto_pad", default: "NOTSET")
    guard ["", "NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"].contains(mode) else {
      throw reader.fail(.unsupportedFeature("auto_pad is '\(mode)'"))
    }
    let isSame = mode.hasPrefix("SAME")
    let ceil = reader.integer("ceil_mode", default: 0) != 0
    var (before, after, result): ([Int], [Int], [Int]) = ([], [], [])
    for axis in 0..<rank {
      let (size, stride) = (image[axis], strides[axis])
      let span = dilations[axis] * (kernel[axis] - 1) + 1
      let hasPads = mode.isEmpty || mode == "NOTSET"
      var (first, last) = hasPads ? (pads[axis], pads[rank + axis]) : (0, 0)
      var count = 0
      if transposed {
        let full = (size - 1) * stride + span + extra[axis]
        let target = wanted.isEmpty ? size * stride : wanted[axis]
        if isSame || !wanted.isEmpty {
          let total = max(0, full - target)
          first = mode == "SAME_UPPER" ? total / 2 : total - total / 2
          last = total - first
          count = target
        } else {
          count = full - first - last
        }
      } else {
        if isSame {
          let total = max(0, ((size + stride - 1) / stride - 1) * stride + span - size)
          first = mode == "SAME_UPPER" ? total / 2 : total - total / 2
          last = total - first
        }
        let rest = size + first + last - span
        guard rest >= 0 else {
          throw reader.fail(.shape("a kernel of \(kernel) is larger than the image \(image)"))
        }
        count = (rest + (ceil ? stride - 1 : 0)) / stride + 1
        // A last window that would start in the padding on the far side is dropped.
        if ceil, (count - 1) * stride >= size + first { count -= 1 }
      }
      before.append(first)
      after.append(last)
      result.append(count)
    }
    (self.input, self.kernel, self.strides, self.dilations) = (image, kernel, strides, dilations)
    (self.before, self.after, self.result) = (before, after, result)
  }

  /// Offset in the input under `cell` of the window at `position`; nil in the padding.
  func offset(_ position: [Int], _ cell: [Int]) -> Int? {
    var offset = 0
    for axis in position.indices {
      let place = position[axis] * strides[axis] - before[axis] + cell[axis]
      guard place >= 0, place < input[axis] else { return nil }
      offset = offset * input[axis] + place
    }
    return offset
  }

  /// Offset in the result of a transposed convolution to which the input at `position` adds.
  func target(_ position: [Int], _ cell: [Int]) -> Int? {
    var offset = 0
    for axis in position.indices {
      let place = position[axis] * strides[axis] - before[axis] + cell[axis]
      guard place >= 0, place < result[axis] else { return nil }
      offset = offset * result[axis] + place
    }
    return offset
  }

  /// Whether the cell lies in the image or in the stated padding, not beyond.
  func isInPaddedImage(_ position: [Int], _ cell: [Int]) -> Bool {
    position.indices.allSatisfy { axis in
      position[axis] * strides[axis] + cell[axis] < before[axis] + input[axis] + after[axis]
    }
  }
}

private func * (values: [Int], count: Int) -> [Int] {
  (0..<count).flatMap { _ in values }
}
