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
    // A hostile kernel must not make the patches of one row larger than all tensors together.
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
      ?? PlainConvolutionKernel(
        operation: self, operand: operands[0].shape, result: result.shape)
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
