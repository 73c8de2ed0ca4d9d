import FixedPoint

extension Circuit.Accumulator {
  /// Whether the remainders have at most 16 bits, so that the accumulator matters modulo 2^16 only.
  var isNarrow: Bool {
    switch self {
    case .weighted(let sum): sum.rows.shifts.allSatisfy { $0 <= 16 }
    case .product: false
    }
  }
}

extension WeightedSum {
  /// Without bias, modulo 2^16 where all shifts are within 16, otherwise modulo 2^32; row-major.
  func accumulate(_ operand: [Int16]) -> [Int32] {
    guard let window else { return matrixSums(operand) }
    return rows.shifts.allSatisfy { $0 <= 16 }
      ? sums(operand, window, UInt16.self, zero: SIMD16<UInt16>.zero)
      : sums(operand, window, UInt32.self, zero: SIMD16<UInt32>.zero)
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

  /// Sixteen neighbouring outputs at a time, on a copy of the operand with its padding, each line
  /// split by the stride, so that neighbours read neighbours.
  private func sums<Word: FixedWidthInteger & SIMDScalar, Vector: SIMD>(
    _ operand: [Int16], _ window: Window, _ word: Word.Type, zero: Vector
  ) -> [Int32] where Vector.Scalar == Word {
    let lanes = Vector.scalarCount
    let (channels, height, width) = (sourceShape[1], sourceShape[2], sourceShape[3])
    let (rowCount, resultHeight, resultWidth) = (resultShape[1], resultShape[2], resultShape[3])
    let (groupChannels, groupRows) = (channels / groups, rowCount / groups)
    let (strideWidth, columns) = (window.strideWidth, rows.weights.count / rows.rowCount)
    let lines =
      (resultHeight - 1) * window.strideHeight
      + (window.kernelHeight - 1) * window.dilationHeight + 1
    let reach = (window.kernelWidth - 1) * window.dilationWidth
    let phaseWidth = (resultWidth + lanes - 1) / lanes * lanes + reach / strideWidth + 1
    let line = strideWidth * phaseWidth
    // Where each weight of a row reads, from the first output of a line of outputs.
    var offsets: [Int] = []
    for channel in 0..<groupChannels {
      for y in 0..<window.kernelHeight {
        for x in 0..<window.kernelWidth {
          let column = x * window.dilationWidth
          offsets.append(
            (channel * lines + y * window.dilationHeight) * line
              + column % strideWidth * phaseWidth + column / strideWidth)
        }
      }
    }
    let weights = rows.weights.map { Word(truncatingIfNeeded: $0) }
    var padded = [Word](repeating: 0, count: channels * lines * line)
    var result = [Int32](repeating: 0, count: resultShape.reduce(1, *))
    for image in 0..<resultShape[0] {
      for channel in 0..<channels {
        for y in 0..<lines where y >= window.padTop && y - window.padTop < height {
          let source = ((image * channels + channel) * height + y - window.padTop) * width
          let target = (channel * lines + y) * line
          for x in 0..<width {
            let column = x + window.padLeft
            guard column / strideWidth < phaseWidth else { break }
            padded[target + column % strideWidth * phaseWidth + column / strideWidth] = Word(
              truncatingIfNeeded: operand[source + x])
          }
        }
      }
      padded.withUnsafeBytes { padded in
        weights.withUnsafeBufferPointer { weights in
          offsets.withUnsafeBufferPointer { offsets in
            for row in 0..<rowCount {
              let group = row / groupRows * groupChannels * lines * line
              for y in 0..<resultHeight {
                let first = group + y * window.strideHeight * line
                for x in stride(from: 0, to: resultWidth, by: lanes) {
                  var sum = zero
                  for column in 0..<columns {
                    let place = (first &+ x &+ offsets[column]) &* MemoryLayout<Word>.size
                    let values = padded.loadUnaligned(fromByteOffset: place, as: Vector.self)
                    sum = Self.multiplyAdd(sum, values, weights[row &* columns &+ column])
                  }
                  let target = ((image * rowCount + row) * resultHeight + y) * resultWidth + x
                  for lane in 0..<min(lanes, resultWidth - x) {
                    result[target + lane] = Int32(truncatingIfNeeded: sum[lane])
                  }
                }
              }
            }
          }
        }
      }
    }
    return result
  }

  @inline(__always)
  private static func multiplyAdd<Vector: SIMD>(
    _ sum: Vector, _ values: Vector, _ weight: Vector.Scalar
  ) -> Vector where Vector.Scalar: FixedWidthInteger {
    sum &+ values &* Vector(repeating: weight)
  }
}
