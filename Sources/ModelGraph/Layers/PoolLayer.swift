/// MaxPool, AveragePool and GlobalAveragePool, the last as an average over the whole image.
package struct PoolLayer: Sendable {
  package enum Reduction: Sendable { case maximum, average }

  package let reduction: Reduction
  package let window: ImageWindow

  init(_ reader: NodeReader) throws(ModelError) {
    reduction = reader.operatorName == "MaxPool" ? .maximum : .average
    if reader.operatorName == "GlobalAveragePool" {
      try reader.allow([], operands: 1...1)
      window = try ImageWindow(reader, kernel: Array(reader.operands[0].shape.dropFirst(2)))
      return
    }
    try reader.allow(
      ImageWindow.attributes + ["ceil_mode", "storage_order", "count_include_pad"], operands: 1...1)
    let kernel = try reader.integers("kernel_shape", count: 2, default: [])
    let ceil = reader.integer("ceil_mode", default: 0) != 0
    window = try ImageWindow(reader, kernel: kernel, ceil: ceil)
    guard !reader.givesPlaces else {
      throw reader.fail(.unsupportedFeature("MaxPool gives places"))
    }
    let isPadded = window.pads.contains { $0 > 0 }
    if reduction == .average, isPadded,
      ceil || reader.integer("count_include_pad", default: 0) == 0
    {
      throw reader.fail(
        .unsupportedFeature("AveragePool divides by another count at the padded border"))
    }
    if reduction == .maximum,
      window.pads[0] >= span(0) || window.pads[1] >= span(1) || window.pads[2] >= span(0)
        || window.pads[3] >= span(1)
    {
      throw reader.fail(.shape("a pooling window of \(kernel) fits wholly into the padding"))
    }
  }

  private func span(_ axis: Int) -> Int { window.dilations[axis] * (window.kernel[axis] - 1) + 1 }

  func resultShape(_ operands: [Graph.Value], at node: String) throws(ModelError) -> [Int] {
    let shape = operands[0].shape
    return [shape[0], shape[1]] + window.resultSize(shape)
  }

  func evaluate<Number: Scalar>(_ input: DenseTensor<Number>, into shape: [Int]) -> [Number] {
    let (height, width) = (input.shape[2], input.shape[3])
    let cells = Number(window.kernel[0] * window.kernel[1])
    var result: [Number] = []
    result.reserveCapacity(shape.reduce(1, *))
    for plane in 0..<shape[0] * shape[1] {
      for y in 0..<shape[2] {
        for x in 0..<shape[3] {
          var (sum, largest) = (Number(0), -Number.infinity)
          window.forEachCell(y: y, x: x, height: height, width: width) { _, offset in
            let value = input.values[plane * height * width + offset]
            sum += value
            largest = max(largest, value)
          }
          result.append(reduction == .maximum ? largest : sum / cells)
        }
      }
    }
    return result
  }
}
