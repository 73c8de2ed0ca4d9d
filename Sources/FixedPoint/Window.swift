package import Primitives

/// How a rectangle slides over the last two axes of a tensor [batch, channel, height, width].
package struct Window: Hashable, Sendable {
  package let kernelHeight: Int
  package let kernelWidth: Int
  package let strideHeight: Int
  package let strideWidth: Int
  package let padTop: Int
  package let padLeft: Int
  package let padBottom: Int
  package let padRight: Int
  package let dilationHeight: Int
  package let dilationWidth: Int

  package static let limit = 1 << 16

  package init(
    kernel: (height: Int, width: Int), stride: (height: Int, width: Int) = (1, 1),
    pads: (top: Int, left: Int, bottom: Int, right: Int) = (0, 0, 0, 0),
    dilation: (height: Int, width: Int) = (1, 1)
  ) {
    (kernelHeight, kernelWidth) = kernel
    (strideHeight, strideWidth) = stride
    (padTop, padLeft, padBottom, padRight) = pads
    (dilationHeight, dilationWidth) = dilation
  }

  package var cellCount: Int { kernelHeight * kernelWidth }

  private var fields: [Int] {
    [
      kernelHeight, kernelWidth, strideHeight, strideWidth, padTop, padLeft, padBottom, padRight,
      dilationHeight, dilationWidth,
    ]
  }

  /// Height and width of the result: floor((size + pads - dilation·(kernel - 1) - 1) / stride) + 1.
  func resultSize(height: Int, width: Int) throws(ProgramError.Problem) -> (Int, Int) {
    guard fields.allSatisfy({ $0 >= 0 && $0 <= Self.limit }),
      kernelHeight > 0, kernelWidth > 0, strideHeight > 0, strideWidth > 0, dilationHeight > 0,
      dilationWidth > 0
    else {
      throw .parameters("its kernel, strides, pads or dilations are out of bounds")
    }
    let spanHeight = height + padTop + padBottom - dilationHeight * (kernelHeight - 1) - 1
    let spanWidth = width + padLeft + padRight - dilationWidth * (kernelWidth - 1) - 1
    guard spanHeight >= 0, spanWidth >= 0 else {
      throw .shape("its kernel is larger than the padded input of \(height) × \(width)")
    }
    return (spanHeight / strideHeight + 1, spanWidth / strideWidth + 1)
  }

  /// Cells of the kernel, from the first, that fall inside an axis of `size` for the output at
  /// `position`: empty where the window lies wholly in the padding.
  @inline(__always)
  static func cells(
    position: Int, stride: Int, pad: Int, dilation: Int, kernel: Int, size: Int
  ) -> Range<Int> {
    let origin = position &* stride &- pad
    let lower = origin >= 0 ? 0 : (dilation &- 1 &- origin) / dilation
    let upper = origin >= size ? 0 : min(kernel, (size &- 1 &- origin) / dilation &+ 1)
    return lower..<max(lower, upper)
  }

  @inline(__always)
  func rows(at position: Int, height: Int) -> Range<Int> {
    Self.cells(
      position: position, stride: strideHeight, pad: padTop, dilation: dilationHeight,
      kernel: kernelHeight, size: height)
  }

  @inline(__always)
  func columns(at position: Int, width: Int) -> Range<Int> {
    Self.cells(
      position: position, stride: strideWidth, pad: padLeft, dilation: dilationWidth,
      kernel: kernelWidth, size: width)
  }
}

extension Window: CanonicalCodable {
  package func encode(into encoder: inout CanonicalEncoder) {
    for field in fields { encoder.append(UInt32(field)) }
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    func next() throws(CanonicalError) -> Int { Int(try decoder.integer(UInt32.self)) }
    self.init(
      kernel: (try next(), try next()), stride: (try next(), try next()),
      pads: (try next(), try next(), try next(), try next()), dilation: (try next(), try next()))
  }
}

/// The axes of a tensor [batch, channel, height, width].
struct Image: Sendable {
  let batch: Int
  let channels: Int
  let height: Int
  let width: Int

  init(_ tensor: Tensor) throws(ProgramError.Problem) {
    guard tensor.shape.count == 4 else {
      throw .shape("[batch, channel, height, width] was expected and \(tensor.shape) came")
    }
    (batch, channels, height, width) = (
      tensor.shape[0], tensor.shape[1], tensor.shape[2], tensor.shape[3]
    )
  }
}
