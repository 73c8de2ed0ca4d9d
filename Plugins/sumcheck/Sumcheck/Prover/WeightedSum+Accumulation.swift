import CSumcheckKernels
import FixedPoint

extension Circuit.Accumulator {
  /// Whether the remainders have at most 16 bits, so that the accumulator matters modulo 2^16 only.
  var isNarrow: Bool {
    switch self {
    case .weighted(let sum): sum.isNarrow
    case .product: false
    }
  }
}

extension WeightedSum {
  fileprivate var isNarrow: Bool { rows.shifts.allSatisfy { $0 <= 16 } }

  /// Without bias, modulo 2^16 where that is enough, otherwise modulo 2^32; row-major.
  func accumulate(
    _ operand: [Int16], _ parallel: Parallel
  ) throws(Cancelled) -> Memory<Int32> {
    guard let window else { return try matrixSums(operand, parallel) }
    let slide = SlidingOperand(self, window)
    let image = resultShape[channelAxis...].reduce(1, *)
    let sums = Memory<Int32>(unfilled: imageCount * image)
    for index in 0..<imageCount {
      try accumulate(
        slide, try slide.padded(operand, image: index, parallel),
        into: sums.values + index * image, parallel)
    }
    return sums
  }

  /// One image.
  private func accumulate(
    _ slide: SlidingOperand, _ padded: Memory<Int16>, into sums: UnsafeMutablePointer<Int32>,
    _ parallel: Parallel
  ) throws(Cancelled) {
    let (groupRows, columns) = (rows.rowCount / groups, slide.offsets.count)
    let (height, width) = (resultShape[channelAxis + 1], resultShape[channelAxis + 2])
    // Some 40 products of 16 bits in a nanosecond, a fiftieth of that modulo 2^32.
    let cost = Double(rows.rowCount * columns * width) * (isNarrow ? 0.025 : 1)
    try parallel.forEachPart(of: height, cost: cost) { part in
      rows.weights.withUnsafeBufferPointer { weightBuffer in
        slide.offsets.withUnsafeBufferPointer { offsetBuffer in
          guard let weights = weightBuffer.baseAddress, let offsets = offsetBuffer.baseAddress
          else {
            return
          }
          for group in 0..<groups {
            let firstRow = group * groupRows
            for y in part {
              let source = padded.values + group * slide.groupSize + y * slide.lineStep
              let target = sums + (firstRow * height + y) * width
              if isNarrow {
                sumcheck_slide_int16(
                  target, height * width, source, offsets, weights + firstRow * columns, columns,
                  groupRows, width)
              } else {
                Self.slide(
                  target, height * width, source, offsets, weights + firstRow * columns, columns,
                  groupRows, width)
              }
            }
          }
        }
      }
    }
  }

  /// As `sumcheck_slide_int16`, modulo 2^32.
  private static func slide(
    _ sums: UnsafeMutablePointer<Int32>, _ stride: Int, _ operand: UnsafePointer<Int16>,
    _ offsets: UnsafePointer<UInt32>, _ weights: UnsafePointer<Int16>, _ columns: Int,
    _ rows: Int, _ width: Int
  ) {
    for row in 0..<rows {
      for x in 0..<width {
        var sum: Int32 = 0
        for column in 0..<columns {
          sum &+=
            Int32(operand[x &+ Int(offsets[column])]) &* Int32(weights[row &* columns &+ column])
        }
        sums[row * stride + x] = sum
      }
    }
  }

  private func matrixSums(
    _ operand: [Int16], _ parallel: Parallel
  ) throws(Cancelled) -> Memory<Int32> {
    let (columns, width) = (innerShape[0], rows.rowCount)
    let sums = Memory<Int32>(unfilled: operand.count / columns * width)
    // Weights are read once for all of the operand's rows.
    let lines = operand.count / columns
    try parallel.forEachPart(of: width, cost: 0.3 * Double(columns * lines)) { part in
      operand.withUnsafeBufferPointer { operand in
        rows.weights.withUnsafeBufferPointer { weights in
          for row in part {
            for line in 0..<lines {
              let (x, w) = (line * columns, row * columns)
              var sum: Int32 = 0
              for column in 0..<columns {
                sum &+= Int32(operand[x &+ column]) &* Int32(weights[w &+ column])
              }
              sums.values[line * width + row] = sum
            }
          }
        }
      }
    }
    return sums
  }
}

/// An image with its padding, each line split by the stride, so that neighbouring outputs read
/// neighbouring elements.
private struct SlidingOperand {
  private let sum: WeightedSum
  private let window: Window
  private let lines: Int
  private let phaseWidth: Int

  /// Where each weight of a row reads, from the first output of a line of outputs.
  let offsets: [UInt32]

  init(_ sum: WeightedSum, _ window: Window) {
    (self.sum, self.window) = (sum, window)
    let lines =
      (sum.resultShape[sum.channelAxis + 1] - 1) * window.strideHeight
      + (window.kernelHeight - 1) * window.dilationHeight + 1
    let reach = (window.kernelWidth - 1) * window.dilationWidth
    // The kernels read up to 15 elements beyond the last.
    let phaseWidth = sum.resultShape[sum.channelAxis + 2] + 15 + reach / window.strideWidth + 1
    (self.lines, self.phaseWidth) = (lines, phaseWidth)
    var offsets: [UInt32] = []
    for channel in 0..<sum.weightShape[1] {
      for y in 0..<window.kernelHeight {
        for x in 0..<window.kernelWidth {
          let column = x * window.dilationWidth
          let line = (channel * lines + y * window.dilationHeight) * window.strideWidth
          offsets.append(
            UInt32(
              (line + column % window.strideWidth) * phaseWidth + column / window.strideWidth))
        }
      }
    }
    self.offsets = offsets
  }

  private var lineSize: Int { window.strideWidth * phaseWidth }
  /// From the lines of one output to those of the next below.
  var lineStep: Int { window.strideHeight * lineSize }
  var groupSize: Int { sum.weightShape[1] * lines * lineSize }

  func padded(
    _ operand: [Int16], image: Int, _ parallel: Parallel
  ) throws(Cancelled) -> Memory<Int16> {
    let axis = sum.channelAxis
    let (channels, height, width) = (
      sum.sourceShape[axis], sum.sourceShape[axis + 1], sum.sourceShape[axis + 2]
    )
    let size = lines * lineSize
    let padded = Memory<Int16>(unfilled: channels * size)
    // Of a line's elements, those that fall into the line of the padded image.
    let taken = min(width, phaseWidth * window.strideWidth - window.padLeft)
    try parallel.forEachPart(of: channels, cost: Double(size)) { part in
      operand.withUnsafeBufferPointer { operand in
        for channel in part {
          let plane = padded.values + channel * size
          plane.initialize(repeating: 0, count: size)
          for y in 0..<lines where y >= window.padTop && y - window.padTop < height {
            let source = ((image * channels + channel) * height + y - window.padTop) * width
            let target = plane + y * lineSize
            if window.strideWidth == 1 {
              for x in 0..<max(taken, 0) { target[x + window.padLeft] = operand[source + x] }
              continue
            }
            for x in 0..<max(taken, 0) {
              let column = x + window.padLeft
              let place = column / window.strideWidth
              target[column % window.strideWidth * phaseWidth + place] = operand[source + x]
            }
          }
        }
      }
    }
    return padded
  }
}
