package import Primitives

/// The integer type of a boundary tensor's elements, little-endian two's complement.
package enum ElementType: UInt8, Sendable, Hashable, CanonicalCodable, CustomStringConvertible {
  case int8 = 1
  case int16 = 2
  case int32 = 3
  case int64 = 4

  package var byteCount: Int {
    switch self {
    case .int8: 1
    case .int16: 2
    case .int32: 4
    case .int64: 8
    }
  }

  package var description: String {
    switch self {
    case .int8: "int8"
    case .int16: "int16"
    case .int32: "int32"
    case .int64: "int64"
    }
  }

  package func encode(into encoder: inout CanonicalEncoder) { encoder.append(rawValue) }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    let start = decoder.offset
    let tag = try decoder.integer(UInt8.self)
    guard let type = ElementType(rawValue: tag) else {
      throw decoder.failure(.unknownTag(tag, of: "ElementType"), at: start)
    }
    self = type
  }
}

/// What a boundary tensor is: element type, shape (outermost axis first), and the power-of-two
/// exponent by which value = integer × 2^-exponent.
package struct BoundarySpecification: Hashable, Sendable, CanonicalCodable {
  package static let rankLimit = 8
  /// Elements in one boundary tensor.
  package static let elementLimit = 1 << 28

  package let name: String
  package let elementType: ElementType
  package let shape: [Int]
  package let exponent: Int8

  /// Nil where the name, the rank, an axis or the element count is out of bounds. A scalar has an
  /// empty shape.
  package init?(name: String, elementType: ElementType, shape: [Int], exponent: Int8) {
    guard name.utf8.count <= 1024, Self.elementCount(shape) != nil else { return nil }
    self.name = name
    self.elementType = elementType
    self.shape = shape
    self.exponent = exponent
  }

  package var elementCount: Int { shape.reduce(1, *) }
  package var byteCount: Int { elementCount * elementType.byteCount }

  /// Equal in everything but the name: a producer and a consumer that link without rescaling.
  package func links(to other: BoundarySpecification) -> Bool {
    elementType == other.elementType && shape == other.shape && exponent == other.exponent
  }

  private static func elementCount(_ shape: [Int]) -> Int? {
    guard shape.count <= rankLimit else { return nil }
    var count = 1
    for axis in shape {
      guard axis > 0, axis <= elementLimit else { return nil }
      count *= axis
      guard count <= elementLimit else { return nil }
    }
    return count
  }

  package func encode(into encoder: inout CanonicalEncoder) {
    encoder.append(name)
    encoder.append(elementType)
    encoder.append(list: shape.map { UInt32($0) })
    encoder.append(exponent)
  }

  package init(from decoder: inout CanonicalDecoder) throws(CanonicalError) {
    let start = decoder.offset
    let name = try decoder.text(limit: 1024)
    let elementType = try decoder.record(ElementType.self)
    let shape = try decoder.integers(UInt32.self, limit: Self.rankLimit).map { Int($0) }
    let exponent = try decoder.integer(Int8.self)
    guard
      let specification = BoundarySpecification(
        name: name, elementType: elementType, shape: shape, exponent: exponent)
    else {
      throw decoder.failure(
        .invalid("the shape of boundary tensor '\(name)' is out of bounds"), at: start)
    }
    self = specification
  }
}
