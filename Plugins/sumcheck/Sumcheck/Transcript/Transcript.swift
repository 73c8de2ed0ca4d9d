/// The Fiat-Shamir transcript: everything said so far, and the challenges that follow from it.
///
/// A draw after new bytes hashes them, under the state so far as BLAKE3's key, into an endless
/// output: its first 32 bytes are the next state, the rest feeds challenges until more is absorbed.
/// Every message's length follows from the verifier key, or is absorbed before it.
struct Transcript {
  private var state: SIMD8<UInt32>
  private var pending: [UInt8] = []
  private var output: Blake3.Node?
  private var block = SIMD16<UInt32>.zero
  /// Words of output that were drawn; the first 8 are the state.
  private var drawn = 0

  init(purpose: String) { state = Blake3.key(purpose) }

  /// Of a statement: the digests of the key, and of every inference's context and tensors, in
  /// order, each computed by whoever proves or verifies. Their number follows from the key.
  init(statement instances: [Instance], keyDigest: [UInt8]) {
    self.init(purpose: "bourse/sumcheck/transcript/1")
    absorb(keyDigest)
    for instance in instances {
      absorb(Blake3.hash(instance.context).hash)
      for tensor in instance.inputs + instance.outputs { absorb(Blake3.hash(tensor).hash) }
    }
  }

  mutating func absorb(_ bytes: some Collection<UInt8>) {
    output = nil
    pending.append(contentsOf: bytes)
  }

  mutating func absorb(_ element: Extension) {
    output = nil
    withUnsafeBytes(of: (element.c0.value.littleEndian, element.c1.value.littleEndian)) {
      pending.append(contentsOf: $0)
    }
  }

  /// A uniform element of E: words of 64 bits, those of p and above left out.
  mutating func challenge() -> Extension {
    let c0 = element()
    return Extension(c0, element())
  }

  mutating func challenges(_ count: Int) -> [Extension] { (0..<count).map { _ in challenge() } }

  /// `count` distinct positions below 2^`log`, in ascending order.
  mutating func positions(_ count: Int, log: Int) -> [Int] {
    var found: Set<Int> = []
    while found.count < count { found.insert(Int(word() & (1 << UInt64(log) - 1))) }
    return found.sorted()
  }

  private mutating func element() -> Goldilocks {
    while true {
      if let element = Goldilocks(word()) { return element }
    }
  }

  private mutating func word() -> UInt64 {
    let source: Blake3.Node
    if let output {
      source = output
    } else {
      source = Blake3.hash(pending, key: state)
      output = source
      pending.removeAll(keepingCapacity: true)
      block = source.output(0)
      state = block.lowHalf
      drawn = 8
    }
    if drawn % 16 == 0 { block = source.output(UInt64(drawn / 16)) }
    let lane = drawn % 16
    drawn += 2
    return UInt64(block[lane]) | UInt64(block[lane + 1]) << 32
  }
}
