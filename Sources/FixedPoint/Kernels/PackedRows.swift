import CFixedPoint

/// Linear rows made ready for the inner loops: panels of a few rows, whose products come in steps
/// of two.
///
/// A 32-bit accumulator is exact as long as no partial sum leaves int32. Each row's |w|·2^15 bounds
/// its products with any int16 operand, so within a *run* of steps in which no row's Σ|w| exceeds
/// 2^16 - 1 every partial sum stays below 2^31; between runs the sums move to 64 bits. A step whose
/// two weights are both -2^15 could wrap by itself, and becomes two steps.
final class PackedRows: @unchecked Sendable {
  // All memory is written by `init` alone and freed by `deinit`; in between it is only read. That
  // is what makes it safe to share.

  /// Two products of every row. A column of -1 is a weight of 0.
  struct Step {
    var first: Int32
    var second: Int32
    /// Where the operand's element of `first` is, relative to a position; that of `second` follows
    /// it, or is at `secondOffset` for a sliding product.
    let offset: Int32
    let secondOffset: Int32

    init(first: Int, second: Int?, offset: Int, secondOffset: Int = 0) {
      self.first = Int32(first)
      self.second = second.map { Int32($0) } ?? -1
      self.offset = Int32(offset)
      self.secondOffset = Int32(secondOffset)
    }
  }

  enum Form {
    /// For `fixed16_multiply`: panels of 16 rows, the last of a group of 8 where that is enough.
    case multiply
    /// For `fixed16_slide`: panels of 4 rows, the last of a group of 1 or 2 where that is enough.
    case slide

    func lanes(forPanelOf rows: Int) -> Int {
      switch self {
      case .multiply: rows > 8 ? 16 : 8
      case .slide: rows > 2 ? 4 : rows
      }
    }

    func panelsPerGroup(ofRows rows: Int) -> Int { (rows - 1) / panelRows + 1 }

    /// Lanes of all panels of a group together.
    func lanes(ofRows rows: Int) -> Int {
      let last = (panelsPerGroup(ofRows: rows) - 1) * panelRows
      return last + lanes(forPanelOf: rows - last)
    }

    var panelRows: Int {
      switch self {
      case .multiply: 16
      case .slide: 4
      }
    }

    var offsetsPerStep: Int {
      switch self {
      case .multiply: 1
      case .slide: 2
      }
    }
  }

  /// Σ|w| of one row up to here is exact in int32 with any operand.
  private static let runLimit = UInt32(UInt16.max)

  /// In the order of the rows; `panelsPerGroup` for each group.
  let panels: [fixed16_panel]
  let panelsPerGroup: Int
  private let form: Form
  private let allocations: [UnsafeMutableRawPointer]

  /// `rows` in `groups` equal runs, which share no panel.
  init(_ rows: LinearRows, groups: Int, steps: [Step], form: Form) {
    let steps = Self.withoutWrapping(steps, rows)
    let groupRows = rows.rowCount / groups
    let panelsPerGroup = form.panelsPerGroup(ofRows: groupRows)
    let lanes = groups * form.lanes(ofRows: groupRows)
    let offsets = Self.allocate(Int32.self, steps.count * form.offsetsPerStep)
    let weights = Self.allocate(Int16.self, lanes * steps.count * 2)
    let biases = Self.allocate(Int64.self, lanes)
    let narrowBiases = Self.allocate(Int32.self, lanes)
    let shifts = Self.allocate(Int32.self, lanes)
    for (index, step) in steps.enumerated() {
      switch form {
      case .multiply: offsets[index] = step.offset
      case .slide: (offsets[2 * index], offsets[2 * index + 1]) = (step.offset, step.secondOffset)
      }
    }

    var panels: [fixed16_panel] = []
    panels.reserveCapacity(groups * panelsPerGroup)
    var runEnds: [Int32] = []
    var lane = 0
    for panel in 0..<groups * panelsPerGroup {
      let first = panel % panelsPerGroup * form.panelRows
      let count = min(form.panelRows, groupRows - first)
      let start = panel / panelsPerGroup * groupRows + first
      let range = start..<start + count
      let width = form.lanes(forPanelOf: count)
      let cells = weights + lane * steps.count * 2
      let runs = Self.fill(cells, rows, range, steps: steps, lanes: width)
      let isNarrow = Self.fill(
        biases + lane, narrowBiases + lane, shifts + lane, rows, range)
      panels.append(
        fixed16_panel(
          weights: cells, offsets: offsets, run_ends: nil, run_count: Int32(runs.count),
          is_narrow: isNarrow && runs.count == 1 ? 1 : 0, biases: biases + lane,
          narrow_biases: narrowBiases + lane, shifts: shifts + lane, lanes: Int32(width),
          rows: Int32(count), least: .min))
      runEnds += runs
      lane += width
    }
    let ends = Self.allocate(Int32.self, runEnds.count)
    ends.update(from: runEnds, count: runEnds.count)
    var end = 0
    for index in panels.indices {
      panels[index].run_ends = UnsafePointer(ends + end)
      end += Int(panels[index].run_count)
    }
    (self.panels, self.panelsPerGroup, self.form) = (panels, panelsPerGroup, form)
    allocations = [
      UnsafeMutableRawPointer(offsets), UnsafeMutableRawPointer(weights),
      UnsafeMutableRawPointer(biases), UnsafeMutableRawPointer(narrowBiases),
      UnsafeMutableRawPointer(shifts), UnsafeMutableRawPointer(ends),
    ]
  }

