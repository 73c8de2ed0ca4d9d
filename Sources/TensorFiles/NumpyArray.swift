package import Foundation
import ModelGraph

/// An array as NumPy's `.npy` files hold it, versions 1.0 to 3.0 of the format (NEP 1 and its
/// successors: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html).
///
/// Elements are little-endian floats of 4 or 8 bytes or integers of 1 to 8 bytes, in C or Fortran
/// order. Nothing is allocated by the header's word: the data must be as long as the shape says.
package struct NumpyArray: Sendable, Equatable {
  static let magic: [UInt8] = [0x93] + Array("NUMPY".utf8)
  static let headerLimit = 1 << 16

  /// Outermost axis first; empty for a scalar.
  package let shape: [Int]
  /// Row-major, rounded to float32.
  package let values: [Float]

  /// An array of any shape with as many as `elementLimit` elements.
  package init(_ bytes: Data, elementLimit: Int) throws(TensorFileError.Problem) {
    guard bytes.starts(with: Self.magic), bytes.count >= 10 else {
      throw .malformed("it does not begin as an .npy file does")
    }
    let version = bytes[bytes.startIndex + 6]
    guard (1...3).contains(version), bytes[bytes.startIndex + 7] == 0 else {
      throw .unsupported(
        "version \(version).\(bytes[bytes.startIndex + 7]) of .npy is none of 1.0, 2.0 and 3.0")
    }
    let lengthBytes = version == 1 ? 2 : 4
    let rest = bytes.dropFirst(8)
    guard rest.count >= lengthBytes else { throw .malformed("its header is cut short") }
    let length = rest.prefix(lengthBytes).reversed().reduce(0) { $0 << 8 | Int($1) }
    guard length <= Self.headerLimit else {
      throw .tooLarge("its header has \(length) bytes and at most \(Self.headerLimit) are read")
    }
    guard rest.count >= lengthBytes + length else { throw .malformed("its header is cut short") }
    let header = try Header(rest.dropFirst(lengthBytes).prefix(length))
    guard let element = Element(rawValue: header.descriptor) else {
      throw .unsupported(
        "its elements are '\(header.descriptor)'; save it as one of "
          + Element.allCases.map(\.rawValue).joined(separator: ", "))
    }
    var count = 1
    for axis in header.shape {
      let (product, overflow) = count.multipliedReportingOverflow(by: axis)
      guard !overflow, product <= elementLimit else {
        throw .tooLarge("its shape \(header.shape) has more than \(elementLimit) elements")
      }
      count = product
    }
    let data = rest.dropFirst(lengthBytes + length)
    guard data.count == count * element.byteCount else {
      throw .malformed(
        "its shape \(header.shape) takes \(count * element.byteCount) bytes and \(data.count) came")
    }
    shape = header.shape
    let stored = element.floats(data)
    values = header.isFortranOrdered ? Self.rowMajor(stored, shape) : stored
  }

  /// First axis fastest to last axis fastest.
  private static func rowMajor(_ stored: [Float], _ shape: [Int]) -> [Float] {
    var strides: [Int] = []
    var stride = 1
    for axis in shape {
      strides.append(stride)
      stride *= axis
    }
    return stored.indices.map { index in
      var (rest, source) = (index, 0)
      for axis in shape.indices.reversed() {
        source += rest % shape[axis] * strides[axis]
        rest /= shape[axis]
      }
      return stored[source]
    }
  }

  /// NumPy's names of the element types that are read; `|` marks those without a byte order.
  private enum Element: String, CaseIterable {
    case float32 = "<f4"
    case float64 = "<f8"
    case int8 = "|i1"
    case int16 = "<i2"
    case int32 = "<i4"
    case int64 = "<i8"
    case uint8 = "|u1"
    case uint16 = "<u2"
    case uint32 = "<u4"
    case boolean = "|b1"

    var byteCount: Int {
      switch self {
      case .int8, .uint8, .boolean: 1
      case .int16, .uint16: 2
      case .float32, .int32, .uint32: 4
      case .float64, .int64: 8
      }
    }

    func floats(_ data: Data) -> [Float] {
      data.withUnsafeBytes { bytes in
        func map<Bits: FixedWidthInteger>(_ convert: (Bits) -> Float) -> [Float] {
          (0..<bytes.count / MemoryLayout<Bits>.size).map { index in
            convert(
              Bits(
                littleEndian: bytes.loadUnaligned(
                  fromByteOffset: index * MemoryLayout<Bits>.size, as: Bits.self)))
          }
        }
        return switch self {
        case .float32: map { (bits: UInt32) in Float(bitPattern: bits) }
        case .float64: map { (bits: UInt64) in Float(Double(bitPattern: bits)) }
        case .int8: map { (value: Int8) in Float(value) }
        case .int16: map { (value: Int16) in Float(value) }
        case .int32: map { (value: Int32) in Float(value) }
        case .int64: map { (value: Int64) in Float(value) }
        case .uint8: map { (value: UInt8) in Float(value) }
        case .uint16: map { (value: UInt16) in Float(value) }
        case .uint32: map { (value: UInt32) in Float(value) }
        case .boolean: map { (value: UInt8) in value == 0 ? 0 : 1 }
        }
      }
    }
  }

  /// The three entries of a header, a Python dictionary in one line.
  private struct Header {
    var descriptor = ""
    var isFortranOrdered = false
    var shape: [Int] = []

    init(_ bytes: Data) throws(TensorFileError.Problem) {
      var scanner = Scanner(rest: bytes[...])
      var seen: Set<String> = []
      try scanner.expect("{")
      while !scanner.take("}") {
        let key = try scanner.text()
        guard seen.insert(key).inserted else { throw Scanner.malformed }
        try scanner.expect(":")
        switch key {
        case "descr": descriptor = try scanner.text()
        case "fortran_order": isFortranOrdered = try scanner.boolean()
        case "shape": shape = try scanner.tuple()
        default: throw Scanner.malformed
        }
        if !scanner.take(",") {
          try scanner.expect("}")
          break
        }
      }
      guard seen.count == 3, scanner.isAtEnd else { throw Scanner.malformed }
    }
  }

  private struct Scanner {
    static let malformed = TensorFileError.Problem.malformed(
      "its header is no dictionary of descr, fortran_order and shape")

    var rest: Data.SubSequence

    var isAtEnd: Bool {
      rest.allSatisfy { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\n") }
    }

    private mutating func skipSpace() { rest = rest.drop { $0 == UInt8(ascii: " ") } }

    mutating func take(_ word: String) -> Bool {
      skipSpace()
      guard rest.starts(with: word.utf8) else { return false }
      rest = rest.dropFirst(word.utf8.count)
      return true
    }

    mutating func expect(_ word: String) throws(TensorFileError.Problem) {
      guard take(word) else { throw Self.malformed }
    }

    mutating func text() throws(TensorFileError.Problem) -> String {
      guard let quote = ["'", "\""].first(where: { take($0) }),
        let end = rest.firstIndex(of: quote.utf8.first ?? 0)
      else { throw Self.malformed }
      defer { rest = rest[(end + 1)...] }
      return String(decoding: rest[..<end], as: UTF8.self)
    }

    mutating func boolean() throws(TensorFileError.Problem) -> Bool {
      if take("True") { return true }
      try expect("False")
      return false
    }

    mutating func tuple() throws(TensorFileError.Problem) -> [Int] {
      try expect("(")
      var axes: [Int] = []
      while !take(")") {
        skipSpace()
        let digits = rest.prefix { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
        guard let axis = Int(String(decoding: digits, as: UTF8.self)) else { throw Self.malformed }
        rest = rest.dropFirst(digits.count)
        axes.append(axis)
        guard axes.count <= Shape.rankLimit + 1 else {
          throw .unsupported("it has more than \(Shape.rankLimit + 1) axes")
        }
        if !take(",") {
          try expect(")")
          break
        }
      }
      return axes
    }
  }
}
