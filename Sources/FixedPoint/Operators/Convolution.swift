package import Primitives

/// Two-dimensional convolution with groups, strides, padding with zeros and dilations, then one
/// requantisation. Row o of `rows` holds the weights [channel of the group, kernel y, kernel x] of
/// output channel o; groups are consecutive runs of channels.
package struct Convolution: OperatorFamily {
  static let tag: UInt8 = 1

  package let rows: LinearRows
  package let groups: Int
  package let window: Window
  package let exponent: Int8

  package init(rows: LinearRows, groups: Int, window: Window, exponent: Int8) {
    (self.rows, self.groups, self.window, self.exponent) = (rows, groups, window, exponent)
  }

  var operandCount: Int { 1 }

  func result(of operands: [Tensor]) throws(ProgramError.Problem) -> Tensor {
    let image = try Image(operands[0])
    let (height, width) = try window.resultSize(height: image.height, width: image.width)
    guard groups > 0, image.channels.isMultiple(of: groups), rows.rowCount.isMultiple(of: groups)
    else {
      throw .parameters(
        "\(groups) groups do not divide \(image.channels) and \(rows.rowCount) channels")
    }
    let columns = image.channels / groups * window.cellCount
    try rows.validate(columns: columns)
    // The patches of one row of output pixels are gathered at once; a hostile kernel must not
    // make them larger than all tensors together.
    guard columns <= Program.elementLimit / width else { throw .tooLarge }
    return Tensor(shape: [image.batch, rows.rowCount, height, width], exponent: exponent)
  }

  func steps(of operands: [Tensor], giving result: Tensor) -> Int {
    let (steps, overflow) = result.elementCount.multipliedReportingOverflow(
      by: rows.weights.count / rows.rowCount)
    return overflow ? .max / 4 : min(steps, .max / 4)
  }

  func kernel(operands: [Tensor], result: Tensor) -> any Kernel {
    ConvolutionKernel(self, operand: operands[0].shape, result: result.shape)
  }
}

private struct ConvolutionKernel: Kernel {
  let rows: LinearRows
  let groups: Int
  let window: Window
  let chunk: Int
  let batch: Int
  let channels: Int
  let height: Int
  let width: Int
  let resultHeight: Int
  let resultWidth: Int

  init(_ operation: Convolution, operand: [Int], result: [Int]) {
    (rows, groups, window) = (operation.rows, operation.groups, operation.window)
    chunk = rows.chunk
    (batch, channels, height, width) = (operand[0], operand[1], operand[2], operand[3])
    (resultHeight, resultWidth) = (result[2], result[3])
  }

  private var columns: Int { channels / groups * window.cellCount }
  /// One row of output pixels at a time: the patches of a row stay in the first cache.
  var scratchCount: Int { resultWidth * columns }

  func run(
    _ operands: [UnsafePointer<Int16>], into result: UnsafeMutablePointer<Int16>,
    scratch: UnsafeMutablePointer<Int16>
  ) -> Int? {
    let groupRows = rows.rowCount / groups
    let groupChannels = channels / groups
    let columns = columns
    let plane = resultHeight * resultWidth
    var fault: Int?
    rows.weights.withUnsafeBufferPointer { weightBuffer in
      guard let weights = weightBuffer.baseAddress else { return }
      for image in 0..<batch {
        for group in 0..<groups {
          let source = operands[0] + (image * channels + group * groupChannels) * height * width
          for y in 0..<resultHeight {
            gather(from: source, channels: groupChannels, y: y, into: scratch)
            for row in group * groupRows..<(group + 1) * groupRows {
              let bias = rows.biases[row]
              let shift = Int64(rows.shifts[row])
              let first = (image * rows.rowCount + row) * plane + y * resultWidth
              for x in 0..<resultWidth {
                let sum = DotProduct.of(
                  scratch + x * columns, weights + row * columns, count: columns, chunk: chunk)
                let value = Requantization.apply(sum &+ bias, shift: shift)
                if !Requantization.isInRange(value) { fault = min(fault ?? .max, first + x) }
                result[first + x] = Int16(truncatingIfNeeded: value)
              }
            }
          }
        }
      }
    }
    return fault
  }

  /// Copies the patch under every output pixel of row `y`; cells in the padding are 0.
  private func gather(
    from source: UnsafePointer<Int16>, channels: Int, y: Int,
    into scratch: UnsafeMutablePointer<Int16>
  ) {
    scratch.update(repeating: 0, count: scratchCount)
    let kernelRows = window.rows(at: y, height: height)
    for x in 0..<resultWidth {
      let kernelColumns = window.columns(at: x, width: width)
      guard !kernelColumns.isEmpty else { continue }
      let patch = scratch + x * columns
      let left = x * window.strideWidth - window.padLeft
      for channel in 0..<channels {
        for kernelY in kernelRows {
          let sourceY = y * window.strideHeight - window.padTop + kernelY * window.dilationHeight
          let line = source + (channel * height + sourceY) * width
          let cells = patch + (channel * window.kernelHeight + kernelY) * window.kernelWidth
          for kernelX in kernelColumns {
            cells[kernelX] = line[left &+ kernelX &* window.dilationWidth]
          }
        }
      }
    }
  }
}

extension Convolution: CanonicalCodable {
  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(rows)
    encoder.append(UInt32(groups))
    encoder.append(window)
    encoder.append(exponent)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    rows = try decoder.record()
    groups = Int(try decoder.integer(UInt32.self))
    window = try decoder.record()
    exponent = try decoder.integer()
  }
}