  deinit {
    for allocation in allocations { allocation.deallocate() }
  }

  /// The first row of a panel, within its group.
  func firstRow(ofPanel panel: Int) -> Int { panel * form.panelRows }

  func panel(_ index: Int, isRectified: Bool) -> fixed16_panel {
    var panel = panels[index]
    if isRectified { panel.least = 0 }
    return panel
  }

  /// Writes the weights of one panel and gives where its runs end.
  private static func fill(
    _ cells: UnsafeMutablePointer<Int16>, _ rows: LinearRows, _ range: Range<Int>, steps: [Step],
    lanes: Int
  ) -> [Int32] {
    let columns = rows.weights.count / rows.rowCount
    var ends: [Int32] = []
    rows.weights.withUnsafeBufferPointer { source in
      var sums = [UInt32](repeating: 0, count: range.count)
      for (index, step) in steps.enumerated() {
        let pairs = cells + index * lanes * 2
        func magnitude(_ lane: Int) -> UInt32 {
          UInt32(pairs[2 * lane].magnitude) + UInt32(pairs[2 * lane + 1].magnitude)
        }
        var isOver = false
        for (lane, row) in range.enumerated() {
          pairs[2 * lane] = step.first < 0 ? 0 : source[row * columns + Int(step.first)]
          pairs[2 * lane + 1] = step.second < 0 ? 0 : source[row * columns + Int(step.second)]
          sums[lane] += magnitude(lane)
          if sums[lane] > runLimit { isOver = true }
        }
        guard isOver else { continue }
        // The next run begins with this step, which by itself is within the limit.
        ends.append(Int32(index))
        for lane in sums.indices { sums[lane] = magnitude(lane) }
      }
    }
    return ends + [Int32(steps.count)]
  }

  /// Writes bias with rounding term, and shift, of each row; gives whether a single run is exact in
  /// int32 together with them.
  private static func fill(
    _ biases: UnsafeMutablePointer<Int64>, _ narrowBiases: UnsafeMutablePointer<Int32>,
    _ shifts: UnsafeMutablePointer<Int32>, _ rows: LinearRows, _ range: Range<Int>
  ) -> Bool {
    let columns = rows.weights.count / rows.rowCount
    var isNarrow = true
    for (lane, row) in range.enumerated() {
      let shift = Int64(rows.shifts[row])
      let bias = rows.biases[row] + (shift == 0 ? 0 : 1 << (shift - 1))
      biases[lane] = bias
      narrowBiases[lane] = Int32(truncatingIfNeeded: bias)
      shifts[lane] = Int32(shift)
      let sum = rows.weights[row * columns..<(row + 1) * columns].reduce(UInt64(0)) {
        $0 + UInt64($1.magnitude)
      }
      // Both terms are below 2^62 in a valid program.
      if sum << 15 + bias.magnitude > UInt64(Int32.max) { isNarrow = false }
    }
    return isNarrow
  }

  /// Steps in which no row has twice -2^15: the sum of those two products may be 2^31.
  private static func withoutWrapping(_ steps: [Step], _ rows: LinearRows) -> [Step] {
    guard rows.weights.contains(.min) else { return steps }
    let columns = rows.weights.count / rows.rowCount
    return steps.flatMap { step in
      let wraps =
        step.first >= 0 && step.second >= 0
        && (0..<rows.rowCount).contains { row in
          rows.weights[row * columns + Int(step.first)] == .min
            && rows.weights[row * columns + Int(step.second)] == .min
        }
      guard wraps else { return [step] }
      var (left, right) = (step, step)
      left.second = -1
      right.first = -1
      return [left, right]
    }
  }

  /// Filled with 0, and aligned so that a vector crosses no cache line.
  private static func allocate<Element: FixedWidthInteger & BitwiseCopyable>(
    _ type: Element.Type, _ count: Int
  ) -> UnsafeMutablePointer<Element> {
    let memory = UnsafeMutableRawPointer.allocate(
      byteCount: max(1, count) * MemoryLayout<Element>.stride, alignment: 64)
    return memory.initializeMemory(as: type, repeating: 0, count: count)
  }
}
