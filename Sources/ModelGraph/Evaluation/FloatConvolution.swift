/// A convolution over any number of image axes as blocked products: the weights are the left side,
/// and the columns of the right side are what the kernel sees at each place of the result. Only a
/// tile of columns at a time is laid out.
struct FloatConvolution {
  let input: [Int]
  let kernel: [Int]
  let strides: [Int]
  let dilations: [Int]
  let before: [Int]
  let result: [Int]
  let channels: Int
  let rows: Int
  let groups: Int

  init(_ window: SpatialWindow, channels: Int, rows: Int, groups: Int) {
    (input, kernel, strides) = (window.input, window.kernel, window.strides)
    (dilations, before, result) = (window.dilations, window.before, window.result)
    (self.channels, self.rows, self.groups) = (channels, rows, groups)
  }

  /// `shape` is [batch, rows, height, width].
  init(_ layer: ConvolutionLayer, _ input: [Int], into shape: [Int]) {
    let window = layer.window
    (self.input, kernel, strides) = (Array(input.suffix(2)), window.kernel, window.strides)
    (dilations, before) = (window.dilations, Array(window.pads.prefix(2)))
    (result, channels, rows, groups) = (Array(shape.suffix(2)), input[1], shape[1], layer.groups)
  }

  /// Operands: input, weights, and a bias or none.
  func evaluate(_ operands: [FloatTensor]) -> [Float] {
    let batch = operands[0].shape[0]
    let (area, resultArea) = (input.reduce(1, *), result.reduce(1, *))
    let (perGroup, rowsPerGroup) = (channels / groups, rows / groups)
    let depth = perGroup * kernel.reduce(1, *)
    var values: [Float] = []
    values.reserveCapacity(batch * rows * resultArea)
    for plane in 0..<batch * rows {
      let bias = operands.count > 2 ? operands[2].values[plane % rows] : 0
      values.append(contentsOf: repeatElement(bias, count: resultArea))
    }
    values.withUnsafeMutableBufferPointer { target in
      operands[0].values.withUnsafeBufferPointer { source in
        operands[1].values.withUnsafeBufferPointer { weights in
          for part in 0..<batch * groups {
            let (image, group) = part.quotientAndRemainder(dividingBy: groups)
            let product = FloatProduct(
              rows: rowsPerGroup, columns: resultArea, depth: depth,
              left: .init(start: group * rowsPerGroup * depth, row: depth, column: 1),
              result: .init(
                start: (image * rows + group * rowsPerGroup) * resultArea, row: resultArea,
                column: 1))
            let first = (image * channels + group * perGroup) * area
            product.add(weights, to: target) { columns in
              let offsets = offsets(columns)
              return { depths, columns, panel in
                pack(source, from: first, area, offsets, depths, columns, into: panel)
              }
            }
          }
        }
      }
    }
    return values
  }

  /// Offset within the image that each cell of the kernel sees from each of `columns`, cell after
  /// cell; -1 in the padding.
  private func offsets(_ columns: Range<Int>) -> [Int32] {
    var origins: [[Int]] = []
    for column in columns {
      var (rest, origin) = (column, before.map { -$0 })
      for axis in result.indices.reversed() {
        origin[axis] += rest % result[axis] * strides[axis]
        rest /= result[axis]
      }
      origins.append(origin)
    }
    var offsets: [Int32] = []
    Shape.forEach(kernel) { cell in
      for origin in origins {
        var offset = 0
        for axis in cell.indices {
          let place = origin[axis] + cell[axis] * dilations[axis]
          guard place >= 0, place < input[axis] else {
            offset = -1
            break
          }
          offset = offset * input[axis] + place
        }
        offsets.append(Int32(offset))
      }
    }
    return offsets
  }

  private func pack(
    _ source: UnsafeBufferPointer<Float>, from first: Int, _ area: Int, _ offsets: [Int32],
    _ depths: Range<Int>, _ columns: Range<Int>, into panel: FloatProduct.Panel
  ) {
    let cells = kernel.reduce(1, *)
    offsets.withUnsafeBufferPointer { offsets in
      for group in 0..<(columns.count + FloatProduct.lanes - 1) / FloatProduct.lanes {
        let lane = group * FloatProduct.lanes
        let count = min(FloatProduct.lanes, columns.count - lane)
        var (channel, cell) = depths.lowerBound.quotientAndRemainder(dividingBy: cells)
        for index in 0..<depths.count {
          let plane = first + channel * area
          let place = cell * columns.count + lane
          var values = SIMD8<Float>()
          for lane in 0..<count {
            let offset = Int(offsets[place + lane])
            if offset >= 0 { values[lane] = source[plane + offset] }
          }
          panel[group * depths.count + index] = values
          cell += 1
          if cell == cells { (channel, cell) = (channel + 1, 0) }
        }
      }
    }
  }
}
