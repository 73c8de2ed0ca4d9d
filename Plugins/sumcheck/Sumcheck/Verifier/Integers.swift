/// Integers of tensors and their raw bytes, two little-endian bytes each.
enum Integers {
  /// Of several tensors, one after the other.
  static func of(_ tensors: [some Collection<UInt8>]) -> [Int16] {
    var result: [Int16] = []
    result.reserveCapacity(tensors.reduce(0) { $0 + $1.count / 2 })
    for tensor in tensors {
      Array(tensor).withUnsafeBytes { buffer in
        for index in 0..<buffer.count / 2 {
          result.append(
            Int16(littleEndian: buffer.loadUnaligned(fromByteOffset: 2 * index, as: Int16.self)))
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
