/// Thirty-two bytes held in four machine words, so that digests and keys compare and hash quickly
/// and never touch the heap. Words are big-endian: comparing them is comparing the bytes.
public struct Bytes32: Hashable, Comparable, Sendable {
  /// Drawn anew by every process, and told to nobody.
  public static let hashKeys = (
    UInt64.random(in: .min ... .max), UInt64.random(in: .min ... .max),
    UInt64.random(in: .min ... .max), UInt64.random(in: .min ... .max)
  )

  public let word0: UInt64
  public let word1: UInt64
  public let word2: UInt64
  public let word3: UInt64

  public static let count = 32
  public static let zero = Bytes32(words: (0, 0, 0, 0))

  @inlinable public init(words: (UInt64, UInt64, UInt64, UInt64)) {
    (word0, word1, word2, word3) = words
  }

  /// From words as they lie in memory where their bytes follow one another in order.
  @inlinable public init(inOrder words: (UInt64, UInt64, UInt64, UInt64)) {
    self.init(
      words: (
        UInt64(bigEndian: words.0), UInt64(bigEndian: words.1), UInt64(bigEndian: words.2),
        UInt64(bigEndian: words.3)
      ))
  }

  @inlinable public var inOrder: (UInt64, UInt64, UInt64, UInt64) {
    (word0.bigEndian, word1.bigEndian, word2.bigEndian, word3.bigEndian)
  }

  /// Fails unless exactly 32 bytes are given.
  @inlinable public init?(_ bytes: some Collection<UInt8>) {
    guard bytes.count == Self.count else { return nil }
    var words: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
    withUnsafeMutableBytes(of: &words) { $0.copyBytes(from: bytes) }
    self.init(inOrder: words)
  }

  @inlinable public var bytes: [UInt8] { withUnsafeBytes(of: inOrder) { Array($0) } }

  /// NH of UMAC (Black and others, 1999), folded to a word: two multiplications in the place of
  /// SipHash's rounds. Whoever does not know the keys, though it chooses all 32 bytes, makes two
  /// values collide with a probability near 2^-64.
  @inlinable public var keyedHash: UInt64 {
    let keys = Self.hashKeys
    let left = (word0 &+ keys.0).multipliedFullWidth(by: word1 &+ keys.1)
    let right = (word2 &+ keys.2).multipliedFullWidth(by: word3 &+ keys.3)
    let (low, carry) = left.low.addingReportingOverflow(right.low)
    return low ^ (left.high &+ right.high &+ (carry ? 1 : 0))
  }

  @inlinable public func hash(into hasher: inout Hasher) { hasher.combine(keyedHash) }

  /// What a dictionary asks for: the seed, which differs between dictionaries, is mixed in by one
  /// more multiplication, again in the place of SipHash.
  @inlinable public func _rawHashValue(seed: Int) -> Int {
    let mixed = (keyedHash ^ UInt64(bitPattern: Int64(seed)))
      .multipliedFullWidth(by: 0x9E37_79B9_7F4A_7C15)
    return Int(truncatingIfNeeded: mixed.high ^ mixed.low)
  }

  @inlinable public static func == (left: Bytes32, right: Bytes32) -> Bool {
    left.word0 == right.word0 && left.word1 == right.word1 && left.word2 == right.word2
      && left.word3 == right.word3
  }

  public static func < (left: Bytes32, right: Bytes32) -> Bool {
    if left.word0 != right.word0 { return left.word0 < right.word0 }
    if left.word1 != right.word1 { return left.word1 < right.word1 }
    if left.word2 != right.word2 { return left.word2 < right.word2 }
    return left.word3 < right.word3
  }
}

/// Lower-case hexadecimal, the one text form of digests, keys and signatures.
public enum Hexadecimal {
  public static func text(_ bytes: some Sequence<UInt8>) -> String {
    var text = ""
    for byte in bytes {
      let digits = String(byte, radix: 16)
      text += byte < 16 ? "0" + digits : digits
    }
    return text
  }

  /// Nil where a character is not a hexadecimal digit or the length is odd.
  public static func bytes(_ text: some StringProtocol) -> [UInt8]? {
    let digits = Array(text.utf8)
    guard digits.count.isMultiple(of: 2) else { return nil }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(digits.count / 2)
    for index in stride(from: 0, to: digits.count, by: 2) {
      guard let high = value(digits[index]), let low = value(digits[index + 1]) else { return nil }
      bytes.append(high << 4 | low)
    }
    return bytes
  }

  private static func value(_ digit: UInt8) -> UInt8? {
    switch digit {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): digit - UInt8(ascii: "a") + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): digit - UInt8(ascii: "A") + 10
    default: nil
    }
  }
}
