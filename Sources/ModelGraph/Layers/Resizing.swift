import Foundation

/// Upsample, and Resize to the nearest element.
enum Resizing {
  static let names = ["Resize", "Upsample"]

  static func read(_ reader: NodeReader) throws(ModelError) -> GeneralLayer {
    let input = try reader.shape(0)
    let isUpsample = reader.operatorName == "Upsample"
    let isOld = isUpsample || reader.opset < 11
    try reader.allow(
      isOld
        ? ["mode", "scales"]
        : ["coordinate_transformation_mode", "mode", "nearest_mode", "cubic_coeff_a"],
      operands: 1...4)
    guard reader.text("mode", default: "nearest") == "nearest" else {
      throw reader.fail(.unsupportedFeature("\(reader.operatorName) interpolates"))
    }
    let place = isOld ? 1 : 2
    var scales: [Float] = []
    if isUpsample, reader.opset < 9 {
      scales = reader.proto.attribute.first { $0.name == "scales" }?.floats ?? []
    } else if reader.hasSlot(place), let constant = reader.slots[place]?.constant {
      scales = constant.values
    }
    var shape: [Int] = []
    if let sizes = try reader.constantIntegers(3) {
      guard sizes.count == input.count, Shape.elementCount(sizes) != nil else {
        throw reader.fail(.shape("sizes \(sizes) do not fit \(input)"))
      }
      shape = sizes
      scales = zip(sizes, input).map { Float($0) / Float($1) }
    } else {
      guard scales.count == input.count,
        scales.allSatisfy({ $0.isFinite && $0 > 0 && $0 <= 65536 })
      else {
        throw reader.fail(.unsupportedFeature("its scales are no constants, one per axis"))
      }
      // Below 2^45, so that the conversion cannot trap; the caller bounds the shape.
      shape = zip(input, scales).map { Int((Float($0) * $1).rounded(.down)) }
    }
    guard Shape.elementCount(shape) != nil else {
      throw reader.fail(.shape("a result of shape \(shape) is out of bounds"))
    }
    let mode =
      isOld ? "asymmetric" : reader.text("coordinate_transformation_mode", default: "half_pixel")
    let rounding = isOld ? "floor" : reader.text("nearest_mode", default: "round_prefer_floor")
    guard ["asymmetric", "half_pixel", "align_corners", "pytorch_half_pixel"].contains(mode),
      ["floor", "ceil", "round_prefer_floor", "round_prefer_ceil"].contains(rounding)
    else {
      throw reader.fail(.unsupportedFeature("Resize has the modes '\(mode)', '\(rounding)'"))
    }
    let (counts, factors) = (shape, scales)
    let arrangement = try Arrangement(reader, operand: input, counts: counts) { axis, place in
      source(place, mode, rounding, scale: factors[axis], from: input[axis], to: counts[axis])
    }
    return GeneralLayer(.arrangement(arrangement), shape: shape)
  }

  private static func source(
    _ index: Int, _ mode: String, _ rounding: String, scale: Float, from size: Int, to count: Int
  ) -> Int {
    let place = Float(index)
    let exact: Float =
      switch mode {
      case "asymmetric": place / scale
      case "align_corners": count == 1 ? 0 : place * Float(size - 1) / Float(count - 1)
      case "pytorch_half_pixel" where count == 1: 0
      default: (place + 0.5) / scale - 0.5
      }
    let rounded: Float =
      switch rounding {
      case "floor": exact.rounded(.down)
      case "ceil": exact.rounded(.up)
      case "round_prefer_floor": (exact - 0.5).rounded(.up)
      default: (exact + 0.5).rounded(.down)
      }
    return Int(max(0, min(Float(size - 1), rounded)))
  }
}
