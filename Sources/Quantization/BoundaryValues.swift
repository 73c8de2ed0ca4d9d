package import Statements

/// Floats at the two ends of a request to and from the bytes of a boundary tensor.
package enum BoundaryValues {
  /// round(value · 2^exponent), half away from zero, as little-endian integers. Throws where a
  /// value does not fit: nothing is clamped silently.
  package static func bytes(
    _ values: [Float], as boundary: BoundarySpecification
  ) throws(QuantizationError) -> [UInt8] {
    guard values.count == boundary.elementCount else {
      throw .elementCount(
        tensor: boundary.name, expected: boundary.elementCount, got: values.count)
    }
    let scale = PowerOfTwo.value(Int(boundary.exponent))
    let size = boundary.elementType.byteCount
    // A signed integer of n bits holds -2^(n-1) up to but not including 2^(n-1).
    let limit = PowerOfTwo.value(8 * size - 1)
    var bytes: [UInt8] = []
    bytes.reserveCapacity(values.count * size)
    for (element, value) in values.enumerated() {
      let scaled = (Double(value) * scale).rounded()
      guard scaled >= -limit, scaled < limit else {
        throw .inputOutOfRange(
          tensor: boundary.name, element: element, value: value, limit: Float(limit / scale))
      }
      let integer = Int64(scaled)
      for index in 0..<size { bytes.append(UInt8(truncatingIfNeeded: integer >> Int64(8 * index))) }
    }
    return bytes
  }

  package static func floats(
    _ bytes: [UInt8], as boundary: BoundarySpecification
  ) throws(QuantizationError) -> [Float] {
    let size = boundary.elementType.byteCount
    guard bytes.count == boundary.byteCount else {
      throw .elementCount(
        tensor: boundary.name, expected: boundary.elementCount, got: bytes.count / size)
    }
    let scale = PowerOfTwo.value(-Int(boundary.exponent))
    return (0..<boundary.elementCount).map { element in
      var integer: Int64 = 0
      for index in (0..<size).reversed() {
        let byte = bytes[element * size + index]
        // The highest byte carries the sign.
        integer = index == size - 1 ? Int64(Int8(bitPattern: byte)) : integer << 8 | Int64(byte)
      }
      return Float(Double(integer) * scale)
    }
  }
}
