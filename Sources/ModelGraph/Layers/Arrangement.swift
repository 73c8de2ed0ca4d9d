/// The elements of one operand in another order, axis by axis: Expand, Gather, Pad, Resize to the
/// nearest element, Slice, Transpose.
///
/// Result element [i, j, ...] is the operand's at the indices that each axis lists at i, j, ...;
/// an element is the fill value where any of its indices is `fillIndex`. The result may then be
/// read under another shape (Gather by a matrix of indices makes two axes of one).
package struct Arrangement: Sendable {
  package static let fillIndex: Int32 = -1
  /// Indices of all axes of one layer together.
  static let indexLimit = 1 << 22

  package struct Axis: Sendable {
    /// The operand's axis that `indices` count along; nil where the result repeats all of it.
    package let source: Int?
    package let indices: [Int32]
  }

  package enum Fill: Sendable {
    case value(Float)
    /// Place of a computed scalar among the operands.
    case operand(Int)
  }

  package let axes: [Axis]
  package let fill: Fill
  private let strides: [Int]

  /// Whether the fill value is anywhere in the result.
  package var fills: Bool { axes.contains { $0.indices.contains(Self.fillIndex) } }

  package var shape: [Int] { axes.map(\.indices.count) }

  static let names = ["Expand", "Gather", "Pad", "Slice", "Transpose"]

  static func read(_ reader: NodeReader) throws(ModelError) -> GeneralLayer {
    switch reader.operatorName {
    case "Expand": try expand(reader)
    case "Gather": try gather(reader)
    case "Pad": try pad(reader)
    case "Slice": try slice(reader)
    default: try transpose(reader)
    }
  }

  /// `counts` are the sizes of the result's axes, `index` the operand's index for each place.
  init(
    _ reader: NodeReader, operand: [Int], counts: [Int], fill: Fill = .value(0),
    source: (_ axis: Int) -> Int? = { $0 }, index: (_ axis: Int, _ place: Int) -> Int
  ) throws(ModelError) {
    guard Shape.elementCount(counts) != nil, counts.reduce(0, +) <= Self.indexLimit else {
      throw reader.fail(.shape("a result of shape \(counts) is out of bounds"))
    }
    axes = counts.indices.map { axis in
      Axis(
        source: source(axis), indices: (0..<counts[axis]).map { Int32(index(axis, $0)) })
    }
    self.fill = fill
    strides = Shape.strides(operand)
  }

  private func layer(shape: [Int]? = nil) -> GeneralLayer {
    GeneralLayer(.arrangement(self), shape: shape ?? self.shape)
  }

  func evaluate<Number: Scalar>(_ operands: [DenseTensor<Number>]) -> [Number] {
    let fill =
      switch self.fill {
      case .value(let value): Number(value)
      case .operand(let place): operands[place].values[0]
      }
    // Offsets add up; one that is hugely negative stays negative.
    let offsets = axes.map { axis in
      axis.indices.map { index in
        index == Self.fillIndex ? Int.min / 16 : Int(index) * (axis.source.map { strides[$0] } ?? 0)
      }
    }
    var result: [Number] = []
    result.reserveCapacity(shape.reduce(1, *))
    Shape.forEach(shape) { position in
      var source = 0
      for axis in position.indices { source += offsets[axis][position[axis]] }
      result.append(source < 0 ? fill : operands[0].values[source])
    }
    return result
  }

  private static func expand(_ reader: NodeReader) throws(ModelError) -> GeneralLayer {
    try reader.allow([], operands: 2...2)
    let input = try reader.shape(0)
    guard let target = try reader.constantIntegers(1), Shape.elementCount(target) != nil,
      let shape = Shape.broadcast(input, target)
    else {
      throw reader.fail(.shape("\(input) cannot be expanded to what the node states"))
    }
    let added = shape.count - input.count
    return try Arrangement(
      reader, operand: input, counts: shape, source: { $0 < added ? nil : $0 - added },
      index: { $0 < added || input[$0 - added] == 1 ? 0 : $1 }
    ).layer()
  }

  private static func gather(_ reader: NodeReader) throws(ModelError) -> GeneralLayer {
    try reader.allow(["axis"], operands: 2...2)
    let input = try reader.shape(0)
    let axis = try reader.axis(reader.integer("axis", default: 0), rank: input.count)
    guard reader.isParameter(1) else { return try Lookup(axis: axis).layer(reader, of: input) }
    var indices: [Int] = []
    for index in try reader.constantIntegers(1) ?? [] {
      indices.append(try reader.axis(index, rank: input[axis]))
    }
    let chosen = indices
    var counts = input
    counts[axis] = indices.count
    return try Arrangement(
      reader, operand: input, counts: counts, index: { $0 == axis ? chosen[$1] : $1 }
    ).layer(shape: Array(input[..<axis] + reader.operands[1].shape + input[(axis + 1)...]))
  }

  /// Pads and value are attributes before version 11 and operands since.
  private static func pad(_ reader: NodeReader) throws(ModelError) -> GeneralLayer {
    try reader.allow(
      reader.opset < 11 ? ["mode", "pads", "value"] : ["mode"],
      operands: reader.opset < 11 ? 1...1 : 2...4)
    let input = try reader.shape(0)
    let mode = reader.text("mode", default: "constant")
    let stated =
      try reader.opset < 11 ? reader.signedIntegers("pads") : reader.constantIntegers(1)
    let axes = try reader.axes(
      try reader.constantIntegers(3) ?? Array(input.indices), rank: input.count)
    guard let stated, stated.count == 2 * axes.count else {
      throw reader.fail(.shape("its pads are not two per axis of \(input)"))
    }
    var (before, shape) = ([Int](repeating: 0, count: input.count), input)
    for (index, axis) in axes.enumerated() {
      before[axis] = stated[index]
      shape[axis] += stated[index] + stated[axes.count + index]
      let most = max(stated[index], stated[axes.count + index])
      guard shape[axis] >= 0, mode != "reflect" || most < input[axis],
        mode == "constant" || input[axis] > 0
      else {
        throw reader.fail(.shape("pads \(stated) do not fit \(input)"))
      }
    }
    guard ["constant", "edge", "reflect", "wrap"].contains(mode) else {
      throw reader.fail(.unsupportedFeature("Pad has the mode '\(mode)'"))
    }
    var fill = Fill.value(reader.opset < 11 ? reader.float("value", default: 0) : 0)
    if reader.hasSlot(2) {
      if let value = try reader.constantScalar(2) {
        fill = .value(value)
      } else {
        fill = .operand(try reader.place(2))
      }
    }
    let first = before
    return try Arrangement(reader, operand: input, counts: shape, fill: fill) { axis, place in
      source(place - first[axis], size: input[axis], mode: mode)
    }.layer()
  }

  /// Where the padded place `place` of an axis of `size` reads.
  private static func source(_ place: Int, size: Int, mode: String) -> Int {
    if place >= 0, place < size { return place }
    return switch mode {
    case "edge": max(0, min(size - 1, place))
    case "wrap": ((place % size) + size) % size
    case "reflect": place < 0 ? -place : 2 * (size - 1) - place
    default: Int(fillIndex)
    }
  }

  /// Starts and ends are attributes before version 10 and operands since.
  private static func slice(_ reader: NodeReader) throws(ModelError) -> GeneralLayer {
    let isOld = reader.opset < 10
    try reader.allow(isOld ? ["axes", "ends", "starts"] : [], operands: isOld ? 1...1 : 3...5)
    let input = try reader.shape(0)
    guard
      let starts = try isOld ? reader.signedIntegers("starts") : reader.constantIntegers(1),
      let ends = try isOld ? reader.signedIntegers("ends") : reader.constantIntegers(2)
    else { throw reader.fail(.malformed("Slice lacks its starts or ends")) }
    let stated = try isOld ? reader.signedIntegers("axes") : reader.constantIntegers(3)
    let axes = try reader.axes(stated ?? Array(starts.indices), rank: input.count)
    let steps = try reader.constantIntegers(4) ?? starts.map { _ in 1 }
    guard starts.count == axes.count, ends.count == axes.count, steps.count == axes.count,
      steps.allSatisfy({ $0 != 0 })
    else { throw reader.fail(.shape("its starts, ends, axes and steps differ in number")) }
    var shape = input
    var (firsts, strides) = (input.map { _ in 0 }, input.map { _ in 1 })
    for (index, axis) in axes.enumerated() {
      let (size, step) = (input[axis], steps[index])
      let range = step > 0 ? 0...size : -1...size - 1
      let from = clamp(starts[index] < 0 ? starts[index] + size : starts[index], range)
      let to = clamp(ends[index] < 0 ? ends[index] + size : ends[index], range)
      shape[axis] = max(0, (to - from + step - step.signum()) / step)
      (firsts[axis], strides[axis]) = (from, step)
    }
    let (start, step) = (firsts, strides)
    return try Arrangement(
      reader, operand: input, counts: shape, index: { start[$0] + $1 * step[$0] }
    ).layer()
  }

  private static func clamp(_ value: Int, _ range: ClosedRange<Int>) -> Int {
    max(range.lowerBound, min(range.upperBound, value))
  }

  private static func transpose(_ reader: NodeReader) throws(ModelError) -> GeneralLayer {
    try reader.allow(["perm"], operands: 1...1)
    let input = try reader.shape(0)
    let order = try reader.axes(
      try reader.signedIntegers("perm") ?? input.indices.reversed(), rank: input.count)
    guard order.count == input.count else {
      throw reader.fail(.shape("\(order) is no order of the axes of \(input)"))
    }
    return try Arrangement(
      reader, operand: input, counts: order.map { input[$0] }, source: { order[$0] },
      index: { $1 }
    ).layer()
  }
}
