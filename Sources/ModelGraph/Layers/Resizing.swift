/// Upsample, and Resize to the nearest element. Formulas are those of the ONNX operator.
struct Resizing {
  static let names = ["Resize", "Upsample"]

  /// How a place of the result becomes a coordinate of the operand.
  private enum Transformation: String {
    case asymmetric
    case alignCorners = "align_corners"
    case crop = "tf_crop_and_resize"
    case halfPixel = "half_pixel"
    case halfPixelSymmetric = "half_pixel_symmetric"
    case pytorchHalfPixel = "pytorch_half_pixel"
  }

  private enum Rounding: String {
    case ceil, floor
    case preferCeil = "round_prefer_ceil"
    case preferFloor = "round_prefer_floor"
  }

  private let transformation: Transformation
  private let rounding: Rounding
  private let input: [Int]
  private var shape: [Int]
  private var scales: [Float]
  /// Where the region of interest begins and ends on each axis, as shares of it.
  private var region: [(start: Float, end: Float)]

  static func read(_ reader: NodeReader) throws(ModelError) -> GeneralLayer {
    let resizing = try Resizing(reader)
    var fill = Arrangement.Fill.value(0)
    if resizing.transformation == .crop {
      fill = .value(reader.float("extrapolation_value", default: 0))
    }
    let arrangement = try Arrangement(
      reader, operand: resizing.input, counts: resizing.shape, fill: fill,
      index: { resizing.source(axis: $0, place: $1) })
    return GeneralLayer(.arrangement(arrangement), shape: resizing.shape)
  }

  private init(_ reader: NodeReader) throws(ModelError) {
    let isOld = reader.operatorName == "Upsample" || reader.opset < 11
    try reader.allow(
      isOld
        ? ["mode", "scales"]
        : [
          "antialias", "axes", "coordinate_transformation_mode", "cubic_coeff_a",
          "exclude_outside", "extrapolation_value", "keep_aspect_ratio_policy", "mode",
          "nearest_mode",
        ],
      operands: 1...4)
    guard reader.text("mode", default: "nearest") == "nearest" else {
      throw reader.fail(.unsupportedFeature("\(reader.operatorName) interpolates"))
    }
    let (mode, nearest) = (
      reader.text("coordinate_transformation_mode", default: "half_pixel"),
      reader.text("nearest_mode", default: "round_prefer_floor")
    )
    guard let transformation = Transformation(rawValue: isOld ? "asymmetric" : mode),
      let rounding = Rounding(rawValue: isOld ? "floor" : nearest)
    else {
      throw reader.fail(.unsupportedFeature("Resize has the modes '\(mode)', '\(nearest)'"))
    }
    (self.transformation, self.rounding) = (transformation, rounding)
    let input = try reader.shape(0)
    guard input.allSatisfy({ $0 > 0 }) else {
      throw reader.fail(.shape("\(input) has no elements"))
    }
    self.input = input
    shape = input
    scales = input.map { _ in 1 }
    region = input.map { _ in (0, 1) }
    let axes = try reader.axes(
      try reader.signedIntegers("axes") ?? Array(input.indices), rank: input.count)
    if transformation == .crop {
      guard let bounds = try reader.constantFloats(1), bounds.count == 2 * axes.count else {
        throw reader.fail(.shape("its region is not two numbers per axis"))
      }
      for (index, axis) in axes.enumerated() {
        region[axis] = (bounds[index], bounds[axes.count + index])
      }
    }
    if let sizes = try reader.constantIntegers(3), !sizes.isEmpty {
      try fit(sizes, axes, reader)
    } else {
      try scale(axes, isOld: isOld, reader)
    }
    guard Shape.elementCount(shape) != nil else {
      throw reader.fail(.shape("a result of shape \(shape) is out of bounds"))
    }
  }

  /// Scales are an attribute of Upsample before version 9 and an operand since.
  private mutating func scale(
    _ axes: [Int], isOld: Bool, _ reader: NodeReader
  ) throws(ModelError) {
    let attribute = reader.proto.attribute.first { $0.name == "scales" }?.floats
    let operand = try reader.constantFloats(isOld ? 1 : 2)
    guard let stated = attribute ?? operand, stated.count == axes.count,
      stated.allSatisfy({ $0.isFinite && $0 > 0 && $0 <= 65536 })
    else { throw reader.fail(.shape("its scales are not one positive number per axis")) }
    for (index, axis) in axes.enumerated() {
      scales[axis] = stated[index]
      // Below 2^45, so that the conversion cannot trap; the caller bounds the shape.
      shape[axis] = Int((Float(input[axis]) * stated[index]).rounded(.down))
    }
  }

  private mutating func fit(
    _ sizes: [Int], _ axes: [Int], _ reader: NodeReader
  ) throws(ModelError) {
    guard sizes.count == axes.count, sizes.allSatisfy({ $0 > 0 }) else {
      throw reader.fail(.shape("sizes \(sizes) do not fit \(input)"))
    }
    let ratios = zip(sizes, axes).map { Float($0) / Float(input[$1]) }
    var common: Float?
    switch reader.text("keep_aspect_ratio_policy", default: "stretch") {
    case "stretch": break
    case "not_larger": common = ratios.min()
    case "not_smaller": common = ratios.max()
    case let policy:
      throw reader.fail(.unsupportedFeature("keep_aspect_ratio_policy is '\(policy)'"))
    }
    for (index, axis) in axes.enumerated() {
      scales[axis] = common ?? ratios[index]
      // At most 2^31 · 2^28, and halves go up.
      shape[axis] =
        common.map { Int((Double($0) * Double(input[axis]) + 0.5).rounded(.down)) } ?? sizes[index]
    }
  }

  /// The operand's index at `place` of `axis`; the fill index outside the region of interest.
  private func source(axis: Int, place: Int) -> Int {
    let (size, count, scale) = (Double(input[axis]), Double(shape[axis]), Double(scales[axis]))
    let place = Double(place)
    let exact: Double
    switch transformation {
    case .asymmetric: exact = place / scale
    case .alignCorners: exact = count == 1 ? 0 : place * (size - 1) / (count - 1)
    case .pytorchHalfPixel where count == 1: exact = 0
    case .halfPixel, .pytorchHalfPixel: exact = (place + 0.5) / scale - 0.5
    case .halfPixelSymmetric:
      let adjustment = count / (size * scale)
      exact = size / 2 * (1 - adjustment) + (place + 0.5) / scale - 0.5
    case .crop:
      let (start, end) = (Double(region[axis].start), Double(region[axis].end))
      exact =
        count == 1
        ? 0.5 * (start + end) * (size - 1)
        : start * (size - 1) + place * (end - start) * (size - 1) / (count - 1)
      guard exact >= 0, exact <= size - 1 else { return Int(Arrangement.fillIndex) }
    }
    let rounded =
      switch rounding {
      case .floor: exact.rounded(.down)
      case .ceil: exact.rounded(.up)
      case .preferFloor: (exact - 0.5).rounded(.up)
      case .preferCeil: (exact + 0.5).rounded(.down)
      }
    return Int(max(0, min(size - 1, rounded)))
  }
}
