import CFixedPoint

/// Rows of the operand times packed rows of weights.
struct MatrixProductKernel: DividedKernel, RectifiableKernel {
  private let packed: PackedRows
  private let parts: ProductParts
  private let columns: Int
  private let rowCount: Int
  /// Rows of the operand.
  private let count: Int
  private var isRectified = false

  /// Nil where panels would take many times the memory of the weights.
  init?(rows: LinearRows, count: Int) {
    let columns = rows.weights.count / rows.rowCount
    guard rows.rowCount >= 4 || columns <= 1 << 20 else { return nil }
    let steps = stride(from: 0, to: columns, by: 2).map { column in
      PackedRows.Step(
        first: column, second: column + 1 < columns ? column + 1 : nil, offset: column)
    }
    packed = PackedRows(rows, groups: 1, steps: steps, form: .multiply)
    parts = ProductParts(
      units: 1, extent: count, panels: packed.panelsPerGroup, steps: count * rows.weights.count,
      granule: 6)
    (self.columns, self.rowCount, self.count) = (columns, rows.rowCount, count)
  }

  var stages: [KernelStage] { [parts.stage] }

  var rectified: any Kernel {
    var copy = self
    copy.isRectified = true
    return copy
  }

  func run(stage: Int, part: Int, _ invocation: Invocation) -> Int? {
    let ranges = parts.ranges(of: part)
    var fault: Int?
    for index in ranges.panels {
      let row = packed.firstRow(ofPanel: index)
      var panel = packed.panel(index, isRectified: isRectified)
      var positions = fixed16_positions(
        operand: invocation.operands[0], line_stride: 0, column_stride: Int64(columns),
        width: Int64(count), result: invocation.result + row, position_stride: Int64(rowCount),
        row_stride: 1)
      let element = fixed16_multiply(
        invocation.path, &panel, &positions, Int64(ranges.extent.lowerBound),
        Int64(ranges.extent.upperBound))
      if element != .max { fault = lowest(fault, row + Int(element)) }
    }
    return fault
  }
}

/// The definition, a row at a time: for the few shapes that are not worth packing.
struct PlainMatrixProductKernel: Kernel {
  let rows: LinearRows
  /// Rows of the operand.
  let count: Int

  var scratchCount: Int { 0 }

  func run(
    _ operands: [UnsafePointer<Int16>], into result: UnsafeMutablePointer<Int16>,
    scratch: UnsafeMutablePointer<Int16>
  ) -> Int? {
    let columns = rows.weights.count / rows.rowCount
    var fault: Int?
    rows.weights.withUnsafeBufferPointer { weights in
      for index in 0..<count {
        for row in 0..<rows.rowCount {
          var sum = rows.biases[row]
          for column in 0..<columns {
            sum &+=
              Int64(operands[0][index * columns + column])
              &* Int64(weights[row * columns + column])
          }
          let value = Requantization.apply(sum, shift: Int64(rows.shifts[row]))
          let element = index * rows.rowCount + row
          if !Requantization.isInRange(value), fault == nil { fault = element }
          result[element] = Int16(truncatingIfNeeded: value)
        }
      }
    }
    return fault
  }
}
