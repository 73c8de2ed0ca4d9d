import CFixedPoint

/// Maxima and means, a line of results at a time: over all results of the line for each cell of the
/// window, or, where windows are wider than lines, over the cells of the window for each result.
struct PoolingKernel: DividedKernel {
  enum Reduction {
    case maximum
    case mean(multiplier: Int64, shift: Int64)
  }

  let window: Window
  let operand: [Int]
  let result: [Int]
  let reduction: Reduction

  /// Results of a line whose sums are kept at a time: what the stack has room for.
  private static let chunk = 128

  private var lines: Int { result[0] * result[1] * result[2] }
  private var linesPerPart: Int {
    max(1, KernelStage.partElements / (result[3] * window.cellCount))
  }

  var stages: [KernelStage] {
    [
      KernelStage(
        partCount: (lines - 1) / linesPerPart + 1,
        steps: KernelStage.elementwise(lines * result[3]).steps)
    ]
  }

  func run(stage: Int, part: Int, _ invocation: Invocation) -> Int? {
    let (height, width) = (operand[2], operand[3])
    var fault: Int?
    for line in part * linesPerPart..<min(lines, (part + 1) * linesPerPart) {
      let (plane, y) = line.quotientAndRemainder(dividingBy: result[2])
      let rows = window.rows(at: y, height: height)
      let top = y * window.strideHeight - window.padTop + rows.lowerBound * window.dilationHeight
      let source = Source(
        cells: invocation.operands[0] + (plane * height + top) * width, rowCount: rows.count,
        rowStride: window.dilationHeight * width, path: invocation.path)
      let values = invocation.result + line * result[3]
      let element =
        result[3] >= window.kernelWidth
        ? acrossResults(source, into: values) : acrossCells(source, into: values)
      if let element { fault = lowest(fault, line * result[3] + element) }
    }
    return fault
  }

  /// The rows of the operand under one line of results.
  private struct Source {
    /// The first of them, at column 0.
    let cells: UnsafePointer<Int16>
    let rowCount: Int
    let rowStride: Int
    let path: fixed16_path
  }

  private func acrossCells(_ source: Source, into values: UnsafeMutablePointer<Int16>) -> Int? {
    var fault: Int?
    for x in 0..<result[3] {
      let columns = window.columns(at: x, width: operand[3])
      var maximum = Int16.min
      var sum: Int64 = 0
      if !columns.isEmpty {
        let left = x * window.strideWidth - window.padLeft
        let first = source.cells + left + columns.lowerBound * window.dilationWidth
        for row in 0..<source.rowCount {
          let cells = first + row * source.rowStride
          let (stride, count) = (Int64(window.dilationWidth), Int64(columns.count))
          switch reduction {
          case .maximum:
            maximum = max(maximum, fixed16_largest(source.path, cells, stride, count))
          case .mean: sum &+= fixed16_sum(source.path, cells, stride, count)
          }
        }
      }
      switch reduction {
      case .maximum: values[x] = maximum
      case .mean(let multiplier, let shift):
        let mean = Requantization.apply(sum &* multiplier, shift: shift)
        if !Requantization.isInRange(mean), fault == nil { fault = x }
        values[x] = Int16(truncatingIfNeeded: mean)
      }
    }
    return fault
  }

  private func acrossResults(_ source: Source, into values: UnsafeMutablePointer<Int16>) -> Int? {
    switch reduction {
    case .maximum:
      values.update(repeating: .min, count: result[3])
      forEachCell(source, of: 0..<result[3]) { x, cells, count in
        fixed16_maximum(
          source.path, values + x, cells, Int64(window.strideWidth), Int64(count))
      }
      return nil
    case .mean(let multiplier, let shift):
      return withUnsafeTemporaryAllocation(of: Int64.self, capacity: Self.chunk) { sums in
        guard let sum = sums.baseAddress else { return nil }
        var fault: Int?
        for start in stride(from: 0, to: result[3], by: Self.chunk) {
          let range = start..<min(result[3], start + Self.chunk)
          sums.update(repeating: 0)
          forEachCell(source, of: range) { x, cells, count in
            fixed16_accumulate(
              source.path, sum + (x - start), cells, Int64(window.strideWidth), Int64(count))
          }
          for x in range {
            let mean = Requantization.apply(sum[x - start] &* multiplier, shift: shift)
            if !Requantization.isInRange(mean), fault == nil { fault = x }
            values[x] = Int16(truncatingIfNeeded: mean)
          }
        }
        return fault
      }
    }
  }

  /// For each cell of the window: the first of the results in `range` for which it is inside the
  /// operand, the operand's element under it there, and for how many results that goes on.
  private func forEachCell(
    _ source: Source, of range: Range<Int>,
    _ body: (_ x: Int, _ cells: UnsafePointer<Int16>, _ count: Int) -> Void
  ) {
    let stride = window.strideWidth
    for kernelX in 0..<window.kernelWidth {
      // The cell of result x is at column x · stride + shift.
      let shift = kernelX * window.dilationWidth - window.padLeft
      let first = max(range.lowerBound, shift >= 0 ? 0 : (stride - 1 - shift) / stride)
      let end = min(
        range.upperBound, shift >= operand[3] ? 0 : (operand[3] - 1 - shift) / stride + 1)
      guard first < end else { continue }
      for row in 0..<source.rowCount {
        body(first, source.cells + row * source.rowStride + first * stride + shift, end - first)
      }
    }
  }
}
