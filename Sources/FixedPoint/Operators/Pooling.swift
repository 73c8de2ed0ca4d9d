package import Primitives

/// The largest value under each window, padding never winning: a window of padding only is refused.
package struct MaxPool: OperatorFamily {
  static let tag: UInt8 = 4

  package let window: Window

  package init(window: Window) { self.window = window }

  var operandCount: Int { 1 }

  func result(of operands: [Tensor]) throws(ProgramError.Problem) -> Tensor {
    let image = try Image(operands[0])
    let (height, width) = try window.resultSize(height: image.height, width: image.width)
    guard height <= Window.limit, width <= Window.limit else {
      throw .shape("a pooled image of \(height) × \(width) is out of bounds")
    }
    guard (0..<height).allSatisfy({ !window.rows(at: $0, height: image.height).isEmpty }),
      (0..<width).allSatisfy({ !window.columns(at: $0, width: image.width).isEmpty })
    else {
      throw .parameters("a pooling window lies wholly in the padding")
    }
    return Tensor(
      shape: [image.batch, image.channels, height, width], exponent: operands[0].exponent)
  }

  func steps(of operands: [Tensor], giving result: Tensor) -> Int {
    poolingSteps(result, window)
  }

  func kernel(operands: [Tensor], result: Tensor) -> any Kernel {
    PoolingKernel(
      window: window, operand: operands[0].shape, result: result.shape, reduction: .maximum)
  }
}

/// floor((sum·multiplier + 2^(shift-1)) / 2^shift) over each window, padding counting as 0.
///
/// A mean over n cells from exponent e to exponent f has multiplier / 2^shift = 2^(f-e) / n; it is
/// exact where n is a power of two.
package struct AveragePool: OperatorFamily {
  static let tag: UInt8 = 5
  package static let multiplierLimit: UInt32 = 1 << 16

  package let window: Window
  package let multiplier: UInt32
  package let shift: UInt8
  package let exponent: Int8

  package init(window: Window, multiplier: UInt32, shift: UInt8, exponent: Int8) {
    (self.window, self.multiplier) = (window, multiplier)
    (self.shift, self.exponent) = (shift, exponent)
  }

  var operandCount: Int { 1 }

  func result(of operands: [Tensor]) throws(ProgramError.Problem) -> Tensor {
    let image = try Image(operands[0])
    let (height, width) = try window.resultSize(height: image.height, width: image.width)
    guard shift <= Requantization.shiftLimit else { throw .shift(Int(shift)) }
    guard multiplier > 0, multiplier <= Self.multiplierLimit else {
      throw .parameters("a multiplier of \(multiplier) is outside 1...2^16")
    }
    // At most 2^28 cells of the operand count: 2^28 · 2^15 · 2^16 is below 2^62.
    guard
      Requantization.fits(
        weights: UInt64(min(window.cellCount, image.height * image.width)) * UInt64(multiplier),
        bias: 0, shift: Int(shift))
    else {
      throw .accumulator
    }
    return Tensor(shape: [image.batch, image.channels, height, width], exponent: exponent)
  }

  func steps(of operands: [Tensor], giving result: Tensor) -> Int {
    poolingSteps(result, window)
  }

  func kernel(operands: [Tensor], result: Tensor) -> any Kernel {
    PoolingKernel(
      window: window, operand: operands[0].shape, result: result.shape,
      reduction: .mean(multiplier: Int64(multiplier), shift: Int64(shift)))
  }
}

/// 2^28 elements × 2^32 cells fit in 64 bits.
private func poolingSteps(_ result: Tensor, _ window: Window) -> Int {
  result.elementCount * window.cellCount
}

extension MaxPool: CanonicalCodable {
  package func encode(into encoder: inout CanonicalEncoder) { encoder.append(window) }
  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    window = try decoder.record()
  }
}

extension AveragePool: CanonicalCodable {
  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(window)
    encoder.append(multiplier)
    encoder.append(shift)
    encoder.append(exponent)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    window = try decoder.record()
    multiplier = try decoder.integer()
    shift = try decoder.integer()
    exponent = try decoder.integer()
  }
}
