import Foundation

extension PixelImage {
  /// P2 and P5 are PGM (grey), P3 and P6 PPM (colour); P2 and P3 in words, P5 and P6 in bytes.
  static func isNetpbm(_ bytes: Data) -> Bool {
    bytes.count > 2 && bytes.first == UInt8(ascii: "P")
      && "2356".utf8.contains(bytes[bytes.startIndex + 1])
  }

  /// A picture as Netpbm's pgm(5) and ppm(5) define it, of any maximum up to 65,535.
  init(netpbm bytes: Data) throws(TensorFileError.Problem) {
    let kind = bytes[bytes.startIndex + 1]
    let isInWords = kind == UInt8(ascii: "2") || kind == UInt8(ascii: "3")
    let channels = kind == UInt8(ascii: "2") || kind == UInt8(ascii: "5") ? 1 : 3
    var rest = bytes.dropFirst(2)
    let width = try Self.number(&rest)
    let height = try Self.number(&rest)
    let maximum = try Self.number(&rest)
    try Self.check(width: width, height: height)
    guard (1...65535).contains(maximum) else {
      throw .malformed("its maximum is \(maximum) and must be within 1...65535")
    }
    let count = width * height * channels
    var samples: [UInt16] = []
    if isInWords {
      // Each sample takes a digit and a space, so the file's own size bounds the allocation.
      guard rest.count >= 2 * count - 1 else { throw Self.cutShort }
      samples.reserveCapacity(count)
      for _ in 0..<count { samples.append(UInt16(clamping: try Self.number(&rest))) }
    } else {
      // Exactly one byte of white space ends the header.
      rest = rest.dropFirst()
      let size = maximum > 255 ? 2 : 1
      guard rest.count >= count * size else { throw Self.cutShort }
      samples = rest.withUnsafeBytes { data in
        (0..<count).map { index in
          size == 1
            ? UInt16(data[index])
            : UInt16(
              bigEndian: data.loadUnaligned(fromByteOffset: 2 * index, as: UInt16.self))
        }
      }
    }
    guard samples.allSatisfy({ $0 <= maximum }) else {
      throw .malformed("a sample is above its maximum of \(maximum)")
    }
    self.init(
      width: width, height: height, channels: channels, maximum: UInt16(maximum),
      samples: samples)
  }

  private static var cutShort: TensorFileError.Problem {
    .malformed("it ends before its last pixel")
  }

  /// The next decimal number, after white space and comments that run from # to a line's end.
  private static func number(
    _ rest: inout Data.SubSequence
  ) throws(TensorFileError.Problem) -> Int {
    while let byte = rest.first {
      if byte == UInt8(ascii: "#") {
        rest = rest.drop { $0 != UInt8(ascii: "\n") }
      } else if [0x09, 0x0A, 0x0B, 0x0C, 0x0D, 0x20].contains(byte) {
        rest = rest.dropFirst()
      } else {
        break
      }
    }
    let digits = rest.prefix(8).prefix { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
    guard let value = Int(String(decoding: digits, as: UTF8.self)) else {
      throw .malformed("a number was expected at byte \(rest.startIndex)")
    }
    rest = rest.dropFirst(digits.count)
    return value
  }
}
