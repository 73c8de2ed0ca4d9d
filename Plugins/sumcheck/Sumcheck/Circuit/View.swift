/// How a tensor is read as one of another shape: a linear map with entries 0 and 1 that acts on
/// each axis apart, or keeps row-major order.
enum View: Hashable, Sendable {
  case identity
  /// The same elements in row-major order.
  case reshape
  /// Axis a of the result reads axis `axes[a].source`; axes of the source that none reads have size
  /// 1, and none is read twice.
  case axes([AxisMap])
}

/// One axis of a view: position i of the result is the sum of the source's positions
/// `positions[i]`, none of which is 0, several a window's sum.
struct AxisMap: Hashable, Sendable {
  /// Nil where the result repeats what its other axes read; positions are then 0.
  let source: Int?
  let positions: [[Int]]

  init(source: Int?, positions: [[Int]]) { (self.source, self.positions) = (source, positions) }

  /// An axis along which the result repeats.
  static func repeated(_ size: Int) -> AxisMap {
    AxisMap(source: nil, positions: [[Int]](repeating: [0], count: size))
  }

  static func identity(axis: Int, size: Int) -> AxisMap {
    AxisMap(source: axis, positions: (0..<size).map { [$0] })
  }
}
