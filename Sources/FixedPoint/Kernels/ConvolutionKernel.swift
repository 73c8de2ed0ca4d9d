import CFixedPoint

/// A convolution without gathering patches: the operand is laid out once, with its padding, so that
/// every pair of products of every position is at one offset from the position; the inner loops
/// follow a list of those offsets.
struct ConvolutionKernel: DividedKernel, RectifiableKernel {
  /// How the operand is laid out, and with it which elements pair up.
  private enum Layout {
    /// As it is: neighbours of a line pair up, or none do (`PackedRows.Form.slide`).
    case operand
    /// Two channels of a pixel side by side: [channel / 2, y, x, 2].
    case channelPairs
    /// Columns by their remainder modulo the stride, so that a stride reads neighbours:
    /// [channel, y, x % phases, x / phases].
    case phases(Int)
  }

  private let packed: PackedRows
  private let parts: ProductParts
  private let form: PackedRows.Form
  private let layout: Layout
  private let padding: fixed16_padding
  private let groups: Int
  private let groupRows: Int
  private let groupChannels: Int
  private let images: Int
  /// Elements of one plane of the layout, or of two together for pairs.
  private let planeCount: Int
  /// Planes of one group.
  private let planes: Int
  private let lineStride: Int
  private let columnStride: Int
  private let resultHeight: Int
  private let resultWidth: Int
  private var isRectified = false

  private static let panelLimit = 1 << 18

  /// Nil where the layout or the panels would take more memory than all tensors of a program.
  init?(_ operation: Convolution, operand: [Int], result: [Int]) {
    let (rows, window) = (operation.rows, operation.window)
    groups = operation.groups
    (images, groupChannels) = (operand[0], operand[1] / groups)
    groupRows = rows.rowCount / groups
    (resultHeight, resultWidth) = (result[2], result[3])
    let (height, width) = (operand[2], operand[3])
    // The part of the padded plane that some window reads.
    let paddedHeight =
      (resultHeight - 1) * window.strideHeight
      + (window.kernelHeight - 1) * window.dilationHeight + 1
    let paddedWidth =
      (resultWidth - 1) * window.strideWidth + (window.kernelWidth - 1) * window.dilationWidth + 1
    padding = fixed16_padding(
      height: Int64(height), width: Int64(width), top: Int64(window.padTop),
      left: Int64(window.padLeft), padded_height: Int64(paddedHeight),
      padded_width: Int64(paddedWidth))
    let isInside =
      window.padTop == 0 && window.padLeft == 0 && paddedHeight <= height && paddedWidth <= width

    let pairing = Self.pairing(
      window, groupChannels: groupChannels, groupRows: groupRows, resultWidth: resultWidth)
    form = pairing == .slide ? .slide : .multiply
    // Elements between two lines, and where a cell of the kernel is relative to a position.
    let pitch: Int
    let offset: (_ channel: Int, _ y: Int, _ x: Int) -> Int
    let (dilationY, dilationX, strideX) = (
      window.dilationHeight, window.dilationWidth, window.strideWidth
    )
    switch pairing {
    case .channels:
      pitch = paddedWidth * 2
      let plane = paddedHeight * pitch
      (layout, planeCount, planes) = (.channelPairs, plane, (groupChannels + 1) / 2)
      columnStride = strideX * 2
      offset = { $0 / 2 * plane + $1 * dilationY * paddedWidth * 2 + $2 * dilationX * 2 }
    case .columns, .slide:
      let phases = pairing == .slide ? strideX : 1
      let isOperand = isInside && phases == 1
      let phaseWidth = isOperand ? width : (paddedWidth - 1) / phases + 1
      pitch = phases * phaseWidth
      let plane = (isOperand ? height : paddedHeight) * pitch
      (layout, planeCount, planes) = (isOperand ? .operand : .phases(phases), plane, groupChannels)
      columnStride = pairing == .slide ? 1 : strideX
      let linePitch = pitch
      offset = { channel, y, x in
        let column = x * dilationX
        return channel * plane + y * dilationY * linePitch + column % phases * phaseWidth + column
          / phases
      }
    }
    lineStride = window.strideHeight * pitch
    guard images * groups * planes * planeCount <= Program.elementLimit,
      groups * form.panelsPerGroup(ofRows: groupRows) <= Self.panelLimit
    else { return nil }
    packed = PackedRows(
      rows, groups: groups,
      steps: Self.steps(pairing, window, channels: groupChannels, offset: offset), form: form)
    let isSliding = pairing == .slide
    parts = ProductParts(
      units: images * groups, extent: isSliding ? resultHeight : resultHeight * resultWidth,
      panels: packed.panelsPerGroup,
      steps: images * resultHeight * resultWidth * rows.weights.count,
      granule: isSliding ? 1 : 6)
  }

