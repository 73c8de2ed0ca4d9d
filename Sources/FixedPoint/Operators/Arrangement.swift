package import Primitives

/// The operand's elements in another order, axis by axis, with a fill value where none is read:
/// transposition, slices, padding of every kind, repetition, gathering by constant indices.
///
/// Result element [i, j, ...] is the operand's at the indices that each result axis lists at i, j,
/// ...; it is the fill value where any of those indices is a fill.
package struct Arrangement: OperatorFamily {
  static let tag: UInt8 = 9
  /// Runs of one axis.
  package static let runLimit = 1 << 20

  /// Indices start, start + step, ...; or `count` fills.
  package struct Run: Hashable, Sendable {
    /// Nil for fills.
    package let start: Int?
    package let step: Int
    package let count: Int
  }

  package struct Axis: Hashable, Sendable {
    /// The operand's axis that this one reads; nil where the result repeats all of it.
    package let source: Int?
    /// The indices in their only encoding: each run is as long as it can be, the first taking what
    /// two could share.
    package let runs: [Run]

    package var count: Int { runs.reduce(0) { $0 + $1.count } }

    /// `indices` along the operand's axis `source`, nil where the result is filled. With no
    /// source every index is 0 or nil.
    package init(source: Int?, indices: some Sequence<Int?>) {
      self.source = source
      var runs: [Run] = []
      for index in indices {
        if let last = runs.last, let longer = last.extended(by: index) {
          runs[runs.count - 1] = longer
        } else {
          runs.append(Run(start: index, step: 0, count: 1))
        }
      }
      self.runs = runs
    }

    /// All `count` indices of the operand's axis `source`, as they are.
    package init(whole source: Int, count: Int) {
      self.init(source: source, runs: [Run(start: 0, step: count > 1 ? 1 : 0, count: count)])
    }

    fileprivate init(source: Int?, runs: [Run]) { (self.source, self.runs) = (source, runs) }
  }

  package let axes: [Axis]
  /// 0 where nothing is filled.
  package let fill: Int16

  package init(axes: [Axis], fill: Int16 = 0) { (self.axes, self.fill) = (axes, fill) }

  var operandCount: Int { 1 }

  func result(of operands: [Tensor]) throws(ProgramError.Problem) -> Tensor {
    let shape = operands[0].shape
    var unread = Set(shape.indices)
    var fills = false
    for axis in axes {
      if let source = axis.source, unread.remove(source) == nil {
        throw .parameters("two result axes read axis \(source) of \(shape), or there is none")
      }
      let size = axis.source.map { shape[$0] } ?? 1
      guard !axis.runs.isEmpty, axis.runs.count <= Self.runLimit,
        axis.runs.allSatisfy({ $0.isWithin(size) })
      else {
        throw .parameters("an axis lists indices outside 0..<\(size), or too many")
      }
      for (run, next) in zip(axis.runs, axis.runs.dropFirst())
      where run.extended(by: next.start) != nil {
        throw .parameters("two runs of indices could be one")
      }
      fills = fills || axis.runs.contains { $0.start == nil }
    }
    guard unread.allSatisfy({ shape[$0] == 1 }) else {
      throw .parameters("axes \(unread.sorted()) of \(shape) are not read")
    }
    guard fills || fill == 0 else { throw .parameters("a fill of \(fill) that is nowhere used") }
    return Tensor(shape: axes.map(\.count), exponent: operands[0].exponent)
  }

  func steps(of operands: [Tensor], giving result: Tensor) -> Int { result.elementCount }

  func kernel(operands: [Tensor], result: Tensor) -> any Kernel {
    ArrangementKernel(self, operand: operands[0].shape, result: result.shape)
  }
}

extension Arrangement.Run {
  /// This run with `index` behind it; nil where that is another run.
  fileprivate func extended(by index: Int?) -> Self? {
    guard let start, let index else {
      return start == nil && index == nil ? Self(start: nil, step: 0, count: count + 1) : nil
    }
    if count == 1 { return Self(start: start, step: index - start, count: 2) }
    return index == start + step * count ? Self(start: start, step: step, count: count + 1) : nil
  }

  fileprivate func isWithin(_ size: Int) -> Bool {
    guard count > 0, count <= Program.elementLimit, step.magnitude <= Program.elementLimit else {
      return false
    }
    guard let start else { return step == 0 }
    let bounds = 0..<size
    return bounds.contains(start) && bounds.contains(start + step * (count - 1))
      && (count > 1 || step == 0)
  }
}

private struct ArrangementKernel: Kernel {
  let axes: [Arrangement.Axis]
  let fill: Int16
  /// By result axis: elements between neighbours of the operand's axis that it reads.
  let strides: [Int]
  /// By result axis: elements of the result below one index of it.
  let blocks: [Int]

  init(_ operation: Arrangement, operand: [Int], result: [Int]) {
    (axes, fill) = (operation.axes, operation.fill)
    strides = operation.axes.map { axis in
      axis.source.map { operand[($0 + 1)...].reduce(1, *) } ?? 0
    }
    blocks = result.indices.map { result[($0 + 1)...].reduce(1, *) }
  }

  var scratchCount: Int { 0 }

  func run(
    _ operands: [UnsafePointer<Int16>], into result: UnsafeMutablePointer<Int16>,
    scratch: UnsafeMutablePointer<Int16>
  ) -> Int? {
    copy(from: operands[0], axis: 0, into: result)
    return nil
  }

  /// Fills the block of the result that axes from `axis` on span.
  private func copy(
    from source: UnsafePointer<Int16>, axis: Int, into result: UnsafeMutablePointer<Int16>
  ) {
    guard axis < axes.count else {
      result.pointee = source.pointee
      return
    }
    let (stride, block) = (strides[axis], blocks[axis])
    var target = result
    for run in axes[axis].runs {
      guard let start = run.start else {
        target.update(repeating: fill, count: run.count * block)
        target += run.count * block
        continue
      }
      let first = source + start * stride
      let step = run.step * stride
      // Also where the axes below have one index each: it need not be their first.
      if axis + 1 < axes.count {
        for index in 0..<run.count {
          copy(from: first + index * step, axis: axis + 1, into: target + index * block)
        }
      } else if step == 1 {
        target.update(from: first, count: run.count)
      } else {
        for index in 0..<run.count { target[index] = first[index &* step] }
      }
      target += run.count * block
    }
  }
}

extension Arrangement: CanonicalCodable {
  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(axes)
    encoder.append(fill)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    axes = try decoder.list(of: Axis.self, limit: 8, elementSize: 5)
    fill = try decoder.integer()
  }
}

extension Arrangement.Axis: CanonicalCodable {
  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(source.map { UInt8($0) } ?? .max)
    encoder.append(runs)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    let axis = try decoder.integer(UInt8.self)
    self.init(
      source: axis == .max ? nil : Int(axis),
      runs: try decoder.list(
        of: Arrangement.Run.self, limit: Arrangement.runLimit, elementSize: 12))
  }
}

extension Arrangement.Run: CanonicalCodable {
  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(Int32(start ?? -1))
    encoder.append(Int32(step))
    encoder.append(UInt32(count))
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    let position = decoder
    let first = Int(try decoder.integer(Int32.self))
    guard first >= -1 else { throw position.failure(.invalid("an index of \(first)")) }
    start = first == -1 ? nil : first
    step = Int(try decoder.integer(Int32.self))
    count = Int(try decoder.integer(UInt32.self))
  }
}
