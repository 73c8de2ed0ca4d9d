/// Pooling over any number of axes.
package struct GeneralPool: Sendable {
  /// What MaxPool's second result counts: the places of the largest elements in the whole operand,
  /// whose image axes run from the last to the first or from the first to the last.
  enum Places { case rowMajor, columnMajor }

  package let isMaximum: Bool
  /// Whether an average divides by the padding's cells as well.
  package let countsPads: Bool
  package let window: SpatialWindow
  /// Nil where the pool gives elements and not places.
  let places: Places?

  static let names = ["AveragePool", "GlobalAveragePool", "MaxPool"]

  static func read(_ reader: NodeReader) throws(ModelError) -> GeneralLayer {
    let shape = try reader.shape(0)
    guard shape.count > 2, !shape.dropFirst(2).contains(0) else {
      throw reader.fail(.shape("\(shape) has no image axes, or no elements"))
    }
    let image = Array(shape.dropFirst(2))
    let isGlobal = reader.operatorName == "GlobalAveragePool"
    let isMaximum = reader.operatorName == "MaxPool"
    try reader.allow(
      isGlobal
        ? [] : ImageWindow.attributes + ["ceil_mode", "storage_order", "count_include_pad"],
      operands: 1...1)
    let kernel =
      isGlobal ? image : try reader.integers("kernel_shape", count: image.count, default: [])
    let window = try SpatialWindow(reader, image: image, kernel: kernel)
    for axis in image.indices {
      let span = window.dilations[axis] * (kernel[axis] - 1) + 1
      guard max(window.before[axis], window.after[axis]) < span else {
        throw reader.fail(.shape("a pooling window of \(kernel) fits wholly into the padding"))
      }
    }
    let pool = GeneralPool(
      isMaximum: isMaximum, countsPads: reader.integer("count_include_pad", default: 0) != 0,
      window: window,
      places: reader.givesPlaces
        ? (reader.integer("storage_order", default: 0) == 0 ? .rowMajor : .columnMajor) : nil)
    return GeneralLayer(.pool(pool), shape: [shape[0], shape[1]] + window.result)
  }

  func evaluate<Number: Scalar>(_ operand: DenseTensor<Number>) -> [Number] {
    let planes = operand.shape[0] * operand.shape[1]
    let (area, cells) = (area, window.cells)
    var result: [Number] = []
    for plane in 0..<planes {
      Shape.forEach(window.result) { position in
        var (sum, largest, count, place) = (Number(0), -Number.infinity, 0, 0)
        for cell in cells {
          if let offset = window.offset(position, cell) {
            let value = operand.values[plane * area + offset]
            sum += value
            if value > largest { (largest, place) = (value, offset) }
            count += 1
          } else if countsPads, window.isInPaddedImage(position, cell) {
            count += 1
          }
        }
        switch places {
        case nil: result.append(isMaximum ? largest : sum / Number(max(count, 1)))
        case .rowMajor: result.append(Number(plane * area + place))
        case .columnMajor: result.append(Number(plane * area + columnMajor(place)))
        }
      }
    }
    return result
  }

  /// How many cells of the kernel an average counts along `axis`, by place of the result; its
  /// divisor is their product over the axes.
  package func cellCounts(along axis: Int) -> [Int] {
    let (size, before) = (window.input[axis], window.before[axis])
    return (0..<window.result[axis]).map { place in
      let count = (0..<window.kernel[axis]).count { cell in
        let source = place * window.strides[axis] + cell * window.dilations[axis] - before
        return countsPads ? source < size + window.after[axis] : (0..<size).contains(source)
      }
      return max(1, count)
    }
  }

  private func columnMajor(_ place: Int) -> Int {
    var (rest, result, stride) = (place, 0, area)
    for size in window.input.reversed() {
      stride /= size
      result += rest % size * stride
      rest /= size
    }
    return result
  }

  private var area: Int { window.input.reduce(1, *) }
}
