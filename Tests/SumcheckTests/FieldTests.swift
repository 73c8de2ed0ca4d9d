import Testing

@testable import Sumcheck

@Suite struct FieldTests {
  private static let corners: [UInt64] = [
    0, 1, 2, 7, 0xFFFF_FFFE, 0xFFFF_FFFF, 1 << 32, 1 << 63, Goldilocks.modulus - 2,
    Goldilocks.modulus - 1, 0xFFFF_FFFE_FFFF_FFFF, 0x8000_0000_7FFF_FFFF,
  ]

  private static var elements: [Goldilocks] {
    var generator = SeededGenerator(seed: 3)
    let random = (0..<60).map { _ in generator.next() % Goldilocks.modulus }
    return (corners + random).map { Goldilocks(canonical: $0) }
  }

  @Test func computesModuloP() {
    let p = UInt128(Goldilocks.modulus)
    for a in Self.elements {
      for b in Self.elements {
        let (x, y) = (UInt128(a.value), UInt128(b.value))
        #expect(UInt128((a + b).value) == (x + y) % p)
        #expect(UInt128((a - b).value) == (x + p - y) % p)
        #expect(UInt128((a * b).value) == x * y % p)
      }
    }
  }

  @Test func refusesAnElementOfPAndAbove() {
    #expect(Goldilocks(Goldilocks.modulus - 1) != nil)
    #expect(Goldilocks(Goldilocks.modulus) == nil)
    #expect(Goldilocks(UInt64.max) == nil)
  }

  @Test func embedsNegativeIntegers() {
    #expect(Goldilocks(-1) + .one == .zero)
    #expect(Goldilocks(Int64.min) == .zero - Goldilocks(canonical: 1 << 63))
  }

  @Test func invertsBothFields() {
    for element in Self.elements where element != .zero {
      #expect(element * element.inverse == .one)
      let pair = Extension(element, Goldilocks(canonical: 5))
      #expect(pair * pair.inverse == .one)
    }
    #expect(Extension.zero.inverse == .zero)
    let x = Extension(.zero, .one)
    #expect(x * x == Extension(7))
  }

  @Test func rootsOfUnityHaveTheirOrder() {
    for log in [0, 1, 5, 32] {
      var root = Goldilocks.rootOfUnity(log: log)
      for _ in 0..<max(log - 1, 0) { root = root * root }
      #expect(log == 0 ? root == .one : root == Goldilocks(-1))
    }
  }

  @Test func extendsEqualityAndIndices() {
    let point = (1...4).map { Extension(Int64($0 * 11)) }
    let all = Multilinear.equality(point, count: 16)
    #expect(all.reduce(.zero, +) == .one)
    for count in 1...16 {
      #expect(Multilinear.equality(point, count: count) == Array(all[..<count]))
    }
    for index in 0..<16 { #expect(Multilinear.equality(point, index: index) == all[index]) }
    let indices = all.enumerated().reduce(Extension.zero) {
      $0 + $1.element * Extension(Int64($1.offset))
    }
    #expect(Multilinear.index(point) == indices)
  }

  @Test func sumsProductsWithIntegersExactly() {
    var generator = SeededGenerator(seed: 9)
    let weights = (0..<700).map { _ in
      Extension(
        Goldilocks(canonical: generator.next() % Goldilocks.modulus),
        Goldilocks(canonical: Goldilocks.modulus - 1))
    }
    let values = (0..<700).map { $0 % 3 == 0 ? Int16.min : Int16(truncatingIfNeeded: $0 * 97) }
    let expected = zip(weights, values).reduce(Extension.zero) {
      $0 + $1.0 * Goldilocks(Int64($1.1))
    }
    #expect(DotProduct(weights[...]).of(values[...]) == expected)
  }
}

/// SplitMix64.
struct SeededGenerator: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = (state ^ state >> 30) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
    return mixed ^ mixed >> 31
  }
}
