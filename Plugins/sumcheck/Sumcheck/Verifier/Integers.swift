/// Integers of tensors and their raw bytes, two little-endian bytes each.
enum Integers {
  /// Of several tensors, one after the other.
  static func of(_ tensors: [some Collection<UInt8>]) -> [Int16] {
    var result = [Int16](repeating: 0, count: tensors.reduce(0) { $0 + $1.count / 2 })
    result.withUnsafeMutableBufferPointer { integers in
      var start = 0
      for tensor in tensors {
        Array(tensor).withUnsafeBytes { bytes in
          for index in 0..<bytes.count / 2 {
            integers[start + index] = Int16(
              littleEndian: bytes.loadUnaligned(fromByteOffset: 2 * index, as: Int16.self))
          }
          start += bytes.count / 2
        }
      }
    }
    return result
  }

  static func bytes(_ integers: some Collection<Int16>) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(2 * integers.count)
    for integer in integers {
      bytes.append(UInt8(truncatingIfNeeded: integer))
      bytes.append(UInt8(truncatingIfNeeded: integer >> 8))
    }
    return bytes
  }
}
