import CSumcheckKernels

/// F_p by full-width division: slow, and plainly right.
struct Element: Equatable {
  static let modulus: UInt64 = 0xffff_ffff_0000_0001
  var value: UInt64

  init(_ value: UInt64) { self.value = value % Self.modulus }
  init(integer: some FixedWidthInteger) {
    self.init(UInt64(integer.magnitude))
    if integer < 0 { self = Element(0) - self }
  }

  static func + (a: Element, b: Element) -> Element {
    let (sum, carry) = a.value.addingReportingOverflow(b.value)
    return Element(modulus.dividingFullWidth((carry ? 1 : 0, sum)).remainder)
  }
  static func - (a: Element, b: Element) -> Element { a + Element(modulus - b.value) }
  static func * (a: Element, b: Element) -> Element {
    Element(modulus.dividingFullWidth(a.value.multipliedFullWidth(by: b.value)).remainder)
  }
  func power(_ exponent: UInt64) -> Element {
    var power = Element(1)
    for bit in (0..<64).reversed() {
      power = power * power
      if exponent >> bit & 1 == 1 { power = power * self }
    }
    return power
  }
}

/// F_p[x]/(x^2 - 7).
struct Extension: Equatable {
  var c0, c1: Element

  init(_ c0: Element, _ c1: Element = Element(0)) { (self.c0, self.c1) = (c0, c1) }
  init(_ c: sumcheck_extension) { self.init(Element(c.c0), Element(c.c1)) }
  static let zero = Extension(Element(0))
  static let one = Extension(Element(1))

  var c: sumcheck_extension { sumcheck_extension(c0: c0.value, c1: c1.value) }

  static func + (a: Extension, b: Extension) -> Extension { Extension(a.c0 + b.c0, a.c1 + b.c1) }
  static func - (a: Extension, b: Extension) -> Extension { Extension(a.c0 - b.c0, a.c1 - b.c1) }
  static func * (a: Extension, b: Extension) -> Extension {
    Extension(a.c0 * b.c0 + Element(7) * a.c1 * b.c1, a.c0 * b.c1 + a.c1 * b.c0)
  }
}

extension Sequence<Extension> {
  func sum() -> Extension { reduce(.zero, +) }
}

/// Binds the first variable, which is the most significant bit of the index.
func fold(_ f: [Extension], _ r: Extension) -> [Extension] {
  let half = f.count / 2
  return (0..<half).map { f[$0] + r * (f[half + $0] - f[$0]) }
}

func equality(_ point: [Extension]) -> [Extension] {
  var table = [Extension.one]
  for r in point { table = table.flatMap { [$0 * (.one - r), $0 * r] } }
  return table
}

/// A quadratic through g(0) and its leading coefficient (g(2) - 2 g(1) + g(0)) / 2.
func quadratic(_ g: (Extension) -> Extension) -> [Extension] {
  let two = Extension(Element(2))
  let half = Extension(Element(2).power(Element.modulus - 2))
  return [g(.zero), (g(two) - two * g(.one) + g(.zero)) * half]
}

func coefficients(_ quadratic: sumcheck_quadratic) -> [Extension] {
  [Extension(quadratic.at_zero), Extension(quadratic.leading)]
}

/// Numbers that look random, and are the same in every run; the extremes come often.
struct Numbers {
  private var state: UInt64
  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }

  mutating func element() -> Element {
    let extremes: [UInt64] = [
      0, 1, Element.modulus - 1, 0xffff_ffff, 0xffff_ffff_0000_0000, 1 << 32,
    ]
    let n = next()
    return Element(n % 4 == 0 ? extremes[Int(n >> 8) % extremes.count] : next())
  }

  mutating func elements(_ count: Int) -> [Element] { (0..<count).map { _ in element() } }

  mutating func extensions(_ count: Int) -> [Extension] {
    (0..<count).map { _ in Extension(element(), element()) }
  }

  mutating func integers<Integer: FixedWidthInteger>(_ count: Int) -> [Integer] {
    (0..<count).map { _ in
      let n = next()
      return switch n % 8 {
      case 0: Integer.min
      case 1: Integer.max
      default: Integer(truncatingIfNeeded: next())
      }
    }
  }
}
