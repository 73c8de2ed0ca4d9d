package import Primitives

/// The sum, requantised after a multiplication, or the largest or smallest element over axes,
/// which keep a size of 1 in the result.
///
/// A mean over n elements from exponent e to exponent f has multiplier / 2^shift = 2^(f-e) / n.
package struct Reduction: OperatorFamily {
  static let tag: UInt8 = 16

  package enum Operation: Hashable, Sendable {
    /// floor((Σ x · multiplier + 2^(shift-1)) / 2^shift) at `exponent`; multiplier within 1...2^16.
    case sum(multiplier: UInt32, shift: UInt8, exponent: Int8)
    case maximum
    case minimum
  }

  package let operation: Operation
  /// In ascending order.
  package let axes: [Int]

  package init(_ operation: Operation, axes: [Int]) {
    (self.operation, self.axes) = (operation, axes)
  }

  var operandCount: Int { 1 }

  func result(of operands: [Tensor]) throws(ProgramError.Problem) -> Tensor {
    var shape = operands[0].shape
    guard axes.allSatisfy({ shape.indices.contains($0) }),
      zip(axes, axes.dropFirst()).allSatisfy({ $0 < $1 })
    else { throw .parameters("axes \(axes) of \(shape) are not in order") }
    for axis in axes { shape[axis] = 1 }
    guard case .sum(let multiplier, let shift, let exponent) = operation else {
      return Tensor(shape: shape, exponent: operands[0].exponent)
    }
    guard shift <= Requantization.shiftLimit else { throw .shift(Int(shift)) }
    guard multiplier > 0, multiplier <= AveragePool.multiplierLimit else {
      throw .parameters("a multiplier of \(multiplier) is outside 1...2^16")
    }
    let count = axes.reduce(1) { $0 * operands[0].shape[$1] }
    guard
      Requantization.fits(
        weights: UInt64(count) * UInt64(multiplier), bias: 0, shift: Int(shift))
    else { throw .accumulator }
    return Tensor(shape: shape, exponent: exponent)
  }

  func steps(of operands: [Tensor], giving result: Tensor) -> Int { operands[0].elementCount }

  func kernel(operands: [Tensor], result: Tensor) -> any Kernel {
    ReductionKernel(self, operand: operands[0].shape)
  }
}

private struct ReductionKernel: Kernel {
  struct Axis: Sendable {
    let count: Int
    let stride: Int
  }

  let operation: Reduction.Operation
  /// Axes of more than one element.
  let kept: [Axis]
  let reduced: [Axis]

  init(_ reduction: Reduction, operand: [Int]) {
    operation = reduction.operation
    var (kept, reduced): ([Axis], [Axis]) = ([], [])
    var stride = 1
    for axis in operand.indices.reversed() {
      let isReduced = reduction.axes.contains(axis)
      let list = isReduced ? reduced : kept
      if operand[axis] > 1 {
        // Axes whose elements follow each other are walked as one.
        if let last = list.last, last.stride * last.count == stride {
          let joined = Axis(count: last.count * operand[axis], stride: last.stride)
          if isReduced {
            reduced[reduced.count - 1] = joined
          } else {
            kept[kept.count - 1] = joined
          }
        } else if isReduced {
          reduced.append(Axis(count: operand[axis], stride: stride))
        } else {
          kept.append(Axis(count: operand[axis], stride: stride))
        }
      }
      stride *= operand[axis]
    }
    (self.kept, self.reduced) = (kept.reversed(), reduced.reversed())
  }

  var scratchCount: Int { 0 }

  func run(
    _ operands: [UnsafePointer<Int16>], into result: UnsafeMutablePointer<Int16>,
    scratch: UnsafeMutablePointer<Int16>
  ) -> Int? {
    var fault: Int?
    var element = 0
    Self.walk(kept[...], operands[0]) { source in
      let value =
        switch operation {
        case .sum(let multiplier, let shift, _):
          Requantization.apply(
            Self.fold(reduced[...], source, 0) { $0 &+ Int64($1) } &* Int64(multiplier),
            shift: Int64(shift))
        case .maximum: Self.fold(reduced[...], source, .min) { max($0, Int64($1)) }
        case .minimum: Self.fold(reduced[...], source, .max) { min($0, Int64($1)) }
        }
      if !Requantization.isInRange(value), fault == nil { fault = element }
      result[element] = Int16(truncatingIfNeeded: value)
      element += 1
    }
    return fault
  }

  private static func walk(
    _ axes: ArraySlice<Axis>, _ source: UnsafePointer<Int16>, _ body: (UnsafePointer<Int16>) -> Void
  ) {
    guard let axis = axes.first else { return body(source) }
    for index in 0..<axis.count { walk(axes.dropFirst(), source + index * axis.stride, body) }
  }

  @inline(__always)
  private static func fold(
    _ axes: ArraySlice<Axis>, _ source: UnsafePointer<Int16>, _ initial: Int64,
    _ function: (Int64, Int16) -> Int64
  ) -> Int64 {
    guard let inner = axes.last else { return function(initial, source.pointee) }
    var value = initial
    walk(axes.dropLast(), source) { row in
      for index in 0..<inner.count { value = function(value, row[index &* inner.stride]) }
    }
    return value
  }
}

extension Reduction: CanonicalCodable {
  package func encode(into encoder: inout CanonicalEncoder) {
    switch operation {
    case .sum(let multiplier, let shift, let exponent):
      encoder.append(UInt8(1))
      encoder.append(multiplier)
      encoder.append(shift)
      encoder.append(exponent)
    case .maximum: encoder.append(UInt8(2))
    case .minimum: encoder.append(UInt8(3))
    }
    encoder.append(list: axes.map { UInt8($0) })
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    let start = decoder.offset
    switch try decoder.integer(UInt8.self) {
    case 1:
      operation = .sum(
        multiplier: try decoder.integer(), shift: try decoder.integer(),
        exponent: try decoder.integer())
    case 2: operation = .maximum
    case 3: operation = .minimum
    case let tag: throw decoder.failure(.unknownTag(tag, of: "Reduction"), at: start)
    }
    axes = try decoder.integers(UInt8.self, limit: 8).map { Int($0) }
  }
}