  // MARK: Which products pair up

  private enum Pairing {
    /// Two channels of one cell of the kernel.
    case channels
    /// Two neighbouring columns of the kernel.
    case columns
    /// Any two cells: their elements are loaded apart, for many positions at once.
    case slide
  }

  /// The pairing that costs least, in multiply instructions per result and a weight for how well
  /// the loop around them does. It decides speed, never a result.
  private static func pairing(
    _ window: Window, groupChannels: Int, groupRows: Int, resultWidth: Int
  ) -> Pairing {
    let (cells, width) = (window.cellCount, resultWidth)
    let lanes = PackedRows.Form.multiply.lanes(ofRows: groupRows)
    let channels = (groupChannels + 1) / 2 * cells * lanes * 10
    let columns =
      window.dilationWidth == 1
      ? groupChannels * window.kernelHeight * ((window.kernelWidth + 1) / 2) * lanes * 10 : .max
    let slideLanes = PackedRows.Form.slide.lanes(ofRows: groupRows)
    let slide =
      (groupChannels * cells + 1) / 2 * slideLanes * (groupRows > 2 ? 12 : 20)
      * ((width + 15) / 16 * 16) / width
    if slide < min(channels, columns) { return .slide }
    return channels <= columns ? .channels : .columns
  }

  private static func steps(
    _ pairing: Pairing, _ window: Window, channels: Int,
    offset: (_ channel: Int, _ y: Int, _ x: Int) -> Int
  ) -> [PackedRows.Step] {
    let (height, width) = (window.kernelHeight, window.kernelWidth)
    func column(_ channel: Int, _ y: Int, _ x: Int) -> Int { (channel * height + y) * width + x }
    var steps: [PackedRows.Step] = []
    switch pairing {
    case .channels:
      for channel in stride(from: 0, to: channels, by: 2) {
        for y in 0..<height {
          for x in 0..<width {
            steps.append(
              PackedRows.Step(
                first: column(channel, y, x),
                second: channel + 1 < channels ? column(channel + 1, y, x) : nil,
                offset: offset(channel, y, x)))
          }
        }
      }
    case .columns:
      for channel in 0..<channels {
        for y in 0..<height {
          for x in stride(from: 0, to: width, by: 2) {
            steps.append(
              PackedRows.Step(
                first: column(channel, y, x),
                second: x + 1 < width ? column(channel, y, x + 1) : nil,
                offset: offset(channel, y, x)))
          }
        }
      }
    case .slide:
      let count = channels * height * width
      func place(_ column: Int) -> Int {
        offset(column / (height * width), column / width % height, column % width)
      }
      for first in stride(from: 0, to: count, by: 2) {
        let second = min(first + 1, count - 1)
        steps.append(
          PackedRows.Step(
            first: first, second: second > first ? second : nil, offset: place(first),
            secondOffset: place(second)))
      }
    }
    return steps
  }

  // MARK: Running

  private var layoutPlanes: Int { images * groups * planes }
  private var planesPerPart: Int { max(1, KernelStage.partElements / planeCount) }

  var scratchCount: Int {
    if case .operand = layout { 0 } else { layoutPlanes * planeCount + Invocation.operandSlack }
  }

  var stages: [KernelStage] {
    if case .operand = layout { return [parts.stage] }
    return [
      KernelStage(
        partCount: (layoutPlanes - 1) / planesPerPart + 1,
        steps: KernelStage.elementwise(layoutPlanes * planeCount).steps),
      parts.stage,
    ]
  }

  var rectified: any Kernel {
    var copy = self
    copy.isRectified = true
    return copy
  }

  func run(stage: Int, part: Int, _ invocation: Invocation) -> Int? {
    if case .operand = layout { return multiply(part, invocation.operands[0], invocation) }
    guard stage == 0 else { return multiply(part, UnsafePointer(invocation.scratch), invocation) }
    lay(part, invocation)
    return nil
  }

