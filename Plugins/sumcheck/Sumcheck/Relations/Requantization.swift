extension CircuitBuilder {
  /// q = floor((accumulator + 2^(s-1)) / 2^s) within int16.
  ///
  /// The remainder r = accumulator + 2^(s-1) - 2^s·q is derived, never committed, and must lie in
  /// [0, 2^s); q must lie in int16. Together they have one solution: two would give
  /// |2^s·(q - q') + (r - r')| < 2^(s+17) <= 2^48 < p, so equality modulo p is equality of
  /// integers, and |r - r'| < 2^s forces q = q'. Without the range of q any r has its q modulo p.
  ///
  /// `quantity` is the accumulator; `shifts` is uniform or along one axis, that of its constant.
  mutating func requantize(_ tensor: Int, _ quantity: Circuit.Quantity, shifts: Scale) {
    var remainder = quantity
    let rounding = shifts.mapped { $0 == 0 ? 0 : 1 << ($0 - 1) }
    remainder.form.constant = remainder.form.constant.adding(rounding)
    let powers = shifts.mapped { -(1 << $0) }
    remainder.form.terms.append(.init(.tensor(tensor), scale: powers))
    checkRange(remainder, bits: shifts, mask: Mask(shape: shape(tensor)))
    if !isBounded(tensor) { checkInt16(tensor) }
  }

  /// Every cell of `tensor` is within int16.
  mutating func checkInt16(_ tensor: Int) {
    checkRange(
      .init(
        form: LinearForm(
          shape: shape(tensor), [.init(.tensor(tensor))], constant: .uniform(1 << 15))),
      bits: .uniform(16), mask: Mask(shape: shape(tensor)))
  }
}

extension Scale {
  /// Cell by cell; the two do not lie along different axes.
  func adding(_ other: Scale) -> Scale {
    switch (self, other) {
    case (.uniform(let left), .uniform(let right)): .uniform(left &+ right)
    case (.uniform(let left), .along(let axis, let right)):
      .along(axis: axis, right.map { left &+ $0 })
    case (.along, .uniform): other.adding(self)
    case (.along(let axis, let left), .along(_, let right)):
      .along(axis: axis, zip(left, right).map { $0 &+ $1 })
    }
  }
}
