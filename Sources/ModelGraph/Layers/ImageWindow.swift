/// How a kernel slides over the last two axes of [batch, channel, height, width], as ONNX states
/// it, with automatic padding and ceil mode already resolved to explicit pads.
package struct ImageWindow: Sendable, Hashable {
  package let kernel: [Int]
  package let strides: [Int]
  /// Top, left, bottom, right.
  package let pads: [Int]
  package let dilations: [Int]

  static let attributes = ["kernel_shape", "strides", "pads", "dilations", "auto_pad"]

  init(
    kernel: [Int], strides: [Int] = [1, 1], pads: [Int] = [0, 0, 0, 0], dilations: [Int] = [1, 1]
  ) {
    (self.kernel, self.strides, self.pads, self.dilations) = (kernel, strides, pads, dilations)
  }

  init(_ reader: NodeReader, kernel: [Int], ceil: Bool = false) throws(ModelError) {
    guard let shape = reader.operands.first?.shape, shape.count == 4, kernel.count == 2 else {
      throw reader.fail(
        .unsupportedFeature("\(reader.operatorName) is not two-dimensional over a batch of images"))
    }
    self.kernel = kernel
    strides = try reader.integers("strides", count: 2, default: [1, 1])
    dilations = try reader.integers("dilations", count: 2, default: [1, 1])
    var pads = try reader.integers("pads", count: 4, default: [0, 0, 0, 0])
    guard (kernel + strides + dilations).allSatisfy({ (1...65536).contains($0) }) else {
      throw reader.fail(.shape("kernel, strides and dilations must be positive"))
    }
    for axis in 0..<2 {
      let span = dilations[axis] * (kernel[axis] - 1) + 1
      let size = shape[2 + axis]
      switch reader.text("auto_pad", default: "NOTSET") {
      case "NOTSET", "": break
      case "VALID": (pads[axis], pads[axis + 2]) = (0, 0)
      case let mode where mode == "SAME_UPPER" || mode == "SAME_LOWER":
        let count = (size + strides[axis] - 1) / strides[axis]
        let total = max(0, (count - 1) * strides[axis] + span - size)
        let less = total / 2
        (pads[axis], pads[axis + 2]) =
          mode == "SAME_UPPER" ? (less, total - less) : (total - less, less)
      case let mode: throw reader.fail(.unsupportedFeature("auto_pad is '\(mode)'"))
      }
      let rest = size + pads[axis] + pads[axis + 2] - span
      guard rest >= 0 else {
        throw reader.fail(.shape("a kernel of \(kernel) is larger than the input \(shape)"))
      }
      let missing = (strides[axis] - rest % strides[axis]) % strides[axis]
      // ONNX drops a last window that would start in the padding on the far side.
      if ceil, missing > 0, rest + missing < size + pads[axis] { pads[axis + 2] += missing }
    }
    self.pads = pads
  }

  func resultSize(_ shape: [Int]) -> [Int] {
    (0..<2).map { axis in
      let span = dilations[axis] * (kernel[axis] - 1) + 1
      return (shape[2 + axis] + pads[axis] + pads[axis + 2] - span) / strides[axis] + 1
    }
  }

  /// Calls `body` with the kernel cell and the input offset of every cell inside the image.
  @inline(__always)
  func forEachCell(
    y: Int, x: Int, height: Int, width: Int, _ body: (_ cell: Int, _ offset: Int) -> Void
  ) {
    for kernelY in 0..<kernel[0] {
      let row = y * strides[0] - pads[0] + kernelY * dilations[0]
      guard row >= 0, row < height else { continue }
      for kernelX in 0..<kernel[1] {
        let column = x * strides[1] - pads[1] + kernelX * dilations[1]
        guard column >= 0, column < width else { continue }
        body(kernelY * kernel[1] + kernelX, row * width + column)
      }
    }
  }
}