  /// Lays out some planes.
  private func lay(_ part: Int, _ invocation: Invocation) {
    var padding = padding
    let source = Int(padding.height * padding.width)
    for plane in part * planesPerPart..<min(layoutPlanes, (part + 1) * planesPerPart) {
      let target = invocation.scratch + plane * planeCount
      switch layout {
      case .operand: break
      case .channelPairs:
        let channel = plane % planes * 2
        let first = invocation.operands[0] + (plane / planes * groupChannels + channel) * source
        fixed16_pack_pair(
          invocation.path, target, first, channel + 1 < groupChannels ? first + source : nil,
          &padding)
      case .phases(let phases):
        let width = (Int(padding.padded_width) - 1) / phases + 1
        fixed16_pack_phases(
          invocation.path, target, invocation.operands[0] + plane * source, &padding,
          Int64(phases), Int64(width))
      }
    }
  }

  private func multiply(
    _ part: Int, _ operand: UnsafePointer<Int16>, _ invocation: Invocation
  ) -> Int? {
    let ranges = parts.ranges(of: part)
    let plane = resultHeight * resultWidth
    let (first, last) = (Int64(ranges.extent.lowerBound), Int64(ranges.extent.upperBound))
    var fault: Int?
    for unit in ranges.units {
      let group = unit % groups
      for index in ranges.panels {
        let start = (unit * groupRows + packed.firstRow(ofPanel: index)) * plane
        var panel = packed.panel(group * packed.panelsPerGroup + index, isRectified: isRectified)
        var positions = fixed16_positions(
          operand: operand + unit * planes * planeCount, line_stride: Int64(lineStride),
          column_stride: Int64(columnStride), width: Int64(resultWidth),
          result: invocation.result + start, position_stride: 1, row_stride: Int64(plane))
        let element =
          switch form {
          case .multiply: fixed16_multiply(invocation.path, &panel, &positions, first, last)
          case .slide: fixed16_slide(invocation.path, &panel, &positions, first, last)
          }
        if element != .max { fault = lowest(fault, start + Int(element)) }
      }
    }
    return fault
  }
}

/// The definition, a result at a time: for the windows whose padding would fill the memory.
struct PlainConvolutionKernel: Kernel {
  let operation: Convolution
  let operand: [Int]
  let result: [Int]

  var scratchCount: Int { 0 }

  func run(
    _ operands: [UnsafePointer<Int16>], into values: UnsafeMutablePointer<Int16>,
    scratch: UnsafeMutablePointer<Int16>
  ) -> Int? {
    let (rows, window) = (operation.rows, operation.window)
    let (height, width) = (operand[2], operand[3])
    let groupChannels = operand[1] / operation.groups
    let groupRows = rows.rowCount / operation.groups
    var fault: Int?
    var element = 0
    rows.weights.withUnsafeBufferPointer { weights in
      for plane in 0..<result[0] * result[1] {
        let (image, row) = plane.quotientAndRemainder(dividingBy: rows.rowCount)
        let firstChannel = image * operand[1] + row / groupRows * groupChannels
        for y in 0..<result[2] {
          let top = y * window.strideHeight - window.padTop
          for x in 0..<result[3] {
            let left = x * window.strideWidth - window.padLeft
            var sum = rows.biases[row]
            for channel in 0..<groupChannels {
              for kernelY in window.rows(at: y, height: height) {
                let sourceY = top + kernelY * window.dilationHeight
                let line = operands[0] + ((firstChannel + channel) * height + sourceY) * width
                let cells =
                  ((row * groupChannels + channel) * window.kernelHeight + kernelY)
                  * window.kernelWidth
                for kernelX in window.columns(at: x, width: width) {
                  sum &+=
                    Int64(line[left + kernelX * window.dilationWidth])
                    &* Int64(weights[cells + kernelX])
                }
              }
            }
            let value = Requantization.apply(sum, shift: Int64(rows.shifts[row]))
            if !Requantization.isInRange(value), fault == nil { fault = element }
            values[element] = Int16(truncatingIfNeeded: value)
            element += 1
          }
        }
      }
    }
    return fault
  }
}
