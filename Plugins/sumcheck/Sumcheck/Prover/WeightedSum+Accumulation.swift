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
  /// Products below which lines stay on one thread.
  private static let grain = 1 << 20

  fileprivate var isNarrow: Bool { rows.shifts.allSatisfy { $0 <= 16 } }

  /// Without bias, modulo 2^16 where that is enough, otherwise modulo 2^32; row-major.
  func accumulate(_ operand: [Int16], _ parallel: Parallel) -> [Int32] {
    guard let window else { return matrixSums(operand) }
    let slide = SlidingOperand(self, window)
    var sums = [Int32](repeating: 0, count: resultShape.reduce(1, *))
    for image in 0..<imageCount {
      let padded = slide.padded(operand, image: image)
      padded.withUnsafeBufferPointer { padded in
        sums.withUnsafeMutableBufferPointer { sums in
          guard let padded = padded.baseAddress, let sums = sums.baseAddress else { return }
          accumulate(
            slide, padded, into: sums + image * (sumCount / imageCount), parallel)
        }
      }
    }
    return sums
  }

  private var sumCount: Int { resultShape.reduce(1, *) }

  /// One image.
  private func accumulate(
    _ slide: SlidingOperand, _ padded: UnsafePointer<Int16>,
    into sums: UnsafeMutablePointer<Int32>, _ parallel: Parallel
  ) {
    let (groupRows, columns) = (rows.rowCount / groups, slide.offsets.count)
    let (height, width) = (resultShape[channelAxis + 1], resultShape[channelAxis + 2])
    rows.weights.withUnsafeBufferPointer { weightBuffer in
      slide.offsets.withUnsafeBufferPointer { offsetBuffer in
        guard let weightStart = weightBuffer.baseAddress,
          let offsetStart = offsetBuffer.baseAddress
        else {
          return
        }
        // Each part writes lines of its own; all else is only read.
        nonisolated(unsafe) let (sums, padded) = (sums, padded)
        nonisolated(unsafe) let (weights, offsets) = (weightStart, offsetStart)
        let grain = max(1, Self.grain / (rows.rowCount * columns * width))
        parallel.forEachPart(of: height, grain: grain) { part in
          for group in 0..<groups {
            let firstRow = group * groupRows
            for y in part {
              let source = padded + group * slide.groupSize + y * slide.lineStep
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

  private func matrixSums(_ operand: [Int16]) -> [Int32] {
    let columns = rows.weights.count / rows.rowCount
    let count = operand.count / columns
    var sums = [Int32](repeating: 0, count: count * rows.rowCount)
    operand.withUnsafeBufferPointer { operand in
      rows.weights.withUnsafeBufferPointer { weights in
        for index in 0..<count {
          for row in 0..<rows.rowCount {
            let (x, w) = (index * columns, row * columns)
            var sum: Int32 = 0
            for column in 0..<columns {
              sum &+= Int32(operand[x &+ column]) &* Int32(weights[w &+ column])
            }
            sums[index * rows.rowCount + row] = sum
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

  func padded(_ operand: [Int16], image: Int) -> [Int16] {
    let axis = sum.channelAxis
    let (channels, height, width) = (
      sum.sourceShape[axis], sum.sourceShape[axis + 1], sum.sourceShape[axis + 2]
    )
    var padded = [Int16](repeating: 0, count: channels * lines * lineSize)
    for channel in 0..<channels {
      for y in 0..<lines where y >= window.padTop && y - window.padTop < height {
        let source = ((image * channels + channel) * height + y - window.padTop) * width
        let target = (channel * lines + y) * lineSize
        for x in 0..<width {
          let column = x + window.padLeft
          let place = column / window.strideWidth
          guard place < phaseWidth else { break }
          padded[target + column % window.strideWidth * phaseWidth + place] = operand[source + x]
        }
      }
    }
    return padded
  }
}
