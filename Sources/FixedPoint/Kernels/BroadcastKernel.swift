/// Two shapes repeated along their axes of 1 until they agree: numpy's rule.
struct Broadcast: Sendable {
  private struct Axis: Sendable {
    var count: Int
    /// Distance between neighbours; 0 where the operand repeats.
    var left: Int
    var right: Int
  }

  /// Axes of more than one element, neighbours joined where both operands allow it.
  private let outer: [Axis]
  private let inner: Axis

  /// The common shape; throws where there is none.
  static func shape(_ left: [Int], _ right: [Int]) throws(ProgramError.Problem) -> [Int] {
    let rank = max(left.count, right.count)
    let first = Array(repeating: 1, count: rank - left.count) + left
    let second = Array(repeating: 1, count: rank - right.count) + right
    guard zip(first, second).allSatisfy({ $0 == $1 || $0 == 1 || $1 == 1 }) else {
      throw .shape("\(left) and \(right) cannot be broadcast to one shape")
    }
    return zip(first, second).map { max($0, $1) }
  }

  /// Operands of `left` and `right` cells, each of so many elements, read as `shape`.
  init(
    _ left: [Int], _ right: [Int], as shape: [Int], leftCell: Int = 1, rightCell: Int = 1
  ) {
    let leftStrides = Self.strides(left, rank: shape.count, cell: leftCell)
    let rightStrides = Self.strides(right, rank: shape.count, cell: rightCell)
    var axes: [Axis] = []
    for axis in shape.indices where shape[axis] > 1 {
      let next = Axis(count: shape[axis], left: leftStrides[axis], right: rightStrides[axis])
      if let last = axes.last, last.left == next.left * next.count,
        last.right == next.right * next.count
      {
        axes[axes.count - 1] = Axis(
          count: last.count * next.count, left: next.left, right: next.right)
      } else {
        axes.append(next)
      }
    }
    inner = axes.popLast() ?? Axis(count: 1, left: 0, right: 0)
    outer = axes
  }

  private static func strides(_ shape: [Int], rank: Int, cell: Int) -> [Int] {
    var strides = [Int](repeating: 0, count: rank)
    var stride = cell
    for (axis, size) in shape.enumerated().reversed() {
      strides[rank - shape.count + axis] = size == 1 ? 0 : stride
      stride *= size
    }
    return strides
  }

  /// Calls `body` for every run of the result, in its order: offsets in both operands of the first
  /// element, how many there are, and how far apart they lie in each operand.
  @inline(__always)
  func forEachRun(
    _ body: (_ left: Int, _ right: Int, _ count: Int, _ leftStep: Int, _ rightStep: Int) -> Void
  ) {
    walk(0, left: 0, right: 0) { body($0, $1, inner.count, inner.left, inner.right) }
  }

  private func walk(_ axis: Int, left: Int, right: Int, _ body: (Int, Int) -> Void) {
    guard axis < outer.count else { return body(left, right) }
    for index in 0..<outer[axis].count {
      walk(
        axis + 1, left: left + index * outer[axis].left, right: right + index * outer[axis].right,
        body)
    }
  }
}

/// A function of two elements, exact in 64 bits; what leaves int16 is a range fault.
protocol ElementFunction: Sendable {
  func callAsFunction(_ left: Int16, _ right: Int16) -> Int64
}

/// Applies a function to two operands that are broadcast to one shape.
struct BroadcastKernel<Function: ElementFunction>: Kernel {
  let broadcast: Broadcast
  let function: Function

  init(_ function: Function, operands: [Tensor], result: Tensor) {
    self.function = function
    broadcast = Broadcast(operands[0].shape, operands[1].shape, as: result.shape)
  }

  var scratchCount: Int { 0 }

  func run(
    _ operands: [UnsafePointer<Int16>], into result: UnsafeMutablePointer<Int16>,
    scratch: UnsafeMutablePointer<Int16>
  ) -> Int? {
    var fault: Int?
    var first = 0
    broadcast.forEachRun { leftStart, rightStart, count, leftStep, rightStep in
      let (left, right) = (operands[0] + leftStart, operands[1] + rightStart)
      let target = result + first
      for index in 0..<count {
        let value = function(left[index &* leftStep], right[index &* rightStep])
        if !Requantization.isInRange(value), fault == nil { fault = first + index }
        target[index] = Int16(truncatingIfNeeded: value)
      }
      first += count
    }
    return fault
  }
}
