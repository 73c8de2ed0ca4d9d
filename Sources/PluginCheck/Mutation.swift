import Primitives
import ProverHost

/// One change of a statement or its proof, which a seed and a number determine.
struct Mutation: CustomStringConvertible {
  enum Target: Hashable, CustomStringConvertible {
    case proof
    case input(inference: Int, tensor: Int)
    case output(inference: Int, tensor: Int)
    case context(inference: Int)

    var description: String {
      switch self {
      case .proof: "proof"
      case .input(let inference, let tensor): "inference \(inference), input \(tensor)"
      case .output(let inference, let tensor): "inference \(inference), output \(tensor)"
      case .context(let inference): "inference \(inference), context"
      }
    }
  }

  enum Change {
    case flip(offset: Int, bit: Int)
    case set(offset: Int, UInt8)
    /// Adds to the eight bytes at `offset`, little-endian.
    case add(offset: Int, UInt64)
    case exchange(Int, Int, count: Int)
    case copy(from: Int, to: Int, count: Int)
    case cut(count: Int)
    case extend([UInt8])
  }

  let target: Target
  let change: Change

  var description: String { "\(target): \(change)" }

  /// The number-th flip of those that visit every byte of a proof of `count` bytes once, spread out
  /// from the first one on.
  static func visit(_ number: Int, of count: Int, seed: UInt64) -> Mutation {
    var random = SplitMix64(state: seed ^ UInt64(number) &* 0x9E37_79B9)
    let offset = number * stride(of: count) % count
    return Mutation(
      target: .proof, change: .flip(offset: offset, bit: Int.random(in: 0..<8, using: &random)))
  }

  /// Near the golden section of `count` and coprime to it: its multiples visit all of 0..<count,
  /// and any first few of them are spread evenly.
  static func stride(of count: Int) -> Int {
    func divisor(_ a: Int, _ b: Int) -> Int { b == 0 ? a : divisor(b, a % b) }
    var stride = max(1, Int(Double(count) * 0.618_033_988_749_895))
    while divisor(stride, count) != 1 { stride += 1 }
    return stride
  }

  /// The number-th random change. Two in three are of the proof, where there is one.
  static func random(
    _ number: Int, of statement: Statement, proof: [UInt8], seed: UInt64
  ) -> Mutation {
    var random = SplitMix64(state: seed &+ UInt64(number) &* 0xD134_2543_DE82_EF95)
    let inference = Int.random(in: 0..<statement.inferences.count, using: &random)
    let sample = statement.inferences[inference]
    let target: Target
    switch Int.random(in: 0..<9, using: &random) {
    case 0 where !sample.inputs.isEmpty:
      target = .input(
        inference: inference, tensor: Int.random(in: 0..<sample.inputs.count, using: &random))
    case 1 where !sample.outputs.isEmpty:
      target = .output(
        inference: inference, tensor: Int.random(in: 0..<sample.outputs.count, using: &random))
    case 2: target = .context(inference: inference)
    default: target = .proof
    }
    let bytes = target == .proof ? proof : statement.bytes(at: target)
    return Mutation(
      target: target, change: change(of: bytes, mayResize: target == .proof, &random))
  }

  private static func change(
    of bytes: [UInt8], mayResize: Bool, _ random: inout SplitMix64
  ) -> Change {
    let kind = Int.random(in: 0..<(mayResize ? 20 : 18), using: &random)
    guard !bytes.isEmpty, kind < 18 else {
      guard kind == 18, !bytes.isEmpty else {
        let count = Int.random(in: 1...64, using: &random)
        return .extend((0..<count).map { _ in UInt8.random(in: 0...255, using: &random) })
      }
      return .cut(count: Int.random(in: 1...bytes.count, using: &random))
    }
    let offset = Int.random(in: 0..<bytes.count, using: &random)
    let other = Int.random(in: 0..<bytes.count, using: &random)
    let count = min([1, 8, 16, 32][kind % 4], bytes.count - max(offset, other))
    switch kind {
    case 0..<6: return .flip(offset: offset, bit: Int.random(in: 0..<8, using: &random))
    case 6..<10: return .set(offset: offset, UInt8.random(in: 0...255, using: &random))
    case 10..<14 where bytes.count >= 8:
      // Whole words: proofs are made of field elements, whose second representation is their sum
      // with the field's order (here 2^64 - 2^32 + 1, the only 64-bit one in wide use).
      let words: [UInt64] = [1, .max, 0xFFFF_FFFF_0000_0001, 0xFFFF_FFFF, random.next()]
      let word = words[Int.random(in: 0..<words.count, using: &random)]
      return .add(offset: min(offset & ~7, bytes.count - 8), word)
    case 14..<16: return .exchange(offset, other, count: count)
    default: return .copy(from: offset, to: other, count: count)
    }
  }

  /// The bytes with the change made.
  func apply(to bytes: inout [UInt8]) {
    switch change {
    case .flip(let offset, let bit): bytes[offset] ^= 1 << UInt8(bit)
    case .set(let offset, let value): bytes[offset] = value
    case .add(let offset, let word):
      let old = (0..<8).reduce(UInt64(0)) { $0 | UInt64(bytes[offset + $1]) << UInt64(8 * $1) }
      for place in 0..<8 {
        bytes[offset + place] = UInt8(truncatingIfNeeded: (old &+ word) >> UInt64(8 * place))
      }
    case .exchange(let first, let second, let count):
      for place in 0..<count { bytes.swapAt(first + place, second + place) }
    case .copy(let source, let place, let count):
      bytes.replaceSubrange(place..<place + count, with: bytes[source..<source + count])
    case .cut(let count): bytes.removeLast(count)
    case .extend(let more): bytes += more
    }
  }

  func applied(to statement: Statement, proof: [UInt8]) -> (Statement, [UInt8]) {
    var (statement, proof) = (statement, proof)
    if target == .proof {
      apply(to: &proof)
    } else {
      var bytes = statement.bytes(at: target)
      apply(to: &bytes)
      statement.setBytes(bytes, at: target)
    }
    return (statement, proof)
  }
}

extension Statement {
  /// Empty for the proof, which is not part of a statement.
  func bytes(at target: Mutation.Target) -> [UInt8] {
    switch target {
    case .proof: []
    case .input(let inference, let tensor): inferences[inference].inputs[tensor]
    case .output(let inference, let tensor): inferences[inference].outputs[tensor]
    case .context(let inference): inferences[inference].context.bytes
    }
  }

  mutating func setBytes(_ bytes: [UInt8], at target: Mutation.Target) {
    switch target {
    case .proof: break
    case .input(let inference, let tensor): inferences[inference].inputs[tensor] = bytes
    case .output(let inference, let tensor): inferences[inference].outputs[tensor] = bytes
    case .context(let inference):
      if let value = Bytes32(bytes) { inferences[inference].context = Digest(value) }
    }
  }
}
