/// An element c0 + c1·x of E = F_p[x]/(x^2 - 7), the field of challenges; 7 is no square in F_p.
package struct Extension: Hashable, Sendable {
  package let c0: Goldilocks
  package let c1: Goldilocks

  package static let zero = Extension(.zero, .zero)
  package static let one = Extension(.one, .zero)

  @inline(__always)
  package init(_ c0: Goldilocks, _ c1: Goldilocks) { (self.c0, self.c1) = (c0, c1) }

  @inline(__always)
  package init(_ integer: Int64) { self.init(Goldilocks(integer), .zero) }

  package var isZero: Bool { self == .zero }

  @inline(__always)
  package static func + (left: Extension, right: Extension) -> Extension {
    Extension(left.c0 + right.c0, left.c1 + right.c1)
  }

  @inline(__always)
  package static func - (left: Extension, right: Extension) -> Extension {
    Extension(left.c0 - right.c0, left.c1 - right.c1)
  }

  @inline(__always)
  package static prefix func - (element: Extension) -> Extension { zero - element }

  @inline(__always)
  package static func * (left: Extension, right: Extension) -> Extension {
    let cross = left.c0 * right.c1 + left.c1 * right.c0
    return Extension(left.c0 * right.c0 + seven * (left.c1 * right.c1), cross)
  }

  @inline(__always)
  package static func * (left: Extension, right: Goldilocks) -> Extension {
    Extension(left.c0 * right, left.c1 * right)
  }

  @inline(__always)
  package static func += (left: inout Extension, right: Extension) { left = left + right }
  @inline(__always)
  package static func -= (left: inout Extension, right: Extension) { left = left - right }
  @inline(__always)
  package static func *= (left: inout Extension, right: Extension) { left = left * right }

  @inline(__always)
  private static var seven: Goldilocks { Goldilocks(canonical: 7) }

  /// 1/self through the norm c0^2 - 7·c1^2, which is 0 only for 0; 0 for 0.
  package var inverse: Extension {
    let norm = (c0 * c0 - Self.seven * (c1 * c1)).inverse
    return Extension(c0 * norm, -(c1 * norm))
  }
}
