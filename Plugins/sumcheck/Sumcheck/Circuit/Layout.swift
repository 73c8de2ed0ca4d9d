/// Where the elements of a tensor lie in a block of the committed vector: row-major, every axis
/// padded to a power of two. Cells outside the shape are read by nothing.
struct Layout: Hashable, Sendable {
  let shape: [Int]
  /// log2 of each padded axis.
  let logs: [Int]

  init(_ shape: [Int]) {
    self.shape = shape
    logs = shape.map(\.ceilingLog)
  }

  /// log2 of the block's size.
  var log: Int { logs.reduce(0, +) }
  var size: Int { 1 << log }
  var elementCount: Int { shape.reduce(1, *) }

  /// The coordinates of each axis out of a point of the block.
  func split(_ point: ArraySlice<Extension>) -> [ArraySlice<Extension>] {
    var start = point.startIndex
    return logs.map { log in
      defer { start += log }
      return point[start..<start + log]
    }
  }

  /// Runs of elements along the last axis.
  var rowCount: Int { shape.dropLast().reduce(1, *) }

  /// Calls `body` for each of these rows: where it begins in row-major order, where in the block,
  /// and its position along the axes before the last.
  func forEachRow(
    in rows: Range<Int>, _ body: (_ element: Int, _ cell: Int, _ position: [Int]) -> Void
  ) {
    let width = shape.last ?? 1
    var position = [Int](repeating: 0, count: max(shape.count - 1, 0))
    var rest = rows.lowerBound
    for axis in position.indices.reversed() {
      position[axis] = rest % shape[axis]
      rest /= shape[axis]
    }
    for row in rows {
      var cell = 0
      for axis in position.indices { cell = cell << logs[axis] | position[axis] }
      body(row * width, cell << (logs.last ?? 0), position)
      for axis in position.indices.reversed() {
        position[axis] += 1
        if position[axis] < shape[axis] { break }
        position[axis] = 0
      }
    }
  }

  func forEachRow(_ body: (_ element: Int, _ cell: Int) -> Void) {
    forEachRow(in: 0..<rowCount) { element, cell, _ in body(element, cell) }
  }
}
