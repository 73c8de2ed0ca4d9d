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

  /// Calls `body` for every run of elements along the last axis: where it begins in row-major
  /// order, and where in the block.
  func forEachRow(_ body: (_ element: Int, _ cell: Int) -> Void) {
    guard let width = shape.last else { return body(0, 0) }
    let outer = Layout(Array(shape.dropLast()))
    let rows = outer.elementCount
    var index = [Int](repeating: 0, count: outer.shape.count)
    for row in 0..<rows {
      var cell = 0
      for axis in index.indices { cell = cell << outer.logs[axis] | index[axis] }
      body(row * width, cell << (logs.last ?? 0))
      for axis in index.indices.reversed() {
        index[axis] += 1
        if index[axis] < outer.shape[axis] { break }
        index[axis] = 0
      }
    }
  }
}
