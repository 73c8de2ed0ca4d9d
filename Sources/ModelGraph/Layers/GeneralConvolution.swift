/// Conv and ConvTranspose over any number of axes, with weights that may be computed.
package struct GeneralConvolution: Sendable {
  package let isTransposed: Bool
  package let window: SpatialWindow
  package let channels: Int
  /// Channels of the result.
  package let rows: Int
  package let groups: Int

  static let names = ["Conv", "ConvTranspose"]

  static func read(_ reader: NodeReader) throws(ModelError) -> GeneralLayer {
    let isTransposed = reader.operatorName == "ConvTranspose"
    try reader.allow(
      ImageWindow.attributes + ["group"]
        + (isTransposed ? ["output_padding", "output_shape"] : []),
      operands: 2...3)
    let (input, weights) = (try reader.shape(0), try reader.shape(1))
    let groups = reader.integer("group", default: 1)
    guard input.count > 2, weights.count == input.count, groups > 0, groups <= input[1],
      input[1].isMultiple(of: groups), weights[0].isMultiple(of: groups),
      isTransposed ? weights[0] == input[1] : weights[1] == input[1] / groups
    else {
      throw reader.fail(
        .shape("weights \(weights) in \(groups) groups do not fit an input of \(input)"))
    }
    let kernel = Array(weights.dropFirst(2))
    let stated = try reader.integers("kernel_shape", count: kernel.count, default: kernel)
    guard stated == kernel else {
      throw reader.fail(.shape("kernel_shape \(stated) is not that of weights \(weights)"))
    }
    let window = try SpatialWindow(
      reader, image: Array(input.dropFirst(2)), kernel: kernel, transposed: isTransposed)
    let rows = isTransposed ? weights[1] * groups : weights[0]
    let shape = [input[0], rows] + window.result
    if reader.hasSlot(2), try reader.shape(2) != [rows] {
      throw reader.fail(.shape("a bias of \(try reader.shape(2)) is not [\(rows)]"))
    }
    guard let count = Shape.elementCount(shape) else {
      throw reader.fail(.shape("a result of shape \(shape) is out of bounds"))
    }
    let elements = isTransposed ? input.reduce(1, *) : count
    let (work, overflows) = elements.multipliedReportingOverflow(
      by: weights.dropFirst().reduce(1, *))
    guard !overflows else { throw reader.fail(.tooLarge("its multiplications overflow")) }
    let convolution = GeneralConvolution(
      isTransposed: isTransposed, window: window, channels: input[1], rows: rows, groups: groups)
    return GeneralLayer(.convolution(convolution), shape: shape, multiplications: work)
  }

  func evaluate(_ operands: [FloatTensor]) -> [Float] {
    isTransposed
      ? scatter(operands)
      : FloatConvolution(window, channels: channels, rows: rows, groups: groups).evaluate(operands)
  }

  private func scatter(_ operands: [FloatTensor]) -> [Float] {
    let (area, resultArea) = (window.input.reduce(1, *), window.result.reduce(1, *))
    let (rowsPerGroup, cells) = (rows / groups, window.cells)
    var result: [Float] = []
    for element in 0..<operands[0].shape[0] * rows * resultArea {
      result.append(operands.count > 2 ? operands[2].values[element / resultArea % rows] : 0)
    }
    for image in 0..<operands[0].shape[0] {
      for channel in 0..<channels {
        let firstRow = channel / (channels / groups) * rowsPerGroup
        var source = (image * channels + channel) * area
        Shape.forEach(window.input) { position in
          let value = operands[0].values[source]
          source += 1
          for (index, cell) in cells.enumerated() {
            guard let offset = window.target(position, cell) else { continue }
            for row in 0..<rowsPerGroup {
              let plane = image * rows + firstRow + row
              let weight = (channel * rowsPerGroup + row) * cells.count + index
              result[plane * resultArea + offset] += value * operands[1].values[weight]
            }
          }
        }
      }
    }
    return result
  }
}
