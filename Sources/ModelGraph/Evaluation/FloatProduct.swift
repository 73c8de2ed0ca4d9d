import Dispatch

/// The blocked product behind convolutions and matrix products:
/// result[row][column] += Σ left[row][d] · right[d][column].
///
/// Every element of the result is summed in the order of d, one rounded product after another, so
/// that blocking, vectors and threads change no bit of what the plain triple loop gives.
struct FloatProduct {
  /// Columns of a panel, which are the lanes of a vector.
  static let lanes = 8
  /// Columns of a tile: the unit that one thread packs and then uses for every row.
  static let tile = 64
  /// Depth of a panel: 512 · 8 numbers stay in the first-level cache.
  static let depthBlock = 512
  /// Below so many multiplications a second thread costs more than it saves.
  private static let threadedWork = 1 << 18

  /// A matrix somewhere in a buffer.
  struct Strided {
    let start: Int
    let row: Int
    let column: Int

    var transposed: Strided { Strided(start: start, row: column, column: row) }
  }

  typealias Panel = UnsafeMutableBufferPointer<SIMD8<Float>>

  let rows: Int
  let columns: Int
  let depth: Int
  let left: Strided
  let result: Strided

  /// Fills `panel[d - depths.lowerBound + group · depths.count]` with eight columns of the right
  /// side, zero beyond the last.
  typealias Packing = (_ depths: Range<Int>, _ columns: Range<Int>, _ panel: Panel) -> Void

  /// Adds to `target`. `packing` makes what fills the panels of one tile of columns.
  func add(
    _ source: UnsafeBufferPointer<Float>, to target: UnsafeMutableBufferPointer<Float>,
    packing: (_ columns: Range<Int>) -> Packing
  ) {
    let tiles = (columns + Self.tile - 1) / Self.tile
    let work = rows * depth * columns
    guard work >= Self.threadedWork else {
      for index in 0..<tiles { addTile(index, 0..<rows, source, target, packing) }
      return
    }
    // A product of few columns is shared out by rows instead, which packs its panels twice.
    let parts = tiles == 1 ? 2 : 1
    // Each iteration reads `source` and writes the elements of its own rows and columns, and the
    // call returns when all are done: no two touch the same element.
    nonisolated(unsafe) let (source, target, packing) = (source, target, packing)
    withoutActuallyEscaping(packing) { packing in
      nonisolated(unsafe) let packing = packing
      DispatchQueue.concurrentPerform(iterations: tiles * parts) { index in
        let share = rows / parts / 4 * 4
        let range = parts == 1 ? 0..<rows : index == 0 ? 0..<share : share..<rows
        addTile(parts == 1 ? index : 0, range, source, target, packing)
      }
    }
  }

  /// As above, of a right side that lies somewhere in `factor`.
  func add(
    _ source: UnsafeBufferPointer<Float>, to target: UnsafeMutableBufferPointer<Float>,
    times factor: UnsafeBufferPointer<Float>, at right: Strided
  ) {
    add(source, to: target) { _ in
      { depths, columns, panel in
        for (group, first) in stride(
          from: columns.lowerBound, to: columns.upperBound, by: Self.lanes
        ).enumerated() {
          let count = min(Self.lanes, columns.upperBound - first)
          for index in 0..<depths.count {
            let place =
              right.start + (depths.lowerBound + index) * right.row + first * right.column
            var values = SIMD8<Float>()
            for lane in 0..<count { values[lane] = factor[place + lane * right.column] }
            panel[group * depths.count + index] = values
          }
        }
      }
    }
  }

  private func addTile(
    _ index: Int, _ rows: Range<Int>, _ source: UnsafeBufferPointer<Float>,
    _ target: UnsafeMutableBufferPointer<Float>, _ packing: (Range<Int>) -> Packing
  ) {
    let first = index * Self.tile
    let tile = first..<min(columns, first + Self.tile)
    let groups = (tile.count + Self.lanes - 1) / Self.lanes
    let pack = packing(tile)
    let capacity = groups * min(depth, Self.depthBlock)
    withUnsafeTemporaryAllocation(of: SIMD8<Float>.self, capacity: capacity) { panel in
      for start in stride(from: 0, to: depth, by: Self.depthBlock) {
        let depths = start..<min(depth, start + Self.depthBlock)
        pack(depths, tile, panel)
        for group in 0..<groups {
          let columns = tile.lowerBound + group * Self.lanes
          let block = UnsafeBufferPointer(
            rebasing: panel[group * depths.count..<(group + 1) * depths.count])
          var row = rows.lowerBound
          while row + 4 <= rows.upperBound {
            addFourRows(row, columns, depths, block, source, target)
            row += 4
          }
          while row < rows.upperBound {
            addRow(row, columns, depths, block, source, target)
            row += 1
          }
        }
      }
    }
  }

  @inline(__always)
  private func addFourRows(
    _ row: Int, _ column: Int, _ depths: Range<Int>, _ panel: UnsafeBufferPointer<SIMD8<Float>>,
    _ source: UnsafeBufferPointer<Float>, _ target: UnsafeMutableBufferPointer<Float>
  ) {
    guard let base = source.baseAddress else { return }
    let step = left.column
    let first = base + left.start + row * left.row + depths.lowerBound * step
    let (second, third, fourth) = (first + left.row, first + 2 * left.row, first + 3 * left.row)
    var sums = (
      load(row, column, target), load(row + 1, column, target), load(row + 2, column, target),
      load(row + 3, column, target)
    )
    for index in 0..<depths.count {
      let values = panel[index]
      sums.0 += values * first[index &* step]
      sums.1 += values * second[index &* step]
      sums.2 += values * third[index &* step]
      sums.3 += values * fourth[index &* step]
    }
    store(sums.0, row, column, target)
    store(sums.1, row + 1, column, target)
    store(sums.2, row + 2, column, target)
    store(sums.3, row + 3, column, target)
  }

  @inline(__always)
  private func addRow(
    _ row: Int, _ column: Int, _ depths: Range<Int>, _ panel: UnsafeBufferPointer<SIMD8<Float>>,
    _ source: UnsafeBufferPointer<Float>, _ target: UnsafeMutableBufferPointer<Float>
  ) {
    var sum = load(row, column, target)
    var place = left.start + row * left.row + depths.lowerBound * left.column
    for index in 0..<depths.count {
      sum += panel[index] * source[place]
      place += left.column
    }
    store(sum, row, column, target)
  }

  @inline(__always)
  private func load(
    _ row: Int, _ column: Int, _ target: UnsafeMutableBufferPointer<Float>
  ) -> SIMD8<Float> {
    var values = SIMD8<Float>()
    let place = result.start + row * result.row + column * result.column
    for lane in 0..<min(Self.lanes, columns - column) {
      values[lane] = target[place + lane * result.column]
    }
    return values
  }

  @inline(__always)
  private func store(
    _ values: SIMD8<Float>, _ row: Int, _ column: Int,
    _ target: UnsafeMutableBufferPointer<Float>
  ) {
    let place = result.start + row * result.row + column * result.column
    for lane in 0..<min(Self.lanes, columns - column) {
      target[place + lane * result.column] = values[lane]
    }
  }
}
